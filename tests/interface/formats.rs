//! Jobs whose arguments are shown to a format that the crate does not know, and whose results are read from one: JSON.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use concurrent_futures::erased_serde::{Deserializer as AnyDeserializer, Serialize as AnySerialize};
use concurrent_futures::{
    Bytes, Encode, Error, Executor, Failed, FutureId, InlineExecutor, Job, MapOptions, Part, Remote, Reply,
    SharedFuture, State,
};
use serde::de::{Error as _, IntoDeserializer};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::support::{Drops, Held, LONG, PanicsOnDrop, Token, within};

/// Returns what JSON makes of the arguments, item by item.
#[track_caller]
fn shown(job: &Job) -> Vec<Result<String, String>> {
    let mut texts = Vec::new();
    job.show(|argument| texts.push(text_of(argument))).unwrap();
    texts
}

fn text_of(argument: &dyn AnySerialize) -> Result<String, String> {
    serde_json::to_string(argument).map_err(|error| error.to_string())
}

/// Returns the only argument.
#[track_caller]
fn shown_one(job: &Job) -> String {
    let [text] = shown(job).try_into().unwrap();
    text.unwrap()
}

fn value(value: Value) -> Reply<'static> {
    Ok(Box::new(<dyn AnyDeserializer<'_>>::erase(value)))
}

/// Completes a job with one result.
fn complete(job: Job, result: Value) {
    job.read([value(result)]);
}

#[track_caller]
fn assert_decode<T: std::fmt::Debug>(outcome: Result<T, Error>, said: &str) {
    let Err(Error::Decode(decode)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(decode.part(), Part::Result);
    assert!(decode.to_string().contains(said), "{decode}");
}

#[track_caller]
fn assert_encode(shown: Result<(), Error>, said: &str) {
    let Err(Error::Encode(encode)) = shown else { panic!("{shown:?}") };
    assert_eq!(encode.part(), Part::Argument);
    assert!(encode.to_string().contains(said), "{encode}");
}

#[test]
fn an_argument_and_a_result_cross_as_json() {
    let held = Held::default();
    let future = held.submit(|(width, height): (u32, u32)| u64::from(width * height), (2, 3));
    let job = held.take(0);
    assert_eq!(shown_one(&job), "[2,3]");
    assert_eq!(shown_one(&job), "[2,3]", "as often as one likes");
    assert!(job.start());
    assert_eq!(shown_one(&job), "[2,3]");
    complete(job, json!(6));
    assert_eq!(future.result().unwrap(), 6);
}

#[test]
fn the_error_of_a_task_passes_as_it_is() {
    let held = Held::default();
    let parse = |text: &str| held.try_submit(|text: String| text.parse::<u8>(), text.into());
    let (good, bad, panicked) = (parse("7"), parse("seven"), parse("panic"));
    let job = held.take(0);
    assert_eq!((shown_one(&job), job.is_fallible()), ("\"7\"".into(), true));
    complete(job, json!(7));
    held.take(0).read([Err(Error::Failed(Failed::new("no digit")))]);
    let panic = InlineExecutor.submit(|n: u8| -> u8 { std::panic::panic_any(n) }, 7).result().unwrap_err();
    held.take(0).read([Err(panic)]);
    assert_eq!(good.result().unwrap(), 7);
    assert_eq!(bad.result().unwrap_err().to_string(), "no digit");
    let payload = panicked.result().unwrap_err().into_panic().unwrap();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&7), "a panic is not taken for one of the reader's");
}

#[test]
fn a_result_may_be_read_in_place() {
    let held = Held::default();
    let future = held.submit(|text: String| text, "here".into());
    let job = held.take(0);
    let text = shown_one(&job);
    let mut reader = serde_json::Deserializer::from_str(&text);
    job.read([Ok(Box::new(<dyn AnyDeserializer<'_>>::erase(&mut reader)) as _)]);
    assert_eq!(future.result().unwrap(), "here");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Text(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(flatten)]
    rest: HashMap<String, Either>,
    raw: Value,
    bytes: Bytes,
}

#[test]
fn types_cross_that_only_a_format_with_names_can_carry() {
    let held = Held::default();
    let rest = HashMap::from([("size".into(), Either::Number(3)), ("colour".into(), Either::Text("red".into()))]);
    let order = Order { note: None, rest, raw: json!([null, {"a": 1.5}]), bytes: vec![1, 2].into() };
    let future = held.submit(|order: Order| order, order);
    let job = held.take(0);
    let text: Value = serde_json::from_str(&shown_one(&job)).unwrap();
    assert_eq!(text, json!({"size": 3, "colour": "red", "raw": [null, {"a": 1.5}], "bytes": [1, 2]}));
    complete(job, text);
    let back = future.result().unwrap();
    assert_eq!((back.note, &back.rest["size"], back.bytes.len()), (None, &Either::Number(3), 2));
}

#[test]
fn a_map_crosses_item_by_item_or_in_chunks() {
    let held = Held::default();
    for size in [1, 2, 3, 10] {
        let chunks = held.with(MapOptions::new().chunk_size(size));
        let map = chunks.map(|n: u32| u64::from(n), 0..5);
        for first in (0..5).step_by(size) {
            let (job, items) = (held.take(0), first..5.min(first + size));
            assert_eq!(shown(&job), items.clone().map(|n| Ok(n.to_string())).collect::<Vec<_>>());
            job.read(items.map(|n| value(json!(2 * n))));
        }
        assert_eq!(map.collect::<Result<Vec<_>, _>>().unwrap(), [0, 2, 4, 6, 8]);
    }
}

/// Cannot be written, or panics when it is, or is read only as an even number.
#[derive(Debug, PartialEq)]
struct Moody(u8);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(S::Error::custom("this value stays here")),
            2 => panic!("writing it explodes"),
            // In the middle of something that the serialiser has begun.
            3 => [Moody(4), Moody(2)].serialize(serializer),
            n => n.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => panic!("reading it explodes"),
            odd if odd % 2 == 1 => Err(D::Error::custom(format!("{odd} is odd"))),
            even => Ok(Self(even)),
        }
    }
}

#[test]
fn an_item_that_cannot_be_written_leaves_the_others_alone() {
    let held = Held::default();
    let chunks = held.with(MapOptions::new().chunk_size(10));
    let map = chunks.map(|moody: Moody| moody.0, [0, 1, 2, 3, 4].map(Moody));
    let job = held.take(0);
    let texts = shown(&job);
    assert_eq!((&texts[0], &texts[4], texts.len()), (&Ok("0".into()), &Ok("4".into()), 5));
    let said = [1, 2, 3].map(|item: usize| texts[item].as_ref().unwrap_err());
    assert_eq!(said[0], "this value stays here");
    assert!(said[1].contains("writing it explodes") && said[2].contains("writing it explodes"), "{said:?}");
    job.read(texts.into_iter().map(|text| match text {
        Ok(text) => value(serde_json::from_str(&text).unwrap()),
        Err(text) => Err(Error::Encode(Encode::new(Part::Argument, text))),
    }));
    let outcomes: Vec<_> = map.collect();
    assert!(
        matches!(outcomes[..], [Ok(0), Err(Error::Encode(_)), Err(Error::Encode(_)), Err(Error::Encode(_)), Ok(4)]),
        "{outcomes:?}"
    );
}

#[test]
fn an_item_that_cannot_be_read_leaves_the_others_alone() {
    let held = Held::default();
    let chunks = held.with(MapOptions::new().chunk_size(10));
    let mut map = chunks.map(|n: u8| Moody(n), 0..6);
    let job = held.take(0);
    let results = [json!(8), json!(1), json!(2), json!("three"), json!(null)];
    job.read(results.into_iter().map(value).chain([Err(Error::ShutDown)]));
    assert_eq!(map.next().unwrap().unwrap(), Moody(8));
    for said in ["1 is odd", "reading it explodes", "invalid type: string", "invalid type: null"] {
        assert_decode(map.next().unwrap(), said);
    }
    assert!(matches!(map.next(), Some(Err(Error::ShutDown))));
    assert!(map.next().is_none());
    let alone = held.submit(Moody, 0);
    complete(held.take(0), json!(2));
    assert_decode(alone.result(), "reading it explodes");
}

#[test]
fn too_few_and_too_many_replies_are_errors_and_hang_nothing() {
    within(LONG, || {
        let held = Held::default();
        let chunks = held.with(MapOptions::new().chunk_size(3));
        let numbers = || std::iter::repeat_with(|| value(json!(1)));
        for count in [0, 1, 2, 3, 4, usize::MAX] {
            let map = chunks.map(|n: u8| n, 0..3);
            held.take(0).read(numbers().take(count));
            let outcomes: Vec<_> = map.collect();
            assert_eq!(outcomes.len(), 3);
            for (position, outcome) in outcomes.into_iter().enumerate() {
                match position {
                    _ if count > 3 => assert_decode(outcome, "more replies came than the task has calls (3)"),
                    _ if position < count => assert_eq!(outcome.unwrap(), 1),
                    _ => assert_decode(outcome, &format!("only {count} of 3: pass one for each call")),
                }
            }
        }
        let (none, two) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
        held.take(0).read([]);
        held.take(0).read(numbers().take(2));
        assert_decode(none.result(), "only 0 of 1");
        assert_decode(two.result(), "more replies came than the task has calls (1)");
    });
}

#[test]
fn a_visit_that_panics_leaves_the_job_as_it_was() {
    let held = Held::default();
    let future = held.submit(|n: u8| n + 1, 1);
    let job = held.take(0);
    assert_encode(job.show(|_| panic!("in a visit")), "in a visit");
    assert_eq!(shown_one(&job), "1");
    job.run();
    assert_eq!(future.result().unwrap(), 2);
}

#[test]
fn a_job_that_is_being_shown_is_not_shown_again_but_may_start() {
    let held = Held::default();
    let future = held.submit(|n: u8| n + 1, 1);
    let job = held.take(0);
    job.show(|_| {
        assert_encode(job.show(|_| panic!("shown")), "it is being written already");
        assert_encode(job.encode().map(drop), "it is being written already");
        assert!(job.start());
    })
    .unwrap();
    assert_eq!(future.state(), State::Running);
    job.run();
    assert_eq!(future.result().unwrap(), 2);
}

static ARGUMENTS: OnceLock<Drops> = OnceLock::new();

/// Is written as nothing, and counts its drop.
struct Counted(#[expect(dead_code, reason = "its drop is what counts")] Token);

impl Counted {
    fn new() -> Self {
        Self(ARGUMENTS.get_or_init(Drops::default).token())
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self::new())
    }
}

/// One test, because they share a counter.
#[test]
fn a_task_that_ends_before_during_or_after_it_is_shown_is_left_alone() {
    within(LONG, || {
        let (held, drops) = (Held::default(), ARGUMENTS.get_or_init(Drops::default));
        let submit = || {
            let future = held.submit(|counted: Counted| counted, Counted::new()).share();
            (future, held.take(0))
        };
        let never = || std::iter::from_fn(|| -> Option<Reply<'static>> { panic!("a reply was taken") });

        let (future, job) = submit();
        assert!(future.cancel());
        assert_eq!(drops.alive(), 0);
        assert!(matches!(job.show(|_| panic!("shown")), Err(Error::Cancelled)));
        job.read(never());

        let (future, job) = submit();
        job.show(|argument| {
            assert!(future.cancel());
            assert!(future.is_done());
            assert_eq!(drops.alive(), 1, "it is shown");
            assert_eq!(text_of(argument).unwrap(), "null");
        })
        .unwrap();
        assert_eq!(drops.alive(), 0);
        job.read(never());
        assert!(future.is_cancelled());

        let (future, job) = submit();
        assert_eq!(shown_one(&job), "null");
        assert!(job.start() && future.abort());
        assert_eq!(drops.alive(), 0);
        job.read(never());
        assert!(future.is_cancelled());

        let (future, job) = submit();
        let inside = future.clone();
        job.read(std::iter::once_with(move || {
            assert!(inside.cancel(), "it is pending still");
            value(Value::Null)
        }));
        assert_eq!(drops.alive(), 0, "what was read is dropped");
        assert!(future.is_cancelled());

        let (future, job) = submit();
        assert_eq!(shown_one(&job), "null");
        drop(job);
        assert!(matches!(future.result(), Err(Error::Abandoned)));

        let (future, job) = submit();
        let completed = catch_unwind(AssertUnwindSafe(|| job.read(never())));
        completed.unwrap_err();
        assert!(matches!(future.result(), Err(Error::Abandoned)));

        let (future, job) = submit();
        complete(job, Value::Null);
        assert_eq!(drops.alive(), 1, "the result");
        drop(future);
        assert_eq!(drops.alive(), 0);
    });
}

thread_local! {
    static SEEN: RefCell<Option<SharedFuture<Looks>>> = const { RefCell::new(None) };
    static STATES: RefCell<Vec<State>> = const { RefCell::new(Vec::new()) };
}

/// Looks at the future of its task whenever its code runs, which would hang under the task's lock.
#[derive(Debug)]
struct Looks;

fn look() {
    let state = SEEN.with_borrow(|seen| seen.as_ref().map(SharedFuture::state));
    STATES.with_borrow_mut(|states| states.extend(state));
}

impl Serialize for Looks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        look();
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Looks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        look();
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        look();
    }
}

#[test]
fn the_code_of_a_type_runs_under_no_lock() {
    use State::{Cancelled, Pending, Running};
    let states = within(LONG, || {
        let held = Held::default();
        let submit = || {
            let future = held.submit(|looks: Looks| looks, Looks).share();
            SEEN.set(Some(future.clone()));
            (future, held.take(0))
        };
        let (future, job) = submit();
        assert_eq!(shown_one(&job), "null");
        assert!(job.start());
        complete(job, Value::Null);
        assert!(future.result().is_ok());
        let first = STATES.take();

        let (future, job) = submit();
        job.show(|_| assert!(future.cancel())).unwrap();
        SEEN.set(None);
        (first, STATES.take())
    });
    assert_eq!(states, (vec![Pending, Running, Running], vec![Cancelled]), "written, read, and the argument dropped");
}

/// A reply whose deserialiser panics when it is dropped.
struct Grenade(#[allow(dead_code, reason = "its drop is what counts")] PanicsOnDrop);

impl<'de> Deserializer<'de> for Grenade {
    type Error = serde::de::value::Error;
    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let number: serde::de::value::U8Deserializer<Self::Error> = 7_u8.into_deserializer();
        number.deserialize_any(visitor)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn a_reply_that_panics_when_it_is_dropped_does_no_harm() {
    let held = Held::default();
    let grenade = || -> Reply<'static> { Ok(Box::new(<dyn AnyDeserializer<'_>>::erase(Grenade(PanicsOnDrop)))) };
    // Taken to be read, so that its drop is in the reading.
    let read = held.submit(|n: u8| n, 1);
    held.take(0).read([grenade()]);
    assert_decode(read.result(), "boom in a drop");
    // Dropped unread.
    let surplus = held.submit(|n: u8| n, 1);
    held.take(0).read([value(json!(1)), grenade()]);
    assert_decode(surplus.result(), "more replies came than the task has calls (1)");
}

/// 16 KiB, which is handed on in a box.
type Wide = [[[u64; 32]; 32]; 2];

#[test]
fn large_values_cross() {
    within(LONG, || {
        let held = Held::default();
        let wide: Wide = [[[u64::MAX; 32]; 32]; 2];
        let future = held.submit(|wide: Wide| wide, wide);
        let job = held.take(0);
        let text = shown_one(&job);
        let mut reader = serde_json::Deserializer::from_str(&text);
        job.read([Ok(Box::new(<dyn AnyDeserializer<'_>>::erase(&mut reader)) as _)]);
        assert!(future.result().unwrap() == wide);

        let chunks = held.with(MapOptions::new().chunk_size(2));
        let map = chunks.map(|wide: Wide| wide, [wide, wide]);
        let job = held.take(0);
        let texts = shown(&job);
        job.read(texts.iter().map(|text| value(serde_json::from_str(text.as_ref().unwrap()).unwrap())));
        assert_eq!(map.filter(|outcome| outcome.as_ref().is_ok_and(|back| *back == wide)).count(), 2);

        let long = "long ".repeat(2 << 20);
        let future = held.submit(|text: String| text, long.clone());
        let job = held.take(0);
        let text = shown_one(&job);
        complete(job, serde_json::from_str(&text).unwrap());
        assert!(future.result().unwrap() == long);
    });
}

/// Records what it is told, and gives tasks back as it was made to.
#[derive(Default)]
struct Ledger {
    gives_back: AtomicBool,
    calls: Mutex<Vec<&'static str>>,
}

impl Ledger {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Remote for Ledger {
    fn revoke(&self, _: FutureId) -> bool {
        self.note("revoke");
        self.gives_back.load(Ordering::Relaxed)
    }
    fn left(&self, _: FutureId) {
        self.note("left");
    }
    fn ended(&self, _: FutureId, failed: bool) {
        self.note(if failed { "failed" } else { "succeeded" });
    }
}

#[test]
fn an_entrusted_job_is_shown_and_read_as_any_other() {
    let (held, ledger) = (Held::default(), Arc::<Ledger>::default());
    let entrusted = || {
        let future = held.submit(|n: u8| n + 1, 1);
        let job = held.take(0);
        assert!(job.entrust(Arc::clone(&ledger) as _));
        assert_eq!(shown_one(&job), "1");
        (future, job)
    };
    let (future, job) = entrusted();
    assert!(!future.cancel(), "the other side has it");
    complete(job, json!(2));
    assert_eq!((ledger.take(), future.result().unwrap()), (vec!["revoke", "succeeded"], 2));
    let (future, job) = entrusted();
    complete(job, json!("two"));
    assert_eq!(ledger.take(), ["failed"]);
    assert_decode(future.result(), "invalid type");
    ledger.gives_back.store(true, Ordering::Relaxed);
    let (future, job) = entrusted();
    assert!(future.cancel());
    assert_eq!(ledger.take(), ["revoke", "left"]);
    complete(job, json!(2));
    assert!(future.is_cancelled() && ledger.take().is_empty());
    // Revoked while it is shown: the argument is not here, and the task ends all the same.
    let future = held.submit(|n: u8| n, 1).share();
    let job = held.take(0);
    job.show(|_| {
        assert!(job.entrust(Arc::clone(&ledger) as _));
        assert!(future.cancel());
    })
    .unwrap();
    assert_eq!(ledger.take(), ["revoke", "left"]);
    assert!(!job.start());
}

#[test]
fn callbacks_run_in_the_thread_that_reads() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let (send, receive) = mpsc::channel();
    future.add_done_callback(move |outcome| {
        send.send((*outcome.as_ref().unwrap(), std::thread::current().id())).unwrap()
    });
    complete(held.take(0), json!(9));
    assert_eq!(receive.recv_timeout(Duration::ZERO), Ok((9, std::thread::current().id())));
}
