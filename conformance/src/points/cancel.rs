//! `cancel` and `abort`, and which waiters they wake.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use concurrent_futures::{Error, Executor, ReturnWhen, State, as_completed, wait};

use crate::functions::double;
use crate::points::{Make, Points};
use crate::support::{Door, Seen, block_on, mark, marks, occupy_at_door, pass, pass_with};

pub(crate) const POINTS: Points = points![
    a_running_or_finished_task_cannot_be_cancelled: Background + PromptStart,
    a_cancelled_task_never_runs: Queue,
    a_second_cancel_is_true_and_runs_no_callbacks: Queue,
    callbacks_of_a_cancelled_future_run_in_the_thread_that_cancels: Queue,
    cancel_wakes_result: Queue,
    cancel_wakes_wait: Queue,
    cancel_wakes_as_completed: Queue,
    cancel_wakes_await: Queue,
    only_as_many_tasks_as_workers_are_running: Queue + PromptStart,
    a_running_task_can_be_aborted: Background,
    abort_of_a_pending_task_cancels_it: Queue,
];

/// Returns the path of a file for marks, in the directory of a door.
fn file(door: &Door) -> PathBuf {
    door.path().join("marks")
}

fn a_running_or_finished_task_cannot_be_cancelled(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let task = occupy_at_door(&*executor, &door);
    assert!(!task.cancel());
    assert_eq!(task.state(), State::Running);
    door.open();
    task.wait();
    assert!(!task.cancel() && !task.abort());
    assert_eq!(task.state(), State::Finished);
    assert!(task.result().is_ok(), "a refused cancel changes nothing");
}

fn a_cancelled_task_never_runs(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let tasks: Vec<_> = (0..6).map(|n| executor.submit(mark, (file(&door), n))).collect();
    let cancelled: Vec<_> = tasks.iter().map(|task| task.cancel()).collect();
    assert_eq!(cancelled, [true; 6]);
    assert!(tasks.iter().all(|task| task.state() == State::Cancelled));
    let last = executor.submit(mark, (file(&door), 6));
    door.open();
    running.wait();
    assert_eq!(last.result().unwrap(), 6);
    assert_eq!(marks(&file(&door)), [6]);
    assert!(tasks.into_iter().all(|task| matches!(task.result(), Err(Error::Cancelled))));
}

fn a_second_cancel_is_true_and_runs_no_callbacks(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let (task, seen) = (executor.submit(double, 1), Seen::new());
    let see = seen.clone();
    task.add_done_callback(move |outcome| see.push(outcome.is_err()));
    assert!(task.cancel() && task.cancel() && task.abort());
    assert_eq!(seen.all(), [true]);
    assert!(task.is_cancelled());
}

fn callbacks_of_a_cancelled_future_run_in_the_thread_that_cancels(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    let [cancelled, aborted] = [1, 2].map(|n| executor.submit(double, n));
    let seen = Seen::new();
    for task in [&running, &cancelled, &aborted] {
        let see = seen.clone();
        task.add_done_callback(move |outcome| {
            see.push((matches!(outcome, Err(Error::Cancelled)), thread::current().id()));
        });
    }
    assert!(cancelled.cancel() && aborted.abort() && running.abort());
    assert_eq!(seen.all(), [(true, thread::current().id()); 3]);
}

/// Waits on a thread of its own, which is about to start waiting when this returns.
fn waiting<R: Send + 'static>(wait: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let (started, has_started) = channel();
    let waiter = thread::spawn(move || {
        started.send(()).unwrap();
        wait()
    });
    has_started.recv().unwrap();
    waiter
}

fn cancel_wakes_result(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let task = executor.submit(double, 1).share();
    let asked = task.clone();
    let waiter = waiting(move || asked.result().copied());
    assert!(task.cancel());
    assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled)));
}

fn cancel_wakes_wait(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let tasks = [1, 2].map(|n| executor.submit(double, n).share());
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstError] {
        let asked = tasks.clone();
        let waiter = waiting(move || wait(asked, None, return_when).done.len());
        assert!(tasks.iter().all(|task| task.cancel()));
        assert_eq!(waiter.join().unwrap(), 2);
    }
}

fn cancel_wakes_as_completed(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let tasks = [1, 2].map(|n| executor.submit(double, n).share());
    let mut completed = as_completed(tasks.clone());
    let waiter = waiting(move || completed.by_ref().map(|task| task.id()).collect::<Vec<_>>());
    assert!(tasks[1].cancel() && tasks[0].cancel());
    assert_eq!(waiter.join().unwrap(), [tasks[1].id(), tasks[0].id()]);
}

fn cancel_wakes_await(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let task = executor.submit(double, 1).share();
    let asked = task.clone();
    let waiter = waiting(move || block_on(&asked).copied());
    assert!(task.cancel());
    assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled)));
}

fn only_as_many_tasks_as_workers_are_running(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let waiting: Vec<_> = (0..6).map(|n| executor.submit(double, n)).collect();
    assert!(running.is_running());
    assert!(waiting.iter().all(|task| task.state() == State::Pending));
    assert!(waiting.iter().all(|task| task.cancel()));
}

fn a_running_task_can_be_aborted(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let task = occupy_at_door(&*executor, &door);
    assert!(task.abort());
    assert!(task.is_cancelled());
    assert!(matches!(task.result(), Err(Error::Cancelled)));
    door.open();
    assert_eq!(executor.submit(double, 4).result().unwrap(), 8, "the executor goes on");
}

fn abort_of_a_pending_task_cancels_it(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let pending = executor.submit(mark, (file(&door), 1));
    assert!(pending.abort() && pending.abort());
    assert!(matches!(pending.result(), Err(Error::Cancelled)));
    door.open();
    running.wait();
    executor.submit(pass, door.path()).wait();
    assert!(!running.abort(), "the task was done before");
    assert!(marks(&file(&door)).is_empty());
}
