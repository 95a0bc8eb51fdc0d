//! Everything a future does, while its task is elsewhere.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use concurrent_futures::{
    Backend, Error, Executor, Future, FutureId, InlineExecutor, MapOptions, Panicked, ProcessPoolExecutor, ReturnWhen,
    State, TaskOptions, Waitable, Waited, as_completed, task, wait,
};

use super::support::*;
use crate::support::within;

const WORK: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000];

fn sum_to(n: u64) -> u64 {
    (1..=n).sum()
}

fn square(n: u64) -> u64 {
    n * n
}

#[track_caller]
fn panicked<T: fmt::Debug>(future: Future<T>) -> Panicked {
    match future.result() {
        Err(Error::Panicked(panicked)) => panicked,
        other => panic!("not a panic: {other:?}"),
    }
}

#[test]
fn a_task_is_running_only_after_its_start() {
    within(LONG, || {
        let start = Door::new();
        let processes = ProcessPoolExecutor::builder().max_workers(1);
        let processes = processes.initializer(|door: PathBuf| enter(&door), start.path()).build().unwrap();
        let first = processes.submit(square, 2);
        start.arrived();
        assert_eq!(first.state(), State::Pending, "its worker is being set up");
        let second = processes.submit(square, 3);
        assert!(first.cancel() && first.is_cancelled());
        start.open();
        assert_eq!(second.result().unwrap(), 9);
        assert!(matches!(first.result(), Err(Error::Cancelled)));
        processes.shutdown();
        assert_eq!(processes.stats().completed, 1);
    });
}

#[test]
fn callbacks_run_on_a_thread_of_the_pool() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let future = processes.submit(pass, door.path());
        let worker = door.arrived();
        let (sender, receiver) = channel();
        for n in 0..3 {
            let sender = sender.clone();
            future.add_done_callback(move |outcome| {
                let name = thread::current().name().unwrap_or_default().to_owned();
                sender.send((n, *outcome.as_ref().unwrap(), name)).unwrap();
            });
        }
        door.open();
        future.wait();
        for n in 0..3 {
            let (number, result, thread) = receiver.try_recv().expect("called back before it is done");
            assert_eq!((number, result), (n, worker));
            assert!(thread.starts_with("ProcessPoolExecutor-"), "{thread}");
        }
    });
}

#[test]
fn a_task_knows_its_future_and_its_worker() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let who = |()| {
            let context = task::current().expect("a task");
            let thread = thread::current().name().map(String::from);
            (context.id().to_string(), context.worker_name().map(String::from), thread, context.is_aborted())
        };
        let future = processes.submit(who, ());
        let id: FutureId = future.id();
        let (told, worker, thread, aborted) = future.result().unwrap();
        assert_eq!(told, id.to_string());
        let worker = worker.unwrap();
        assert!(worker.starts_with("ProcessPoolExecutor-") && worker.ends_with("-0"), "{worker}");
        assert!(thread.as_ref() == Some(&worker) && !aborted);
        let (other, again, ..) = processes.submit(who, ()).result().unwrap();
        assert!(other != told && again.as_ref() == Some(&worker));
        assert!(task::current().is_none());
        // In the helpers of a task there is none.
        let helper = |()| thread::spawn(|| task::current().is_none()).join().unwrap();
        assert!(processes.submit(helper, ()).result().unwrap());
    });
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of flags cannot be read")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_crosses_with_its_sources_and_the_name_of_its_type() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let count = |text: String| text.parse::<u32>().map_err(Outer);
        assert_eq!(processes.try_submit(count, "7".into()).result().unwrap(), 7);
        let future = processes.try_submit(count, "seven".into());
        future.wait();
        assert!(future.to_string().ends_with("state=finished raised Failed>"), "{future}");
        let error = future.result().unwrap_err();
        assert_eq!(error.to_string(), "the number of flags cannot be read");
        assert_eq!(error.source().unwrap().to_string(), "invalid digit found in string");
        assert!(error.source().unwrap().source().is_none());
        let Error::Failed(failed) = &error else { panic!("{error:?}") };
        assert_eq!(failed.type_name(), std::any::type_name::<Outer>());
        assert!(error.downcast_ref::<Outer>().is_none(), "the error itself stays there");
        let text = |()| Err::<(), _>("a plain text");
        let error = processes.try_submit(text, ()).result().unwrap_err();
        assert_eq!(error.to_string(), "a plain text");
        let io = |path: PathBuf| std::fs::read(path);
        let error = processes.try_submit(io, "/no/such/file".into()).result().unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        let Error::Failed(failed) = &error else { panic!("{error:?}") };
        assert_eq!(failed.type_name(), "std::io::error::Error");
    });
}

#[test]
fn a_panic_crosses_with_message_location_and_worker() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).env("RUST_BACKTRACE", "0").build().unwrap();
        let worker = processes.submit(pid, ()).result().unwrap();
        let line = line!() + 1;
        let future = processes.submit(|name: String| -> () { panic!("flag {name} is torn") }, "BR".into());
        future.wait();
        assert!(future.to_string().ends_with("state=finished raised Panicked>"), "{future}");
        let error = future.error().unwrap();
        let panic = panicked(future);
        assert_eq!(panic.message(), "flag BR is torn");
        let location = panic.location().unwrap();
        assert!(location.contains(&format!("states.rs:{line}:")), "{location}");
        let name = panic.worker_name().unwrap();
        assert!(name.starts_with("ProcessPoolExecutor-") && name.ends_with("-0"), "{name}");
        assert_eq!(error.to_string(), format!("the task panicked at {location} on {name}: flag BR is torn"));
        assert_eq!(panic.backtrace(), None);
        assert!(matches!(error.into_panic(), Err(Error::Panicked(_))), "the payload stays there");
        // A payload that is no text, and the text of one that is not formatted.
        let no_text = panicked(processes.submit(|()| -> () { std::panic::panic_any(7_u8) }, ()));
        let here = panicked(InlineExecutor.submit(|()| -> () { std::panic::panic_any(7_u8) }, ()));
        assert_eq!(no_text.message(), here.message());
        assert!(no_text.location().is_some());
        assert_eq!(panicked(processes.submit(|()| -> () { panic!("plain") }, ())).message(), "plain");
        assert_eq!(processes.submit(pid, ()).result().unwrap(), worker, "a panic costs no worker");
        assert_eq!(processes.stats().failed, 3);
    });
}

#[test]
fn a_backtrace_crosses_when_it_is_enabled() {
    #[inline(never)]
    fn tear_the_flag(_: ()) {
        panic!("torn");
    }
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).env("RUST_BACKTRACE", "1").build().unwrap();
        let panic = panicked(processes.submit(tear_the_flag, ()));
        let backtrace = panic.backtrace().expect("backtraces are enabled");
        assert!(backtrace.contains("tear_the_flag"), "{backtrace}");
    });
}

#[test]
#[ignore = "prints: run by the test below, in a process of its own"]
fn prints() {
    let processes = ProcessPoolExecutor::new(1);
    let print = |n: u32| {
        print!("out {n};");
        eprint!("err {n};");
    };
    for n in 0..3 {
        processes.submit(print, n).result().unwrap();
        // A thread that sees the result sees the output: this line comes after it.
        use std::io::Write;
        std::io::stdout().write_all(format!("seen {n};").as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
    let read = |()| {
        let mut text = String::new();
        std::io::stdin().read_line(&mut text).unwrap()
    };
    assert_eq!(processes.submit(read, ()).result().unwrap(), 0, "standard input is empty");
}

#[test]
fn output_of_tasks_goes_to_the_output_of_the_program() {
    within(LONG, || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "processes::states::prints", "--ignored", "--nocapture"]);
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{out}\n{err}");
        assert!(out.contains("out 0;seen 0;out 1;seen 1;out 2;seen 2;"), "{out}");
        assert!(err.contains("err 0;err 1;err 2;"), "{err}");
    });
}

/// Goes as deep as it may, and returns how deep that was and why no further.
fn nest(depth: u32) -> (u32, String) {
    match ProcessPoolExecutor::new(1).submit(nest, depth + 1).result() {
        Ok(deepest) => deepest,
        Err(error) => (depth, error.to_string()),
    }
}

#[test]
fn pools_can_be_nested_a_few_levels_deep() {
    within(LONG, || {
        let (depth, why) = nest(0);
        assert_eq!(depth, 8);
        assert_eq!(
            why,
            "the executor is broken: this is a worker process of a worker process and so on, 8 deep, and no more are \
             allowed: use threads here, or return what is to be done and submit it from further out"
        );
        let inner = |n: u64| ProcessPoolExecutor::new(2).map(square, 0..n).map(Result::unwrap).sum::<u64>();
        assert_eq!(ProcessPoolExecutor::new(2).submit(inner, 10).result().unwrap(), 285);
    });
}

fn generic<T: fmt::Display>(value: T) -> String {
    value.to_string()
}

struct Flag;

impl Flag {
    fn name(code: String) -> String {
        format!("flag of {code}")
    }
}

trait Shape {
    fn area(side: u64) -> u64;
}

impl Shape for Flag {
    fn area(side: u64) -> u64 {
        side * side
    }
}

#[test]
fn functions_of_every_kind_cross() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        assert_eq!(processes.submit(generic::<u64>, 7).result().unwrap(), "7");
        assert_eq!(processes.submit(generic::<char>, 'x').result().unwrap(), "x");
        assert_eq!(processes.submit(Flag::name, "BR".into()).result().unwrap(), "flag of BR");
        assert_eq!(processes.submit(<Flag as Shape>::area, 3).result().unwrap(), 9);
        assert_eq!(processes.submit(i64::abs, -3).result().unwrap(), 3);
        assert_eq!(processes.submit(String::into_bytes, "ab".into()).result().unwrap(), b"ab");
        assert_eq!(processes.submit(Some, 1_u8).result().unwrap(), Some(1), "a constructor");
        assert_eq!(
            processes.submit(|(a, b, c): (i32, i32, String)| (c, a * b), (6, 7, "x".into())).result().unwrap().1,
            42
        );
        // Of a dependency.
        let range: fn(Range<u64>) -> u64 = fastrand::u64;
        assert_eq!(processes.submit(range, 5..6).result().unwrap(), 5);
        let chosen: fn(u64) -> u64 = if processes.max_workers() > 1 { sum_to } else { square };
        assert_eq!(processes.submit(chosen, 5).result().unwrap(), 25, "chosen as it runs");
    });
}

fn fetch(path: String) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
    executor.map(sum_to, WORK).collect()
}

fn totals_dyn(executor: &dyn Backend) -> Result<Vec<u64>, Error> {
    executor.map(sum_to, WORK).collect()
}

/// The call sites of the interface, and what they come to.
fn tour(executor: &impl Executor) -> Result<(), Box<dyn StdError>> {
    let sums = WORK.map(sum_to);
    let futures: Vec<_> = WORK.iter().map(|&n| executor.submit(sum_to, n)).collect();
    let Waited { done, not_done } = wait(futures, LONG, ReturnWhen::AllCompleted);
    assert!(not_done.is_empty());
    for (future, sum) in done.into_iter().zip(sums) {
        assert_eq!(future.result()?, sum);
    }
    for (n, future) in as_completed(WORK.map(|n| (n, executor.submit(sum_to, n)))) {
        assert_eq!(future.result()?, sum_to(n));
    }
    match executor.submit(sum_to, 3).result_timeout(LONG) {
        Ok(outcome) => assert_eq!(outcome?, 6),
        Err(future) => panic!("{future}"),
    }
    let bytes: Vec<u8> = executor.try_submit(fetch, "Cargo.toml".into()).result()?;
    assert_eq!(bytes, std::fs::read("Cargo.toml")?);
    let products: Vec<i32> = executor.map(|(a, b)| a * b, [(1, 2), (3, 4)]).collect::<Result<_, _>>()?;
    assert_eq!(products, [2, 12]);
    let limited = executor.with(TaskOptions::new().time_limit(LONG)).with(MapOptions::new().buffer_size(8));
    let first: Vec<u64> = limited.map(sum_to, 0..).take(3).collect::<Result<_, _>>()?;
    assert_eq!(first, [0, 1, 3]);
    for (position, outcome) in executor.map_unordered(sum_to, WORK) {
        assert_eq!(outcome?, sums[position]);
    }
    let (number, text) = (executor.submit(sum_to, 1), executor.submit(|s: String| s, "x".into()));
    let Waited { done, not_done } = wait([&number as &dyn Waitable, &text], None, ReturnWhen::FirstCompleted);
    assert!(!done.is_empty() && done.len() + not_done.len() == 2);
    assert_eq!((number.result()?, text.result()?), (1, "x".into()));
    let sum_later = executor.bind(sum_to);
    assert_eq!(sum_later(10).result()?, 55);
    assert_eq!(executor.wait([sum_later(1), sum_later(2)], None, ReturnWhen::AllCompleted).done.len(), 2);
    assert_eq!(executor.as_completed([sum_later(1), sum_later(2)]).count(), 2);
    Ok(())
}

#[test]
fn the_tour_of_the_interface_ends_as_on_threads() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(4);
        tour(&processes).unwrap();
        tour(&processes.with(TaskOptions::new().retries(1))).unwrap();
        assert_eq!(totals(&processes).unwrap(), WORK.map(sum_to));
        let chosen: [Box<dyn Backend>; 2] = [Box::new(processes), Box::new(InlineExecutor)];
        for executor in &chosen {
            assert_eq!(totals_dyn(&**executor).unwrap(), WORK.map(sum_to));
            assert_eq!(totals(executor).unwrap(), WORK.map(sum_to));
            tour(executor).unwrap();
        }
        let [processes, _] = &chosen;
        processes.shutdown();
        assert!(matches!(processes.submit(sum_to, 1).result(), Err(Error::ShutDown)));
    });
}
