//! Reads arbitrary bytes, and writes and reads values of all shapes.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::bytes::Bytes;
use crate::fuzz::{Damage, bytes, cases, damage};

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Shape {
    Unit,
    Numbers(i8, u16, i32, u64, i128, u128),
    Floats { single: f32, double: f64 },
    Text { text: String, letter: char, maybe: Option<Option<String>> },
    Bytes(Vec<u8>),
    List(Vec<Shape>),
    Map(BTreeMap<String, Shape>),
    Boxed(Option<Box<Shape>>),
    Outcome(Result<(bool, Duration), ((), u16)>),
    Pair([Box<Shape>; 2]),
}

fn shape() -> impl Strategy<Value = Shape> {
    let floats = (any::<u32>(), any::<u64>());
    let leaf =
        prop_oneof![
            Just(Shape::Unit),
            any::<(i8, u16, i32, u64, i128, u128)>().prop_map(|(a, b, c, d, e, f)| Shape::Numbers(a, b, c, d, e, f)),
            // Whatever the bits: not-a-numbers, and zeros below zero.
            floats.prop_map(|(a, b)| Shape::Floats { single: f32::from_bits(a), double: f64::from_bits(b) }),
            (any::<(String, char)>(), any::<Option<Option<String>>>())
                .prop_map(|((text, letter), maybe)| Shape::Text { text, letter, maybe }),
            bytes(100).prop_map(Shape::Bytes),
            Just(Shape::Boxed(None)),
            any::<(bool, Duration)>().prop_map(|pair| Shape::Outcome(Ok(pair))),
            any::<u16>().prop_map(|code| Shape::Outcome(Err(((), code)))),
        ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Shape::List),
            prop::collection::btree_map(any::<String>(), inner.clone(), 0..4).prop_map(Shape::Map),
            inner.clone().prop_map(|shape| Shape::Boxed(Some(Box::new(shape)))),
            [inner.clone(), inner].prop_map(|pair| Shape::Pair(pair.map(Box::new))),
        ]
    })
}

/// They are an error that says something, or a value that can be written and read.
fn decode_as<T: Debug + Serialize + DeserializeOwned + Send + 'static>(bytes: &[u8]) {
    match decode::<T>(Part::Result, bytes) {
        Ok(value) => {
            let bytes = encode(Part::Result, &value).expect("the value was read");
            let again = decode::<T>(Part::Result, &bytes).expect("the value was written");
            assert_eq!(format!("{value:?}").len(), format!("{again:?}").len());
        }
        Err(Error::Decode(decode)) => assert!(!decode.message().is_empty()),
        Err(other) => panic!("{other:?}"),
    }
}

fn decode_as_all(bytes: &[u8]) {
    decode_as::<Shape>(bytes);
    decode_as::<(u128, char, bool, f32)>(bytes);
    decode_as::<Vec<String>>(bytes);
    decode_as::<Vec<u64>>(bytes);
    decode_as::<HashMap<i16, Option<Vec<f64>>>>(bytes);
    decode_as::<Option<Result<String, Duration>>>(bytes);
    decode_as::<Bytes>(bytes);
    decode_as::<Vec<Bytes>>(bytes);
    decode_as::<Vec<u8>>(bytes);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in bytes(300)) {
        decode_as_all(&bytes);
    }

    #[test]
    fn a_value_is_read_as_it_was_written(shape in shape()) {
        let bytes = encode(Part::Argument, &shape).unwrap();
        let back: Shape = decode(Part::Argument, &bytes).unwrap();
        prop_assert_eq!(format!("{shape:?}"), format!("{back:?}"));
        prop_assert_eq!(encode(Part::Argument, &back).unwrap(), bytes);
    }

    #[test]
    fn damaged_bytes_are_a_value_or_an_error(shape in shape(), damage in prop::collection::vec(damage(), 1..4)) {
        let bytes = encode(Part::Argument, &shape).unwrap();
        decode_as_all(&damage.iter().fold(bytes, |bytes: Vec<u8>, damage: &Damage| damage.done_to(bytes)));
    }
}

/// Inputs that are known to be hard.
#[test]
fn hard_bytes_are_a_value_or_an_error() {
    let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let hard: &[&[u8]] = &[
        &[],
        // A length that is larger than the memory, and one that does not fit into 64 bits.
        &longest,
        &[0xff; 20],
        // The same behind the marks of a list, of bytes, of a map.
        &[&[5][..], &longest].concat(),
        &[&[4][..], &longest].concat(),
        &[&[6][..], &longest].concat(),
        // Nested boxes.
        &[7, 1].repeat(50),
        // An invalid character, and invalid text.
        &[3, 0, 4, 0xf4, 0x90, 0x80, 0x80, 0],
        &[3, 1, 0xc0, 0],
        // A Boolean that is neither true nor false.
        &[8, 0, 2],
        // Nanoseconds that are more than a second, and seconds that overflow with them.
        &[&[8, 0, 1][..], &longest, &[0xff, 0xff, 0xff, 0xff, 0xf]].concat(),
    ];
    for bytes in hard {
        decode_as_all(bytes);
    }
}
