//! Who receives what a worker says: the thread that looks after it, or one that waits for an answer. A lost wake-up is a deadlock.

use concurrent_futures::{Backend, Error, Executor, Future, Office, Outcome, Size};

use crate::checker::{Tally, check_choices, spawn};

const SIZES: [Size; 4] = [Size::Letter, Size::Frame, Size::Large, Size::Frame];

/// Which way an answer takes: two bits.
fn size(choices: u32) -> Size {
    SIZES[choices as usize & 3]
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
    body(&office);
    let result = worker.join().unwrap();
    keeper.join().unwrap();
    assert!(office.is_quiet(), "relief, or a lid, is left over");
    result
}

fn assert_died(outcome: Outcome<u8>) {
    assert!(matches!(outcome, Err(Error::Abandoned)), "{outcome:?}");
}

/// Helper, keeper, worker: whoever of the two receives it, the answer is there.
#[test]
fn help_against_a_keeper_that_wakes() {
    check_choices(2, 3, |choices| {
        with_office(
            choices & 4 == 0,
            move |office| office.work(size(choices)),
            |office| {
                assert_eq!(task(office).result().unwrap(), 1);
                office.exit();
            },
        );
    });
}
