//! The executor of threads.

use concurrent_futures::{Error, Executor, ThreadPoolExecutor};

pub(crate) fn check() {
    let threads = ThreadPoolExecutor::new(2);
    let offset = 5;
    assert_eq!(threads.submit(move |n: u64| n + offset, 1).result().unwrap(), 6);
    if cfg!(panic = "unwind") {
        let error = threads.spawn(|| -> u64 { panic!("on purpose") }).result().unwrap_err();
        assert!(matches!(error, Error::Panicked(_)), "{error}");
    }
}

pub(crate) fn check_own(function: fn(u64) -> u64) {
    assert_eq!(Executor::submit(&ThreadPoolExecutor::new(1), function, 20).result().unwrap(), function(20));
}
