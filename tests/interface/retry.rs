//! Tasks that are tried again. What holds for every executor is in `conformance`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, Job, MapOptions, RetryOptions, State, Submitter, TaskOptions,
    ThreadPoolExecutor, task,
};

use crate::support::{
    Drops, DropsJobs, Forwarding, LONG, Opener, Token, block_on, gate, logged, occupy, panic_message, soon, within,
};

/// A pause that no test waits for. Its length is random, and seconds are as good as impossible.
const ENDLESS: Duration = Duration::from_secs(1 << 50);
const TINY: Duration = Duration::from_nanos(1);

fn any_error(retries: u32) -> RetryOptions {
    TaskOptions::new().retries(retries).retry_if(|_| true)
}

fn with_endless_pause() -> RetryOptions {
    any_error(1).back_off(ENDLESS, ENDLESS)
}

/// Counts its calls, and returns an error before it was called this often.
#[derive(Clone, Default)]
struct Flaky(Arc<AtomicU32>);

impl Flaky {
    fn call(&self, good: u32) -> Result<u32, String> {
        let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        if call < good { Err(format!("call {call} fails")) } else { Ok(call) }
    }

    fn calls(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Submits a task that passes a gate and then fails, with retries, and waits until its first attempt is at the gate.
fn gated(threads: &ThreadPoolExecutor) -> (Opener, Flaky, Future<u32>) {
    let (open, pass) = gate();
    let flaky = Flaky::default();
    let called = flaky.clone();
    let task = threads.with(any_error(5)).try_spawn(move || {
        pass.pass();
        called.call(9)
    });
    open.arrived(1);
    (open, flaky, task)
}

/// Blocks until the only worker has done what it was doing: a task that failed is in its pause.
fn settle(threads: &ThreadPoolExecutor) {
    threads.spawn(|| ()).wait();
}

#[test]
fn an_error_is_tried_again_until_there_is_a_value_or_no_retry_is_left() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for options in [any_error(3), any_error(3).back_off(TINY, TINY)] {
            let persistent = threads.with(options);
            let flaky = Flaky::default();
            let called = flaky.clone();
            assert_eq!(persistent.try_spawn(move || called.call(4)).result().unwrap(), 4);
            let flaky = Flaky::default();
            let called = flaky.clone();
            let error = persistent.try_submit(move |good| called.call(good), 5).result().unwrap_err();
            assert_eq!((error.to_string().as_str(), flaky.calls()), ("call 4 fails", 4));
        }
    });
}

#[test]
fn each_attempt_that_is_followed_by_another_is_logged() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        assert!(logged("stubborn").is_empty());
        let persistent = threads.with(TaskOptions::new().name("stubborn").retries(2).retry_if(|_| true));
        let flaky = Flaky::default();
        assert!(persistent.try_spawn(move || flaky.call(9)).result().is_err());
        let lines = logged("stubborn");
        let texts: Vec<_> = lines.iter().map(|(level, text)| (*level, text.as_str())).collect();
        assert_eq!(
            texts,
            [1, 2].map(|n| {
                let line = format!("task stubborn failed in attempt {n} and is tried again after 0ns: call {n} fails");
                (log::Level::Debug, &*line.leak())
            })
        );
    });
}

#[test]
fn without_retry_if_only_the_death_of_a_worker_is_worth_another_attempt() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let flaky = Flaky::default();
        let called = flaky.clone();
        let patient = threads.with(TaskOptions::new().retries(3).back_off(TINY, TINY));
        assert!(patient.try_spawn(move || called.call(2)).result().is_err());
        assert_eq!(flaky.calls(), 1);
    });
}

#[test]
fn retries_may_be_set_for_the_executor_before() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let outer = threads.with(TaskOptions::new().retries(5).name("outer"));
        let flaky = Flaky::default();
        let called = flaky.clone();
        let persistent = outer.with(TaskOptions::new().retries(1).retry_if(|_| true));
        let named = persistent.spawn(move || called.call(9).map_or_else(|text| panic!("{text}"), |_| ()));
        match named.result() {
            Err(Error::Panicked(panicked)) => assert_eq!(panicked.task_name(), Some("outer")),
            other => panic!("{other:?}"),
        }
        assert_eq!(flaky.calls(), 2);
    });
}

#[test]
fn a_task_is_pending_until_its_first_attempt_and_running_until_its_last() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, busy) = occupy(&threads);
        let persistent = threads.with(any_error(1));
        let ((first, first_gate), (second, second_gate)) = (gate(), gate());
        let flaky = Flaky::default();
        let task = persistent.try_spawn(move || {
            let outcome = flaky.call(2);
            if outcome.is_ok() {
                second_gate.pass()
            } else {
                first_gate.pass()
            }
            outcome
        });
        assert_eq!(task.state(), State::Pending);
        opener.open();
        first.arrived(1);
        assert_eq!(task.state(), State::Running);
        first.open();
        second.arrived(1);
        assert!(task.state() == State::Running && !task.cancel());
        second.open();
        assert_eq!(task.result().unwrap(), 2);
        busy.wait();
    });
}

#[test]
fn cancel_reaches_an_attempt_in_the_queue() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let persistent = threads.with(any_error(1));
        let (opener, busy) = occupy(&threads);
        let flaky = Flaky::default();
        let called = flaky.clone();
        let first = persistent.try_spawn(move || called.call(2));
        assert!(first.cancel() && first.cancel() && first.is_cancelled());
        opener.open();
        busy.wait();
        settle(&threads);
        assert_eq!(flaky.calls(), 0);

        // The second attempt is behind a task that blocks.
        let called = flaky.clone();
        let (open, pass) = gate();
        let pool = Arc::new(threads);
        let submit = Arc::clone(&pool);
        let second = pool.with(any_error(1)).try_spawn(move || {
            let pass = pass.clone();
            submit.spawn(move || pass.pass()).detach();
            called.call(9)
        });
        open.arrived(1);
        assert!(second.is_running() && second.cancel());
        assert!(matches!(second.result(), Err(Error::Cancelled)));
        open.open();
        settle(&pool);
        assert_eq!(flaky.calls(), 1);
    });
}

#[test]
fn cancel_makes_the_attempt_that_runs_the_last() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (open, flaky, task) = gated(&threads);
        assert!(!task.cancel() && task.is_running());
        open.open();
        assert_eq!((task.result().unwrap_err().to_string().as_str(), flaky.calls()), ("call 1 fails", 1));
    });
}

#[test]
fn abort_reaches_the_attempt_that_runs() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (open, pass) = gate();
        let flaky = Flaky::default();
        let called = flaky.clone();
        let task = threads.with(any_error(5)).try_spawn(move || {
            pass.pass();
            assert!(task::current().unwrap().is_aborted());
            called.call(9)
        });
        open.arrived(1);
        assert!(task.abort());
        open.open();
        assert!(matches!(task.result(), Err(Error::Cancelled)));
        settle(&threads);
        assert_eq!(flaky.calls(), 1);
    });
}

#[test]
fn cancel_and_abort_end_a_pause_and_drop_what_it_keeps() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let drops = Drops::default();
        for aborts in [false, true] {
            let argument = Arc::new(drops.token());
            let task = threads.with(with_endless_pause()).try_submit(|_: Arc<Token>| Err::<(), _>("no"), argument);
            settle(&threads);
            assert_eq!((task.state(), drops.alive(), threads.stats().pending), (State::Running, 1, 1));
            assert!(if aborts { task.abort() } else { task.cancel() });
            assert_eq!((drops.alive(), threads.stats().pending), (0, 0));
            assert!(matches!(task.result(), Err(Error::Cancelled)));
        }
    });
}

#[test]
fn a_task_that_cancel_pending_has_cancelled_is_not_tried_again() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let task = threads.with(with_endless_pause()).try_spawn(|| Err::<(), _>("no"));
        settle(&threads);
        assert_eq!(threads.cancel_pending(), 1);
        assert!(task.is_cancelled());
    });
}

#[test]
fn a_close_ends_pauses_with_the_last_error() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let persistent = threads.with(with_endless_pause());
        let (ended, see) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let task = persistent.try_spawn(|| Err::<(), _>("the last word"));
        let (noted, note) = (Arc::clone(&ended), Arc::clone(&see));
        task.add_done_callback(move |outcome| {
            *noted.lock().unwrap() = outcome.as_ref().err().map(ToString::to_string);
            *note.lock().unwrap() = Some(std::thread::current().id());
        });
        settle(&threads);
        threads.close();
        assert!(task.is_done());
        assert_eq!(ended.lock().unwrap().as_deref(), Some("the last word"));
        assert_eq!(*see.lock().unwrap(), Some(std::thread::current().id()));
        assert!(matches!(persistent.try_spawn(|| Err::<(), _>("late")).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn an_attempt_that_fails_after_a_close_is_the_last() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (open, flaky, task) = gated(&threads);
        threads.close();
        open.open();
        assert_eq!((task.result().unwrap_err().to_string().as_str(), flaky.calls()), ("call 1 fails", 1));
    });
}

#[test]
fn a_drop_of_the_executor_does_not_wait_for_a_pause() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let task = threads.with(with_endless_pause()).try_spawn(|| Err::<(), _>("no"));
        settle(&threads);
        drop(threads);
        assert!(task.is_done());
    });
}

#[test]
fn a_task_may_wait_for_one_that_is_tried_again_by_the_same_worker() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        for options in [any_error(3), any_error(3).back_off(TINY, TINY)] {
            let (inner, flaky) = (Arc::clone(&threads), Flaky::default());
            let outer = threads.spawn(move || inner.with(options).try_spawn(move || flaky.call(3)).result());
            assert_eq!(outer.result().unwrap().unwrap(), 3);
        }
    });
}

#[test]
fn items_of_maps_are_tried_again_each_for_itself() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let persistent = threads.with(any_error(1));
        let flaky: Vec<_> = (0..4).map(|_| Flaky::default()).collect();
        let items = flaky.clone().into_iter().enumerate();
        let call = |(n, flaky): (usize, Flaky)| flaky.call(u32::try_from(n).unwrap());
        let texts: Vec<_> = persistent.try_map(call, items.clone()).map(|outcome| outcome.is_ok()).collect();
        assert_eq!(texts, [true, true, true, false]);
        assert_eq!(flaky.iter().map(Flaky::calls).collect::<Vec<_>>(), [1, 1, 2, 2]);
        let two = persistent.with(MapOptions::new().buffer_size(1).chunk_size(7));
        assert_eq!(two.try_map_unordered(call, items).filter(|(_, outcome)| outcome.is_ok()).count(), 4);
        let (one, infinite) = (Flaky::default(), persistent.with(MapOptions::new().buffer_size(2)));
        let seen: Vec<_> = infinite.try_map(move |_: u64| one.call(2), 0..).take(2).collect::<Result<_, _>>().unwrap();
        // The first call failed. The third item is pulled when the first is done, and may be called before another one is
        // tried again.
        assert!(seen == [2, 3] || seen == [3, 2] || seen == [2, 4], "{seen:?}");
    });
}

#[test]
fn a_dropped_map_ends_the_pauses_of_its_items() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let items = threads.with(with_endless_pause()).try_map(|_| Err::<u8, _>("no"), [1, 2, 3]);
        settle(&threads);
        assert_eq!(threads.stats().pending, 3);
        drop(items);
        assert_eq!(threads.stats().pending, 0);
    });
}

#[test]
fn a_time_limit_is_that_of_an_attempt() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        // Any later attempt may also exceed a millisecond before it has begun, so there is no limit to their number.
        let options = TaskOptions::new().time_limit(Duration::from_millis(1)).retries(u32::MAX);
        let persistent = threads.with(options.retry_if(|error| matches!(error, Error::TimeLimit(_))));
        let flaky = Flaky::default();
        let called = flaky.clone();
        let task = persistent.try_spawn(move || {
            let outcome = called.call(2);
            while outcome.is_err() && !task::current().unwrap().is_aborted() {
                std::thread::yield_now();
            }
            outcome
        });
        let call = task.result().unwrap();
        assert!(call >= 2);
        assert_eq!(flaky.calls(), call);
    });
}

#[test]
fn the_last_attempt_gets_the_argument_itself() {
    struct Counted(Arc<AtomicU32>);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(&self.0))
        }
    }
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        for (retries, clones) in [(0, 0), (2, 2)] {
            let count = Arc::new(AtomicU32::new(0));
            let argument = Counted(Arc::clone(&count));
            let task = threads.with(any_error(retries)).try_submit(|_: Counted| Err::<(), _>("no"), argument);
            assert!(task.result().is_err());
            assert_eq!((count.load(Ordering::SeqCst), Arc::strong_count(&count)), (clones, 1));
        }
    });
}

#[test]
fn a_clone_that_panics_is_the_error_of_the_task() {
    struct NoClone;
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("no clone for a retry")
        }
    }
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let task = threads.with(any_error(1)).submit(|_: NoClone| (), NoClone);
        assert_eq!(panic_message(task.result()), "no clone for a retry");
    });
}

#[test]
fn if_retry_if_panics_that_is_logged_and_the_error_is_final() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        assert!(logged("who knows what to retry").is_empty());
        let persistent = threads.with(TaskOptions::new().retries(5).retry_if(|_| panic!("who knows what to retry")));
        let flaky = Flaky::default();
        let called = flaky.clone();
        let task = persistent.try_spawn(move || called.call(9));
        assert_eq!((task.result().unwrap_err().to_string().as_str(), flaky.calls()), ("call 1 fails", 1));
        assert_eq!(logged("who knows what to retry").len(), 1);
    });
}

#[test]
fn refusals_do_not_nest() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        let (opener, busy) = occupy(&threads);
        let queued = threads.spawn(|| ());
        let options = TaskOptions::new().refuse_when_full().retries(100_000);
        let persistent = threads.with(options.retry_if(|error| matches!(error, Error::Full(_))));
        assert!(matches!(persistent.spawn(|| ()).result(), Err(Error::Full(_))));
        opener.open();
        busy.wait();
        queued.wait();
    });
}

#[test]
fn large_values_are_tried_again_too() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let flaky = Flaky::default();
        let call = move |bytes: [u8; 100_000]| flaky.call(2).map(|_| bytes);
        assert_eq!(threads.with(any_error(1)).try_submit(call, [7; 100_000]).result().unwrap()[99_999], 7);
        let flaky = Flaky::default();
        let call = move |bytes: [u8; 100_000]| flaky.call(2).map(|_| bytes);
        assert_eq!(threads.with(any_error(1)).try_map(call, [[7; 100_000]]).next().unwrap().unwrap()[0], 7);
    });
}

#[test]
fn a_task_that_is_tried_again_can_be_awaited_shared_and_chained() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let task = |good| {
            let flaky = Flaky::default();
            threads.with(any_error(2).back_off(TINY, TINY)).try_submit(move |good| flaky.call(good), good)
        };
        assert_eq!(block_on(task(3)).unwrap(), 3);
        assert_eq!(*task(2).share().result().unwrap(), 2);
        assert_eq!(threads.submit_after((task(2), task(3)), |(a, b)| a + b).result().unwrap(), 5);
        assert_eq!(task(9).or_else(|error| Ok::<_, Error>(error.to_string().len() as u32)).result().unwrap(), 12);
        task(3).detach();
        let bound = threads.with(any_error(2)).bind(|n: u32| n + 1);
        assert_eq!(bound.clone()(2).result().unwrap(), 3);
    });
}

/// Counts its calls by a static, because plain functions capture nothing.
macro_rules! plain_flaky {
    ($good:expr) => {{
        static CALLS: AtomicU32 = AtomicU32::new(0);
        fn flaky(n: u32) -> Result<u32, String> {
            let call = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
            if call < $good { Err(format!("call {call} fails")) } else { Ok(n) }
        }
        (flaky as fn(u32) -> Result<u32, String>, &CALLS)
    }};
}

#[test]
fn an_inline_executor_makes_all_attempts_inside_submit() {
    within(LONG, || {
        let (flaky, calls) = plain_flaky!(3);
        let inline = Forwarding(InlineExecutor::new());
        let task = inline.with(any_error(2).back_off(TINY, TINY)).try_submit(flaky, 7);
        assert!(task.is_done());
        assert_eq!((task.result().unwrap(), calls.load(Ordering::SeqCst)), (7, 3));

        static CLOSES: OnceLock<InlineExecutor> = OnceLock::new();
        fn close(_: u32) -> Result<u32, String> {
            CLOSES.get().unwrap().close();
            Err("closed it".into())
        }
        let executor = CLOSES.get_or_init(InlineExecutor::new);
        let task = executor.with(any_error(2)).try_submit(close, 7);
        assert_eq!(task.result().unwrap_err().to_string(), "closed it");
    });
}

/// The name of a job, and how often its executor is to run it again.
type Submitted = (Option<String>, u32);

/// Runs each job on a thread of its own, and notes how it was submitted.
#[derive(Clone, Default)]
struct Fresh {
    has_submitter: bool,
    seen: Arc<Mutex<Vec<Submitted>>>,
    is_closed: Arc<std::sync::atomic::AtomicBool>,
}

impl Backend for Fresh {
    fn execute(&self, job: Job) {
        self.seen.lock().unwrap().push((job.name().map(String::from), job.options().get_retries()));
        if self.is_closed.load(Ordering::SeqCst) {
            return job.fail(Error::ShutDown);
        }
        std::thread::spawn(move || job.run()).join().unwrap();
    }
    fn submitter(&self) -> Option<Submitter> {
        let fresh = self.clone();
        self.has_submitter.then(|| Submitter::new(move |job| fresh.execute(job)))
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

#[test]
fn an_executor_of_another_kind_gets_each_attempt_as_a_job() {
    within(LONG, || {
        let (flaky, calls) = plain_flaky!(3);
        for has_submitter in [true, false] {
            calls.store(0, Ordering::SeqCst);
            let fresh = Fresh { has_submitter, ..Fresh::default() };
            let options = TaskOptions::new().name("fetch").retries(2).back_off(TINY, TINY).retry_if(|_| true);
            assert_eq!(fresh.with(options).try_submit(flaky, 7).result().unwrap(), 7);
            assert_eq!(*fresh.seen.lock().unwrap(), vec![(Some("fetch".into()), 0); 3]);
        }
    });
}

#[test]
fn an_executor_of_another_kind_that_is_shut_down_leaves_the_last_error() {
    within(LONG, || {
        static FRESH: OnceLock<Fresh> = OnceLock::new();
        fn close(_: u32) -> Result<u32, String> {
            FRESH.get().unwrap().close();
            Err("closed it".into())
        }
        let fresh = FRESH.get_or_init(|| Fresh { has_submitter: true, ..Fresh::default() });
        let task = fresh.with(any_error(2).back_off(TINY, TINY)).try_submit(close, 7);
        assert_eq!(task.result().unwrap_err().to_string(), "closed it");
        assert_eq!(fresh.seen.lock().unwrap().len(), 2);
    });
}

#[test]
fn an_executor_that_panics_or_forgets_fails_the_attempt() {
    within(LONG, || {
        assert!(logged("heedless of retries").is_empty());
        let task = DropsJobs("heedless of retries").with(any_error(2)).submit(|n: u32| n, 1);
        assert!(matches!(task.result(), Err(Error::Abandoned)));
        assert_eq!(logged("heedless of retries").len(), 2);
    });
}

#[test]
fn options_of_the_executor_before_hold_for_each_attempt() {
    /// Gives its jobs to the test.
    struct Handing(Mutex<Sender<Job>>);
    impl Backend for Handing {
        fn execute(&self, job: Job) {
            self.0.lock().unwrap().send(job).unwrap();
        }
        fn max_workers(&self) -> usize {
            1
        }
        fn close(&self) {}
        fn join(&self, _: Option<Duration>) -> bool {
            true
        }
    }
    within(LONG, || {
        let (send, jobs) = channel();
        let handing = Handing(send.into());
        let outer = handing.with(TaskOptions::new().name("outer"));
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| outer.with(any_error(1)).submit(|n: u32| n, 7).result());
            soon(&jobs).fail(Error::Abandoned);
            let job = soon(&jobs);
            assert_eq!((job.name(), job.options().get_retries()), (Some("outer"), 0));
            job.run();
            assert_eq!(caller.join().unwrap().unwrap(), 7);
        });
    });
}

#[test]
#[should_panic(expected = "the first pause of back_off must be longer than zero")]
fn a_first_pause_of_zero_is_refused() {
    let _ = TaskOptions::new().retries(1).back_off(Duration::ZERO, Duration::from_secs(1));
}

#[test]
#[should_panic(
    expected = "back_off takes the first pause and the longest one: the first, 2s, must not be longer than 1s"
)]
fn a_first_pause_longer_than_the_longest_is_refused() {
    let _ = TaskOptions::new().retries(1).back_off(Duration::from_secs(2), Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "retry_if says nothing without the number of retries")]
fn a_choice_of_errors_without_retries_is_refused() {
    let _ = TaskOptions::new().retry_if(|_| true);
}

#[cfg(automatic)]
mod processes {
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};

    use concurrent_futures::{Error, Executor, MapOptions, ProcessPoolExecutor, TaskOptions};

    use super::{TINY, any_error, with_endless_pause};
    use crate::support::{LONG, mark, marks, soon, within};

    /// Dies until the file has that many marks.
    fn die_until((file, good): (PathBuf, usize)) -> usize {
        mark((file.clone(), 0));
        let count = marks(&file).len();
        if count < good { std::process::abort() } else { count }
    }

    fn fail(_: u32) -> Result<u32, String> {
        Err("no".into())
    }

    #[test]
    fn the_death_of_a_worker_is_an_error_like_others() {
        within(LONG, || {
            let directory = tempfile::tempdir().unwrap();
            let processes = ProcessPoolExecutor::new(1);
            for (name, options) in [
                ("default", TaskOptions::new().retries(2).back_off(TINY, TINY)),
                ("any", any_error(2)),
                ("chosen", any_error(2).retry_if(|error| matches!(error, Error::WorkerDied(_)))),
            ] {
                let file = directory.path().join(name);
                assert_eq!(processes.with(options).submit(die_until, (file.clone(), 3)).result().unwrap(), 3);
                assert_eq!(marks(&file).len(), 3);
            }
            let file = directory.path().join("dead");
            let outcome = processes.with(any_error(2)).submit(die_until, (file.clone(), 9)).result();
            assert!(matches!(outcome, Err(Error::WorkerDied(_))));
            assert_eq!(marks(&file).len(), 3, "the pool does not retry on top of it");
        });
    }

    #[test]
    fn maps_and_pauses_work_on_processes() {
        within(LONG, || {
            let directory = tempfile::tempdir().unwrap();
            let processes = ProcessPoolExecutor::new(2);
            let items: Vec<_> = (1..=3).map(|n| (directory.path().join(n.to_string()), n)).collect();
            let persistent = processes.with(any_error(2)).with(MapOptions::new().buffer_size(2));
            let calls: Vec<_> = persistent.map(die_until, items).collect::<Result<_, _>>().unwrap();
            assert_eq!(calls, [1, 2, 3]);

            static ASKED: Mutex<Option<Sender<()>>> = Mutex::new(None);
            let (send, asked) = channel();
            *ASKED.lock().unwrap() = Some(send);
            let ask = |_: &Error| ASKED.lock().unwrap().take().is_some_and(|asked| asked.send(()).is_ok());
            let paused = processes.with(with_endless_pause().retry_if(ask)).try_submit(fail, 1);
            soon(&asked);
            processes.shutdown();
            assert_eq!(paused.result().unwrap_err().to_string(), "no");
        });
    }
}

/// A gate in a closure is one value for all attempts.
#[test]
fn all_attempts_call_the_same_closure() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (open, pass) = gate();
        open.open();
        let flaky = Flaky::default();
        let task = threads.with(any_error(1)).try_spawn(move || {
            pass.pass();
            flaky.call(2)
        });
        open.arrived(2);
        assert_eq!(task.result().unwrap(), 2);
    });
}
