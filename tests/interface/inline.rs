//! `InlineExecutor`: each task in the calling thread, inside `submit`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, InlineExecutor, State, Stats, TaskOptions, task};

use crate::support::{Gate, LONG, within};

#[test]
fn a_task_runs_inside_submit() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let future = InlineExecutor.submit(|n: usize| CALLS.fetch_add(n, Ordering::SeqCst), 3);
    assert_eq!(CALLS.load(Ordering::SeqCst), 3);
    assert_eq!(future.state(), State::Finished);
    assert!(!future.cancel());
    assert_eq!(future.result().unwrap(), 0);
}

#[test]
fn a_task_runs_in_the_calling_thread() {
    thread_local!(static HERE: std::cell::Cell<u8> = const { std::cell::Cell::new(0) });
    HERE.set(7);
    assert_eq!(InlineExecutor.submit(|n: u8| n + HERE.get(), 1).result().unwrap(), 8);
}

#[test]
fn panics_and_errors_stay_in_the_future() {
    let panicked = InlineExecutor.submit(|n: u8| -> u8 { panic!("inline {n}") }, 1);
    assert!(matches!(panicked.result(), Err(Error::Panicked(_))));
    let failed = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "x".into());
    assert_eq!(failed.result().unwrap_err().to_string(), "invalid digit found in string");
}

#[test]
fn tasks_nest() {
    fn factorial(n: u64) -> u64 {
        if n == 0 { 1 } else { n * InlineExecutor.submit(factorial, n - 1).result().unwrap() }
    }
    assert_eq!(InlineExecutor.submit(factorial, 10).result().unwrap(), 3_628_800);
}

#[test]
fn nested_tasks_have_their_own_contexts() {
    assert!(task::current().is_none());
    let future = InlineExecutor.submit(
        |(): ()| {
            let outer = task::current().unwrap().id();
            let inner = InlineExecutor.submit(|(): ()| task::current().unwrap().id().to_string(), ());
            assert_eq!(
                inner.id().to_string(),
                InlineExecutor.submit(|id: String| id, inner.result().unwrap()).result().unwrap()
            );
            assert_eq!(task::current().unwrap().id(), outer);
            assert_eq!(task::current().unwrap().worker_name(), thread::current().name());
            assert!(!task::current().unwrap().is_aborted());
            outer.to_string()
        },
        (),
    );
    let id = future.id().to_string();
    assert_eq!(future.result().unwrap(), id);
    assert!(task::current().is_none());
}

#[test]
fn items_run_one_at_a_time_in_input_order() {
    static ORDER: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let map = InlineExecutor.map(|n: usize| ORDER.lock().unwrap().push(n), 0..10);
    assert_eq!(*ORDER.lock().unwrap(), (0..10).collect::<Vec<_>>(), "before the first result is asked for");
    assert_eq!(map.count(), 10);
}

static SHARED: LazyLock<InlineExecutor> = LazyLock::new(InlineExecutor::new);
static GATE: LazyLock<Gate> = LazyLock::new(Gate::default);

#[test]
fn a_close_spares_running_tasks_and_their_submits() {
    within(LONG, || {
        let running = thread::spawn(|| {
            SHARED.submit(
                |()| {
                    GATE.pass();
                    assert!(!SHARED.join(None), "a join inside a task does not wait");
                    SHARED.submit(|n: u8| n, 1).result().unwrap()
                },
                (),
            )
        });
        GATE.arrived(1);
        assert!(!SHARED.join(None), "an open executor cannot be joined");
        SHARED.close();
        assert!(matches!(SHARED.submit(|n: u8| n, 2).result(), Err(Error::ShutDown)));
        assert!(SHARED.map(|n: u8| n, [1, 2]).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
        assert!(!SHARED.join(Some(Duration::ZERO)), "a task of another thread still runs");
        let joining = thread::spawn(|| SHARED.join(None));
        GATE.open();
        assert!(joining.join().unwrap());
        assert_eq!(running.join().unwrap().result().unwrap(), 1);
        assert_eq!(
            format!("{:?} {InlineExecutor:?}", *SHARED),
            "InlineExecutor { is_closed: true, .. } InlineExecutor { is_closed: false, .. }"
        );
    });
}

#[test]
fn the_constant_has_no_state_to_close() {
    assert_eq!(InlineExecutor.max_workers(), 1);
    InlineExecutor.close();
    InlineExecutor.shutdown();
    InlineExecutor.shutdown_now();
    assert!(InlineExecutor.join(Some(Duration::ZERO)));
    assert_eq!(InlineExecutor.cancel_pending(), 0);
    assert_eq!(InlineExecutor.stats(), Stats::default());
    assert_eq!(InlineExecutor.submit(|n: u8| n, 1).result().unwrap(), 1);
}

#[test]
fn time_limits_are_not_enforced_inline() {
    let limited = InlineExecutor.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
    assert_eq!(limited.submit(|n: u8| n, 1).result().unwrap(), 1);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    fn depth(n: u32) -> u32 {
        if n == 0 { 0 } else { 1 + InlineExecutor.submit(depth, n - 1).result().unwrap() }
    }
    assert_eq!(within(LONG, || depth(10_000)), 10_000);
}
