//! Values that are harder to read than to write.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::thread;

use serde::ser::{SerializeSeq, SerializeTuple};
use serde::{Deserialize, Serialize};

use super::*;
use crate::bytes::{Bytes, OutOfBand};

#[derive(Serialize, Deserialize)]
struct Nested(Option<Box<Nested>>);

impl Nested {
    /// Returns the encoding, which has a byte for each level.
    fn bytes(depth: usize) -> Vec<u8> {
        let mut bytes = vec![1; depth];
        bytes[depth - 1] = 0;
        bytes
    }

    fn new(depth: u32) -> Self {
        (1..depth).fold(Self(None), |inner, _| Self(Some(Box::new(inner))))
    }

    fn depth(mut self) -> u32 {
        let mut depth = 1;
        while let Some(inner) = self.0.take() {
            (self, depth) = (*inner, depth + 1);
        }
        depth
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        // Level by level, which needs no stack.
        let mut inner = self.0.take();
        while let Some(mut next) = inner {
            inner = next.0.take();
        }
    }
}

#[test]
fn a_value_written_on_a_large_stack_is_read_on_a_small_one() {
    const DEPTH: u32 = 20_000;
    let write = || encode(Part::Result, &Nested::new(DEPTH)).unwrap();
    let bytes = on_stack(64 << 20, write);
    let read = move || decode::<Nested>(Part::Result, &bytes).unwrap().depth();
    assert_eq!(on_stack(256 << 10, read), DEPTH);
}

/// Runs `code` on a thread with `size` bytes of stack.
fn on_stack<R: Send + 'static>(size: usize, code: impl FnOnce() -> R + Send + 'static) -> R {
    thread::Builder::new().stack_size(size).spawn(code).unwrap().join().unwrap()
}

#[test]
fn a_value_too_deep_to_read_is_an_error_on_every_stack() {
    for size in [64 << 10, 2 << 20, 32 << 20] {
        let message = on_stack(size, || match decode::<Nested>(Part::Argument, &Nested::bytes(1_000_000)) {
            Err(Error::Decode(error)) => error.message().to_owned(),
            other => panic!("{:?}", other.map(Nested::depth)),
        });
        assert!(message.contains("KiB of stack that there are for it") && message.contains(FLAT), "{message}");
    }
}

#[test]
fn a_value_too_deep_to_write_is_an_error_on_every_stack() {
    for size in [64 << 10, 2 << 20] {
        let message = on_stack(size, || match encode(Part::Argument, &Nested::new(200_000)) {
            Err(Error::Encode(error)) => error.message().to_owned(),
            other => panic!("{other:?}"),
        });
        assert!(message.contains("KiB of stack that it may use here") && message.contains("stack_size"), "{message}");
    }
}

#[test]
fn a_small_stack_is_enough_for_a_flat_value() {
    let code = || decode::<Nested>(Part::Result, &encode(Part::Result, &Nested::new(10)).unwrap()).unwrap().depth();
    assert_eq!(on_stack(64 << 10, code), 10);
}

/// An out-of-band channel that returns the same byte for everything.
struct Seven;

impl OutOfBand for Seven {
    fn put(&self, _: &[u8]) -> Option<u32> {
        Some(0)
    }
    fn put_back(&self, _: &[u32]) {}
    fn get(&self, _: u32, _: u64) -> Option<Bytes> {
        Some(vec![7].into())
    }
}

/// Deserialises to whether the reading thread may block.
#[derive(Serialize)]
struct MayBlock(bool);

impl<'de> Deserialize<'de> for MayBlock {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Self(blocking::may_block()))
    }
}

#[derive(Serialize, Deserialize)]
enum EncodedCall {
    Layer(Box<EncodedCall>),
    Core(Bytes, MayBlock),
}

#[test]
fn a_value_read_on_a_fresh_stack_has_its_out_of_band_and_the_same_right_to_block() {
    let out_of_band = || Some(Arc::new(Seven) as Arc<dyn OutOfBand>);
    let write = move || {
        let core = EncodedCall::Core(vec![1, 2, 3].into(), MayBlock(true));
        let encoded = (0..20_000).fold(core, |inner, _| EncodedCall::Layer(Box::new(inner)));
        bytes::with(out_of_band(), || encode(Part::Result, &encoded)).unwrap()
    };
    let encoded = on_stack(64 << 20, write);
    let read = move || {
        let decode = || bytes::with(out_of_band(), || decode::<EncodedCall>(Part::Result, &encoded)).unwrap();
        let core = |mut encoded| loop {
            match encoded {
                EncodedCall::Layer(inner) => encoded = *inner,
                EncodedCall::Core(bytes, MayBlock(may_block)) => return (bytes == [7][..], may_block),
            }
        };
        // The out-of-band channel is put aside in a callback.
        (core(decode()), core(blocking::in_callback(decode)))
    };
    assert_eq!(on_stack(256 << 10, read), ((true, true), (true, false)));
}

/// Ignores errors when it is read.
struct Forgiving;

impl<'de> Deserialize<'de> for Forgiving {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _ = Nested::deserialize(deserializer);
        Ok(Self)
    }
}

#[test]
fn a_type_that_hides_errors_cannot_hide_that_it_is_too_deep() {
    assert!(matches!(decode::<Forgiving>(Part::Result, &Nested::bytes(1_000_000)), Err(Error::Decode(_))));
}

/// A nested value whose innermost part can be neither written nor read.
#[derive(Debug, Serialize, Deserialize)]
enum Chain {
    Link(Box<Chain>),
    End(Unserializable),
}

impl Chain {
    fn new(depth: u32) -> Self {
        (0..depth).fold(Self::End(Unserializable), |inner, _| Self::Link(Box::new(inner)))
    }
}

#[test]
fn the_search_for_an_error_text_stops_where_the_stack_ends() {
    let little = || Room::to_read(64 << 10);
    let bytes = |depth| [vec![0; depth], vec![1]].concat();
    assert_eq!(reading::message::<Chain>(&bytes(2), little()).as_deref(), Some("not today"));
    assert_eq!(reading::message::<Chain>(&bytes(5000), little()), None);
}

#[test]
fn an_error_text_is_kept_from_any_depth() {
    let message = |depth| match encode(Part::Result, &Chain::new(depth)) {
        Err(Error::Encode(error)) => error.message().to_owned(),
        other => panic!("{other:?}"),
    };
    let message = on_stack(64 << 20, move || [message(1), message(5000)]);
    assert_eq!(message, ["not today", "not today"]);
}

/// Adds to the error of its inner value, or ignores it.
struct Outer<'a>(&'a Unserializable, bool);

impl Serialize for Outer<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        match pair.serialize_element(self.0) {
            Err(error) if self.1 => Err(serde::ser::Error::custom(format_args!("the inner value says: {error}"))),
            _ => pair.serialize_element(&Unwritable),
        }?;
        pair.end()
    }
}

/// A sequence whose length is not known in advance.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_seq(None)?.end()
    }
}

#[test]
fn an_error_text_is_kept_only_if_the_outer_type_passes_it_on() {
    let message = |passes_on| match encode(Part::Result, &Outer(&Unserializable, passes_on)) {
        Err(Error::Encode(error)) => error.message().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(message(true), "the inner value says: not today");
    assert!(message(false).contains("whose number is not known in advance"), "{}", message(false));
}

/// Fails to be written and to be read.
#[derive(Debug)]
struct Unserializable;

impl Serialize for Unserializable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

impl<'de> Deserialize<'de> for Unserializable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not today"))
    }
}

#[derive(Serialize)]
struct Wrapped(Unserializable);

#[test]
fn an_error_text_is_kept_through_the_outer_type() {
    match encode(Part::Result, &Wrapped(Unserializable)) {
        Err(Error::Encode(error)) => assert_eq!(error.message(), "not today"),
        other => panic!("{other:?}"),
    }
}
