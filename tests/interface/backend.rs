//! A foreign executor, which sends bytes to code that knows no types.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::{
    Backend, Encoded, Error, Executor, Failed, FutureId, ItemExecutor, Job, MapOptions, Stats, TaskOptions,
    ThreadPoolExecutor,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Forwarding, Held, LONG, within};

/// A function as the far side knows it: bytes to bytes.
type Remote = fn(&[u8], Option<usize>) -> Vec<u8>;

/// Calls `function` on one argument, or on each of a chunk.
fn call<A: DeserializeOwned, R: Serialize>(bytes: &[u8], items: Option<usize>, function: fn(A) -> R) -> Vec<u8> {
    let Some(items) = items else {
        return postcard::to_stdvec(&function(postcard::from_bytes(bytes).unwrap())).unwrap();
    };
    let arguments: Vec<A> = postcard::from_bytes(bytes).unwrap();
    assert_eq!(arguments.len(), items);
    let results: Vec<Result<R, String>> = arguments.into_iter().map(|argument| Ok(function(argument))).collect();
    postcard::to_stdvec(&results).unwrap()
}

/// Looks a job's name up in what the far side can do.
fn remote(name: &str) -> Option<Remote> {
    Some(match name {
        "double" => |bytes, items| call(bytes, items, |n: i64| 2 * n),
        "length" => |bytes, items| call(bytes, items, |text: String| text.len()),
        "sum" => |bytes, items| call(bytes, items, |(a, b): (i64, i64)| a + b),
        "odd ones fail" => |bytes, _| {
            let arguments: Vec<i64> = postcard::from_bytes(bytes).unwrap();
            let check = |n: i64| if n % 2 == 0 { Ok(n) } else { Err(format!("{n} is odd")) };
            postcard::to_stdvec(&arguments.into_iter().map(check).collect::<Vec<_>>()).unwrap()
        },
        "nothing" => |_, _| Vec::new(),
        "too much" => |_, _| vec![1, 2, 3],
        "one" => |_, _| vec![1],
        "one result" => |_, _| postcard::to_stdvec(&[Ok::<i64, String>(7)].as_slice()).unwrap(),
        "no results" => |_, _| postcard::to_stdvec(&Vec::<Result<i64, String>>::new()).unwrap(),
        _ => return None,
    })
}

/// Encodes each job and has it called by name on a thread that gets and gives only bytes.
pub(crate) struct Wire {
    requests: Mutex<Option<mpsc::Sender<(FutureId, String, Encoded)>>>,
    jobs: Arc<Mutex<HashMap<FutureId, Job>>>,
    far_side: Mutex<Option<JoinHandle<()>>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let (send, receive) = mpsc::channel::<(FutureId, String, Encoded)>();
        let jobs = Arc::new(Mutex::new(HashMap::<FutureId, Job>::new()));
        let open = Arc::clone(&jobs);
        let far_side = thread::spawn(move || {
            for (id, name, encoded) in receive {
                let job = open.lock().unwrap().remove(&id).unwrap();
                if !job.start() {
                    continue;
                }
                match remote(&name) {
                    Some(function) => job.complete(Ok(&function(encoded.argument(), encoded.items()))),
                    None => job.complete(Err(Error::Failed(Failed::new(format!("nobody knows {name}"))))),
                }
            }
        });
        Self { requests: Mutex::new(Some(send)), jobs, far_side: Mutex::new(Some(far_side)) }
    }

    pub(crate) fn named(&self, name: &str) -> concurrent_futures::With<'_, Self> {
        self.with(TaskOptions::new().name(name))
    }
}

impl Backend for Wire {
    fn execute(&self, job: Job) {
        let Some(requests) = self.requests.lock().unwrap().clone() else {
            return job.fail(Error::ShutDown);
        };
        let Some(name) = job.name().map(String::from) else {
            return job.fail(Error::Failed(Failed::new("the function has no name")));
        };
        match job.encode() {
            Ok(encoded) => {
                let id = job.id();
                self.jobs.lock().unwrap().insert(id, job);
                requests.send((id, name, encoded)).unwrap();
            }
            Err(error) => job.fail(error),
        }
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {
        self.requests.lock().unwrap().take();
    }
    fn join(&self, _timeout: Option<Duration>) -> bool {
        if self.requests.lock().unwrap().is_some() {
            return false;
        }
        self.far_side.lock().unwrap().take().is_none_or(|thread| thread.join().is_ok())
    }
}

#[test]
fn a_wire_carries_arguments_and_results_as_bytes() {
    within(LONG, || {
        let wire = Wire::new();
        // The function here is never called: only its name travels.
        let unused = |_: i64| -> i64 { panic!("called here") };
        assert_eq!(wire.named("double").submit(unused, 21).result().unwrap(), 42);
        assert_eq!(wire.named("sum").submit(|(a, _): (i64, i64)| a, (1, 2)).result().unwrap(), 3);
        assert_eq!(wire.named("length").submit(|_: String| 0, "four".into()).result().unwrap(), 4_usize);
        let unknown = wire.named("unknown").submit(unused, 1).result().unwrap_err();
        assert_eq!(unknown.to_string(), "nobody knows unknown");
        assert!(wire.submit(unused, 1).result().is_err());
        assert!(!wire.join(None), "an open backend cannot be joined");
        wire.shutdown();
        assert!(wire.join(None));
        assert!(matches!(wire.named("double").submit(unused, 1).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn a_map_crosses_the_wire_item_by_item_or_in_chunks() {
    within(LONG, || {
        let wire = Wire::new();
        for chunk_size in [1, 2, 3, 10, 100] {
            let chunks = wire.with(TaskOptions::new().name("double")).with(MapOptions::new().chunk_size(chunk_size));
            let doubled: Vec<i64> = chunks.map(|n| n, 0..10).collect::<Result<_, _>>().unwrap();
            assert_eq!(doubled, (0..10).map(|n| 2 * n).collect::<Vec<_>>(), "chunk_size {chunk_size}");
            let mut pairs: Vec<_> = chunks.map_unordered(|n: i64| n, 0..10).map(|(at, n)| (at, n.unwrap())).collect();
            pairs.sort_unstable();
            assert_eq!(pairs, (0..10).map(|n| (n, 2 * i64::try_from(n).unwrap())).collect::<Vec<_>>());
        }
    });
}

#[test]
fn each_item_of_a_chunk_has_its_own_outcome() {
    within(LONG, || {
        let wire = Wire::new();
        let chunks = wire.with(TaskOptions::new().name("odd ones fail")).with(MapOptions::new().chunk_size(4));
        let outcomes: Vec<_> = chunks.map(|n: i64| n, 0..4).map(|o| o.map_err(|e| e.to_string())).collect();
        assert_eq!(outcomes, [Ok(0), Err("1 is odd".into()), Ok(2), Err("3 is odd".into())]);
    });
}

/// An item without an outcome, or an outcome without an item, would shift all that follow.
#[test]
fn a_chunk_with_a_wrong_number_of_results_is_an_error_for_each_item() {
    within(LONG, || {
        let wire = Wire::new();
        for name in ["one result", "no results"] {
            let chunks = wire.with(TaskOptions::new().name(name)).with(MapOptions::new().chunk_size(3).buffer_size(3));
            let outcomes: Vec<_> = chunks.map(|n: i64| n, 0..6).collect();
            assert_eq!(outcomes.len(), 6, "{name}");
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Decode(_)))), "{outcomes:?}");
            let positions: Vec<_> = chunks.map_unordered(|n: i64| n, 0..6).map(|(at, _)| at).collect();
            assert_eq!(positions, [0, 1, 2, 3, 4, 5], "{name}");
        }
    });
}

#[test]
fn stats_that_a_backend_does_not_provide_are_zero() {
    let held = Held::default();
    assert_eq!(held.stats(), Stats::default());
    assert_eq!(held.cancel_pending(), 0);
}

#[test]
fn options_hold_for_maps_through_a_backend_that_passes_them_on() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let named = threads.with(TaskOptions::new().name("resize"));
        let outcome = Forwarding(&named).map(|n: i32| assert_eq!(n, 0), [1]).next().unwrap();
        let Err(Error::Panicked(panicked)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(panicked.task_name(), Some("resize"));
    });
}

/// `conformance` runs every point on `Forwarding`, so what readers copy from the documentation passes them too.
#[test]
fn the_wrapper_in_the_documentation_forwards_what_the_tested_one_does() {
    let documented = methods(include_str!("../../src/items.rs"), "/// impl<B: Backend> Backend for Logged<B> {");
    let tested = methods(
        include_str!("../../conformance/src/support/executors.rs"),
        "impl<B: Backend> Backend for Forwarding<B> {",
    );
    assert_eq!(documented, tested);
    let required = methods(include_str!("../../src/backend.rs"), "pub trait Backend: Send + Sync {");
    assert!(documented.keys().eq(required.keys()), "not {:?}", required.keys());
}

/// `conformance` runs every point on it.
#[test]
fn the_logging_executor_in_the_guide_is_the_tested_one() {
    let head = "impl<B: Backend> Backend for Logged<B> {";
    let guide = include_str!("../../src/guide/writing_a_backend.rs");
    let tested = include_str!("../conformance/forms.rs");
    assert_eq!(methods(guide, &format!("//! {head}")), methods(tested, head));
    let observe = "fn observe(job: Job) -> Job {";
    let documented: Vec<_> = block(guide, &format!("//! {observe}")).collect();
    assert!(documented.len() > 5);
    assert!(block(tested, observe).eq(documented));
}

/// Returns the lines of the block that `head` begins. In a comment, the head has the marks of the comment before it.
fn block<'a>(text: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let marks = &head[..head.find(char::is_alphabetic).expect("a head")];
    let (_, block) = text.split_once(head).expect(head);
    let (block, _) = block.split_once(&format!("\n{marks}}}\n")).expect("the end of the block");
    block.lines().map(|line| line.strip_prefix(marks.trim_end()).unwrap_or(line).trim())
}

/// Returns the code of each method in the block that `head` begins, by name, without comments and prints.
fn methods(text: &str, head: &str) -> BTreeMap<String, Vec<String>> {
    let (mut methods, mut name) = (BTreeMap::<_, Vec<_>>::new(), String::new());
    for line in block(text, head) {
        if let Some(signature) = line.strip_prefix("fn ") {
            name = signature.split('(').next().unwrap_or_default().into();
        }
        if !line.is_empty() && !line.starts_with("//") && !line.starts_with("println!") {
            methods.entry(name.clone()).or_default().push(line.into());
        }
    }
    methods
}

#[test]
fn a_map_asks_its_backend_for_an_item_executor_once() {
    #[derive(Default)]
    struct Asked(AtomicUsize);
    impl Backend for Asked {
        fn execute(&self, job: Job) {
            job.run();
        }
        fn max_workers(&self) -> usize {
            1
        }
        fn close(&self) {}
        fn join(&self, _: Option<Duration>) -> bool {
            true
        }
        fn item_executor(&self) -> ItemExecutor {
            self.0.fetch_add(1, Ordering::Relaxed);
            ItemExecutor::default()
        }
    }
    let asked = Asked::default();
    assert_eq!(asked.map(|n: i32| n, 0..9).map(Result::unwrap).sum::<i32>(), 36);
    assert_eq!(asked.0.load(Ordering::Relaxed), 1);
    assert_eq!(asked.map_unordered(|n: i32| n, 0..9).count(), 9);
    assert_eq!(asked.0.load(Ordering::Relaxed), 2);
}
