//! What happens to arguments and results that do not survive their way as bytes.

use std::collections::BTreeMap;

use concurrent_futures::{Error, Executor, MapOptions, Part, TaskOptions};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::backend::Wire;
use crate::support::{Held, LONG, within};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Unserializable;
impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("this value stays here"))
    }
}

#[derive(Debug, Deserialize)]
struct PanicsInSerialize;
impl Serialize for PanicsInSerialize {
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
        assert_encode(double.submit(|_: Unserializable| 1_i64, Unserializable).result(), "this value stays here");
        assert_encode(
            double.submit(|_: PanicsInSerialize| 1_i64, PanicsInSerialize).result(),
            "serialising it explodes",
        );
        let chunks = wire.with(TaskOptions::new().name("double")).with(MapOptions::new().chunk_size(2));
        let outcomes: Vec<_> = chunks.map(|_: Unserializable| 1_i64, [Unserializable, Unserializable]).collect();
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
fn an_error_text_of_serde_is_kept_from_a_nested_value() {
    let held = Held::default();
    for shape in shapes(|| Unserializable) {
        let future = held.submit(|_: Shape<Unserializable>| 1_i64, shape);
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
fn an_error_text_of_postcard_is_kept() {
    let held = Held::default();
    let future = held.submit(|_: u8| Vec::<String>::new(), 1);
    held.take(0).complete(Ok(&[1, 9, b'x']));
    assert_decode(future.result(), "end of buffer");
    let future = held.submit(|_: u8| Shape::<u8>::Unit, 1);
    held.take(0).complete(Ok(&[99]));
    assert_decode(future.result(), "variant");
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct LeavesOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe: Option<u8>,
    always: u8,
}

#[test]
fn a_field_that_is_left_out_is_an_error_and_not_another_value() {
    let held = Held::default();
    let _future = held.submit(|value: LeavesOut| value, LeavesOut { maybe: None, always: 1 });
    let error = held.take(0).encode().unwrap_err();
    assert!(error.to_string().contains("the field `maybe` is left out of this value"), "{error}");
    let future = held.submit(|value: LeavesOut| value, LeavesOut { maybe: Some(2), always: 1 });
    let job = held.take(0);
    let bytes = job.encode().unwrap().into_argument();
    job.complete(Ok(&bytes));
    assert_eq!(future.result().unwrap(), LeavesOut { maybe: Some(2), always: 1 });
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[test]
fn an_unsupported_type_is_named_with_a_remedy() {
    let held = Held::default();
    let future = held.submit(|_: u8| Untagged::Number(1), 1);
    held.take(0).complete(Ok(&[1]));
    let error = future.result().unwrap_err();
    assert_decode::<()>(Err(error.clone()), "Untagged asks what comes next");
    assert!(error.to_string().contains("send such a value as text"), "{error}");
    let _future = held.submit(|_: Flat| 1, Flat { rest: BTreeMap::from([("one".into(), 1)]) });
    let error = held.take(0).encode().unwrap_err();
    assert_encode::<()>(Err(error.clone()), "Flat has parts whose number is not known in advance");
    assert!(error.to_string().contains("collect them first, or send it as text"), "{error}");
}
