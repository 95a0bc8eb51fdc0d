//! A map without a chunk size: items cross in batches, whose size follows from how long they take.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Bytes, Error, Executor, Future, Outcome, ProcessPoolExecutor, TaskOptions};

use super::support::died;
use crate::support::{Door, LONG, enter, mark, marks, pid, say, wait_for_entry, within};

fn square(n: u64) -> u64 {
    n * n
}

fn squares(processes: &ProcessPoolExecutor, count: u64) {
    let outcomes: Vec<u64> = processes.map(square, 0..count).collect::<Result<_, _>>().unwrap();
    assert!(outcomes.into_iter().eq((0..count).map(square)));
}

#[test]
fn short_items_come_back_in_order_and_are_counted_one_by_one() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        squares(&processes, 50_000);
        assert_eq!((processes.stats().completed, processes.stats().pending), (50_000, 0));
        let failing = |n: u32| if n % 100 == 7 { Err(format!("{n}")) } else { Ok(n) };
        let outcomes: Vec<Outcome<u32>> = processes.try_map(failing, 0..10_000).collect();
        for (n, outcome) in (0..10_000).zip(outcomes) {
            match outcome {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert_eq!((error.to_string(), n % 100), (n.to_string(), 7)),
            }
        }
        assert_eq!((processes.stats().completed, processes.stats().failed), (59_900, 100));
    });
}

/// Waits at the door, if there is one.
fn at_door((door, n): (Option<PathBuf>, u32)) -> u32 {
    if let Some(door) = door {
        enter(&door);
    }
    n
}

static DOOR: OnceLock<PathBuf> = OnceLock::new();

/// The door of all items that this worker runs.
fn set_door(door: PathBuf) {
    DOOR.set(door).expect("a worker is set up once");
}

/// Costs next to nothing before the long one, so that batches grow. That one waits, and those behind it say that they have run.
fn quick_until((long_one, n): (u32, u32)) -> u32 {
    let door = || DOOR.get().expect("a worker that was set up");
    if n == long_one {
        enter(door());
    } else if n > long_one {
        say(door(), "done");
    }
    n
}

#[test]
fn items_behind_a_long_item_go_to_another_worker() {
    const COUNT: u32 = 3_200;
    within(LONG, || {
        let door = Door::new();
        let builder = ProcessPoolExecutor::builder().max_workers(2).initializer(set_door, door.path());
        let processes = builder.build().unwrap();
        // It is not known whether an item follows the long one in its batch: more often than not, there is.
        for long_one in (3_000..3_100).step_by(10) {
            let map = processes.map(quick_until, (0..COUNT).map(|n| (long_one, n)).collect::<Vec<_>>());
            // The item at the door and all items behind it.
            for _ in long_one..COUNT {
                door.heard();
            }
            door.let_in(1);
            assert!(map.map(Result::unwrap).eq(0..COUNT));
        }
    });
}

#[test]
fn items_that_wait_for_each_other_run_at_the_same_time() {
    within(LONG, || {
        let (here, there) = (Door::new(), Door::new());
        let processes = ProcessPoolExecutor::new(2);
        // Trivial ones first: then those that wait are in one batch.
        let door = |n| match n {
            2_000 => Some(here.path()),
            2_001 => Some(there.path()),
            _ => None,
        };
        let map = processes.map(at_door, (0..2_002).map(|n| (door(n), n)).collect::<Vec<_>>());
        let [first, second] = [here.arrived(), there.arrived()];
        assert_ne!(first, second, "both workers run at the same time");
        here.open();
        there.open();
        assert_eq!(map.map(Result::unwrap).sum::<u32>(), (0..2_002).sum::<u32>());
    });
}

#[test]
fn a_crash_costs_one_item() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let crash = |n: u32| if n % 1_000 == 999 { std::process::abort() } else { n };
        let outcomes: Vec<_> = processes.map(crash, 0..5_000).collect();
        for (n, outcome) in (0..5_000).zip(outcomes) {
            if n % 1_000 == 999 {
                died(outcome);
            } else {
                assert_eq!(outcome.unwrap(), n);
            }
        }
        let retried = processes.with(TaskOptions::new().retries(2));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("marks");
        let once = |(file, n): (PathBuf, u32)| {
            mark((file.clone(), n));
            if n == 3 && marks(&file).iter().filter(|mark| **mark == 3).count() < 3 {
                std::process::abort();
            }
            n
        };
        let items: Vec<_> = (0..10).map(|n| (file.clone(), n)).collect();
        assert!(retried.map(once, items).map(Result::unwrap).eq(0..10));
        assert_eq!(marks(&file).len(), 12, "no other item ran twice");
    });
}

#[test]
fn a_dropped_map_leaves_no_item_to_run() {
    within(LONG, || {
        let door = Door::new();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("marks");
        let processes = ProcessPoolExecutor::new(1);
        let work = |(door, file, n): (PathBuf, PathBuf, u32)| {
            mark((file, n));
            enter(&door);
        };
        let map = processes.map(work, (0..100).map(|n| (door.path(), file.clone(), n)).collect::<Vec<_>>());
        door.arrived();
        drop(map);
        assert_eq!(processes.stats().pending, 0);
        door.open();
        processes.shutdown();
        assert_eq!(marks(&file), [0]);
    });
}

/// Says which one it is, and waits at the door; the long one at a door of its own.
fn in_turn((door, other, n, long_one): (PathBuf, PathBuf, u32, u32)) {
    if n == long_one {
        enter(&other);
    } else if n > long_one {
        say(&door, &n.to_string());
        wait_for_entry(&door);
    }
}

#[test]
fn a_dropped_map_runs_no_items_taken_from_another_worker() {
    const COUNT: u32 = 3_500;
    within(LONG, || {
        // It is not known whether an item follows the long one in its batch.
        for long_one in 3_000.. {
            let (door, other) = (Door::new(), Door::new());
            let processes = ProcessPoolExecutor::new(2);
            let items: Vec<_> = (0..COUNT).map(|n| (door.path(), other.path(), n, long_one)).collect();
            let map = processes.map(in_turn, items);
            // Where it goes back the first time, that may be a batch that was sent ahead to the other worker.
            let (mut lowest, mut back) = (COUNT, 0);
            let taken = (long_one + 1..COUNT).find_map(|_| {
                let n: u32 = door.heard().parse().unwrap();
                back += u32::from(n < lowest);
                lowest = lowest.min(n);
                if back == 3 {
                    return Some(n);
                }
                door.let_in(1);
                None
            });
            drop(map);
            door.open();
            other.open();
            let Some(taken) = taken else { continue };
            processes.shutdown();
            say(&door.path(), "over");
            assert_eq!(door.heard(), "over", "no other item ran after {taken}");
            return;
        }
    });
}

#[test]
fn cancel_pending_counts_items() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(1);
        let map = processes.map(|door: PathBuf| enter(&door), vec![door.path(); 50]);
        door.arrived();
        assert_eq!(processes.stats().pending, 49);
        let behind = processes.map(square, 0..30);
        assert_eq!(processes.stats().pending, 79);
        assert_eq!(processes.cancel_pending(), 79);
        assert!(behind.into_iter().all(|outcome| matches!(outcome, Err(Error::Cancelled))));
        door.open();
        let outcomes: Vec<_> = map.collect();
        assert_eq!(outcomes.len(), 50);
        assert!(outcomes[0].is_ok());
        assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Err(Error::Cancelled))));
        squares(&processes, 1_000);
    });
}

#[test]
fn a_closed_pool_runs_accepted_items() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let map = processes.map(square, 0..20_000);
        processes.close();
        assert!(processes.map(square, 0..10).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
        assert!(processes.join(None));
        assert_eq!(processes.stats().workers, 0);
        assert!(map.map(Result::unwrap).eq((0..20_000).map(square)));
    });
}

#[test]
fn shutdown_now_ends_a_long_map() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(2);
        let map = processes.map(|door: PathBuf| enter(&door), vec![door.path(); 1_000]);
        door.arrived();
        door.arrived();
        door.open();
        processes.shutdown_now();
        let outcomes: Vec<_> = map.collect();
        assert_eq!(outcomes.len(), 1_000);
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Cancelled))));
    });
}

#[test]
fn bytes_of_all_lengths_cross_in_a_map() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let lengths = || (0..40).map(|n| if n % 9 == 8 { 3 << 20 } else { n * 50 });
        let same = |bytes: Bytes| bytes;
        let made = |length: usize| Bytes::from(vec![length as u8; length]);
        for (length, outcome) in lengths().zip(processes.map(same, lengths().map(made))) {
            assert!(outcome.unwrap() == made(length), "{length}");
        }
    });
}

#[test]
fn slow_input_is_run_as_it_comes() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(1);
        // Each item is only pulled once the one before has begun.
        let items = (0..5).map(|n| {
            if n > 0 {
                door.arrived();
            }
            door.let_in(1);
            door.path()
        });
        assert_eq!(processes.map(|door: PathBuf| enter(&door), items).map(Result::unwrap).count(), 5);
    });
}

#[test]
fn input_may_wait_for_all_items_that_were_pulled() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        for first_to_wait in [1, 2, 5, 10, 30, 50, 80, 100, 200] {
            let door = Door::new();
            let mut done = 0;
            // It comes quickly at first, and its length is known.
            let input = (0..first_to_wait + 3).map(|n| {
                while n >= first_to_wait && done < n {
                    door.heard();
                    done += 1;
                }
                (door.path(), n)
            });
            let say_it = |(door, n): (PathBuf, u32)| say(&door, &n.to_string());
            assert_eq!(processes.map(say_it, input).map(Result::unwrap).count() as u32, first_to_wait + 3);
        }
    });
}

#[test]
fn settings_that_count_tasks_count_each_item() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(1).build().unwrap();
        let mut workers: Vec<u32> = processes.map(pid, [(); 4]).collect::<Result<_, _>>().unwrap();
        workers.sort_unstable();
        workers.dedup();
        assert_eq!(workers.len(), 4);
        let limited = processes.with(TaskOptions::new().time_limit(Duration::from_secs(60)));
        assert_eq!(limited.map(square, 0..4).map(Result::unwrap).sum::<u64>(), 14);
    });
}

/// Which call of its worker this is.
fn turn(time: Duration) -> u32 {
    static TURNS: AtomicU32 = AtomicU32::new(0);
    thread::sleep(time);
    TURNS.fetch_add(1, Ordering::Relaxed)
}

/// The pool has sent ahead as much as it does where tasks are short. That these are not, it learns from them.
#[test]
fn a_map_runs_before_later_tasks() {
    const BEFORE: u32 = 1000;
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let item = Duration::from_millis(1);
        (0..BEFORE).for_each(|_| processes.submit(turn, Duration::ZERO).detach());
        let map = processes.map(turn, [item; 100]);
        let another = processes.map(turn, [item; 10]);
        let later: Vec<_> = (0..20).map(|_| processes.submit(turn, item)).collect();
        let outcomes = map.chain(another).chain(later.into_iter().map(Future::result));
        assert!(outcomes.map(Result::unwrap).eq(BEFORE..BEFORE + 130));
    });
}

#[test]
fn a_map_with_endless_input_lets_other_tasks_run() {
    within(LONG, || {
        let (processes, is_over) = (ProcessPoolExecutor::new(1), AtomicBool::new(false));
        let (pulled, wait_for_it) = sync_channel(0);
        // Every hundredth item says that it runs.
        let say_some = |(door, n): (PathBuf, u64)| {
            if n.is_multiple_of(100) {
                say(&door, "runs")
            }
        };
        thread::scope(|scope| {
            let mapping = scope.spawn(|| {
                let door = Door::new();
                let input = (0..).take_while(|n| {
                    // Five hundred ahead of what has run: it is never out of work.
                    if n % 100 == 0 && *n >= 500 {
                        door.heard();
                    }
                    if *n == 500 {
                        pulled.send(()).unwrap();
                    }
                    !is_over.load(Ordering::Relaxed)
                });
                processes.map(say_some, input.map(|n| (door.path(), n))).count()
            });
            wait_for_it.recv().unwrap();
            let done = (0..50).all(|_| processes.submit(square, 3).wait_timeout(LONG / 4));
            is_over.store(true, Ordering::Relaxed);
            assert!(done, "a task waits for the end of the map");
            assert!(mapping.join().unwrap() >= 500);
        });
    });
}
