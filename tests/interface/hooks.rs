//! Hooks on jobs: executors on the way of a job are told of its start, its end, and its times.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, Job, MapOptions, State, Submitter, TaskOptions, ThreadPoolExecutor,
    Times, Waiting,
};

use crate::support::{Door, Drops, Held, LONG, WakeCounter, enter, gate, logged, occupy_at_door, pass, within};

/// What the hooks of a job were called with, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

struct Call {
    what: &'static str,
    /// The variant of the error; empty for a value.
    error: String,
    times: Times,
    thread: String,
}

impl Calls {
    fn add(&self, what: &'static str, outcome: Result<(), &Error>, times: &Times) {
        let error = outcome.err().map(|error| format!("{error:?}")).unwrap_or_default();
        let error = error.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let thread = thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().unwrap().push(Call { what, error, times: times.clone(), thread });
    }

    fn observe(&self, job: &Job) {
        let (start, done) = (self.clone(), self.clone());
        job.on_start(move |times| start.add("start", Ok(()), times));
        job.on_done(move |outcome, times| done.add("done", outcome, times));
    }

    fn said(&self) -> Vec<(&'static str, String)> {
        self.0.lock().unwrap().iter().map(|call| (call.what, call.error.clone())).collect()
    }

    fn ran(&self) -> bool {
        self.said() == [("start", String::new()), ("done", String::new())]
    }

    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Observes every job that it passes on.
struct Observed<B>(B, Calls);

impl<B: Backend> Observed<B> {
    fn new(backend: B) -> Self {
        Self(backend, Calls::default())
    }
}

impl<B: Backend> Backend for Observed<B> {
    fn execute(&self, job: Job) {
        self.1.observe(&job);
        self.0.execute(job);
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.1.observe(&job);
        self.0.try_execute(job, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        let (inner, calls) = (self.0.submitter()?, self.1.clone());
        Some(Submitter::new(move |job| {
            calls.observe(&job);
            inner.submit(job);
        }))
    }
    concurrent_futures_conformance::pass_on!();
}

/// Runs the test on pools of one worker.
fn on_pools(test: fn(&Observed<Box<dyn Backend>>)) {
    within(LONG, move || test(&Observed::new(Box::new(ThreadPoolExecutor::new(1)))));
    #[cfg(automatic)]
    within(LONG, move || test(&Observed::new(Box::new(ProcessPoolExecutor::new(1)))));
}

#[test]
fn a_task_starts_and_ends_once() {
    on_pools(|pool| {
        let (door, before) = (Door::new(), Instant::now());
        let running = occupy_at_door(pool, &door);
        let waiting = pool.submit(|n: u8| n, 1);
        let opened = Instant::now();
        door.open();
        running.result().unwrap();
        assert_eq!(waiting.result().unwrap(), 1);
        let calls = pool.1.take();
        let said: Vec<_> = calls.iter().map(|call| call.what).collect();
        assert_eq!(said, ["start", "done", "start", "done"]);
        let worker = calls[0].times.worker_name().expect("its name").to_owned();
        assert!(worker.contains("PoolExecutor-"), "{worker}");
        for call in &calls {
            assert_eq!(call.times.worker_name(), Some(&*worker));
            assert_eq!(call.thread, worker, "of the worker, or of the thread that looks after it");
            let (times, is_over) = (&call.times, call.what == "done");
            let started = times.started().expect("it started");
            assert!(before <= times.submitted() && times.submitted() <= started && started <= Instant::now());
            assert_eq!(times.queued(), started - times.submitted());
            assert_eq!((times.ended().is_some(), times.ran().is_some()), (is_over, true));
        }
        assert!(calls[2].times.started() >= Some(opened), "the second waits for the first");
        let end = calls[1].times.ended().expect("it has ended");
        assert_eq!(calls[1].times.ran(), Some(end - calls[1].times.started().unwrap()));
    });
}

/// The hook is called while the task runs, and not only when its reply comes.
#[test]
fn a_start_is_told_while_the_task_runs() {
    on_pools(|pool| {
        let (door, held, (tell, told)) = (Door::new(), Held::default(), channel());
        let future = held.submit(pass, door.path());
        let job = held.take(0);
        job.on_start(move |times| tell.send(times.ended()).unwrap());
        pool.0.execute(job);
        assert_eq!(told.recv_timeout(LONG), Ok(None), "it has not ended");
        door.open();
        future.result().unwrap();
    });
}

#[test]
fn a_task_that_never_starts_only_ends() {
    on_pools(|pool| {
        let door = Door::new();
        let running = occupy_at_door(pool, &door);
        let cancelled = pool.submit(|n: u8| n, 1);
        assert!(cancelled.cancel());
        let refused = {
            pool.close();
            pool.submit(|n: u8| n, 2)
        };
        assert!(matches!(refused.result(), Err(Error::ShutDown)));
        door.open();
        running.result().unwrap();
        // A process tells its pool that the running task has started, which may come after the end of the others.
        let (starts, ends): (Vec<_>, Vec<_>) = pool.1.take().into_iter().partition(|call| call.what == "start");
        assert_eq!(starts.len(), 1);
        let errors: Vec<_> = ends.iter().map(|call| &*call.error).collect();
        assert_eq!(errors, ["Cancelled", "ShutDown", ""]);
        for end in &ends[..2] {
            assert_eq!((end.times.started(), end.times.ran(), end.times.worker_name()), (None, None, None));
        }
    });
}

#[test]
fn an_error_is_seen_and_an_abort_is_an_end() {
    on_pools(|pool| {
        let failed = pool.try_submit(|n: u8| Err::<u8, _>(format!("{n} is wrong")), 1);
        assert!(matches!(failed.result(), Err(Error::Failed(_))));
        assert_eq!(pool.1.said()[1], ("done", "Failed".into()));
        pool.1.take();
        let door = Door::new();
        let aborted = occupy_at_door(pool, &door);
        assert!(aborted.abort());
        assert_eq!(pool.1.said().pop(), Some(("done", "Cancelled".into())));
        door.open();
    });
}

#[cfg(automatic)]
#[test]
fn a_task_whose_worker_dies_starts_once_and_ends_once() {
    fn dies_once(mark: PathBuf) -> bool {
        if std::fs::create_dir(mark).is_ok() {
            std::process::abort();
        }
        true
    }
    within(LONG, || {
        let directory = tempfile::tempdir().unwrap();
        let pool = Observed::new(ProcessPoolExecutor::new(1));
        let died = pool.submit(dies_once, directory.path().join("first"));
        assert!(matches!(died.result(), Err(Error::WorkerDied(_))));
        assert_eq!(pool.1.said(), [("start", String::new()), ("done", "WorkerDied".into())]);
        pool.1.take();
        let retried = pool.with(TaskOptions::new().retries(1)).submit(dies_once, directory.path().join("second"));
        assert!(retried.result().unwrap());
        assert!(pool.1.ran(), "{:?}", pool.1.said());
    });
}

#[test]
fn a_chunk_is_one_job() {
    on_pools(|pool| {
        let chunks = pool.with(MapOptions::new().chunk_size(2));
        let outcomes: Vec<_> = chunks.map(|n: u8| assert!(n < 1), [0, 1]).collect();
        assert!(outcomes[0].is_ok() && outcomes[1].is_err());
        assert!(pool.1.ran(), "{:?}", pool.1.said());
    });
}

#[test]
fn a_job_that_runs_elsewhere_starts_when_it_is_started() {
    let (held, calls) = (Held::default(), Calls::default());
    let (future, unstarted) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    let job = held.take(0);
    calls.observe(&job);
    assert!(calls.said().is_empty());
    assert!(job.start() && job.start());
    assert_eq!(calls.said(), [("start", String::new())]);
    // The next executor on its way.
    let late = Calls::default();
    late.observe(&job);
    assert_eq!(late.said(), [("start", String::new())]);
    job.complete(Ok(&[9]));
    assert!(calls.ran() && late.ran());
    assert_eq!(calls.take()[1].times.worker_name(), None);
    assert_eq!(future.result().unwrap(), 9);
    let job = held.take(0);
    calls.observe(&job);
    job.fail(Error::ShutDown);
    assert_eq!(calls.said(), [("done", "ShutDown".into())]);
    assert!(unstarted.result().is_err());
}

#[test]
fn a_hook_of_a_job_that_has_ended_is_called_at_once() {
    let (held, calls) = (Held::default(), Calls::default());
    let cancelled = held.submit(|n: u8| n, 1);
    assert!(cancelled.cancel());
    let job = held.take(0);
    calls.observe(&job);
    assert_eq!(calls.said(), [("done", "Cancelled".into())]);
    job.run();
    assert_eq!(calls.said().len(), 1);
}

#[test]
fn hooks_run_in_order_before_callbacks_and_before_the_future_is_done() {
    let (held, order) = (Held::default(), Arc::new(Mutex::new(Vec::new())));
    let future = held.submit(|n: u8| n, 1).share();
    let job = held.take(0);
    let push = |what: &'static str| {
        let (order, future) = (Arc::clone(&order), future.clone());
        move || order.lock().unwrap().push((what, future.state()))
    };
    let callback = push("callback");
    future.add_done_callback(move |_| callback());
    for what in ["inner", "outer"] {
        let (start, done) = (push(what), push(what));
        job.on_start(move |_| start());
        job.on_done(move |_, _| done());
    }
    job.run();
    let running = ["inner", "outer", "inner", "outer", "callback"].map(|what| (what, State::Running));
    assert_eq!(*order.lock().unwrap(), running);
    assert!(future.is_done());
}

#[test]
fn a_hook_that_panics_costs_nothing_but_itself() {
    logged("");
    let (held, calls) = (Held::default(), Calls::default());
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    job.on_start(|_| panic!("a start hook of this test"));
    job.on_done(|_, _| panic!("a done hook of this test"));
    calls.observe(&job);
    job.run();
    assert_eq!(future.result().unwrap(), 1);
    assert!(calls.ran());
    assert_eq!((logged("a start hook of this test").len(), logged("a done hook of this test").len()), (1, 1));
}

#[test]
fn a_hook_must_not_wait_for_a_future() {
    within(LONG, || {
        logged("");
        let threads = ThreadPoolExecutor::new(1);
        let (opener, gate) = gate();
        let other = threads.spawn(move || gate.pass());
        let held = Held::default();
        let future = held.submit(|n: u8| n, 1);
        let job = held.take(0);
        job.on_done(move |_, _| drop(other.result()));
        job.run();
        assert_eq!(future.result().unwrap(), 1);
        assert!(!logged("an on_done hook").is_empty());
        drop(opener);
    });
}

#[test]
fn hooks_are_dropped_as_soon_as_they_were_called_or_never_will_be() {
    let (held, drops) = (Held::default(), Drops::default());
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    for token in [drops.token(), drops.token()] {
        job.on_start(move |_| drop(token));
    }
    let token = drops.token();
    job.on_done(move |_, _| drop(token));
    assert!(future.cancel());
    assert_eq!(drops.count(), 3);
    drop(job);
}

/// Each poll passes every executor on the way anew, which adds its hooks again.
#[test]
fn a_job_that_waited_for_room_is_observed_once() {
    fn test(pool: &Observed<impl Backend>) {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let running = occupy_at_door(pool, &door);
        let pending = pool.submit(|n: u8| n, 1);
        let mut submitting = pool.submit_async(|n: u8| n, 2);
        for _ in 0..3 {
            assert!(counter.poll(&mut submitting).is_pending());
        }
        door.open();
        running.result().unwrap();
        pending.result().unwrap();
        pool.1.take();
        let std::task::Poll::Ready(future) = counter.poll(&mut submitting) else { panic!("there is room") };
        assert_eq!(future.result().unwrap(), 2);
        assert!(pool.1.ran(), "{:?}", pool.1.said());
    }
    within(LONG, || test(&Observed::new(ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap())));
    #[cfg(automatic)]
    within(LONG, || {
        test(&Observed::new(ProcessPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap()))
    });
}

#[test]
fn a_hook_leaves_the_options_to_the_next_executor() {
    struct Naming<B>(B);
    impl<B: Backend> Backend for Naming<B> {
        fn execute(&self, job: Job) {
            self.0.execute(job.with_options(TaskOptions::new().name("named behind a hook")));
        }
        fn max_workers(&self) -> usize {
            1
        }
        fn close(&self) {}
        fn join(&self, _: Option<Duration>) -> bool {
            true
        }
    }
    let observed = Observed::new(Naming(InlineExecutor));
    let outcome = observed.submit(|n: u8| assert_eq!(n, 0), 1).result();
    let Err(Error::Panicked(panicked)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(panicked.task_name(), Some("named behind a hook"));
}

#[test]
fn a_task_that_waited_for_others_is_observed_when_it_is_submitted() {
    on_pools(|pool| {
        let door = Door::new();
        let first = pool.submit(pass, door.path());
        let then = pool.submit_after(first, |pid| pid);
        door.arrived();
        door.open();
        then.result().unwrap();
        let said: Vec<_> = pool.1.said().into_iter().map(|(what, _)| what).collect();
        assert_eq!(said, ["start", "done", "start", "done"]);
    });
}

/// A worker that waits for a task runs it in place.
#[test]
fn a_claimed_task_is_observed() {
    within(LONG, || {
        let threads = Arc::new(Observed::new(ThreadPoolExecutor::new(1)));
        let inner = Arc::clone(&threads);
        let outer = threads.0.spawn(move || inner.submit(|n: u8| n, 1).result());
        assert_eq!(outer.result().unwrap().unwrap(), 1);
        assert!(threads.1.ran());
    });
}

#[test]
fn a_task_of_an_inline_executor_is_observed() {
    let observed = Observed::new(InlineExecutor);
    assert_eq!(observed.submit(|n: u8| n, 1).result().unwrap(), 1);
    assert!(observed.1.ran());
    let door = Door::new();
    door.open();
    observed.submit(|door: PathBuf| enter(&door), door.path()).result().unwrap();
}
