//! Values that are nested so deeply that the stack does not suffice: an error each, and no end of the program.

use std::fmt::Debug;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, InlineExecutor, Job, ProcessPoolExecutor, ThreadPoolExecutor};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "results_that_are_nested_too_deeply", host: results, check: ends_well },
    Case {
        name: "results_that_only_a_worker_has_the_stack_for",
        host: results_of_large_stacks,
        check: with_large_stacks,
    },
    Case { name: "results_on_threads_with_little_stack", host: little_stack, check: ends_well },
    Case { name: "nesting_where_no_thread_can_be_started", host: no_threads, check: ends_well },
    Case { name: "arguments_that_are_nested_too_deeply", host: arguments, check: ends_well },
    Case { name: "arguments_that_the_caller_has_no_stack_for", host: arguments_of_little_stack, check: ends_well },
];

/// About 1 KiB, and not nested.
type Wide = [[u64; 32]; 4];

#[derive(Debug, Serialize, Deserialize)]
struct List<V> {
    value: V,
    next: Option<Box<List<V>>>,
}

impl<V: Default> List<V> {
    fn new(depth: u32) -> Self {
        let end = Self { value: V::default(), next: None };
        (1..depth).fold(end, |inner, _| Self { value: V::default(), next: Some(Box::new(inner)) })
    }
}

impl<V> List<V> {
    fn depth(&self) -> u32 {
        std::iter::successors(Some(self), |list| list.next.as_deref()).count() as u32
    }
}

impl<V> Drop for List<V> {
    fn drop(&mut self) {
        // Level by level, which needs no stack.
        let mut next = self.next.take();
        while let Some(mut inner) = next {
            next = inner.next.take();
        }
    }
}

/// More than what can be read.
const DEPTH: u32 = 400_000;

/// A list that is dropped as the compiler does it.
#[derive(Debug, Serialize, Deserialize)]
struct Links(u64, Option<Box<Links>>);

fn links(depth: u32) -> Links {
    (1..depth).fold(Links(0, None), |inner, _| Links(0, Some(Box::new(inner))))
}

/// A wide one of the same kind.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Serialize, Deserialize)]
enum WideNested {
    Core,
    Layer(Wide, Box<WideNested>),
}

fn wide_nested(depth: u32) -> WideNested {
    (1..depth).fold(WideNested::Core, |inner, _| WideNested::Layer(Wide::default(), Box::new(inner)))
}

fn ends_well(name: &str) {
    Host::start(name).ends_well();
}

#[track_caller]
fn assert_too_deep<T: Debug>(outcome: Result<T, Error>, what: &str) {
    match outcome {
        Err(error @ (Error::Decode(_) | Error::Encode(_))) => {
            let error = error.to_string();
            assert!(error.starts_with(what) && error.contains("KiB of stack") && error.contains("indices"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there is stack enough"),
    }
}

const UNREAD: &str = "the result cannot be deserialised by the caller: ";

fn results() {
    let pool = ProcessPoolExecutor::new(1);
    // A worker that has no stack to write them on says so, as without optimisation.
    let wide_nested = pool.submit(wide_nested, 12_000).result();
    match wide_nested {
        Err(Error::Encode(_)) => assert_too_deep(wide_nested, "the result cannot be serialised by the worker: "),
        _ => assert_too_deep(wide_nested, UNREAD),
    }
    assert_eq!(pool.submit(List::<u64>::new, 2000).result().map(|list| list.depth()).expect("not that deep"), 2000);
    assert_works(&pool);
}

fn with_large_stacks(name: &str) {
    let mut command = Command::new("/proc/self/exe");
    Host::run(name, command.env("RUST_MIN_STACK", (1 << 30).to_string())).ends_well();
}

fn results_of_large_stacks() {
    let pool = ProcessPoolExecutor::new(1);
    // What could be read can be dropped, here on the main thread.
    for depth in (1..10).map(|n| 25_000 * n) {
        match pool.submit(links, depth).result() {
            Ok(links) => drop(links),
            refused => assert_too_deep(refused, UNREAD),
        }
    }
    assert_too_deep(pool.submit(List::<u64>::new, DEPTH).result(), UNREAD);
    assert_too_deep(pool.submit(wide_nested, 12_000).result(), UNREAD);
    // Those beside it are there.
    let depths = pool.map(List::<u64>::new, [1, DEPTH, 2]).map(|outcome| outcome.map(|list| list.depth()));
    let depths: Vec<_> = depths.collect();
    let [Ok(1), Err(Error::Decode(_)), Ok(2)] = depths[..] else { panic!("{depths:?}") };
    assert_works(&pool);
}

fn little_stack() {
    fn lists(depth: u32) -> Option<Option<List<()>>> {
        Some(Some(List::new(depth)))
    }
    let pool = ProcessPoolExecutor::new(1);
    let waiter = move || {
        // Results that a waiter may read himself, on a stack that they do not fit on.
        for depth in [1, 100, 490] {
            let list = pool.submit(lists, depth).result().expect("there is stack for it elsewhere");
            assert_eq!(list.flatten().expect("a list").depth(), depth);
        }
        let wide_nested = pool.submit(|_: u8| wide_nested(8), 0).result().expect("there is stack for it elsewhere");
        assert!(matches!(wide_nested, WideNested::Layer(..)));
        assert_works(&pool);
    };
    thread::Builder::new().stack_size(64 << 10).spawn(waiter).expect("a thread").join().expect("it ends well");
}

/// Answers every job with these bytes, in the calling thread.
struct Answer(Vec<u8>);

impl Backend for Answer {
    fn execute(&self, job: Job) {
        job.complete(Ok(&self.0));
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

fn no_threads() {
    static THREADS: OnceLock<ThreadPoolExecutor> = OnceLock::new();
    fn inline(depth: u32) -> Result<u32, String> {
        descend(&InlineExecutor, inline, depth)
    }
    fn on_threads(depth: u32) -> Result<u32, String> {
        descend(THREADS.get().expect("it is set"), on_threads, depth)
    }
    fn descend(executor: &impl Executor, level: fn(u32) -> Result<u32, String>, depth: u32) -> Result<u32, String> {
        if depth == 0 {
            Ok(0)
        } else {
            executor.submit(level, depth - 1).result().unwrap_or_else(|error| Err(error.to_string()))
        }
    }
    let threads = ThreadPoolExecutor::builder().max_workers(1).stack_size(256 << 10).build().expect("a pool");
    threads.spawn(|| drop(List::<u64>::new(10_000))).result().expect("a worker, and memory of its own");
    assert!(THREADS.set(threads).is_ok());
    let deep = Answer(postcard::to_stdvec(&List::<u64>::new(1000)).expect("it can be written"));
    let caller = move || {
        drop(List::<u64>::new(10_000));
        let status = fs::read_to_string("/proc/self/status").expect("/proc");
        let size = status
            .lines()
            .find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")?.trim().parse::<u64>().ok());
        // Half of what the stack of a worker takes. What these threads allocate is in memory that they have mapped before.
        let limit = size.map(|size| (size + 128) << 10);
        setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).expect("a lower limit");
        let error = deep.submit(|()| -> List<u64> { unreachable!() }, ()).result().expect_err("it needs another stack");
        assert!(
            matches!(error, Error::Decode(_)) && error.to_string().contains("no thread can be started that has one"),
            "{error}"
        );
        let error = inline(10_000).expect_err("it needs other stacks");
        assert!(error.contains("no thread can be started for a task that is nested too deeply"), "{error}");
        let error = on_threads(10_000).expect_err("it needs other threads");
        assert!(error.contains("no thread can be started"), "{error}");
        assert_eq!(on_threads(3), Ok(0));
    };
    thread::Builder::new().stack_size(256 << 10).spawn(caller).expect("a thread").join().expect("it ends well");
}

fn arguments() {
    let caller = || {
        let pool = ProcessPoolExecutor::new(1);
        let unread = "the argument cannot be deserialised by the worker: ";
        assert_too_deep(pool.submit(|list: List<u64>| list.depth(), List::new(DEPTH)).result(), unread);
        assert_too_deep(pool.submit(|_: List<Wide>| (), List::new(12_000)).result(), unread);
        let depths: Vec<_> = pool.map(|list: List<u64>| list.depth(), [1, DEPTH, 2].map(List::new)).collect();
        let [Ok(1), Err(Error::Decode(_)), Ok(2)] = depths[..] else { panic!("{depths:?}") };
        // More than the stack of a task, and not too much.
        assert_eq!(
            pool.submit(|list: List<u64>| list.depth(), List::new(10_000)).result().expect("there is room"),
            10_000
        );
        assert_works(&pool);
        let builder = ProcessPoolExecutor::builder().max_workers(1);
        let pool = builder.initializer(|_: List<u64>| (), List::new(DEPTH)).build().expect("a pool");
        let error = pool.submit(pid, ()).result().expect_err("it could not be set up");
        assert!(matches!(error, Error::Broken(_)) && error.to_string().contains("KiB of stack"), "{error}");
    };
    thread::Builder::new().stack_size(1 << 30).spawn(caller).expect("a thread").join().expect("it ends well");
}

fn arguments_of_little_stack() {
    let caller = || {
        let pool = ProcessPoolExecutor::builder().max_workers(1);
        let unwritten = "the argument cannot be serialised by the caller: ";
        let error = pool.initializer(|_: List<u64>| (), List::new(100_000)).build().expect_err("it is too deep");
        assert!(error.to_string().contains("KiB of stack"), "{error}");
        let pool = ProcessPoolExecutor::new(1);
        assert_too_deep(pool.submit(|list: List<u64>| list.depth(), List::new(100_000)).result(), unwritten);
        let depths: Vec<_> = pool.map(|list: List<u64>| list.depth(), [1, 100_000, 2].map(List::new)).collect();
        let [Ok(1), Err(Error::Encode(_)), Ok(2)] = depths[..] else { panic!("{depths:?}") };
        assert_works(&pool);
    };
    thread::Builder::new().stack_size(1 << 20).spawn(caller).expect("a thread").join().expect("it ends well");
}
