//! Functions with a name: the table of them, the names of jobs, and calls on behalf of other programs.

use std::num::ParseIntError;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use concurrent_futures::erased_serde::Deserializer as AnyDeserializer;
use concurrent_futures::{
    Backend, BoxError, Error, Executor, InlineExecutor, Job, MapOptions, Part, TaskOptions, ThreadPoolExecutor, named,
    task,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::support::{Held, LONG, occupy, within};

/// Documentation, and other attributes, stay.
#[task]
#[must_use]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

/// Has the same body as [`double`].
#[task(name = "sums.twice")]
fn twice(n: u64) -> u64 {
    2 * n
}

#[task(name = r"sums.thrice")]
const fn thrice(n: u64) -> u64 {
    3 * n
}

#[task(name = "texts.parse")]
fn parse(text: String) -> Result<u8, ParseIntError> {
    text.parse()
}

#[task]
fn read_size(text: String) -> std::io::Result<u64> {
    text.parse().map_err(std::io::Error::other)
}

/// The `Err` is no error: it is a value like any other.
#[task]
fn either(n: u8) -> Result<u8, u8> {
    if n.is_multiple_of(2) { Ok(n) } else { Err(n) }
}

#[task]
fn r#type(_: ()) -> String
where
    (): Sized,
{
    "raw".into()
}

#[task]
fn add((a, b): (i64, std::collections::BTreeMap<u8, i64>)) -> i64 {
    a + b.values().sum::<i64>()
}

#[task]
fn count(many: Many) -> usize {
    many.0.len()
}

#[task]
fn panic_with(text: String) -> u8 {
    panic!("{text}")
}

/// A value that is passed on in a box.
#[derive(Serialize, Deserialize)]
struct Many(#[serde(with = "many")] [u64; 1000]);

mod many {
    use super::*;
    pub(super) fn serialize<S: Serializer>(many: &[u64; 1000], serializer: S) -> Result<S::Ok, S::Error> {
        many.as_slice().serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 1000], D::Error> {
        Vec::deserialize(deserializer)?.try_into().map_err(|_| serde::de::Error::custom("not a thousand"))
    }
}

/// Panics while it is read, for 1, and while it is written, for 2.
struct Mine(u8);

impl Serialize for Mine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, 2, "it cannot be written");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        assert_ne!(number, 1, "it cannot be read");
        Ok(Self(number))
    }
}

#[task]
fn pass(mine: Mine) -> Mine {
    mine
}

mod inner {
    #[concurrent_futures::task]
    pub(super) fn double(n: u64) -> u64 {
        2 * n
    }
}

/// Returns the name that a job of the call has, and the call's own.
fn name_of(submit: impl FnOnce(&Held)) -> Option<&'static str> {
    let held = Held::default();
    submit(&held);
    held.take(0).function_name()
}

#[test]
fn a_job_knows_the_name_of_its_function() {
    assert_eq!(name_of(|held| held.submit(double, 1).detach()), Some("it.interface.named.double"));
    assert_eq!(name_of(|held| held.submit(inner::double, 1).detach()), Some("it.interface.named.inner.double"));
    assert_eq!(name_of(|held| held.submit(twice, 1).detach()), Some("sums.twice"));
    assert_eq!(name_of(|held| held.submit(thrice, 1).detach()), Some("sums.thrice"));
    assert_eq!(name_of(|held| held.submit(r#type, ()).detach()), Some("it.interface.named.type"));
    assert_eq!(name_of(|held| held.submit(either, 1).detach()), Some("it.interface.named.either"));
    assert_eq!(name_of(|held| held.try_submit(parse, "1".into()).detach()), Some("texts.parse"));
    assert_eq!(name_of(|held| held.submit(count, Many([0; 1000])).detach()), Some("it.interface.named.count"));
    assert_eq!(name_of(|held| held.submit(|n: u64| 2 * n, 1).detach()), None);
    assert_eq!(name_of(|held| held.submit(u64::count_ones, 1).detach()), None);
}

#[test]
fn maps_and_tasks_that_follow_others_have_the_name_too() {
    let held = Held::default();
    let chunks = held.with(MapOptions::new().chunk_size(2));
    let _map = chunks.map(twice, [1, 2]);
    assert_eq!(held.take(0).function_name(), Some("sums.twice"));
    let _map = held.map(twice, [1]);
    assert_eq!(held.take(0).function_name(), Some("sums.twice"));
    let first = InlineExecutor.submit(double, 3);
    let after = held.submit_after(first, twice);
    let job = held.take(0);
    assert_eq!(job.function_name(), Some("sums.twice"));
    job.run();
    assert_eq!(after.result().unwrap(), 12);
}

#[test]
fn whether_a_function_is_fallible_is_found_by_its_type() {
    let is_fallible = |name: &str| named::get(name).unwrap().is_fallible();
    assert!(is_fallible("texts.parse"));
    assert!(is_fallible("it.interface.named.read_size"), "by an alias of `Result`");
    assert!(!is_fallible("it.interface.named.either"), "what it returns as `Err` cannot be an error");
    assert!(!is_fallible("sums.twice"));
}

#[test]
fn a_function_that_is_submitted_in_the_wrong_way_has_its_name() {
    // So that an executor can say that `try_submit` is what is meant.
    let held = Held::default();
    let _future = held.submit(shape, 1);
    let job = held.take(0);
    assert_eq!((job.function_name(), job.is_fallible()), (Some("it.interface.named.shape"), false));
    assert!(named::get("it.interface.named.shape").unwrap().is_fallible());
}

/// Can be submitted either way.
#[task]
fn shape(n: u8) -> Result<u8, String> {
    Ok(n)
}

#[test]
fn all_functions_are_listed_in_order() {
    let names: Vec<&str> = named::all().unwrap().map(named::Named::name).collect();
    assert!(names.is_sorted() && names.contains(&"sums.twice") && names.contains(&"it.interface.named.double"));
    assert!(named::get("sums.nothing").is_none());
}

type Told = Receiver<Result<Result<Value, String>, Error>>;

/// Calls a function as a worker of another program does.
fn call(name: &str, executor: &dyn Backend, argument: Value) -> Result<(Box<dyn named::Handle>, Told), Error> {
    let (send, told) = channel();
    let mut argument = <dyn AnyDeserializer<'_>>::erase(argument);
    let handle = named::get(name).unwrap().submit(
        executor,
        TaskOptions::new().name("of others"),
        &mut argument,
        move |outcome| {
            let written = outcome.map(|value| serde_json::to_value(value).map_err(|error| error.to_string()));
            send.send(written.map_err(Error::clone)).unwrap();
        },
    )?;
    Ok((handle, told))
}

/// Calls a function, and returns what became of it.
#[track_caller]
fn told(name: &str, argument: Value) -> Result<Result<Value, String>, Error> {
    let threads = ThreadPoolExecutor::new(1);
    let (_, told) = call(name, &threads, argument)?;
    told.recv_timeout(LONG).unwrap()
}

#[test]
fn another_program_calls_a_function_by_its_name() {
    assert_eq!(told("sums.twice", json!(21)).unwrap().unwrap(), json!(42));
    assert_eq!(told("it.interface.named.add", json!([1, {"7": 2}])).unwrap().unwrap(), json!(3));
    assert_eq!(told("it.interface.named.count", json!(vec![0; 1000])).unwrap().unwrap(), json!(1000));
    assert_eq!(told("texts.parse", json!("7")).unwrap().unwrap(), json!(7));
    assert_eq!(told("it.interface.named.either", json!(1)).unwrap().unwrap(), json!({"Err": 1}));
}

#[test]
fn what_goes_wrong_in_the_function_is_told() {
    let failed = told("texts.parse", json!("seven")).unwrap_err();
    assert!(failed.downcast_ref::<ParseIntError>().is_some());
    let panicked = told("it.interface.named.panic_with", json!("no more flags")).unwrap_err();
    assert!(matches!(&panicked, Error::Panicked(panic) if panic.task_name() == Some("of others")), "{panicked:?}");
}

#[test]
fn an_argument_that_cannot_be_read_ends_the_call() {
    for (name, argument, said) in [
        ("sums.twice", json!("two"), "invalid type: string"),
        ("it.interface.named.add", json!([1]), "invalid length 1"),
        ("it.interface.named.count", json!([0]), "not a thousand"),
        ("it.interface.named.pass", json!(1), "it cannot be read"),
    ] {
        let Err(Error::Decode(decode)) = told(name, argument) else { panic!("{name} was called") };
        assert_eq!(decode.part(), Part::Argument);
        assert!(decode.to_string().contains(said), "{decode}");
    }
}

#[test]
fn a_result_that_panics_while_it_is_written_is_an_error_of_the_format() {
    let said = told("it.interface.named.pass", json!(2)).unwrap().unwrap_err();
    assert!(said.contains("it cannot be written"), "{said}");
    assert_eq!(told("it.interface.named.pass", json!(3)).unwrap().unwrap(), json!(3));
}

#[test]
fn a_call_can_be_cancelled_and_aborted_by_its_handle() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, busy) = occupy(&threads);
        let (handle, told) = call("sums.twice", &threads, json!(1)).unwrap();
        assert!(handle.cancel());
        assert!(matches!(told.recv().unwrap(), Err(Error::Cancelled)));
        let (handle, told) = call("sums.twice", &threads, json!(1)).unwrap();
        assert!(handle.abort());
        assert!(matches!(told.recv().unwrap(), Err(Error::Cancelled)));
        let (handle, told) = call("sums.twice", &threads, json!(2)).unwrap();
        drop((handle, opener));
        assert_eq!(told.recv().unwrap().unwrap().unwrap(), json!(4), "it goes on without its handle");
        busy.result().unwrap();
    });
}

#[test]
fn a_refused_call_is_told() {
    let threads = ThreadPoolExecutor::new(1);
    threads.shutdown();
    let (_, told) = call("sums.twice", &threads, json!(1)).unwrap();
    assert!(matches!(told.recv_timeout(Duration::ZERO), Ok(Err(Error::ShutDown))));
}

/// Any error will do that can be boxed.
#[task]
fn boxed(n: u8) -> Result<u8, BoxError> {
    Err(format!("no {n}").into())
}

#[test]
fn an_error_may_be_of_any_kind() {
    assert_eq!(told("it.interface.named.boxed", json!(7)).unwrap_err().to_string(), "no 7");
}

#[test]
fn a_job_that_has_lost_its_argument_has_no_name() {
    let held = Held::default();
    let future = held.submit(twice, 1);
    let job: Job = held.take(0);
    assert!(future.cancel());
    assert_eq!(job.function_name(), None);
}
