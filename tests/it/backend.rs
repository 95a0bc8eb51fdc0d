//! Executors that somebody else wrote: one with a thread a job, one that sends bytes to where no type is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::{
    Backend, Encoded, Error, Executor, Failed, FutureId, Job, Part, SharedFuture, State, Stats, TaskOptions,
};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{Drops, Held, LONG, Token, within};

/// Runs every job on a thread of its own.
#[derive(Default)]
struct FreshThreads {
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
}

impl Backend for FreshThreads {
    fn execute(&self, job: Job) {
        if self.closed.load(Ordering::SeqCst) {
            return job.fail(Error::ShutDown);
        }
        self.threads.lock().unwrap().push(thread::spawn(move || job.run()));
    }
    fn max_workers(&self) -> usize {
        usize::MAX
    }
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
    fn join_timeout(&self, _timeout: Option<Duration>) -> bool {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.closed.load(Ordering::SeqCst)
    }
}

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
struct Wire {
    requests: Mutex<Option<mpsc::Sender<(FutureId, String, Encoded)>>>,
    jobs: Arc<Mutex<HashMap<FutureId, Job>>>,
    far_side: Mutex<Option<JoinHandle<()>>>,
}

impl Wire {
    fn new() -> Self {
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

    fn named(&self, name: &str) -> concurrent_futures::With<'_, Self> {
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
    fn join_timeout(&self, _timeout: Option<Duration>) -> bool {
        if self.requests.lock().unwrap().is_some() {
            return false;
        }
        self.far_side.lock().unwrap().take().is_none_or(|thread| thread.join().is_ok())
    }
}

#[test]
fn fresh_threads_run_everything_of_an_executor() {
    within(LONG, || {
        let fresh = FreshThreads::default();
        let here = thread::current().id();
        assert_eq!(fresh.submit(|n: u64| (1..=n).sum::<u64>(), 10).result().unwrap(), 55);
        let doubled: Vec<i32> = fresh.map(|n: i32| 2 * n, 0..20).collect::<Result<_, _>>().unwrap();
        assert_eq!(doubled, (0..20).map(|n| 2 * n).collect::<Vec<_>>());
        let mut positions: Vec<_> = fresh.map_unordered(|n: usize| n, 0..20).map(|(at, n)| (at, n.unwrap())).collect();
        positions.sort_unstable();
        assert_eq!(positions, (0..20).map(|n| (n, n)).collect::<Vec<_>>());
        let chunks = fresh.with(TaskOptions::new().chunk_size(6).buffer_size(8));
        assert_eq!(
            chunks.map(|n: u32| n + 1, 0..).take(30).collect::<Result<Vec<_>, _>>().unwrap(),
            Vec::from_iter(1..31)
        );
        let failed = fresh.try_submit(|text: String| text.parse::<u8>(), "x".into()).result();
        assert!(failed.unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
        let panicked = fresh.submit(|n: u8| -> u8 { panic!("on a fresh thread {n}") }, 1).result();
        assert!(matches!(panicked, Err(Error::Panicked(_))));
        let future = fresh.submit(|n: u8| n, 1);
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |_| send.send(thread::current().id()).unwrap());
        let ran_on = receive.recv().unwrap();
        assert!(ran_on != here || future.is_done());
        fresh.shutdown();
        assert!(matches!(fresh.submit(|n: u8| n, 1).result(), Err(Error::ShutDown)));
    });
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
        assert!(!wire.join_timeout(None), "it is open");
        wire.shutdown();
        assert!(wire.join_timeout(None));
        assert!(matches!(wire.named("double").submit(unused, 1).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn a_map_crosses_the_wire_item_by_item_or_in_chunks() {
    within(LONG, || {
        let wire = Wire::new();
        for chunk_size in [1, 2, 3, 10, 100] {
            let chunks = wire.with(TaskOptions::new().name("double").chunk_size(chunk_size));
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
        let chunks = wire.with(TaskOptions::new().name("odd ones fail").chunk_size(4));
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
            let chunks = wire.with(TaskOptions::new().name(name).chunk_size(3).buffer_size(3));
            let outcomes: Vec<_> = chunks.map(|n: i64| n, 0..6).collect();
            assert_eq!(outcomes.len(), 6, "{name}");
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Decode(_)))), "{outcomes:?}");
            let positions: Vec<_> = chunks.map_unordered(|n: i64| n, 0..6).map(|(at, _)| at).collect();
            assert_eq!(positions, [0, 1, 2, 3, 4, 5], "{name}");
        }
    });
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Stubborn;
impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("this value stays here"))
    }
}

#[derive(Debug, Deserialize)]
struct Explosive;
impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("serialising it explodes")
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Even(u8);
impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            even if even % 2 == 0 => Ok(Self(even)),
            odd => Err(D::Error::custom(format!("{odd} is not even"))),
        }
    }
}

#[derive(Debug, Serialize)]
struct Unreadable;
impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("deserialising it explodes")
    }
}

#[track_caller]
fn assert_encode<T: std::fmt::Debug>(outcome: Result<T, Error>, said: &str) {
    let Err(Error::Encode(encode)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(encode.part(), Part::Argument);
    assert!(encode.message().contains(said), "{encode}");
}

#[track_caller]
fn assert_decode<T: std::fmt::Debug>(outcome: Result<T, Error>, said: &str) {
    let Err(Error::Decode(decode)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(decode.part(), Part::Result);
    assert!(decode.message().contains(said), "{decode}");
}

#[test]
fn an_argument_that_cannot_be_serialised_fails_its_task_only() {
    within(LONG, || {
        let wire = Wire::new();
        let double = wire.named("double");
        assert_encode(double.submit(|_: Stubborn| 1_i64, Stubborn).result(), "this value stays here");
        assert_encode(double.submit(|_: Explosive| 1_i64, Explosive).result(), "serialising it explodes");
        let chunks = wire.with(TaskOptions::new().name("double").chunk_size(2));
        let outcomes: Vec<_> = chunks.map(|_: Stubborn| 1_i64, [Stubborn, Stubborn]).collect();
        assert!(matches!(outcomes[..], [Err(Error::Encode(_)), Err(Error::Encode(_))]), "{outcomes:?}");
        assert_eq!(double.submit(|n: i64| n, 4).result().unwrap(), 8);
    });
}

#[test]
fn a_result_that_cannot_be_deserialised_fails_its_task_only() {
    within(LONG, || {
        let wire = Wire::new();
        assert_decode(wire.named("one").submit(|_: u8| Even(0), 1).result(), "1 is not even");
        assert_decode(wire.named("one").submit(|_: u8| Unreadable, 1).result(), "deserialising it explodes");
        assert_decode(wire.named("nothing").submit(|n: u8| n, 1).result(), "");
        assert_decode(wire.named("too much").submit(|n: u8| n, 1).result(), "2 bytes are left over");
        assert_decode(wire.named("one").submit(|_: u8| String::new(), 1).result(), "");
        assert_eq!(wire.named("one").submit(|n: u8| n, 1).result().unwrap(), 1);
    });
}

/// Holds a value in every shape that serde knows.
#[derive(Debug, Serialize, Deserialize)]
enum Shape<T: Ord> {
    Newtype(T),
    Tuple(u8, T),
    Struct { name: String, value: T },
    Map(BTreeMap<u8, T>),
    Keys(BTreeMap<T, u8>),
    Nested(Wrapped<T>),
    Items(Vec<(u8, Option<T>)>),
    Unit,
}

#[derive(Debug, Serialize, Deserialize)]
struct Wrapped<T>((), T);

fn shapes<T: Ord>(value: fn() -> T) -> Vec<Shape<T>> {
    vec![
        Shape::Newtype(value()),
        Shape::Tuple(1, value()),
        Shape::Struct { name: "s".into(), value: value() },
        Shape::Map(BTreeMap::from([(1, value())])),
        Shape::Keys(BTreeMap::from([(value(), 1)])),
        Shape::Nested(Wrapped((), value())),
        Shape::Items(vec![(1, None), (2, Some(value()))]),
    ]
}

#[test]
fn what_serde_said_is_kept_also_of_a_value_inside_another() {
    let held = Held::default();
    for shape in shapes(|| Stubborn) {
        let future = held.submit(|_: Shape<Stubborn>| 1_i64, shape);
        assert_encode(held.take(0).encode(), "this value stays here");
        drop(future);
    }
    // Written as what it is, read as what must be even.
    for shape in shapes(|| 7_u8) {
        let future = held.submit(|_: u8| Shape::<Even>::Unit, 1);
        held.take(0).complete(Ok(&postcard::to_stdvec(&shape).unwrap()));
        assert_decode(future.result(), "7 is not even");
    }
    for shape in shapes(|| 8_u8) {
        let future = held.submit(|_: u8| Shape::<Even>::Unit, 1);
        held.take(0).complete(Ok(&postcard::to_stdvec(&shape).unwrap()));
        assert!(future.result().is_ok());
    }
}

#[test]
fn what_postcard_itself_says_is_kept_as_well() {
    let held = Held::default();
    let future = held.submit(|_: u8| Vec::<String>::new(), 1);
    held.take(0).complete(Ok(&[1, 9, b'x']));
    assert_decode(future.result(), "end of buffer");
    let future = held.submit(|_: u8| Shape::<u8>::Unit, 1);
    held.take(0).complete(Ok(&[99]));
    assert_decode(future.result(), "variant");
}

#[test]
fn a_job_says_who_it_is() {
    let held = Held::default();
    let options = TaskOptions::new().name("fetch").retries(3).refuse_when_full().time_limit(LONG);
    let future = held.with(options).submit(|n: u8| n, 1);
    let job = held.take(0);
    assert_eq!(job.id(), future.id());
    assert_eq!(job.name(), Some("fetch"));
    assert_eq!(job.options().name_text(), Some("fetch"));
    assert_eq!((job.options().retry_count(), job.options().limit()), (3, Some(LONG)));
    assert!(job.options().refuses_when_full());
    assert!(format!("{job:?}").contains("fetch"));
    job.run();
    assert_eq!(future.result().unwrap(), 1);
    let _unnamed = held.submit(|n: u8| n, 1);
    assert_eq!(held.take(0).name(), None);
}

#[test]
fn a_job_starts_once_the_far_side_does() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    assert_eq!(future.state(), State::Pending);
    assert!(job.start());
    assert_eq!(future.state(), State::Running);
    assert!(!future.cancel());
    job.complete(Ok(&[9]));
    assert_eq!(future.result().unwrap(), 9);
}

#[test]
fn a_job_that_was_started_and_encoded_may_still_run_here() {
    let held = Held::default();
    let future = held.submit(|n: u8| n + 1, 1);
    let job = held.take(0);
    assert_eq!(job.encode().unwrap().argument(), [1]);
    assert_eq!(job.encode().unwrap().into_argument(), [1], "as often as one likes");
    assert_eq!(job.encode().unwrap().items(), None);
    assert!(job.start());
    job.run();
    assert_eq!(future.result().unwrap(), 2);
}

#[test]
fn a_chunk_tells_how_many_calls_it_is() {
    let held = Held::default();
    let chunks = held.with(TaskOptions::new().chunk_size(3));
    let map = chunks.map(|n: u8| n, [7, 8, 9, 10]);
    let (first, second) = (held.take(0).encode().unwrap(), held.take(0).encode().unwrap());
    assert_eq!((first.items(), second.items()), (Some(3), Some(1)));
    assert_eq!(postcard::from_bytes::<Vec<u8>>(first.argument()).unwrap(), [7, 8, 9]);
    assert_eq!(map.map(|outcome| matches!(outcome, Err(Error::Abandoned))).collect::<Vec<_>>(), [true; 4]);
}

#[test]
fn a_job_that_was_cancelled_does_nothing_more() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let held = Held::default();
    let submit = || held.submit(|n: usize| CALLS.fetch_add(n, Ordering::SeqCst), 1);
    let ways: [fn(Job); 5] = [
        |job| job.run(),
        |job| job.complete(Ok(&[1])),
        |job| job.fail(Error::ShutDown),
        drop,
        |job| {
            assert!(!job.start());
            assert!(matches!(job.encode(), Err(Error::Cancelled)));
        },
    ];
    for way in ways {
        let future = submit();
        assert!(future.cancel());
        way(held.take(0));
        assert!(matches!(future.result(), Err(Error::Cancelled)));
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 0);
}

#[test]
fn a_job_that_is_dropped_is_abandoned() {
    let held = Held::default();
    let (pending, running) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    drop(held.take(0));
    assert!(matches!(pending.result(), Err(Error::Abandoned)));
    assert!(held.take(0).start());
    assert!(matches!(running.result(), Err(Error::Abandoned)));
    let lost = held.submit(|n: u8| n, 3);
    drop(held);
    assert!(matches!(lost.result(), Err(Error::Abandoned)));
}

#[test]
fn a_job_fails_with_the_reason_it_is_given() {
    let held = Held::default();
    let (one, two) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    held.take(0).fail(Error::ShutDown);
    assert!(matches!(one.result(), Err(Error::ShutDown)));
    held.take(0).complete(Err(Error::Abandoned));
    assert!(matches!(two.result(), Err(Error::Abandoned)));
}

#[test]
fn an_abort_of_a_running_job_calls_its_hook_once_it_is_done() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1).share();
    let job = held.take(0);
    assert!(job.start());
    let (send, receive) = mpsc::channel();
    let inside = future.clone();
    job.on_abort(move || send.send((inside.state(), thread::current().id())).unwrap());
    assert!(future.abort());
    assert_eq!(receive.try_recv(), Ok((State::Cancelled, thread::current().id())));
    let (send, receive) = mpsc::channel();
    job.on_abort(move || send.send(()).unwrap());
    assert_eq!(receive.try_recv(), Ok(()), "it was aborted already");
    job.complete(Ok(&[1]));
    assert!(future.is_cancelled());
}

#[test]
fn a_hook_is_not_called_for_a_task_that_was_not_aborted_while_it_ran() {
    let held = Held::default();
    let hooked = |drops: &Drops| {
        let future = held.submit(|n: u8| n, 1);
        let job = held.take(0);
        let token = drops.token();
        job.on_abort(move || {
            drop(token);
            panic!("called");
        });
        (future, job)
    };
    let drops = Drops::default();
    let (cancelled, job) = hooked(&drops);
    assert!(cancelled.cancel());
    assert_eq!(drops.count(), 1, "nothing is kept");
    drop(job);
    let (aborted, job) = hooked(&drops);
    assert!(aborted.abort(), "it was pending");
    assert_eq!(drops.count(), 2);
    drop(job);
    let (finished, job) = hooked(&drops);
    job.run();
    assert_eq!(drops.count(), 3);
    let (again, job) = hooked(&drops);
    job.start();
    job.complete(Ok(&[1]));
    assert_eq!(drops.count(), 4);
    assert_eq!((finished.result().unwrap(), again.result().unwrap()), (1, 1));
}

#[test]
fn a_later_hook_replaces_an_earlier_one() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    job.start();
    let (send, receive) = mpsc::channel();
    for number in 0..3 {
        let send = send.clone();
        job.on_abort(move || send.send(number).unwrap());
    }
    future.abort();
    drop((send, job));
    assert_eq!(receive.iter().collect::<Vec<_>>(), [2]);
}

/// What a hook captures is dropped outside of every lock, as all that is the user's.
#[test]
fn a_hook_that_is_replaced_may_look_at_its_future_when_it_is_dropped() {
    struct Looks(SharedFuture<u8>, mpsc::Sender<State>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.send(self.0.state()).unwrap();
        }
    }
    let states = within(Duration::from_secs(10), || {
        let held = Held::default();
        let future = held.submit(|n: u8| n, 1).share();
        let job = held.take(0);
        job.start();
        let (send, receive) = mpsc::channel();
        for _ in 0..2 {
            let looks = Looks(future.clone(), send.clone());
            job.on_abort(move || drop(looks));
        }
        job.complete(Ok(&[1]));
        drop(send);
        receive.iter().collect::<Vec<_>>()
    });
    assert_eq!(states.len(), 2);
    assert_eq!(states[0], State::Running);
}

#[test]
fn a_hook_that_panics_does_no_harm() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    job.start();
    job.on_abort(|| panic!("in a hook"));
    assert!(future.abort());
    job.on_abort(|| panic!("in a late hook"));
    assert!(future.is_cancelled());
}

static ARGUMENTS: OnceLock<Drops> = OnceLock::new();

/// Serialises as nothing and counts its drop.
struct Counted(#[expect(dead_code, reason = "its drop is what counts")] Token);
impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ().serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(ARGUMENTS.get_or_init(Drops::default).token()))
    }
}

#[test]
fn an_encoded_argument_is_kept_until_the_task_is_done_and_no_longer() {
    let drops = ARGUMENTS.get_or_init(Drops::default);
    let held = Held::default();
    let ends: [fn(Job, &SharedFuture<u8>); 3] =
        [|job, _| job.complete(Ok(&[1])), |job, _| job.fail(Error::ShutDown), |_job, future| assert!(future.abort())];
    for (round, end) in ends.into_iter().enumerate() {
        let future = held.submit(|_: Counted| 1_u8, Counted(drops.token())).share();
        let job = held.take(0);
        job.encode().unwrap();
        job.start();
        assert_eq!(drops.count(), round);
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |_| send.send(drops.count()).unwrap());
        end(job, &future);
        assert_eq!(receive.try_recv(), Ok(round + 1));
    }
}

#[test]
fn a_caller_is_told_from_any_thread() {
    within(LONG, || {
        let held = Held::default();
        for number in 0..50_u8 {
            let future = held.submit(|n: u8| n, number);
            let job = held.take(0);
            let far = thread::spawn(move || {
                let bytes = job.encode().unwrap().into_argument();
                job.start();
                job.complete(Ok(&bytes));
            });
            assert_eq!(future.result().unwrap(), number);
            far.join().unwrap();
        }
    });
}

#[test]
fn what_a_backend_does_not_say_is_zero() {
    let held = Held::default();
    assert_eq!(held.stats(), Stats::default());
    assert_eq!(held.cancel_pending(), 0);
}
