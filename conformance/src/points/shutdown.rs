//! The end of an executor: by a call, by its drop, and by a panic.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, Future, State};

use crate::functions::double;
use crate::points::{Make, Points};
use crate::support::{Door, LONG, let_in, mark, marks, occupy_at_door, panic_text};

pub(crate) const POINTS: Points = points![
    shutdown_waits_for_queued_tasks,
    shutdown_may_be_called_again,
    an_unused_executor_can_be_shut_down: Closing,
    a_join_before_the_close_is_false: Closing,
    close_does_not_wait_and_queued_tasks_run: Queue + Closing + PromptStart,
    a_join_may_have_a_limit: Background + Closing + PromptStart,
    cancel_pending_spares_running_tasks: Queue + CancelPending + PromptStart,
    shutdown_now_cancels_queued_tasks: Queue + CancelPending,
    drop_waits_for_queued_tasks: Queue + Drop,
    a_drop_while_unwinding_cancels_queued_tasks: Queue + Drop + CancelPending,
    a_panic_continues_after_the_drop_of_an_executor,
    a_future_outlives_its_executor: Drop,
    several_threads_may_shut_down_at_once: Background,
    a_callback_may_shut_down: Background + Closing,
];

/// Opens the door when this future is done: for a shutdown that waits for running tasks.
fn opens_when_done<T>(future: &Future<T>, door: &Door) {
    let door = door.path();
    future.add_done_callback(move |_| let_in(&door, 64));
}

fn shutdown_waits_for_queued_tasks(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let file = door.path().join("marks");
    let tasks: Vec<_> = (0..20).map(|n| executor.submit(mark, (file.clone(), n))).collect();
    executor.shutdown();
    assert_eq!(marks(&file).len(), 20);
    assert!(tasks.iter().all(|task| task.state() == State::Finished));
    assert!(executor.join(Some(Duration::ZERO)));
}

fn shutdown_may_be_called_again(make: &Make) {
    let executor = make(1);
    executor.submit(double, 1).wait();
    executor.shutdown();
    executor.shutdown();
    executor.shutdown_now();
    assert!(executor.join(None));
}

fn an_unused_executor_can_be_shut_down(make: &Make) {
    let executor = make(1);
    assert!(!executor.join(None), "a join of an open executor does not wait");
    executor.shutdown();
    assert!(executor.join(Some(Duration::ZERO)));
    assert!(matches!(executor.submit(double, 1).result(), Err(Error::ShutDown)));
}

fn a_join_before_the_close_is_false(make: &Make) {
    let executor = make(1);
    executor.submit(double, 1).wait();
    assert!(!executor.join(None) && !executor.join(Some(LONG)));
    executor.close();
    assert!(executor.join(Some(Duration::MAX)));
}

fn close_does_not_wait_and_queued_tasks_run(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let queued = executor.submit(double, 3);
    executor.close();
    assert_eq!((running.state(), queued.state()), (State::Running, State::Pending));
    assert!(matches!(executor.submit(double, 1).result(), Err(Error::ShutDown)));
    door.open();
    assert_eq!(queued.result().unwrap(), 6);
    assert!(executor.join(None));
}

fn a_join_may_have_a_limit(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    executor.close();
    assert!(!executor.join(Some(Duration::ZERO)));
    assert!(!executor.join(Some(Duration::from_millis(5))));
    assert!(running.is_running());
    door.open();
    assert!(executor.join(Some(LONG)));
    assert!(running.is_done());
}

fn cancel_pending_spares_running_tasks(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let queued: Vec<_> = (0..5).map(|n| executor.submit(double, n)).collect();
    assert_eq!(executor.cancel_pending(), 5);
    assert!(queued.iter().all(|task| task.is_cancelled()));
    assert!(running.is_running());
    door.open();
    running.result().unwrap();
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2, "the executor is still open");
}

fn shutdown_now_cancels_queued_tasks(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let queued: Vec<_> = (0..5).map(|n| executor.submit(double, n)).collect();
    // The shutdown waits for running tasks.
    opens_when_done(&queued[4], &door);
    executor.shutdown_now();
    assert!(queued.iter().all(|task| task.is_cancelled()));
    assert!(running.result().is_ok(), "a running task may end");
    assert!(executor.join(Some(Duration::ZERO)));
}

fn drop_waits_for_queued_tasks(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let file = door.path().join("marks");
    let tasks: Vec<_> = (0..20).map(|n| executor.submit(mark, (file.clone(), n))).collect();
    door.open();
    drop(executor);
    assert_eq!(marks(&file), (0..20).collect::<Vec<_>>());
    assert!(running.is_done() && tasks.iter().all(|task| task.state() == State::Finished));
}

fn a_drop_while_unwinding_cancels_queued_tasks(make: &Make) {
    let door = Door::new();
    let mut tasks = Vec::new();
    let mut held = None;
    let text = panic_text(|| {
        let executor = make(1);
        held = Some(occupy_at_door(&*executor, &door));
        tasks.extend((0..5).map(|n| executor.submit(double, n)));
        opens_when_done(&tasks[4], &door);
        panic!("in the middle of it");
    });
    assert_eq!(text, "in the middle of it");
    assert!(tasks.iter().all(|task| task.is_cancelled()));
    assert!(held.expect("the task was submitted").try_result().expect("the drop has waited for the task").is_ok());
}

fn a_panic_continues_after_the_drop_of_an_executor(make: &Make) {
    let text = panic_text(|| {
        let executor = make(1);
        executor.submit(double, 1).wait();
        panic!("the caller's own");
    });
    assert_eq!(text, "the caller's own");
}

fn a_future_outlives_its_executor(make: &Make) {
    let executor = make(1);
    let tasks: Vec<_> = (0..5).map(|n| executor.submit(double, n)).collect();
    drop(executor);
    let results: Vec<_> = tasks.into_iter().map(|task| task.result().unwrap()).collect();
    assert_eq!(results, [0, 2, 4, 6, 8]);
}

fn several_threads_may_shut_down_at_once(make: &Make) {
    let (executor, door) = (Arc::new(make(2)), Door::new());
    let running = occupy_at_door(&**executor, &door);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let executor = Arc::clone(&executor);
            thread::spawn(move || {
                executor.shutdown();
                executor.join(Some(Duration::ZERO))
            })
        })
        .collect();
    door.open();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    assert!(running.is_done());
}

fn a_callback_may_shut_down(make: &Make) {
    let (executor, door) = (Arc::new(make(1)), Door::new());
    let running = occupy_at_door(&**executor, &door);
    let queued = executor.submit(double, 1);
    let inside = Arc::clone(&executor);
    running.add_done_callback(move |_| inside.shutdown());
    door.open();
    running.wait();
    assert!(matches!(executor.submit(double, 2).result(), Err(Error::ShutDown)));
    assert_eq!(queued.result().unwrap(), 2, "the task was accepted before the shutdown");
    assert!(executor.join(None));
}
