//! The races on one task, through a promise: no executor takes part.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor as _, FutureId, Job, Remote, Submitter, promise, try_all};

use crate::checker::{Channel, Event, Tally, block_on, check, spawn};

#[test]
fn cancel_against_start() {
    check(5, || {
        let (promise, future) = promise::<u32>();
        let called = Tally::default();
        let callback = called.clone();
        future.add_done_callback(move |_| callback.add());
        let starter = spawn(move || promise.start() && promise.complete(Ok(1)));
        let cancelled = future.cancel();
        let ran = starter.join().unwrap();
        assert_ne!(cancelled, ran, "exactly one of them wins");
        assert_eq!(called.count(), 1);
        match future.result() {
            Ok(value) => assert!(ran && value == 1),
            Err(error) => assert!(cancelled && matches!(error, Error::Cancelled)),
        }
    });
}

/// Somebody elsewhere, to whom tasks are entrusted, and who never gives one back.
#[derive(Clone, Default)]
struct Elsewhere {
    entrusted: Tally,
    stopped: Tally,
    /// Where the last job is kept. Otherwise it is dropped at once, which ends its task.
    kept: Option<Arc<Mutex<Option<Job>>>>,
}

impl Remote for Elsewhere {
    fn revoke(&self, _: FutureId) -> bool {
        false
    }

    fn stopped(&self, _: FutureId) {
        self.stopped.add();
    }
}

impl Backend for Elsewhere {
    fn execute(&self, job: Job) {
        if job.entrust(Arc::new(self.clone())) {
            self.entrusted.add();
        }
        if let Some(kept) = &self.kept {
            kept.lock().unwrap().replace(job);
        }
    }

    fn submitter(&self) -> Option<Submitter> {
        let this = self.clone();
        Some(Submitter::new(move |job| this.execute(job)))
    }

    fn max_workers(&self) -> usize {
        1
    }

    fn close(&self) {}

    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

/// A task that was held back is entrusted to somebody, while it is cancelled.
#[test]
fn entrust_against_cancel() {
    check(4, || {
        let elsewhere = Elsewhere::default();
        let (promise, input) = promise::<u32>();
        let future = elsewhere.submit_after(input, |n: u32| n);
        let completer = spawn(move || promise.complete(Ok(1)));
        let cancelled = future.cancel();
        completer.join().unwrap();
        assert_eq!(cancelled, elsewhere.entrusted.count() == 0, "what somebody has is not cancelled");
        assert_eq!(cancelled, matches!(future.result(), Err(Error::Cancelled)));
    });
}

/// A task that was held back is entrusted to somebody, while it is aborted.
#[test]
fn entrust_against_abort() {
    check(4, || {
        let kept = Arc::default();
        let elsewhere = Elsewhere { kept: Some(Arc::clone(&kept)), ..Elsewhere::default() };
        let (promise, input) = promise::<u32>();
        let future = elsewhere.submit_after(input, |n: u32| n);
        let completer = spawn(move || promise.complete(Ok(1)));
        assert!(future.abort());
        completer.join().unwrap();
        assert_eq!(elsewhere.stopped.count(), elsewhere.entrusted.count(), "who has it is told to stop");
        assert!(matches!(future.result(), Err(Error::Cancelled)));
        // Whoever it was entrusted to has it as long as its job is there.
        kept.lock().unwrap().take();
    });
}

#[test]
fn finish_against_cancel() {
    check(5, || {
        let (promise, future) = promise();
        let dropped = Tally::default();
        let value = dropped.counted();
        let finisher = spawn(move || promise.complete(Ok(value)));
        let cancelled = future.cancel();
        assert!(future.is_done(), "cancel leaves nothing open that it lost to a finish");
        let finished = finisher.join().unwrap();
        assert_ne!(cancelled, finished);
        assert_eq!(dropped.count(), usize::from(cancelled), "the loser's outcome is dropped, the winner's kept");
        assert_eq!(future.result().is_ok(), finished);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn two_cancels_and_a_finish() {
    check(5, || {
        let (promise, future) = promise();
        let future = Arc::new(future);
        let (first, second) = (Arc::clone(&future), Arc::clone(&future));
        let first = spawn(move || first.cancel());
        let second = spawn(move || second.cancel());
        let finished = promise.complete(Ok(()));
        let cancelled = (first.join().unwrap(), second.join().unwrap());
        // A cancel that finds the task cancelled says so, too.
        assert!(if finished { cancelled == (false, false) } else { cancelled.0 || cancelled.1 });
        assert_eq!(future.is_cancelled(), !finished);
    });
}

/// Each call returns how the task ended, whichever of them ended it.
#[test]
fn cancel_against_abort() {
    check(4, || {
        let (promise, future) = promise();
        let future = future.share();
        let called = Tally::default();
        let callback = called.clone();
        future.add_done_callback(move |_| callback.add());
        let other = future.clone();
        let canceller = spawn(move || other.cancel());
        let owner = spawn(move || promise.start() && promise.complete(Ok(7)));
        let aborted = future.abort();
        let cancelled = canceller.join().unwrap();
        assert_ne!(owner.join().unwrap(), aborted);
        assert!(aborted || !cancelled);
        assert_eq!((future.is_cancelled(), called.count()), (aborted, 1));
    });
}

#[test]
fn finish_against_take() {
    check(5, || {
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        assert_eq!(future.result().unwrap(), 7);
        assert!(finisher.join().unwrap());
    });
}

#[test]
fn abandon_against_take() {
    check(5, || {
        let (promise, future) = promise::<u32>();
        let dropper = spawn(move || drop(promise));
        assert!(matches!(future.result(), Err(Error::Abandoned)));
        dropper.join().unwrap();
    });
}

#[test]
fn finish_against_two_waiters() {
    check(5, || {
        let (promise, future) = promise();
        let shared = future.share();
        let other = shared.clone();
        let looker = spawn(move || *other.result().unwrap());
        let finisher = spawn(move || promise.complete(Ok(7)));
        assert_eq!(*shared.result().unwrap(), 7);
        assert_eq!(looker.join().unwrap(), 7);
        assert!(finisher.join().unwrap());
    });
}

#[test]
fn callback_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let called = Tally::default();
        let finisher = spawn(move || promise.complete(Ok(7)));
        for _ in 0..2 {
            let callback = called.clone();
            future.add_done_callback(move |outcome| {
                assert_eq!(*outcome.as_ref().unwrap(), 7);
                callback.add();
            });
        }
        future.wait();
        assert_eq!(called.count(), 2, "a thread that sees a done future sees the effects of its callbacks");
        finisher.join().unwrap();
        assert_eq!(future.result().unwrap(), 7);
        assert_eq!(called.count(), 2);
    });
}

#[test]
fn callback_against_cancel_and_finish() {
    check(5, || {
        let (promise, future) = promise();
        let future = Arc::new(future);
        let canceller = Arc::clone(&future);
        let finisher = spawn(move || promise.complete(Ok(7)));
        let canceller = spawn(move || canceller.cancel());
        let called = Tally::default();
        let callback = called.clone();
        future.add_done_callback(move |_| callback.add());
        future.wait();
        assert_eq!(called.count(), 1);
        assert_ne!(finisher.join().unwrap(), canceller.join().unwrap());
    });
}

#[test]
fn callback_against_read_and_take() {
    check(5, || {
        let (promise, future) = promise();
        promise.complete(Ok(7));
        let future = Arc::new(future);
        let called = Tally::default();
        let (callback, adder) = (called.clone(), Arc::clone(&future));
        let adder = spawn(move || adder.add_done_callback(move |_| callback.add()));
        // The outcome may be out with the callback.
        assert!(future.is_done());
        assert!(future.error().is_none());
        adder.join().unwrap();
        assert_eq!(called.count(), 1);
        assert_eq!(Arc::into_inner(future).unwrap().result().unwrap(), 7);
    });
}

#[test]
fn callback_against_take_of_a_shared_future() {
    check(5, || {
        let (promise, future) = promise();
        let shared = future.share();
        let (taker, adder) = (shared.clone(), shared.clone());
        let taker = spawn(move || *taker.result().unwrap());
        let called = Tally::default();
        let callback = called.clone();
        let adder = spawn(move || {
            adder.add_done_callback(move |outcome| {
                assert_eq!(*outcome.as_ref().unwrap(), 7);
                callback.add();
            });
        });
        promise.complete(Ok(7));
        adder.join().unwrap();
        assert_eq!(taker.join().unwrap(), 7);
        assert_eq!(called.count(), 1);
    });
}

#[test]
fn two_callbacks_on_a_done_future() {
    check(5, || {
        let (promise, future) = promise();
        promise.complete(Ok(7));
        let future = Arc::new(future);
        let called = Tally::default();
        let inside = Tally::default();
        let adders: Vec<_> = (0..2)
            .map(|_| {
                let (future, called, inside) = (Arc::clone(&future), called.clone(), inside.clone());
                spawn(move || {
                    future.add_done_callback(move |outcome| {
                        inside.add();
                        assert_eq!(inside.count(), called.count() + 1, "callbacks run one at a time");
                        // A point at which the other thread may run.
                        Event::new().set();
                        assert_eq!(*outcome.as_ref().unwrap(), 7);
                        called.add();
                    });
                })
            })
            .collect();
        future.wait();
        for adder in adders {
            adder.join().unwrap();
        }
        assert_eq!(called.count(), 2);
        assert_eq!(Arc::into_inner(future).unwrap().result().unwrap(), 7);
    });
}

#[test]
fn two_callbacks_on_a_done_shared_future() {
    check(4, || {
        let (promise, future) = promise();
        promise.complete(Ok(7));
        let future = future.share();
        let (called, inside) = (Tally::default(), Tally::default());
        let add = || {
            let (future, called, inside) = (future.clone(), called.clone(), inside.clone());
            move || {
                future.add_done_callback(move |outcome| {
                    inside.add();
                    assert_eq!(inside.count(), called.count() + 1, "callbacks run one at a time");
                    // A point at which the other thread may run.
                    Event::new().set();
                    assert_eq!(*outcome.as_ref().unwrap(), 7);
                    called.add();
                });
            }
        };
        let other = spawn(add());
        add()();
        assert_eq!(*future.result().unwrap(), 7);
        other.join().unwrap();
        assert_eq!(called.count(), 2);
    });
}

#[test]
fn callback_against_waits_of_others() {
    check(5, || {
        let (promise, future) = promise();
        let future = Arc::new(future);
        let called = Event::new();
        let (adder, callback) = (Arc::clone(&future), called.clone());
        let adder = spawn(move || adder.add_done_callback(move |_| callback.set()));
        let finisher = spawn(move || promise.complete(Ok(7)));
        called.wait();
        assert!(future.error().is_none());
        adder.join().unwrap();
        finisher.join().unwrap();
    });
}

#[test]
fn waker_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        assert_eq!(block_on(future).unwrap(), 7);
        finisher.join().unwrap();
    });
}

#[test]
fn waker_against_cancel() {
    check(5, || {
        let (promise, future) = promise::<u32>();
        let shared = future.share();
        let canceller = shared.clone();
        let canceller = spawn(move || canceller.cancel());
        assert!(matches!(block_on(&shared), Err(Error::Cancelled)));
        assert!(canceller.join().unwrap());
        assert!(!promise.complete(Ok(1)));
    });
}

/// Each poll may come with another waker, and the last one counts.
#[test]
fn a_new_waker_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        let mut awaiting = future.into_future();
        let outcome = match Pin::new(&mut awaiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => block_on(awaiting),
        };
        assert_eq!(outcome.unwrap(), 7);
        finisher.join().unwrap();
    });
}

#[test]
fn drop_of_an_await_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let dropped = Tally::default();
        let value = dropped.counted();
        let finisher = spawn(move || promise.complete(Ok(value)));
        let mut awaiting = future.into_future();
        let polled = Pin::new(&mut awaiting).poll(&mut Context::from_waker(Waker::noop()));
        drop(awaiting);
        assert!(finisher.join().unwrap());
        drop(polled);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn two_waiters_against_abort() {
    check(3, || {
        let (promise, future) = promise::<u8>();
        assert!(promise.start());
        let future = future.share();
        let (awaits, sleeps) = (future.clone(), future.clone());
        let awaits = spawn(move || matches!(block_on(&awaits), Err(Error::Cancelled)));
        let sleeps = spawn(move || matches!(sleeps.result(), Err(Error::Cancelled)));
        assert!(future.abort());
        assert!(awaits.join().unwrap() && sleeps.join().unwrap());
        assert!(!promise.complete(Ok(7)));
    });
}

#[test]
fn two_wakers_against_finish() {
    check(4, || {
        let (promise, future) = promise();
        let shared = future.share();
        let other = shared.clone();
        let other = spawn(move || *block_on(&other).unwrap());
        let finisher = spawn(move || promise.complete(Ok(7)));
        assert_eq!(*block_on(&shared).unwrap(), 7);
        assert_eq!(other.join().unwrap(), 7);
        finisher.join().unwrap();
    });
}

#[test]
fn drop_of_the_handle_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let dropped = Tally::default();
        let value = dropped.counted();
        let finisher = spawn(move || {
            promise.complete(Ok(value));
        });
        drop(future);
        finisher.join().unwrap();
        assert_eq!(dropped.count(), 1, "no handle is left to take the outcome");
    });
}

#[test]
fn abort_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        assert!(promise.start());
        let dropped = Tally::default();
        let value = dropped.counted();
        let finisher = spawn(move || promise.complete(Ok(value)));
        assert!(!future.cancel(), "a running task is left alone");
        let aborted = future.abort();
        assert!(future.is_done());
        assert_ne!(aborted, finisher.join().unwrap());
        assert_eq!(future.result().is_err(), aborted);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn abort_against_start() {
    check(5, || {
        let (promise, future) = promise();
        let channel = Channel::new();
        let starter = channel.clone();
        let starter = spawn(move || {
            starter.put(promise.start());
            promise.complete(Ok(7))
        });
        let aborted = future.abort();
        let started = channel.take();
        let finished = starter.join().unwrap();
        assert_ne!(aborted, finished);
        assert!(started || aborted);
        assert_eq!(future.is_cancelled(), aborted);
    });
}

#[test]
fn two_aborts_against_finish() {
    check(3, || {
        let (promise, future) = promise();
        assert!(promise.start());
        let future = future.share();
        let other = future.clone();
        let other = spawn(move || other.abort());
        let finisher = spawn(move || promise.complete(Ok(7)));
        let aborted = future.abort();
        assert_eq!(other.join().unwrap(), aborted, "both threads see the same end");
        assert_ne!(finisher.join().unwrap(), aborted);
        assert_eq!(future.result().is_err(), aborted);
    });
}

#[test]
fn callback_against_abort() {
    check(4, || {
        let (promise, future) = promise::<u8>();
        assert!(promise.start());
        let future = future.share();
        let aborter = future.clone();
        let aborter = spawn(move || aborter.abort());
        let called = Tally::default();
        let callback = called.clone();
        future.add_done_callback(move |outcome| {
            assert!(matches!(outcome, Err(Error::Cancelled)));
            callback.add();
        });
        assert!(aborter.join().unwrap());
        assert_eq!(called.count(), 1);
        assert!(!promise.complete(Ok(7)));
        assert_eq!(called.count(), 1);
    });
}

#[test]
fn drop_of_the_handle_against_its_callback() {
    check(4, || {
        let (promise, future) = promise();
        let (dropped, called) = (Tally::default(), Tally::default());
        let (value, callback) = (dropped.counted(), called.clone());
        let finisher = spawn(move || {
            promise.complete(Ok(value));
        });
        future.add_done_callback(move |outcome| {
            assert!(outcome.is_ok());
            callback.add();
        });
        drop(future);
        finisher.join().unwrap();
        assert_eq!((called.count(), dropped.count()), (1, 1));
    });
}

/// An executor that gives each job to the test.
struct TestExecutor(Channel<Job>);

impl Backend for TestExecutor {
    fn execute(&self, job: Job) {
        self.0.put(job);
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

/// The hook of an aborted task runs once, and that of a finished task never.
#[test]
fn abort_against_its_hook() {
    check(4, || {
        let executor = TestExecutor(Channel::new());
        let future = executor.submit(|n: u8| n, 7);
        let job = executor.0.take();
        assert!(job.start());
        let (called, dropped) = (Tally::default(), Tally::default());
        let (call, counted) = (called.clone(), dropped.counted());
        let owner = spawn(move || {
            job.on_abort(move || {
                let _counted = counted;
                call.add();
            });
            job.run();
        });
        let aborted = future.abort();
        owner.join().unwrap();
        assert_eq!(future.result().is_err(), aborted);
        assert_eq!((called.count(), dropped.count()), (usize::from(aborted), 1));
    });
}

/// The source hands over to the task that follows it while that one is cancelled: the function runs, or it never does.
#[test]
fn hand_over_against_cancel_of_what_follows() {
    check(4, || {
        let (promise, future) = promise();
        let (called, dropped) = (Tally::default(), Tally::default());
        let (call, counted) = (called.clone(), dropped.counted());
        let chained = future.map(move |n: u8| {
            let _counted = counted;
            call.add();
            n + 1
        });
        let finisher = spawn(move || promise.complete(Ok(7)));
        let cancelled = chained.cancel();
        let finished = finisher.join().unwrap();
        assert!(finished || cancelled, "a cancel is all that can keep the promise from being kept");
        assert_eq!((called.count(), dropped.count()), (usize::from(!cancelled), 1));
        match chained.result() {
            Ok(value) => assert!(!cancelled && value == 8),
            Err(error) => assert!(cancelled && matches!(error, Error::Cancelled)),
        }
    });
}

/// Both inputs end at the same time: one thread, and only one, goes on.
#[test]
fn two_inputs_end_against_a_wait() {
    check(3, || {
        let ((first, one), (second, other)) = (promise(), promise());
        let executor = LateExecutor(Channel::new());
        let sum = executor.submit_after((one, other), |(a, b): (u8, u8)| a + b);
        let finisher = spawn(move || first.complete(Ok(1)));
        let runner = spawn(move || executor.0.take().run());
        assert!(second.complete(Ok(2)));
        assert_eq!(sum.result().unwrap(), 3);
        assert!(finisher.join().unwrap());
        runner.join().unwrap();
    });
}

/// A value and an error of two inputs, against a cancel of what needs them.
#[test]
fn an_error_of_an_input_against_cancel() {
    check(3, || {
        let ((first, one), (second, other)) = (promise::<u8>(), promise::<u8>());
        let all = try_all([one, other]);
        let failer = spawn(move || first.complete(Err(Error::ShutDown)));
        let cancelled = all.cancel();
        let failed = failer.join().unwrap();
        assert!(second.is_cancelled(), "nobody needs it");
        match all.result() {
            Err(Error::ShutDown) => assert!(failed && !cancelled),
            outcome => assert!(cancelled && matches!(outcome, Err(Error::Cancelled))),
        }
    });
}

/// An executor that gives each job to the test, also one that waited for its inputs.
struct LateExecutor(Channel<Job>);

impl Backend for LateExecutor {
    fn execute(&self, job: Job) {
        self.0.put(job);
    }
    fn submitter(&self) -> Option<Submitter> {
        let jobs = self.0.clone();
        Some(Submitter::new(move |job| jobs.put(job)))
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}
