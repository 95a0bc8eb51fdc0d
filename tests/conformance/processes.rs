//! What only processes have: deaths, what does not survive the journey, workers that are replaced.

use std::collections::HashSet;
use std::fmt;

use concurrent_futures::{Backend, Error, Executor, Exit, Future, Outcome, Part, ProcessPoolExecutor, TaskOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::Own;
use crate::costs::{Value, alive, alone};
use crate::doors::{Door, Witness, died, mark, marks, pass, pid};
use crate::tools::{double, occupy};

pub(crate) const OWN: Own = list![
    a_dead_worker_costs_the_task_it_ran,
    a_death_says_who_and_how,
    a_task_may_be_tried_again,
    a_worker_has_no_more_tasks_than_it_may,
    an_initializer_has_run_in_every_worker,
    an_initializer_that_fails_says_so_to_everybody,
    what_cannot_be_written_costs_its_task,
    what_cannot_be_read_costs_its_task,
    an_error_of_any_shape_crosses,
    killed_workers_cost_only_what_ran,
    an_aborted_task_takes_its_worker_along_and_no_other,
    zero_workers_are_refused,
    a_full_queue_refuses_if_asked_to,
    nothing_of_a_task_stays_in_its_worker,
    a_task_may_have_a_pool_of_its_own,
    a_dropped_pool_leaves_no_process,
    a_detached_pool_ends_what_it_has,
];

fn exit_with(code: i32) -> u32 {
    std::process::exit(code)
}

fn crash(_: ()) -> u32 {
    std::process::abort()
}

fn a_dead_worker_costs_the_task_it_ran() {
    let processes = ProcessPoolExecutor::new(2);
    let door = Door::new();
    let other = occupy(&processes, &door);
    let crashes: Vec<_> = (0..3).map(|_| processes.submit(crash, ())).collect();
    let behind: Vec<_> = (0..10).map(|n| processes.submit(double, n)).collect();
    for task in crashes {
        died(task.result());
    }
    assert_eq!(behind.into_iter().map(|task| task.result().unwrap()).sum::<u64>(), 90);
    assert!(other.is_running());
    door.open();
    assert!(other.result().is_ok());
    assert_eq!(processes.stats().respawned, 3);
}

fn a_death_says_who_and_how() {
    let processes = ProcessPoolExecutor::new(1);
    let worker = processes.submit(pid, ()).result().unwrap();
    let death = died(processes.submit(exit_with, 7).result());
    assert_eq!((death.pid().unwrap(), death.exit()), (worker, &Exit::Code(7)));
    assert!(death.function().is_some_and(|name| name.ends_with("exit_with")), "{death}");
    assert_eq!(died(processes.submit(crash, ()).result()).exit(), &Exit::Signal("SIGABRT".into()));
}

fn a_task_may_be_tried_again() {
    fn dies_once(door: std::path::PathBuf) -> u32 {
        let file = door.join("marks");
        mark((file.clone(), 1));
        if marks(&file).len() == 1 { crash(()) } else { 7 }
    }
    let processes = ProcessPoolExecutor::new(1);
    let door = Door::new();
    let again = processes.with(TaskOptions::new().retries(1));
    assert_eq!(again.submit(dies_once, door.path()).result().unwrap(), 7);
    died(again.submit(crash, ()).result());
    assert_eq!(processes.submit(double, 1).result().unwrap(), 2);
    assert_eq!(processes.stats().respawned, 3, "one death, then two");
}

fn a_worker_has_no_more_tasks_than_it_may() {
    let processes = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(2).build().unwrap();
    let tasks: Vec<_> = (0..6).map(|_| processes.submit(pid, ())).collect();
    let pids: Vec<_> = tasks.into_iter().map(|task| task.result().unwrap()).collect();
    let distinct: HashSet<_> = pids.iter().collect();
    assert_eq!(distinct.len(), 3, "{pids:?}");
    let none = ProcessPoolExecutor::builder().max_tasks_per_worker(0).build().unwrap_err();
    assert_eq!(none.parameter(), "max_tasks_per_worker");
}

fn an_initializer_has_run_in_every_worker() {
    static SET_UP: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let set_up = |text: String| SET_UP.set(text).expect("once a process");
    let builder = ProcessPoolExecutor::builder().max_workers(2).initializer(set_up, "flags".into());
    let processes = builder.max_tasks_per_worker(1).build().unwrap();
    let tasks = [(); 4].map(|()| processes.submit(|()| SET_UP.get().cloned(), ()));
    assert!(tasks.into_iter().all(|task| task.result().unwrap().as_deref() == Some("flags")));
    assert_eq!(SET_UP.get(), None, "not in this process");
}

fn an_initializer_that_fails_says_so_to_everybody() {
    let fail = |text: String| Err::<(), _>(text);
    let builder = ProcessPoolExecutor::builder().max_workers(2).try_initializer(fail, "no database".into());
    let processes = builder.build().unwrap();
    let tasks: Vec<Future<u64>> = (0..5).map(|n| processes.submit(double, n)).collect();
    for outcome in tasks.into_iter().map(Future::result).chain([processes.submit(double, 1).result()]) {
        match outcome {
            Err(Error::Broken(broken)) => assert!(broken.to_string().contains("no database"), "{broken}"),
            other => panic!("not broken: {other:?}"),
        }
    }
    processes.shutdown();
    assert!(matches!(processes.submit(double, 1).result(), Err(Error::Broken(_))), "it says the first reason");
}

/// A value that cannot be written, or cannot be read.
#[derive(Debug)]
struct Difficult {
    to_write: bool,
}

impl Serialize for Difficult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.to_write { Err(ser::Error::custom("it will not go")) } else { serializer.serialize_u8(7) }
    }
}

impl<'de> Deserialize<'de> for Difficult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Err(de::Error::custom("it will not come"))
    }
}

fn take(_: Difficult) {}

fn give(to_write: bool) -> Difficult {
    Difficult { to_write }
}

/// What was lost on its way, and that it says why. The worker must be the same before and after.
fn lost<T: fmt::Debug>(processes: &ProcessPoolExecutor, submit: impl FnOnce() -> Future<T>, why: &str) -> Error {
    let worker = processes.submit(pid, ()).result().unwrap();
    let outcome: Outcome<T> = submit().result();
    let error = outcome.expect_err("it cannot cross");
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(processes.submit(pid, ()).result().unwrap(), worker, "the worker lives");
    error
}

fn what_cannot_be_written_costs_its_task() {
    let processes = ProcessPoolExecutor::new(1);
    let argument = lost(&processes, || processes.submit(take, Difficult { to_write: true }), "it will not go");
    assert!(matches!(argument, Error::Encode(encode) if encode.part() == Part::Argument));
    let result = lost(&processes, || processes.submit(give, true), "it will not go");
    assert!(matches!(result, Error::Encode(encode) if encode.part() == Part::Result));
}

fn what_cannot_be_read_costs_its_task() {
    let processes = ProcessPoolExecutor::new(1);
    let argument = lost(&processes, || processes.submit(take, Difficult { to_write: false }), "it will not come");
    assert!(matches!(argument, Error::Decode(decode) if decode.part() == Part::Argument));
    let result = lost(&processes, || processes.submit(give, false), "it will not come");
    assert!(matches!(result, Error::Decode(decode) if decode.part() == Part::Result));
}

fn an_error_of_any_shape_crosses() {
    /// Made of two things, neither of which serde knows.
    #[derive(Debug)]
    struct OutOfFlags(std::time::Instant, std::num::ParseIntError);
    impl fmt::Display for OutOfFlags {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "out of flags since {}", self.0.elapsed().as_secs() / 3600)
        }
    }
    impl std::error::Error for OutOfFlags {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.1)
        }
    }
    let processes = ProcessPoolExecutor::new(1);
    let fail = |text: String| match text.parse::<u8>() {
        Ok(number) => Ok(number),
        Err(error) => Err(OutOfFlags(std::time::Instant::now(), error)),
    };
    let error = processes.try_submit(fail, "x".into()).result().unwrap_err();
    assert_eq!(error.to_string(), "out of flags since 0");
    let source = std::error::Error::source(&error).expect("what was behind it");
    assert_eq!(source.to_string(), "invalid digit found in string");
    assert!(matches!(&error, Error::Failed(failed) if failed.type_name().ends_with("OutOfFlags")));
}

fn killed_workers_cost_only_what_ran() {
    for kill in [ProcessPoolExecutor::kill_workers, ProcessPoolExecutor::terminate_workers] {
        let processes = ProcessPoolExecutor::new(1);
        kill(&processes);
        let door = Door::new();
        let running = occupy(&processes, &door);
        let queued: Vec<_> = (0..5).map(|n| processes.submit(double, n)).collect();
        kill(&processes);
        assert!(matches!(died(running.result()).exit(), Exit::Signal(_)));
        assert_eq!(queued.into_iter().map(|task| task.result().unwrap()).sum::<u64>(), 20);
    }
}

fn an_aborted_task_takes_its_worker_along_and_no_other() {
    let processes = ProcessPoolExecutor::new(2);
    let doors = [Door::new(), Door::new()];
    let [task, other] = [0, 1].map(|n| processes.submit(pass, doors[n].path()));
    let worker = Witness::of(doors[0].arrived());
    doors[1].arrived();
    assert!(task.abort());
    worker.sees_the_end();
    assert!(other.is_running());
    doors[1].open();
    assert!(other.result().is_ok());
}

fn zero_workers_are_refused() {
    let error = ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    assert_eq!(error.to_string(), "max_workers must be at least 1, not 0");
    assert!(crate::support::panic_text(|| ProcessPoolExecutor::new(0)).contains("max_workers must be at least 1"));
    assert_eq!(ProcessPoolExecutor::default().max_workers(), num_cpus::get());
}

fn a_full_queue_refuses_if_asked_to() {
    let processes = ProcessPoolExecutor::builder().max_workers(1).max_pending(2).build().unwrap();
    let door = Door::new();
    let _running = occupy(&processes, &door);
    let refusing = processes.with(TaskOptions::new().refuse_when_full());
    let queued = [1, 2].map(|n| refusing.submit(double, n));
    match refusing.submit(double, 3).result() {
        Err(Error::Full(full)) => assert_eq!(full.limit(), 2),
        other => panic!("there is room: {other:?}"),
    }
    assert!(queued[0].cancel(), "it makes room");
    assert!(!refusing.submit(double, 4).is_done());
}

fn nothing_of_a_task_stays_in_its_worker() {
    let _alone = alone();
    let processes = ProcessPoolExecutor::new(1);
    let values = |count: usize| (0..count).map(|_| Value::new()).collect::<Vec<_>>();
    // Each task counts the values in its own process.
    assert_eq!(processes.submit(|values: Vec<Value>| (values.len(), alive()), values(3)).result().unwrap(), (3, 3));
    assert_eq!(processes.submit(values, 5).result().unwrap().len(), 5);
    assert_eq!(processes.submit(|()| alive(), ()).result().unwrap(), 0);
}

fn a_task_may_have_a_pool_of_its_own() {
    let outer = ProcessPoolExecutor::new(1);
    let nested = outer.submit(|n: u64| ProcessPoolExecutor::new(1).submit(double, n).result().unwrap(), 4);
    assert_eq!(nested.result().unwrap(), 8);
}

fn a_dropped_pool_leaves_no_process() {
    let processes = ProcessPoolExecutor::new(2);
    let doors = [Door::new(), Door::new()];
    let _tasks = [0, 1].map(|n| processes.submit(pass, doors[n].path()));
    let workers = [0, 1].map(|n| Witness::of(doors[n].arrived()));
    assert!(workers.iter().all(Witness::is_alive));
    doors.iter().for_each(Door::open);
    drop(processes);
    assert!(!workers.iter().any(Witness::is_alive));
}

fn a_detached_pool_ends_what_it_has() {
    let processes = ProcessPoolExecutor::new(1);
    let door = Door::new();
    let running = processes.submit(pass, door.path());
    let worker = Witness::of(door.arrived());
    let queued = processes.submit(double, 4);
    processes.detach();
    assert!(!queued.is_done(), "it was not waited for");
    door.open();
    running.result().unwrap();
    assert_eq!(queued.result().unwrap(), 8);
    worker.sees_the_end();
}
