//! What a program does with its executors, wherever it finds itself.

use std::time::{Duration, Instant};

use concurrent_futures::{
    Error, Executor, MapOptions, ProcessPoolExecutor, ReturnWhen, TaskOptions, ThreadPoolExecutor, wait,
};

use crate::host::*;

pub(crate) fn double(n: u32) -> u32 {
    2 * n
}

/// Tasks, and maps in all sizes of chunks.
pub(crate) fn calculate(pool: &impl Executor) {
    let tasks: Vec<_> = (0..50).map(|n| pool.submit(double, n)).collect();
    let results: Result<Vec<_>, _> = tasks.into_iter().map(|task| task.result()).collect();
    assert!(results.expect("numbers").into_iter().eq((0..50).map(double)));
    for options in [MapOptions::new(), MapOptions::new().chunk_size(7)] {
        let with = pool.with(options);
        let results: Result<Vec<_>, _> = with.map(double, 0..300).collect();
        assert!(results.expect("numbers").into_iter().eq((0..300).map(double)));
    }
}

/// Waits with a limit, in each way there is. None may be over before its time, and none may not be over.
pub(crate) fn wait_in_vain(pool: &impl Executor) {
    const SHORT: Duration = Duration::from_millis(20);
    let checkpoint = Checkpoint::new();
    let task = pool.submit(stop_at, checkpoint.address());
    let arrived = checkpoint.arrived();
    let took = |body: &mut dyn FnMut()| {
        let begin = Instant::now();
        body();
        assert!(begin.elapsed() >= SHORT, "it was over after {:?}", begin.elapsed());
    };
    took(&mut || assert!(!task.wait_timeout(SHORT)));
    took(&mut || assert!(wait([&task], SHORT, ReturnWhen::AllCompleted).done.is_empty()));
    took(&mut || assert!(pool.as_completed([&task]).next_timeout(SHORT).is_err()));
    took(&mut || {
        let limited = pool.with(TaskOptions::new().time_limit(SHORT)).submit(stop_at, checkpoint.address());
        let outcome = limited.result();
        assert!(matches!(outcome, Err(Error::TimeLimit(_))), "{outcome:?}");
    });
    drop(arrived);
    // A thread goes on with a task whose time is up, until it is let go.
    drop(checkpoint);
    task.result().expect("the task was released");
}

/// All of this on threads and on processes, each of which ends in the end.
pub(crate) fn exercise(pool: &ProcessPoolExecutor) {
    let threads = ThreadPoolExecutor::new(3);
    calculate(&threads);
    wait_in_vain(&threads);
    threads.shutdown();
    calculate(pool);
    wait_in_vain(pool);
    assert_works(pool);
    pool.shutdown();
}
