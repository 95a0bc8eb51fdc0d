//! Values that are harder to read than to write.
#![forbid(unsafe_code)]

use std::thread;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize)]
struct Nested(Option<Box<Nested>>);

impl Nested {
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
fn what_one_thread_could_write_another_can_read() {
    const DEPTH: u32 = 20_000;
    let write = || encode(Part::Result, &Nested::new(DEPTH)).unwrap();
    let bytes = thread::Builder::new().stack_size(64 << 20).spawn(write).unwrap().join().unwrap();
    let read = move || decode::<Nested>(Part::Result, &bytes).unwrap().depth();
    let small = thread::Builder::new().stack_size(256 << 10).spawn(read);
    assert_eq!(small.unwrap().join().unwrap(), DEPTH);
}

/// Has something against being written.
struct Shy;

impl Serialize for Shy {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[derive(Serialize)]
struct Wrapped(Shy);

#[test]
fn what_a_type_says_is_heard_through_what_is_around_it() {
    match encode(Part::Result, &Wrapped(Shy)) {
        Err(Error::Encode(error)) => assert_eq!(error.message(), "not today"),
        other => panic!("{other:?}"),
    }
}
