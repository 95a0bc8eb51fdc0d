//! Workers that die with them, limits that they pass, types that fail beside them.

use std::fs::File;
use std::path::PathBuf;

use concurrent_futures::{Bytes, Error, Executor, MapOptions, ProcessPoolExecutor, TaskOptions};
use serde::{Deserialize, Serialize, Serializer};

use super::across::{checksum, made};
use super::memory::{mapped, settled};
use super::same;
use crate::support::{LONG, within};

const MIB: usize = 1 << 20;

#[test]
fn a_worker_that_dies_with_bytes_harms_no_other_task() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        for round in 0..3 {
            let crash = |bytes: Bytes| -> usize { std::process::exit(bytes.len() as i32 & 1) };
            let crashes: Vec<_> = (0..2).map(|seed| processes.submit(crash, made((seed, 2 * MIB)))).collect();
            let others: Vec<_> = (0..8).map(|seed| processes.submit(same, made((seed, 2 * MIB + round)))).collect();
            for future in crashes {
                assert!(matches!(future.result(), Err(Error::WorkerDied(_))));
            }
            for (seed, future) in (0..).zip(others) {
                assert!(future.result().unwrap() == made((seed, 2 * MIB + round)), "{seed}");
            }
        }
    });
}

#[test]
fn a_retry_gets_the_same_bytes() {
    fn second_time((bytes, flag): (Bytes, PathBuf)) -> u64 {
        if File::create_new(flag).is_ok() {
            std::process::abort();
        }
        checksum(bytes)
    }
    within(LONG, || {
        let directory = tempfile::tempdir().unwrap();
        let processes = ProcessPoolExecutor::new(1);
        let argument = (made((1, 3 * MIB)), directory.path().join("was here"));
        let retried = processes.with(TaskOptions::new().retries(1)).submit(second_time, argument);
        assert_eq!(retried.result().unwrap(), checksum(made((1, 3 * MIB))));
    });
}

#[test]
fn a_chunk_that_kills_its_worker_keeps_the_bytes_of_its_other_items() {
    fn but_seven((n, bytes): (u64, Bytes)) -> Bytes {
        assert!(n != 3, "three");
        if n == 7 {
            std::process::abort();
        }
        bytes
    }
    within(LONG, || {
        for length in [10, MIB + 1] {
            let processes = ProcessPoolExecutor::new(1);
            let chunks = processes.with(MapOptions::new().chunk_size(8));
            let outcomes: Vec<_> = chunks.map(but_seven, (0..8).map(|n| (n, made((n, length))))).collect();
            for (n, outcome) in (0..).zip(outcomes) {
                match (n, outcome) {
                    (3, outcome) => assert!(matches!(outcome, Err(Error::Panicked(_)))),
                    (7, outcome) => assert!(matches!(outcome, Err(Error::WorkerDied(_)))),
                    (n, outcome) => assert!(outcome.unwrap() == made((n, length)), "{n} of {length}"),
                }
            }
        }
    });
}

#[test]
fn bytes_count_towards_the_longest_message() {
    within(LONG, || {
        let limited = ProcessPoolExecutor::builder().max_workers(1).max_message_size(3 * MIB as u64);
        let processes = limited.build().unwrap();
        for length in [3 * MIB, 3 * MIB + 1, 9 * MIB] {
            let too_large = |error| match error {
                Error::TooLarge(large) => assert!(large.size() > large.limit() && large.limit() == 3 * MIB as u64),
                other => panic!("{other}"),
            };
            too_large(processes.submit(checksum, made((1, length))).result().unwrap_err());
            too_large(processes.submit(made, (1, length)).result().map(checksum).unwrap_err());
        }
        let two = (made((1, 2 * MIB)), made((2, 2 * MIB)));
        assert!(matches!(processes.submit(|_: (Bytes, Bytes)| (), two).result(), Err(Error::TooLarge(_))));
        assert!(processes.submit(same, made((1, 2 * MIB))).result().unwrap() == made((1, 2 * MIB)));
    });
}

/// They pass the limit by themselves: no worker could have them, however often another is started.
#[test]
fn an_argument_with_more_bytes_than_a_worker_may_have_fails_alone() {
    within(LONG, || {
        let limited = ProcessPoolExecutor::builder().max_workers(1).memory_limit(64 * MIB as u64);
        let processes = limited.build().unwrap();
        let outcome = processes.submit(|bytes: Bytes| bytes.len(), vec![7; 200 * MIB].into()).result();
        assert!(matches!(outcome, Err(Error::Decode(_) | Error::WorkerDied(_))), "{outcome:?}");
        assert_eq!(processes.submit(|bytes: Bytes| bytes.len(), vec![7; 2 * MIB].into()).result().unwrap(), 2 * MIB);
    });
}

/// Has its bytes taken along, and fails then.
#[derive(Deserialize)]
struct Fails(Bytes, bool);

impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0, self.1).serialize(serializer)?;
        if self.1 {
            panic!("it panics then");
        }
        Err(serde::ser::Error::custom("it fails then"))
    }
}

#[test]
fn segments_of_a_failed_encoding_are_free_again() {
    fn returns(panics: bool) -> Fails {
        Fails(made((1, 4 * MIB)), panics)
    }
    fn scenario(_: ()) -> (usize, usize) {
        let processes = ProcessPoolExecutor::new(1);
        for panics in [false, true].into_iter().cycle().take(50) {
            let argument = processes.submit(|_: Fails| (), returns(panics)).result();
            assert!(matches!(argument, Err(Error::Encode(_))), "{argument:?}");
            let result = processes.submit(returns, panics).result().map(|_| ());
            assert!(matches!(result, Err(Error::Encode(_))), "{result:?}");
        }
        settled(&processes)
    }
    within(LONG, || {
        let (here, there) = ProcessPoolExecutor::new(1).submit(scenario, ()).result().unwrap();
        assert!(here < 20 * MIB && there < 20 * MIB, "{here} {there} {}", mapped(()));
    });
}
