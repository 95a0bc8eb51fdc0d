//! The mail of a worker: letters, and who is rung for them. A lost ring is a deadlock.

use std::sync::Arc;

use concurrent_futures::{Mail, Words};

use crate::checker::atomic::{AtomicU64, Ordering};
use crate::checker::{Condvar, Mutex, Slot, Tally, check, check_choices, spawn};

/// What two sides map. The bytes of a letter are two numbers that are always the same.
struct Page {
    words: Words<2>,
    mail: Mail,
    letters: [[AtomicU64; 2]; 2],
}

impl Page {
    fn new() -> Arc<Self> {
        let letter = || [AtomicU64::new(0), AtomicU64::new(0)];
        Arc::new(Self { words: Words::new(), mail: Mail::default(), letters: [letter(), letter()] })
    }

    /// The worker's side. Is the pool to be rung?
    fn post(&self, slot: u8, text: u64) -> bool {
        for half in &self.letters[usize::from(slot)] {
            half.store(text, Ordering::Relaxed);
        }
        self.mail.post(slot)
    }

    fn read(&self, slot: u8) -> u64 {
        let [left, right] = self.letters[usize::from(slot)].each_ref().map(|half| half.load(Ordering::Relaxed));
        assert_eq!(left, right, "read while it was written");
        left
    }

    /// Takes all letters.
    fn take(&self) -> Vec<u64> {
        self.mail.take().map(|slot| self.read(slot)).collect()
    }
}

/// Sleeps and reads until so many letters are there. Says how often it went to sleep.
fn receive(page: &Page, bell: &Slot<()>, count: usize) -> (Vec<u64>, usize) {
    let (mut letters, mut rests) = (Vec::new(), 0);
    while letters.len() < count {
        rests += 1;
        if !page.mail.rest() {
            bell.take();
        }
        page.mail.rise();
        letters.extend(page.take());
    }
    (letters, rests)
}

#[test]
fn post_against_going_to_sleep() {
    check(5, || {
        let (page, bell) = (Page::new(), Slot::new());
        let (theirs, ring) = (Arc::clone(&page), bell.clone());
        let worker = spawn(move || {
            if theirs.post(0, 7) {
                ring.put(());
            }
        });
        assert_eq!(receive(&page, &bell, 1).0, [7]);
        worker.join().unwrap();
    });
}

#[test]
fn two_posts_against_going_to_sleep() {
    check(4, || {
        let (page, bell) = (Page::new(), Slot::new());
        let (theirs, ring, rings) = (Arc::clone(&page), bell.clone(), Tally::default());
        let rung = rings.clone();
        let worker = spawn(move || {
            for slot in [1, 0] {
                if theirs.post(slot, 7 + u64::from(slot)) {
                    rung.add();
                    ring.put(());
                }
            }
        });
        let (mut letters, rests) = receive(&page, &bell, 2);
        worker.join().unwrap();
        letters.sort_unstable();
        assert_eq!(letters, [7, 8]);
        assert!(rings.count() <= rests, "once each time that it sleeps");
    });
}

#[test]
fn post_while_the_reader_is_awake() {
    check(5, || {
        let page = Page::new();
        assert!(!page.mail.rest());
        page.mail.rise();
        let theirs = Arc::clone(&page);
        let worker = spawn(move || [theirs.post(0, 7), theirs.post(1, 8)]);
        let mut letters = page.take();
        letters.extend(page.take());
        assert_eq!(worker.join().unwrap(), [false; 2], "nobody is rung who does not sleep");
        letters.extend(page.take());
        assert_eq!(letters, [7, 8]);
        assert!(!page.mail.rest());
    });
}

#[test]
fn a_letter_among_others() {
    check(4, || {
        let page = Page::new();
        let theirs = Arc::clone(&page);
        let worker = spawn(move || {
            theirs.post(0, 7);
            theirs.post(1, 8);
        });
        let mut letters = Vec::new();
        // As a helper does, who waits for this one only.
        if page.mail.is_in(0) {
            letters.push(page.read(0));
            page.mail.clear(0);
        }
        worker.join().unwrap();
        letters.extend(page.take());
        assert_eq!(letters, [7, 8]);
    });
}

#[test]
fn a_slot_is_given_again() {
    check(4, || {
        let (page, bell, frames) = (Page::new(), Slot::new(), Slot::new());
        let (theirs, ring, next) = (Arc::clone(&page), bell.clone(), frames.clone());
        let worker = spawn(move || {
            for _ in 0..2 {
                let sequence = next.take();
                assert!(theirs.words.start(0, sequence, 0) && theirs.words.finish(0, sequence));
                if theirs.post(0, sequence) {
                    ring.put(());
                }
            }
        });
        for sequence in [7, 8] {
            page.words.ready(0, sequence, None);
            frames.put(sequence);
            assert_eq!(receive(&page, &bell, 1).0, [sequence], "it was read before the next was written");
        }
        worker.join().unwrap();
    });
}

/// What the pool sleeps at: the worker's socket, and the bell of the thread that looks after it.
#[derive(Clone, Default)]
struct Line(Arc<(Mutex<Told>, Condvar)>);

#[derive(Default)]
struct Told {
    /// A bell is in the socket.
    said: bool,
    /// The keeper does not hear it.
    shut: bool,
    rung: bool,
}

impl Line {
    fn tell(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Sleeps until there is something.
    fn poll<T>(&self, look: impl Fn(&mut Told) -> Option<T>) -> T {
        let mut told = self.0.0.lock().unwrap();
        loop {
            match look(&mut told) {
                Some(seen) => return seen,
                None => told = self.0.1.wait(told).unwrap(),
            }
        }
    }

    /// Reads what is in the socket.
    fn fill(&self) {
        self.0.0.lock().unwrap().said = false;
    }
}

/// As in the receiver: who has the reader has taken it from here.
#[derive(Default)]
struct Seat {
    is_free: bool,
    helped: bool,
    deafened: bool,
}

#[derive(Clone)]
struct Pool {
    page: Arc<Page>,
    line: Line,
    seat: Arc<Mutex<Seat>>,
    /// Whose letters were read.
    settled: [Tally; 2],
}

impl Pool {
    fn settle(&self, slot: u8) {
        assert_eq!(self.page.read(slot), u64::from(slot) + 7);
        self.settled[usize::from(slot)].add();
    }

    fn is_over(&self) -> bool {
        self.settled.iter().all(|settled| settled.count() > 0)
    }

    /// The thread that looks after the worker, until both letters were read.
    fn keep(&self) {
        let (mut has_reader, mut is_deaf) = (true, false);
        while !self.is_over() {
            let has_mail = has_reader && {
                let mut seat = self.seat.lock().unwrap();
                seat.is_free = true;
                self.page.mail.rest()
            };
            let (rung, heard) = self.line.poll(|told| {
                let heard = told.said && !told.shut && !is_deaf;
                (told.rung || heard || has_mail).then(|| (std::mem::take(&mut told.rung), heard))
            });
            let mut seat = self.seat.lock().unwrap();
            seat.deafened |= heard && seat.helped;
            has_reader = std::mem::take(&mut seat.is_free);
            if has_reader {
                self.page.mail.rise();
            }
            drop(seat);
            is_deaf = !rung && (is_deaf || heard && !has_reader);
            if has_reader {
                if heard {
                    self.line.fill();
                }
                self.page.mail.take().for_each(|slot| self.settle(slot));
            }
        }
    }

    /// A thread that waits for the letter in this slot, and reads it in the keeper's place.
    fn help(&self, slot: u8) {
        let mut seat = self.seat.lock().unwrap();
        if !std::mem::take(&mut seat.is_free) {
            return;
        }
        self.page.mail.rise();
        seat.helped = true;
        drop(seat);
        while self.settled[usize::from(slot)].count() == 0 {
            if self.page.mail.is_in(slot) {
                self.settle(slot);
                self.page.mail.clear(slot);
                break;
            }
            if self.page.mail.is_there() {
                break;
            }
            self.line.tell(|told| told.shut = true);
            let has_mail = self.page.mail.rest();
            if !has_mail {
                self.line.poll(|told| told.said.then_some(()));
            }
            self.page.mail.rise();
            if !has_mail {
                self.line.fill();
            }
        }
        let mut seat = self.seat.lock().unwrap();
        let missed = std::mem::take(&mut seat.deafened) | self.page.mail.rest();
        seat.is_free = true;
        seat.helped = false;
        self.line.tell(|told| told.shut = false);
        drop(seat);
        if missed || self.is_over() {
            self.line.tell(|told| told.rung = true);
        }
    }
}

#[test]
fn posts_against_a_reader_that_changes_hands() {
    check_choices(2, 1, |first| {
        let (page, settled) = (Page::new(), [Tally::default(), Tally::default()]);
        let pool = Pool { page: Arc::clone(&page), line: Line::default(), seat: Arc::default(), settled };
        let line = pool.line.clone();
        let worker = spawn(move || {
            for slot in [first as u8, 1 - first as u8] {
                if page.post(slot, u64::from(slot) + 7) {
                    line.tell(|told| told.said = true);
                }
            }
        });
        let helper = pool.clone();
        let helper = spawn(move || helper.help(0));
        pool.keep();
        helper.join().unwrap();
        worker.join().unwrap();
        assert_eq!(pool.settled.map(|settled| settled.count()), [1; 2]);
    });
}
