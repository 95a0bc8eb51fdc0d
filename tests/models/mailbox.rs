//! The mailbox of a worker: short replies, and which thread is woken for them. A lost wake-up is a deadlock.

use std::sync::Arc;

use concurrent_futures::{Mailbox, TaskSlots};

use crate::checker::atomic::{AtomicU64, Ordering};
use crate::checker::{Channel, Tally, check, spawn};

/// What both sides map. The bytes of a reply are two numbers that are always the same.
struct Page {
    slots: TaskSlots<2>,
    mailbox: Mailbox,
    replies: [[AtomicU64; 2]; 2],
}

impl Page {
    fn new() -> Arc<Self> {
        let reply = || [AtomicU64::new(0), AtomicU64::new(0)];
        Arc::new(Self { slots: TaskSlots::new(), mailbox: Mailbox::default(), replies: [reply(), reply()] })
    }

    /// The worker's side. Returns `true` if the pool has to be woken.
    fn post(&self, slot: u8, text: u64) -> bool {
        for half in &self.replies[usize::from(slot)] {
            half.store(text, Ordering::Relaxed);
        }
        self.mailbox.post(slot)
    }

    fn read(&self, slot: u8) -> u64 {
        let [left, right] = self.replies[usize::from(slot)].each_ref().map(|half| half.load(Ordering::Relaxed));
        assert_eq!(left, right, "read while it was written");
        left
    }

    /// Takes all replies.
    fn take(&self) -> Vec<u64> {
        self.mailbox.take().map(|slot| self.read(slot)).collect()
    }
}

/// Sleeps and reads until `count` replies are there. Returns them, and how often it went to sleep.
fn receive(page: &Page, bell: &Channel<()>, count: usize) -> (Vec<u64>, usize) {
    let (mut replies, mut sleeps) = (Vec::new(), 0);
    while replies.len() < count {
        sleeps += 1;
        if !page.mailbox.set_sleeping() {
            bell.take();
        }
        page.mailbox.set_awake();
        replies.extend(page.take());
    }
    (replies, sleeps)
}

#[test]
fn post_against_going_to_sleep() {
    check(5, || {
        let (page, bell) = (Page::new(), Channel::new());
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
        let (page, bell) = (Page::new(), Channel::new());
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
        let (mut replies, sleeps) = receive(&page, &bell, 2);
        worker.join().unwrap();
        replies.sort_unstable();
        assert_eq!(replies, [7, 8]);
        assert!(rings.count() <= sleeps, "the reader is woken at most once for each sleep");
    });
}

#[test]
fn post_while_the_reader_is_awake() {
    check(5, || {
        let page = Page::new();
        assert!(!page.mailbox.set_sleeping());
        page.mailbox.set_awake();
        let theirs = Arc::clone(&page);
        let worker = spawn(move || [theirs.post(0, 7), theirs.post(1, 8)]);
        let mut replies = page.take();
        replies.extend(page.take());
        assert_eq!(worker.join().unwrap(), [false; 2], "a reader that is awake is not woken");
        replies.extend(page.take());
        assert_eq!(replies, [7, 8]);
        assert!(!page.mailbox.set_sleeping());
    });
}

#[test]
fn one_of_several_replies_is_read() {
    check(4, || {
        let page = Page::new();
        let theirs = Arc::clone(&page);
        let worker = spawn(move || {
            theirs.post(0, 7);
            theirs.post(1, 8);
        });
        let mut replies = Vec::new();
        // As a waiter does, which waits for this reply only.
        if page.mailbox.has(0) {
            replies.push(page.read(0));
            page.mailbox.clear(0);
        }
        worker.join().unwrap();
        replies.extend(page.take());
        assert_eq!(replies, [7, 8]);
    });
}

#[test]
fn a_slot_is_given_again() {
    check(4, || {
        let (page, bell, frames) = (Page::new(), Channel::new(), Channel::new());
        let (theirs, ring, next) = (Arc::clone(&page), bell.clone(), frames.clone());
        let worker = spawn(move || {
            for _ in 0..2 {
                let sequence = next.take();
                assert!(theirs.slots.start(0, sequence, 0) && theirs.slots.finish(0, sequence));
                if theirs.post(0, sequence) {
                    ring.put(());
                }
            }
        });
        for sequence in [7, 8] {
            page.slots.ready(0, sequence, None);
            frames.put(sequence);
            assert_eq!(receive(&page, &bell, 1).0, [sequence], "each reply is read before the next is written");
        }
        worker.join().unwrap();
    });
}
