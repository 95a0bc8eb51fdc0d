//! The handle on one task: its states, its outcome, its text.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, MapOptions, State, TaskOptions};

use crate::functions::{
    double, drop_bytes, fail_without_text, length, numbers, panic_at_some, panic_with, parse, pass_on, pass_on_boxed,
    to_text,
};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, block_on, occupy_at_door, panic_message, pass_with, pid};

pub(crate) const POINTS: Points = points![
    a_task_goes_from_pending_to_running_to_finished: Queue + PromptStart,
    the_three_queries_agree_with_the_state: Queue + PromptStart,
    a_result_is_the_value_of_the_call,
    a_result_waits_for_its_task: Background,
    a_shared_outcome_can_be_read_again,
    a_result_that_times_out_leaves_the_future: Background,
    a_zero_timeout_is_a_poll: Background,
    a_done_future_returns_its_outcome_at_any_later_time,
    a_panic_is_an_error_of_the_future,
    a_task_keeps_its_own_error,
    error_returns_none_for_a_value_and_does_not_panic,
    an_error_with_an_empty_text_is_an_error,
    an_error_of_another_future_keeps_its_variant,
    the_name_of_a_task_is_in_its_errors,
    the_name_of_a_task_is_in_the_error_of_its_time_limit: Background + TimeLimits,
    a_cancelled_task_has_the_error_cancelled: Queue,
    the_text_tells_the_state_and_the_kind_of_outcome: Queue + PromptStart,
    a_future_can_be_awaited,
];

fn a_task_goes_from_pending_to_running_to_finished(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let pending = executor.submit(double, 1);
    assert_eq!((running.state(), pending.state()), (State::Running, State::Pending));
    door.open();
    pending.wait();
    assert_eq!((running.state(), pending.state()), (State::Finished, State::Finished));
    assert!(!running.cancel(), "a finished task stays finished");
    assert_eq!(running.state(), State::Finished);
    assert_eq!(pending.result().unwrap(), 2);
}

fn the_three_queries_agree_with_the_state(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let ask = |future: &concurrent_futures::Future<u32>| (future.is_running(), future.is_cancelled(), future.is_done());
    let running = occupy_at_door(&*executor, &door);
    let [pending, cancelled] = [(); 2].map(|()| executor.submit(pid, ()));
    assert!(cancelled.cancel());
    assert_eq!(ask(&running), (true, false, false));
    assert_eq!(ask(&pending), (false, false, false));
    assert_eq!(ask(&cancelled), (false, true, true));
    door.open();
    running.wait();
    assert_eq!(ask(&running), (false, false, true));
}

fn a_result_is_the_value_of_the_call(make: &Make) {
    let executor = make(2);
    assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    assert_eq!(executor.submit(length, "four".into()).result().unwrap(), 4);
    executor.submit(drop_bytes, vec![1_u8]).result().unwrap();
}

fn a_result_waits_for_its_task(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let held = executor.submit(pass_with, (door.path(), 7));
    door.arrived();
    let (started, has_started) = channel();
    let waiter = thread::spawn(move || {
        started.send(()).unwrap();
        held.result()
    });
    has_started.recv().unwrap();
    assert!(!waiter.is_finished(), "the task waits at the door");
    door.open();
    assert_eq!(waiter.join().unwrap().unwrap(), 7);
}

fn a_shared_outcome_can_be_read_again(make: &Make) {
    let executor = make(1);
    let shared = executor.submit(to_text, 7).share();
    let first = shared.result().unwrap();
    assert!(std::ptr::eq(first, shared.clone().result().unwrap()), "the same value each time");
    let failed = executor.submit(panic_with, "twice".into()).share();
    for _ in 0..2 {
        assert_eq!(panic_message(failed.result().copied()), "twice");
    }
}

fn a_result_that_times_out_leaves_the_future(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let held = executor.submit(pass_with, (door.path(), 7));
    let id = held.id();
    let held = held.result_timeout(Duration::from_millis(5)).expect_err("it is at the door");
    assert_eq!(held.id(), id);
    assert!(!held.wait_timeout(Duration::from_millis(5)));
    door.open();
    assert_eq!(held.result_timeout(LONG).expect("the task was let through the door").unwrap(), 7);
}

fn a_zero_timeout_is_a_poll(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let held = occupy_at_door(&*executor, &door);
    assert!(!held.wait_timeout(Duration::ZERO));
    let held = held.result_timeout(Duration::ZERO).expect_err("it is at the door");
    let held = held.try_result().expect_err("it is at the door");
    door.open();
    held.wait();
    assert!(held.try_result().expect("the task is done").is_ok());
}

fn a_done_future_returns_its_outcome_at_any_later_time(make: &Make) {
    let executor = make(1);
    let done = executor.submit(double, 4);
    done.wait();
    assert!(done.wait_timeout(Duration::ZERO));
    assert_eq!(done.result_timeout(Duration::ZERO).expect("the task is done").unwrap(), 8);
}

fn a_panic_is_an_error_of_the_future(make: &Make) {
    let executor = make(1);
    let future = executor.submit(panic_with, "no more flags".into());
    future.wait();
    assert_eq!(future.state(), State::Finished);
    assert!(future.is_done() && !future.is_cancelled());
    let error = future.result().unwrap_err();
    let Error::Panicked(panicked) = &error else { panic!("not a panic: {error:?}") };
    assert_eq!(panicked.message(), "no more flags");
    assert!(panicked.location().is_some_and(|location| location.contains("functions.rs:")), "{error}");
    assert!(error.to_string().ends_with(": no more flags"), "{error}");
}

fn a_task_keeps_its_own_error(make: &Make) {
    let executor = make(1);
    assert_eq!(executor.try_submit(parse, "7".into()).result().unwrap(), 7);
    let error = executor.try_submit(parse, "seven".into()).result().unwrap_err();
    let Error::Failed(failed) = &error else { panic!("not a failure: {error:?}") };
    assert_eq!(error.to_string(), "invalid digit found in string");
    assert!(failed.type_name().ends_with("ParseIntError"), "{}", failed.type_name());
}

fn error_returns_none_for_a_value_and_does_not_panic(make: &Make) {
    let executor = make(1);
    assert!(executor.submit(double, 1).error().is_none());
    let failed = executor.try_submit(parse, "x".into());
    assert!(matches!(failed.error(), Some(Error::Failed(_))));
    assert!(matches!(failed.error(), Some(Error::Failed(_))), "the outcome stays where it is");
    assert!(matches!(failed.result(), Err(Error::Failed(_))));
    let panicked = executor.submit(panic_with, "quietly".into());
    assert!(matches!(panicked.error(), Some(Error::Panicked(_))));
}

fn an_error_with_an_empty_text_is_an_error(make: &Make) {
    let executor = make(1);
    let failed = executor.try_submit(fail_without_text, ());
    let error = failed.error().expect("the task has failed");
    assert_eq!(error.to_string(), "");
    assert!(failed.result().is_err());
}

fn a_cancelled_task_has_the_error_cancelled(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let cancelled = executor.submit(double, 1);
    assert!(cancelled.cancel());
    assert!(matches!(cancelled.error(), Some(Error::Cancelled)));
    assert!(matches!(cancelled.result(), Err(Error::Cancelled)));
}

fn the_text_tells_the_state_and_the_kind_of_outcome(make: &Make) {
    #[track_caller]
    fn says<T>(future: &concurrent_futures::Future<T>, state: &str) {
        let (text, debug) = (future.to_string(), format!("{future:?}"));
        assert_eq!(text, debug);
        let address =
            text.strip_prefix("<Future at 0x").and_then(|rest| rest.strip_suffix(&format!(" state={state}>")));
        let address = address.unwrap_or_else(|| panic!("{text} does not say {state}"));
        assert!(usize::from_str_radix(address, 16).is_ok_and(|address| address > 0), "{text}");
    }
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let [pending, cancelled] = [(); 2].map(|()| executor.submit(numbers, ()));
    let (panicked, failed) = (executor.submit(panic_with, "x".into()), executor.try_submit(parse, "x".into()));
    assert!(cancelled.cancel());
    says(&running, "running");
    says(&pending, "pending");
    says(&cancelled, "cancelled");
    door.open();
    running.wait();
    pending.wait();
    says(&running, "finished returned u32");
    says(&pending, "finished returned Vec<u64>");
    assert!(panicked.error().is_some() && failed.error().is_some());
    says(&panicked, "finished raised Panicked");
    says(&failed, "finished raised Failed");
}

fn a_future_can_be_awaited(make: &Make) {
    let executor = make(2);
    let sum = block_on(async {
        let (one, two) = (executor.submit(double, 1), executor.submit(double, 2));
        Ok::<_, Error>(one.await? + two.await?)
    });
    assert_eq!(sum.unwrap(), 6);
    let error = block_on(async { executor.submit(panic_with, "awaited".into()).await });
    assert_eq!(panic_message(error), "awaited");
}

fn an_error_of_another_future_keeps_its_variant(make: &Make) {
    let executor = make(2);
    let chunks = executor.with(MapOptions::new().chunk_size(3));
    for outcomes in [
        (0..8).map(|which| executor.try_submit(pass_on, which).result()).collect::<Vec<_>>(),
        (0..8).map(|which| executor.try_submit(pass_on_boxed, which).result()).collect(),
        executor.try_map(pass_on, 0..8).collect(),
        chunks.try_map(pass_on, 0..8).collect(),
    ] {
        let [panic, failure, refusal, unbuilt, late, lost, cancelled, seven] = &outcomes[..] else { panic!("eight") };
        assert!(matches!(panic, Err(Error::Panicked(panic)) if panic.message() == "no more flags"), "{panic:?}");
        let text = "invalid digit found in string";
        assert!(matches!(failure, Err(Error::Failed(failed)) if failed.to_string() == text), "{failure:?}");
        assert!(matches!(refusal, Err(Error::ShutDown)), "{refusal:?}");
        assert!(matches!(unbuilt, Err(Error::Build(error)) if error.parameter() == "max_workers"), "{unbuilt:?}");
        assert!(matches!(late, Err(Error::TimeLimit(late)) if late.limit().as_secs() == 7), "{late:?}");
        assert!(matches!(lost, Err(Error::Abandoned)), "{lost:?}");
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert!(matches!(seven, Ok(7)), "{seven:?}");
    }
}

fn the_name_of_a_task_is_in_its_errors(make: &Make) {
    let executor = make(2);
    let named = executor.with(TaskOptions::new().name("resize"));
    let chunks = named.with(MapOptions::new().chunk_size(2));
    let outcomes = [named.submit(panic_at_some, 2).result()].into_iter().chain(named.map(panic_at_some, [2, 2]));
    for outcome in outcomes.chain(chunks.map(panic_at_some, [2, 2])) {
        let Err(Error::Panicked(panicked)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(panicked.task_name(), Some("resize"));
        assert!(panicked.to_string().starts_with("the task \"resize\" panicked at "), "{panicked}");
    }
    let nameless = executor.submit(panic_at_some, 2).error().unwrap();
    assert!(nameless.to_string().starts_with("the task panicked at "), "{nameless}");
}

fn the_name_of_a_task_is_in_the_error_of_its_time_limit(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let limited = executor.with(TaskOptions::new().name("resize").time_limit(Duration::from_millis(20)));
    let late = limited.submit(pass_with, (door.path(), 1)).result().unwrap_err();
    assert_eq!(late.to_string(), "the task \"resize\" ran past its time limit of 20ms");
}
