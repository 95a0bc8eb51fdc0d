//! The executor of processes.

use concurrent_futures::{Error, Executor, ProcessPoolExecutor};

#[cfg(any(feature = "auto-entry", feature = "init"))]
pub(crate) use checks::{check, check_own};

#[cfg(any(feature = "auto-entry", feature = "init"))]
mod checks {
    use std::time::Duration;

    use concurrent_futures::{Exit, MapOptions, TaskOptions};

    use super::{Error, Executor, ProcessPoolExecutor};

    fn add_one(n: u64) -> u64 {
        n + 1
    }

    fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
        items.sort();
        items
    }

    struct Celsius;

    impl Celsius {
        fn from_fahrenheit(degrees: f64) -> f64 {
            (degrees - 32.0) / 1.8
        }
    }

    fn nested(n: u64) -> u64 {
        ProcessPoolExecutor::new(1).submit(add_one, n).result().expect("a worker may have workers")
    }

    #[expect(unconditional_recursion, reason = "it is to overflow the stack")]
    fn overflow(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        overflow(depth + 1) + frame[0]
    }

    /// Returns how the worker of a task died.
    fn death(processes: &ProcessPoolExecutor, function: fn(u64) -> u64) -> Exit {
        match processes.submit(function, 3).result() {
            Err(Error::WorkerDied(died)) => died.exit().clone(),
            other => panic!("its worker is to die, not {other:?}"),
        }
    }

    pub(crate) fn check_own(function: fn(u64) -> u64) {
        assert_eq!(ProcessPoolExecutor::new(1).submit(function, 20).result().unwrap(), function(20));
    }

    pub(crate) fn check() {
        let processes = ProcessPoolExecutor::new(2);
        let here = std::process::id();
        assert_ne!(processes.submit(|()| std::process::id(), ()).result().unwrap(), here);
        assert_eq!(processes.submit(add_one, 1).result().unwrap(), 2);
        assert_eq!(processes.submit(|n: u64| n * 3, 2).result().unwrap(), 6);
        assert_eq!(processes.submit(sorted, vec!["b".to_owned(), "a".to_owned()]).result().unwrap(), ["a", "b"]);
        assert_eq!(processes.submit(sorted, vec![2_u8, 1]).result().unwrap(), [1, 2]);
        assert_eq!(processes.submit(Celsius::from_fahrenheit, 212.0).result().unwrap(), 100.0);
        // One that is compiled into the standard library, and two that are compiled here.
        processes.submit(std::thread::sleep, Duration::ZERO).result().unwrap();
        assert_eq!(processes.submit(u64::count_ones, 7).result().unwrap(), 3);
        assert_eq!(processes.submit(String::into_bytes, "a".to_owned()).result().unwrap(), [b'a']);
        let squares: Result<Vec<u64>, _> =
            processes.with(MapOptions::new().chunk_size(8)).map(|n: u64| n * n, 0..100).collect();
        assert_eq!(squares.unwrap(), (0..100).map(|n| n * n).collect::<Vec<u64>>());
        assert_eq!(processes.submit(nested, 1).result().unwrap(), 2);
        check_ends(&processes);
        assert_eq!(processes.submit(add_one, 1).result().unwrap(), 2);
    }

    fn check_ends(processes: &ProcessPoolExecutor) {
        let signal = |name: &str| Exit::Signal(name.into());
        let panic: fn(u64) -> u64 = |n| panic!("on purpose: {n}");
        if cfg!(panic = "unwind") {
            match processes.submit(panic, 3).result() {
                Err(Error::Panicked(panic)) => assert_eq!(panic.message(), "on purpose: 3"),
                other => panic!("it is to panic, not {other:?}"),
            }
        } else {
            assert_eq!(death(processes, panic), signal("SIGABRT"));
        }
        assert_eq!(death(processes, |_| std::process::abort()), signal("SIGABRT"));
        assert_eq!(death(processes, |_| std::process::exit(0)), Exit::Code(0));
        let overflown = death(processes, overflow);
        assert!([signal("SIGABRT"), signal("SIGSEGV")].contains(&overflown), "{overflown:?}");
        let briefly = processes.with(TaskOptions::new().time_limit(Duration::from_millis(50)));
        let error = briefly.submit(|()| std::thread::sleep(Duration::MAX), ()).result().unwrap_err();
        assert!(matches!(error, Error::TimeLimit(_)), "{error}");
    }
}

/// Worker processes reach `main` here. That has to end soon, with an error that says what is missing.
#[cfg(not(any(feature = "auto-entry", feature = "init")))]
pub(crate) fn check_that_init_is_missed() {
    let processes = ProcessPoolExecutor::new(2);
    let futures: Vec<_> = (0..4).map(|n| processes.submit(|n: u64| n, n)).collect();
    for future in futures {
        match future.result() {
            Err(Error::Broken(broken)) => {
                assert!(broken.to_string().contains("`concurrent_futures::init()`"), "{broken}");
            }
            other => panic!("it is to be broken, not {other:?}"),
        }
    }
}
