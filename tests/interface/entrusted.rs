//! Jobs whose tasks another program may start: it is asked before they are cancelled or aborted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use concurrent_futures::{
    Backend, Error, Executor, Future, FutureId, Job, Remote, SharedFuture, State, ThreadPoolExecutor,
};

use crate::support::{Held, LONG, within};

/// What a remote was asked and told, in order; it answers as it was made to.
#[derive(Default)]
struct RecordingRemote {
    gives_back: AtomicBool,
    is_over: AtomicBool,
    has_started: AtomicBool,
    calls: Mutex<Vec<(&'static str, FutureId)>>,
}

impl RecordingRemote {
    fn note(&self, call: &'static str, id: FutureId) {
        self.calls.lock().unwrap().push((call, id));
    }

    /// Takes out what was noted, all of which is about this future.
    #[track_caller]
    fn take(&self, id: FutureId) -> Vec<&'static str> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.into_iter().inspect(|(_, of)| assert_eq!(*of, id)).map(|(call, _)| call).collect()
    }
}

impl Remote for RecordingRemote {
    fn revoke(&self, id: FutureId) -> bool {
        self.note("revoke", id);
        self.gives_back.load(Ordering::Relaxed)
    }
    fn curtail(&self, id: FutureId) {
        self.note("curtail", id);
    }
    fn stop(&self, id: FutureId) -> bool {
        self.note("stop", id);
        !self.is_over.load(Ordering::Relaxed)
    }
    fn stopped(&self, id: FutureId) {
        self.note("stopped", id);
    }
    fn left(&self, id: FutureId) {
        self.note("left", id);
    }
    fn ended(&self, id: FutureId, failed: bool) {
        self.note(if failed { "failed" } else { "succeeded" }, id);
    }
    fn has_started(&self, _: FutureId) -> bool {
        self.has_started.load(Ordering::Relaxed)
    }
    fn help(&self, id: FutureId) {
        self.note("help", id);
    }
}

fn entrusted() -> (Arc<RecordingRemote>, Job, Future<u8>) {
    let (held, remote) = (Held::default(), Arc::<RecordingRemote>::default());
    let future = held.submit(|n: u8| n + 1, 1);
    let job = held.take(0);
    assert!(job.entrust(Arc::clone(&remote) as _));
    (remote, job, future)
}

#[test]
fn a_task_is_cancelled_only_if_it_comes_back() {
    let (remote, job, future) = entrusted();
    assert!(!future.cancel());
    assert_eq!(remote.take(future.id()), ["revoke"]);
    remote.gives_back.store(true, Ordering::Relaxed);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let before = (Arc::clone(&seen), Arc::clone(&remote), future.id());
    future.add_done_callback(move |_| *before.0.lock().unwrap() = before.1.take(before.2));
    assert!(future.cancel());
    assert_eq!(*seen.lock().unwrap(), ["revoke", "left"], "the room is free before the callbacks run");
    assert!(future.cancel(), "a second cancel is true");
    assert!(remote.take(future.id()).is_empty());
    job.complete(Ok(&[2]));
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

#[test]
fn a_started_task_is_not_taken_back_to_be_cancelled() {
    let (remote, job, future) = entrusted();
    remote.gives_back.store(true, Ordering::Relaxed);
    assert!(job.start());
    assert!(!future.cancel());
    assert_eq!(remote.take(future.id()), ["curtail"]);
    job.complete(Ok(&[2]));
    assert_eq!(future.result().unwrap(), 2);
}

#[test]
fn the_remote_allows_and_performs_an_abort() {
    let (remote, job, future) = entrusted();
    assert!(job.start());
    remote.is_over.store(true, Ordering::Relaxed);
    assert!(!future.abort());
    assert_eq!(remote.take(future.id()), ["stop"]);
    remote.is_over.store(false, Ordering::Relaxed);
    assert!(future.abort());
    assert_eq!(remote.take(future.id()), ["stop", "left", "stopped"]);
    assert_eq!(future.state(), State::Cancelled);
    assert!(!job.entrust(remote), "a done job is not entrusted");
}

#[test]
fn a_pending_task_is_shown_as_running_if_its_remote_says_so() {
    let (remote, job, future) = entrusted();
    assert_eq!(future.state(), State::Pending);
    remote.has_started.store(true, Ordering::Relaxed);
    assert_eq!(future.state(), State::Running);
    job.complete(Ok(&[2]));
    assert_eq!(remote.take(future.id()), ["succeeded"]);
    assert_eq!(future.result().unwrap(), 2);
    let (remote, job, future) = entrusted();
    job.fail(Error::ShutDown);
    assert_eq!(remote.take(future.id()), ["failed"]);
}

#[test]
fn a_waiter_lets_the_remote_help_first() {
    /// Completes the job when a thread waits for it.
    struct Helper(Mutex<Option<Job>>);
    impl Remote for Helper {
        fn revoke(&self, _: FutureId) -> bool {
            false
        }
        fn help(&self, _: FutureId) {
            let job = self.0.lock().unwrap().take();
            if let Some(job) = job {
                job.complete(Ok(&[7]));
            }
        }
    }
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let (job, helper) = (held.take(0), Arc::new(Helper(Mutex::new(None))));
    assert!(job.entrust(Arc::clone(&helper) as _));
    *helper.0.lock().unwrap() = Some(job);
    assert_eq!(future.result().unwrap(), 7);
}

#[test]
fn a_job_entrusted_again_drops_its_first_remote_outside_the_lock() {
    /// Looks at the future when it is dropped.
    struct Looks(Arc<Future<u8>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            assert_eq!(self.0.state(), State::Pending);
        }
    }
    impl Remote for Looks {
        fn revoke(&self, _: FutureId) -> bool {
            false
        }
    }
    let (held, remote) = (Held::default(), Arc::<RecordingRemote>::default());
    let future = Arc::new(held.submit(|n: u8| n + 1, 1));
    let job = held.take(0);
    assert!(job.entrust(Arc::new(Looks(Arc::clone(&future)))));
    assert!(job.entrust(Arc::clone(&remote) as _));
    job.run();
    assert!(future.is_done());
    assert!(remote.take(future.id()).is_empty(), "the task ran in this thread");
}

#[test]
fn a_job_that_moves_to_a_pool_drops_its_remote_outside_the_lock() {
    struct Looks(Arc<Future<u8>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.state();
        }
    }
    impl Remote for Looks {
        fn revoke(&self, _: FutureId) -> bool {
            false
        }
    }
    within(LONG, || {
        let (held, threads) = (Held::default(), ThreadPoolExecutor::new(1));
        let future = Arc::new(held.submit(|n: u8| n + 1, 1));
        let job = held.take(0);
        assert!(job.entrust(Arc::new(Looks(Arc::clone(&future)))));
        threads.execute(job);
        assert!(future.wait_timeout(LONG));
    });
}

#[test]
fn a_task_ends_whatever_its_remote_does() {
    /// Panics in what it is told, or waits for the future, and panics when it is dropped.
    struct Bad(Option<SharedFuture<u8>>);
    impl Bad {
        fn told(&self) {
            match &self.0 {
                Some(future) => drop(future.result().map(|_| ())),
                None => panic!("told"),
            }
        }
    }
    impl Remote for Bad {
        fn revoke(&self, _: FutureId) -> bool {
            true
        }
        fn left(&self, _: FutureId) {
            self.told();
        }
        fn ended(&self, _: FutureId, _: bool) {
            self.told();
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    type End = fn(&SharedFuture<u8>, Job);
    let ends: [End; 6] = [
        |future, job| {
            assert!(future.cancel());
            drop(job);
        },
        |future, job| {
            assert!(future.abort());
            drop(job);
        },
        |_, job| job.complete(Ok(&[7])),
        |_, job| job.fail(Error::ShutDown),
        |_, job| job.run(),
        |_, job| drop(job),
    ];
    within(LONG, move || {
        for (end, waits) in ends.into_iter().flat_map(|end| [(end, false), (end, true)]) {
            let held = Held::default();
            let future = held.submit(|n: u8| n, 1).share();
            let job = held.take(0);
            assert!(job.entrust(Arc::new(Bad(waits.then(|| future.clone())))));
            end(&future, job);
            assert!(future.wait_timeout(LONG), "waits: {waits}");
        }
    });
}
