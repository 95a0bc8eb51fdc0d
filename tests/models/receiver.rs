//! Who receives what a worker says: the thread that looks after it, or one that waits for an answer. A lost wake-up is a deadlock.

use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Future, Office, Outcome, Size};

use crate::checker::{Tally, check_choices, spawn};

/// A wait that has a time limit receives nothing. In a model it does not expire.
const LONG: Duration = Duration::from_secs(600);

/// Which way an answer takes: a bit.
fn size(choice: u32) -> Size {
    if choice & 1 == 0 { Size::Letter } else { Size::Frame }
}

/// Whether the ear can be shut, and which ways two answers take: three bits.
fn two_sizes(choices: u32) -> (bool, [Size; 2]) {
    use Size::{Frame, Large, Letter};
    let sizes = [
        [Letter, Letter],
        [Letter, Frame],
        [Letter, Large],
        [Frame, Letter],
        [Frame, Frame],
        [Large, Letter],
        [Large, Frame],
        [Frame, Letter],
    ];
    (choices != 7, sizes[choices as usize])
}

fn same(number: u8) -> u8 {
    number
}

fn task(office: &Office) -> Future<u8> {
    office.submit(same, 0)
}

/// An office, whose worker does this, and whose keeper is there until the worker has ended.
fn with_office<T: Send + 'static>(
    has_lid: bool,
    work: impl FnOnce(&Office) -> T + Send + 'static,
    body: impl FnOnce(&Office),
) -> T {
    let office = Office::new(has_lid);
    let (theirs, kept) = (office.clone(), office.clone());
    let worker = spawn(move || work(&theirs));
    let keeper = spawn(move || kept.keep());
    office.wait_for_keeper();
    body(&office);
    let result = worker.join().unwrap();
    keeper.join().unwrap();
    assert!(office.is_quiet(), "relief, or a lid, is left over");
    result
}

fn assert_died(outcome: Outcome<u8>) {
    assert!(matches!(outcome, Err(Error::Abandoned)), "{outcome:?}");
}

/// Whoever of the two receives it, the answer is there. Also the next, on whose way the last has left its traces.
#[test]
fn help_against_a_keeper_that_wakes() {
    check_choices(1, 3, |choices| {
        let (has_lid, sizes) = two_sizes(choices);
        let work = move |office: &Office| sizes.map(|size| office.work(size));
        with_office(has_lid, work, |office| {
            assert_eq!(task(office).result().unwrap(), 1);
            assert_eq!(task(office).result().unwrap(), 2);
            office.exit();
        });
    });
}

/// Nobody stays deaf when the helper has gone.
#[test]
fn help_and_then_none() {
    check_choices(1, 3, |choices| {
        let (has_lid, sizes) = two_sizes(choices);
        let work = move |office: &Office| sizes.map(|size| office.work(size));
        with_office(has_lid, work, |office| {
            assert_eq!(task(office).result().unwrap(), 1);
            let next = task(office);
            assert!(next.wait_timeout(LONG));
            assert_eq!(next.result().unwrap(), 2);
            office.exit();
        });
    });
}

/// While somebody helps, another task is sent, whose answer is not for him.
#[test]
fn help_against_the_answer_to_another_task() {
    check_choices(1, 3, |choices| {
        let (has_lid, sizes) = two_sizes(choices);
        let work = move |office: &Office| sizes.map(|size| office.work(size));
        with_office(has_lid, work, |office| {
            let helped = task(office);
            let theirs = office.clone();
            let other = spawn(move || {
                let other = task(&theirs);
                assert!(other.wait_timeout(LONG));
                other.result().unwrap()
            });
            assert_eq!(helped.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 2);
            office.exit();
        });
    });
}

/// Two wait for two tasks. One of them helps at most.
#[test]
fn help_against_another_helper() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| [(); 2].map(|()| office.work(size(choices)));
        with_office(true, work, |office| {
            let first = task(office);
            let theirs = office.clone();
            let other = spawn(move || task(&theirs).result().unwrap());
            assert_eq!(first.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 2);
            office.exit();
        });
    });
}

/// Two wait for one task.
#[test]
fn two_helpers_of_one_task() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| office.work(size(choices));
        with_office(true, work, |office| {
            let future = task(office).share();
            let theirs = future.clone();
            let other = spawn(move || *theirs.result().unwrap());
            assert_eq!(*future.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 1);
            office.exit();
        });
    });
}

/// The end of its task wakes a helper, also where its worker says nothing of it. No relief is left over for the next one: see `with_office`.
#[test]
fn help_against_cancel() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| office.work(size(choices));
        let cancels = Tally::default();
        let count = cancels.clone();
        let worked = with_office(true, work, move |office| {
            let future = task(office).share();
            let theirs = future.clone();
            let other = spawn(move || theirs.cancel());
            let outcome = future.result();
            if other.join().unwrap() {
                count.add();
                assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
            } else {
                assert_eq!(*outcome.unwrap(), 1);
            }
            office.exit();
        });
        assert_ne!(worked, cancels.count() == 1, "it has run, or was taken back");
    });
}

/// To abort what runs is the end of its worker, which may be in the middle of its answer.
#[test]
fn help_against_abort() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| office.work(size(choices));
        with_office(true, work, |office| {
            let future = task(office).share();
            let theirs = future.clone();
            let other = spawn(move || theirs.abort());
            let outcome = future.result();
            match other.join().unwrap() {
                true => assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}"),
                false => assert_eq!(*outcome.unwrap(), 1),
            }
            office.exit();
        });
    });
}

/// The keeper keeps the time of a task also while another thread receives.
#[test]
fn help_against_a_time_limit() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| office.work(size(choices));
        with_office(true, work, |office| {
            let future = task(office);
            office.expire();
            let outcome = future.result();
            assert!(matches!(outcome, Ok(1) | Err(Error::TimeLimit(_))), "{outcome:?}");
            office.exit();
        });
    });
}

/// The answer of a worker that died after it counts, and one that died before it keeps nobody waiting.
#[test]
fn help_against_the_end_of_the_worker() {
    check_choices(1, 4, |choices| {
        let answers = choices & 4 == 0;
        let work = move |office: &Office| {
            if answers {
                office.work(size(choices));
            } else {
                office.start(office.next());
            }
            match choices & 8 {
                0 => office.exit(),
                _ => office.exit_alone(),
            }
        };
        with_office(choices & 2 == 0, work, |office| {
            let outcome = task(office).result();
            match answers {
                true => assert_eq!(outcome.unwrap(), 1),
                false => assert_died(outcome),
            }
        });
    });
}

/// The pool has not ended before a helper has completed what he received.
#[test]
fn join_against_a_helper() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| {
            office.work(size(choices));
            office.exit();
        };
        with_office(true, work, |office| {
            let future = task(office);
            let theirs = office.clone();
            let other = spawn(move || {
                assert!(theirs.join(None));
                theirs.completed()
            });
            assert_eq!(future.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 1, "it was over before its task");
        });
    });
}

/// Where there are callbacks the keeper is to run them, and the helper leaves what there is to him.
#[test]
fn help_against_a_callback() {
    check_choices(1, 1, |choices| {
        let work = move |office: &Office| office.work(size(choices));
        let called = Tally::default();
        let call = called.clone();
        with_office(true, work, move |office| {
            let future = task(office).share();
            let theirs = future.clone();
            let adds = spawn(move || theirs.add_done_callback(move |outcome| outcome.iter().for_each(|_| call.add())));
            assert_eq!(*future.result().unwrap(), 1);
            adds.join().unwrap();
            office.exit();
        });
        assert_eq!(called.count(), 1);
    });
}
