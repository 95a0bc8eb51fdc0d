//! Values of hundreds of kilobytes, by value, in every way that they can go, over threads with 2 MiB of stack.
//!
//! Handed on by a dozen moves, each of which may be a copy on the stack, they would overflow it, which ends the program.
//! Part of `tests/hosts` as well.

use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, Job, MapOptions, ThreadPoolExecutor, promise,
};

const NARROW: usize = 2 << 20;
const WIDE: usize = 64 << 20;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A way that a value goes. The executor has one worker.
type Way = fn(&ThreadPoolExecutor);

/// One thread a job, as narrow as a worker.
struct Fresh;

impl Backend for Fresh {
    fn execute(&self, job: Job) {
        let run = || job.run();
        thread::Builder::new().stack_size(NARROW).spawn(run).expect("a thread");
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

/// Waits without a copy of its own, which a runtime may make.
fn block_on<T>(future: Future<T>) -> Result<T, Error> {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future.into_future());
    loop {
        if let Poll::Ready(outcome) = std::future::Future::poll(future.as_mut(), &mut Context::from_waker(&waker)) {
            return outcome;
        }
        thread::park();
    }
}

/// The ways of values of so many times 32 KiB.
macro_rules! ways {
    ($module:ident, $count:literal) => {
        mod $module {
            use super::*;

            /// Arrays of an unusual length are none to serde.
            type Large = [[[[u8; 32]; 32]; 32]; $count];

            #[inline(never)]
            fn make(n: u8) -> Large {
                [[[[n; 32]; 32]; 32]; $count]
            }

            #[inline(never)]
            fn try_make(n: u8) -> Result<Large, String> {
                if n == 0 { Err("none".into()) } else { Ok(make(n)) }
            }

            #[inline(never)]
            fn look(large: &Large) -> u8 {
                assert_eq!(large[0][0][0][0], large[$count - 1][31][31][31]);
                large[$count / 2][16][16][16]
            }

            fn pass(large: Large) -> u8 {
                look(&large)
            }

            fn spawn(threads: &ThreadPoolExecutor) {
                let large = make(1);
                assert_eq!(threads.spawn(move || look(&large)).result().unwrap(), 1);
            }

            fn try_spawn(threads: &ThreadPoolExecutor) {
                let large = make(1);
                let task = move || if look(&large) == 1 { Ok(1) } else { Err("another") };
                assert_eq!(threads.try_spawn(task).result().unwrap(), 1);
            }

            fn spawn_and_result(threads: &ThreadPoolExecutor) {
                assert_eq!(look(&threads.spawn(|| make(1)).result().unwrap()), 1);
            }

            fn try_spawn_and_result(threads: &ThreadPoolExecutor) {
                assert_eq!(look(&threads.try_spawn(|| try_make(1)).result().unwrap()), 1);
            }

            fn submit(threads: &ThreadPoolExecutor) {
                let one = std::hint::black_box(1);
                assert_eq!(threads.submit(move |large: Large| look(&large) + one, make(1)).result().unwrap(), 2);
            }

            fn submit_by_trait(threads: &ThreadPoolExecutor) {
                assert_eq!(Executor::submit(threads, pass, make(1)).result().unwrap(), 1);
            }

            fn result_by_trait(threads: &ThreadPoolExecutor) {
                assert_eq!(look(&Executor::submit(threads, make, 1).result().unwrap()), 1);
            }

            fn map(threads: &ThreadPoolExecutor) {
                for sum in threads.map(pass, (0..3).map(|_| make(1))) {
                    assert_eq!(sum.unwrap(), 1);
                }
            }

            fn map_results(threads: &ThreadPoolExecutor) {
                let mut results = threads.map(make, [1, 2, 3]);
                (0..3).for_each(|_| assert!(matches!(results.next(), Some(Ok(_)))));
            }

            fn map_unordered(threads: &ThreadPoolExecutor) {
                for (_, sum) in threads.map_unordered(pass, (0..3).map(|_| make(1))) {
                    assert_eq!(sum.unwrap(), 1);
                }
            }

            fn map_unordered_results(threads: &ThreadPoolExecutor) {
                let mut results = threads.map_unordered(make, [1, 2, 3]);
                (0..3).for_each(|_| assert!(matches!(results.next(), Some((_, Ok(_))))));
            }

            fn chunks(threads: &ThreadPoolExecutor) {
                let threads = threads.with(MapOptions::new().chunk_size(2));
                for sum in threads.map(pass, (0..3).map(|_| make(1))) {
                    assert_eq!(sum.unwrap(), 1);
                }
            }

            fn chunks_of_results(threads: &ThreadPoolExecutor) {
                let threads = threads.with(MapOptions::new().chunk_size(2));
                let mut results = threads.map(make, [1, 2, 3]);
                (0..3).for_each(|_| assert!(matches!(results.next(), Some(Ok(_)))));
            }

            fn buffered(threads: &ThreadPoolExecutor) {
                let threads = threads.with(MapOptions::new().buffer_size(2));
                for sum in threads.map(pass, (0..3).map(|_| make(1))) {
                    assert_eq!(sum.unwrap(), 1);
                }
            }

            fn buffered_results(threads: &ThreadPoolExecutor) {
                let threads = threads.with(MapOptions::new().buffer_size(2));
                let mut results = threads.map(make, [1, 2, 3]);
                (0..3).for_each(|_| assert!(matches!(results.next(), Some(Ok(_)))));
            }

            fn scope(threads: &ThreadPoolExecutor) {
                threads.scope(|scope| {
                    let large = make(1);
                    assert_eq!(scope.spawn(move || look(&large)).result().unwrap(), 1);
                });
            }

            fn scope_and_result(threads: &ThreadPoolExecutor) {
                threads.scope(|scope| assert_eq!(look(&scope.spawn(|| make(1)).result().unwrap()), 1));
            }

            fn inline(_: &ThreadPoolExecutor) {
                assert_eq!(InlineExecutor.submit(pass, make(1)).result().unwrap(), 1);
            }

            fn inline_and_result(_: &ThreadPoolExecutor) {
                assert!(InlineExecutor.submit(make, 1).result().is_ok());
            }

            fn job(_: &ThreadPoolExecutor) {
                assert_eq!(Fresh.submit(pass, make(1)).result().unwrap(), 1);
            }

            fn job_and_result(_: &ThreadPoolExecutor) {
                assert!(Fresh.submit(make, 1).result().is_ok());
            }

            fn nested(threads: &ThreadPoolExecutor) {
                threads.scope(|scope| {
                    let task = move || {
                        let large = make(1);
                        scope.spawn(move || look(&large)).result()
                    };
                    assert_eq!(scope.try_spawn(task).result().unwrap(), 1);
                });
            }

            fn cancel(threads: &ThreadPoolExecutor) {
                let (release, held) = std::sync::mpsc::channel::<()>();
                let holder = threads.spawn(move || held.recv());
                let large = make(1);
                assert!(threads.spawn(move || look(&large)).cancel());
                drop(release);
                assert!(holder.result().unwrap().is_err());
            }

            fn detach(threads: &ThreadPoolExecutor) {
                threads.spawn(|| make(1)).detach();
                // The one worker has dropped it by then.
                threads.spawn(|| ()).wait();
            }

            fn callback(threads: &ThreadPoolExecutor) {
                let future = threads.spawn(|| make(1));
                future.add_done_callback(|outcome| assert!(outcome.is_ok()));
                future.wait();
                future.add_done_callback(|outcome| assert!(outcome.is_ok()));
                assert!(future.error().is_none());
            }

            fn complete(_: &ThreadPoolExecutor) {
                let (promise, future) = promise();
                assert!(promise.complete(Ok(make(1))));
                assert!(future.result().is_ok());
            }

            fn result_timeout(threads: &ThreadPoolExecutor) {
                assert!(matches!(threads.spawn(|| make(1)).result_timeout(LONG), Ok(Ok(_))));
            }

            fn try_result(threads: &ThreadPoolExecutor) {
                let future = threads.spawn(|| make(1));
                future.wait();
                assert!(matches!(future.try_result(), Ok(Ok(_))));
            }

            fn await_result(threads: &ThreadPoolExecutor) {
                assert!(block_on(threads.spawn(|| make(1))).is_ok());
            }

            #[cfg(feature = "auto-entry")]
            fn process(_: &ThreadPoolExecutor) {
                assert_eq!(concurrent_futures::ProcessPoolExecutor::new(1).submit(pass, make(1)).result().unwrap(), 1);
            }

            #[cfg(feature = "auto-entry")]
            fn process_and_result(_: &ThreadPoolExecutor) {
                assert!(concurrent_futures::ProcessPoolExecutor::new(1).submit(make, 1).result().is_ok());
            }

            #[cfg(feature = "auto-entry")]
            fn process_and_map(_: &ThreadPoolExecutor) {
                let processes = concurrent_futures::ProcessPoolExecutor::new(1);
                for sum in processes.map(pass, (0..3).map(|_| make(1))) {
                    assert_eq!(sum.unwrap(), 1);
                }
            }

            // On its own: a function has room for all that it ever holds.
            #[cfg(feature = "auto-entry")]
            fn process_and_map_results(_: &ThreadPoolExecutor) {
                let processes = concurrent_futures::ProcessPoolExecutor::new(1);
                let mut results = processes.map(make, [1, 2, 3]);
                (0..3).for_each(|_| assert!(matches!(results.next(), Some(Ok(_)))));
            }

            pub(super) const WAYS: &[(&str, Way)] = &[
                ("spawn", spawn),
                ("try_spawn", try_spawn),
                ("spawn, result", spawn_and_result),
                ("try_spawn, result", try_spawn_and_result),
                ("submit", submit),
                ("Executor::submit", submit_by_trait),
                ("Executor::submit, result", result_by_trait),
                ("map", map),
                ("map, results", map_results),
                ("map_unordered", map_unordered),
                ("map_unordered, results", map_unordered_results),
                ("chunk_size", chunks),
                ("chunk_size, results", chunks_of_results),
                ("buffer_size", buffered),
                ("buffer_size, results", buffered_results),
                ("scope", scope),
                ("scope, result", scope_and_result),
                ("InlineExecutor", inline),
                ("InlineExecutor, result", inline_and_result),
                ("Job", job),
                ("Job, result", job_and_result),
                ("nested", nested),
                ("cancel", cancel),
                ("detach", detach),
                ("add_done_callback", callback),
                ("Promise::complete", complete),
                ("result_timeout", result_timeout),
                ("try_result", try_result),
                (".await", await_result),
                #[cfg(feature = "auto-entry")]
                ("processes", process),
                #[cfg(feature = "auto-entry")]
                ("processes, result", process_and_result),
                #[cfg(feature = "auto-entry")]
                ("processes, map", process_and_map),
                #[cfg(feature = "auto-entry")]
                ("processes, map, results", process_and_map_results),
            ];
        }
    };
}

// What the documentation promises: with optimisation 900 KiB on either side, without it less.
#[cfg(not(debug_assertions))]
ways!(of_workers, 29);
#[cfg(not(debug_assertions))]
use of_workers as of_callers;
#[cfg(debug_assertions)]
ways!(of_workers, 10);
#[cfg(debug_assertions)]
ways!(of_callers, 4);

/// Tries a way with an executor that has workers of one width, on a thread of another. Who overflows has its name.
fn try_way(&(name, way): &(&'static str, Way), worker: usize, caller: usize) {
    let threads = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix(name).stack_size(worker);
    let threads = threads.build().expect("settings that are possible");
    let caller = thread::Builder::new().name(name.into()).stack_size(caller).spawn(move || way(&threads));
    caller.expect("a thread").join().expect("no panic");
}

pub(crate) fn check() {
    of_workers::WAYS.iter().for_each(|way| try_way(way, NARROW, WIDE));
    of_callers::WAYS.iter().for_each(|way| try_way(way, WIDE, NARROW));
}
