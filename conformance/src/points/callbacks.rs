//! The callbacks that run when a future becomes done.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use concurrent_futures::{Error, Executor, State, as_completed};

use crate::functions::{double, panic_with};
use crate::points::{Make, Points};
use crate::support::{Door, PanicsOnDrop, Seen, gate, logged, occupy_at_door, panic_text, pass_with, pid};

pub(crate) const POINTS: Points = points![
    callbacks_run_once_each_in_the_order_added: Background,
    callbacks_get_the_outcome: Queue,
    callbacks_added_to_a_done_future_run_at_once_in_the_calling_thread,
    a_callback_added_by_a_callback_keeps_the_order: Background,
    callbacks_run_outside_every_lock: Background,
    a_callback_that_panics_is_logged_and_the_others_still_run: Background,
    a_thread_that_sees_a_done_future_sees_the_effects_of_its_callbacks: Background,
    a_slow_callback_delays_no_other_future: Background,
    callbacks_may_submit_to_their_executor: Background,
    a_wait_in_a_callback_panics_if_it_would_block: Queue,
];

fn callbacks_run_once_each_in_the_order_added(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let task = occupy_at_door(&*executor, &door);
    // The same function added twice runs twice.
    for number in [1, 2, 2, 3] {
        let see = seen.clone();
        task.add_done_callback(move |outcome| see.push((number, outcome.is_ok())));
    }
    assert!(seen.all().is_empty(), "the slow callback still runs");
    door.open();
    task.wait();
    let all = [(1, true), (2, true), (2, true), (3, true)];
    assert_eq!(seen.all(), all);
    drop(task);
    assert_eq!(seen.all(), all, "and no more");
}

fn callbacks_get_the_outcome(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let running = occupy_at_door(&*executor, &door);
    let tasks = [executor.submit(double, 4), executor.submit(panic_with, "oh".into()), executor.submit(double, 5)];
    for task in &tasks {
        let see = seen.clone();
        task.add_done_callback(move |outcome| {
            see.push(match outcome {
                Ok(value) => value.to_string(),
                Err(Error::Panicked(panicked)) => panicked.message().to_owned(),
                Err(error) => error.to_string(),
            });
        });
    }
    assert!(tasks[2].cancel());
    door.open();
    running.wait();
    assert_eq!(as_completed(&tasks).count(), 3);
    assert_eq!(seen.all(), ["the task was cancelled", "8", "oh"]);
}

fn callbacks_added_to_a_done_future_run_at_once_in_the_calling_thread(make: &Make) {
    let (executor, seen) = (make(1), Seen::new());
    let task = executor.submit(double, 4);
    task.wait();
    let see = seen.clone();
    task.add_done_callback(move |outcome| see.push((*outcome.as_ref().unwrap(), thread::current().id())));
    assert_eq!(seen.all(), [(8, thread::current().id())]);
    assert_eq!(task.result().unwrap(), 8, "the outcome is there still");
}

fn a_callback_added_by_a_callback_keeps_the_order(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let task = executor.submit(pass_with, (door.path(), 1)).share();
    let (first, second, adds_to) = (seen.clone(), seen.clone(), task.clone());
    task.add_done_callback(move |_| {
        first.push("outer");
        let inner = first.clone();
        adds_to.add_done_callback(move |_| inner.push("inner"));
    });
    task.add_done_callback(move |_| second.push("second"));
    door.open();
    task.wait();
    assert_eq!(seen.all(), ["outer", "second", "inner"]);
}

fn callbacks_run_outside_every_lock(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let task = executor.submit(pass_with, (door.path(), 1)).share();
    let (see, inside) = (seen.clone(), task.clone());
    task.add_done_callback(move |_| {
        // Another thread may use the future as well.
        let outside = inside.clone();
        let asked = thread::spawn(move || (outside.state(), outside.cancel(), outside.to_string())).join().unwrap();
        see.push((inside.is_done(), asked.0 == State::Finished, asked.1));
    });
    door.open();
    task.wait();
    assert_eq!(seen.all(), [(false, false, false)]);
}

fn a_callback_that_panics_is_logged_and_the_others_still_run(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let task = occupy_at_door(&*executor, &door);
    let text = format!("a callback of {} that goes wrong", task.id());
    let (before, after, says) = (seen.clone(), seen.clone(), text.clone());
    task.add_done_callback(move |_| before.push("before"));
    // The panic hook prints nothing.
    task.add_done_callback(move |_| resume_unwind(Box::new(says)));
    task.add_done_callback(|_| resume_unwind(Box::new(PanicsOnDrop)));
    task.add_done_callback(move |_| after.push("after"));
    door.open();
    task.wait();
    assert_eq!(seen.all(), ["before", "after"]);
    let records = logged(&text);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0, log::Level::Error);
    let late = format!("a late one of {} that goes wrong", task.id());
    let says = late.clone();
    task.add_done_callback(move |_| resume_unwind(Box::new(says)));
    assert_eq!(logged(&late).len(), 1);
    assert!(task.result().is_ok());
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2);
}

fn a_thread_that_sees_a_done_future_sees_the_effects_of_its_callbacks(make: &Make) {
    let (executor, (opener, gate)) = (make(1), gate());
    let door = Door::new();
    let task = executor.submit(pass_with, (door.path(), 1)).share();
    let seen = Seen::new();
    let see = seen.clone();
    task.add_done_callback(move |_| {
        gate.pass();
        see.push("called back");
    });
    let (asked, sees, (started, has_started)) = (task.clone(), seen.clone(), channel());
    let waiter = thread::spawn(move || {
        started.send(()).unwrap();
        asked.wait();
        sees.all()
    });
    has_started.recv().unwrap();
    door.open();
    opener.arrived(1);
    assert!(!task.is_done(), "its callback runs still");
    opener.open();
    assert_eq!(waiter.join().unwrap(), ["called back"]);
    // A thread that looks while the task ends sees it as well.
    for n in 0..100 {
        let (task, seen) = (executor.submit(double, n), Seen::new());
        let see = seen.clone();
        task.add_done_callback(move |_| see.push(n));
        task.wait();
        assert_eq!(seen.all(), [n]);
    }
}

fn a_slow_callback_delays_no_other_future(make: &Make) {
    let executor = make(2);
    let (first_door, second_door) = (Door::new(), Door::new());
    let (slow, other) = (occupy_at_door(&*executor, &first_door), occupy_at_door(&*executor, &second_door));
    let (opener, gate) = gate();
    slow.add_done_callback(move |_| gate.pass());
    first_door.open();
    opener.arrived(1);
    second_door.open();
    other.result().unwrap();
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2);
    assert!(!slow.is_done());
    opener.open();
    slow.result().unwrap();
}

fn callbacks_may_submit_to_their_executor(make: &Make) {
    let executor = Arc::new(make(1));
    let door = Door::new();
    let task = executor.submit(pass_with, (door.path(), 3));
    let (inside, (send, receive)) = (Arc::clone(&executor), channel());
    task.add_done_callback(move |outcome| {
        let next = inside.submit(double, *outcome.as_ref().unwrap());
        next.add_done_callback(move |outcome| send.send(*outcome.as_ref().unwrap()).unwrap());
    });
    door.open();
    task.wait();
    assert_eq!(receive.recv().unwrap(), 6);
}

fn a_wait_in_a_callback_panics_if_it_would_block(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let _running = occupy_at_door(&*executor, &door);
    let (task, other) = (executor.submit(pid, ()), executor.submit(pid, ()));
    let see = seen.clone();
    task.add_done_callback(move |_| see.push(panic_text(|| other.wait())));
    assert!(task.cancel());
    let texts = seen.all();
    assert!(texts.len() == 1 && texts[0].contains("callback"), "{texts:?}");
}
