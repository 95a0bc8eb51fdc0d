//! Arguments, results and errors on their way.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::panic::{panic_any, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, MapOptions, Outcome, Panicked, Part, Payload, as_completed};
use concurrent_futures_conformance::functions::Value;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use super::marked::*;
use super::support::*;
use crate::support::logged;

/// What a value does when it is written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Behavior {
    Works,
    Fails,
    Panics,
}
use Behavior::*;

impl Behavior {
    fn act<E>(self, error: impl FnOnce(&'static str) -> E) -> Result<(), E> {
        match self {
            Works => Ok(()),
            Fails => Err(error("this value fails")),
            Panics => panic!("this value panics"),
        }
    }
}

/// A value that is difficult to write or to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difficult {
    write: Behavior,
    read: Behavior,
}

const GOOD: Difficult = Difficult { write: Works, read: Works };

impl Serialize for Difficult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Some bytes are written before the failure.
        let written = (7_u32, "on the way", self.read).serialize(serializer);
        self.write.act(ser::Error::custom)?;
        written
    }
}

impl<'de> Deserialize<'de> for Difficult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (_, _, read) = <(u32, String, Behavior)>::deserialize(deserializer)?;
        read.act(de::Error::custom)?;
        Ok(GOOD)
    }
}

fn take(_: Difficult) {}

fn give((write, read): (Behavior, Behavior)) -> Difficult {
    Difficult { write, read }
}

/// Checks which part was not written (or read), and that it says what was behind it.
#[track_caller]
fn assert_lost<T: fmt::Debug>(outcome: Outcome<T>, written: bool, part: Part, behavior: Behavior) {
    let text = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let lost = match outcome {
        Err(Error::Encode(encode)) if written => encode.part(),
        Err(Error::Decode(decode)) if !written => decode.part(),
        other => panic!("{part} {behavior:?}: {other:?}"),
    };
    assert_eq!(lost, part, "{text}");
    assert!(text.contains(if behavior == Panics { "this value panics" } else { "this value fails" }), "{text}");
}

#[track_caller]
fn panicked<T: fmt::Debug>(outcome: Outcome<T>) -> Panicked {
    match outcome {
        Err(Error::Panicked(panicked)) => panicked,
        other => panic!("not a panic: {other:?}"),
    }
}

fn same<T>(value: T) -> T {
    value
}

#[test]
fn an_argument_that_cannot_be_written_or_read_fails_alone() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        for behavior in [Fails, Panics] {
            let (before, after) = (pool.submit(same, 1), Difficult { write: behavior, read: Works });
            assert_lost(pool.submit(take, after).result(), true, Part::Argument, behavior);
            assert_lost(
                pool.submit(take, Difficult { write: Works, read: behavior }).result(),
                false,
                Part::Argument,
                behavior,
            );
            assert_eq!(before.result().unwrap(), 1);
        }
        pool.submit(take, GOOD).result().unwrap();
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn a_result_that_cannot_be_written_or_read_fails_alone() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        for behavior in [Fails, Panics] {
            let before = pool.submit(same, 1);
            assert_lost(pool.submit(give, (behavior, Works)).result(), true, Part::Result, behavior);
            assert_lost(pool.submit(give, (Works, behavior)).result(), false, Part::Result, behavior);
            assert_eq!(before.result().unwrap(), 1);
        }
        assert_eq!(pool.submit(give, (Works, Works)).result().unwrap(), GOOD);
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_keeps_no_long_result() {
    const LONG_RESULT: usize = 64 << 20;
    fn resident(_: ()) -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        rustix::param::page_size() * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    }
    with_pool(workers(1), |pool| {
        let before = pool.submit(resident, ()).result().unwrap();
        let result = pool.submit(|length| "x".repeat(length), LONG_RESULT).result().unwrap();
        assert_eq!(result.len(), LONG_RESULT);
        let after = pool.submit(resident, ()).result().unwrap();
        assert!(after < before + LONG_RESULT / 2, "{before} bytes before, {after} after");
    });
}

/// Panics when it is written, and again when it is dropped meanwhile.
#[derive(Debug, Deserialize)]
struct PanicsTwice;

impl Serialize for PanicsTwice {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Panics.act(ser::Error::custom).map(|()| unreachable!("it panics"))
    }
}

impl Drop for PanicsTwice {
    fn drop(&mut self) {
        panic!("this value panics when it is dropped");
    }
}

#[test]
fn a_result_that_panics_as_it_is_written_and_as_it_is_dropped_fails_alone() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let outcome = pool.submit(|(): ()| PanicsTwice, ()).result();
        assert_lost(outcome.map(std::mem::forget), true, Part::Result, Panics);
        for outcome in pool.map(|(): ()| PanicsTwice, [(); 3]) {
            assert_lost(outcome.map(std::mem::forget), true, Part::Result, Panics);
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn only_the_item_whose_argument_cannot_be_encoded_fails_in_a_chunk() {
    let items = |at: usize, bad: Difficult| (0..30).map(move |n| (n, if n == at || n == 29 { bad } else { GOOD }));
    fn number((n, _): (usize, Difficult)) -> usize {
        n
    }
    with_pool(workers(2), move |pool| {
        for behavior in [Fails, Panics] {
            let cases = [
                (true, Difficult { write: behavior, read: Works }),
                (false, Difficult { write: Works, read: behavior }),
            ];
            for (written, bad) in cases {
                for (at, size) in [(0, 10), (9, 10), (13, 10), (13, 30), (13, 2)] {
                    let map = pool.with(MapOptions::new().chunk_size(size));
                    for (n, outcome) in map.map(number, items(at, bad)).enumerate() {
                        if n == at || n == 29 {
                            assert_lost(outcome, written, Part::Argument, behavior);
                        } else {
                            assert_eq!(outcome.unwrap(), n, "{behavior:?} {written} at {at} in chunks of {size}");
                        }
                    }
                }
            }
        }
        assert_eq!(pool.stats().respawned, 0, "no worker died");
        pool.works();
    });
}

#[test]
fn only_the_item_whose_result_cannot_be_encoded_fails_in_a_chunk() {
    fn difficult((n, write, read): (usize, Behavior, Behavior)) -> (usize, Difficult) {
        (n, Difficult { write, read })
    }
    with_pool(workers(2), |pool| {
        for behavior in [Fails, Panics] {
            for (written, bad) in [(true, (behavior, Works)), (false, (Works, behavior))] {
                for at in [0, 9, 13] {
                    let items = (0..30).map(|n| if n == at { (n, bad.0, bad.1) } else { (n, Works, Works) });
                    let map = pool.with(MapOptions::new().chunk_size(10));
                    for (n, outcome) in map.map(difficult, items).enumerate() {
                        if n == at {
                            assert_lost(outcome, written, Part::Result, behavior);
                        } else {
                            assert_eq!(outcome.unwrap(), (n, GOOD));
                        }
                    }
                }
            }
        }
        assert_eq!(pool.stats().respawned, 0, "no worker died");
        pool.works();
    });
}

/// Its drop panics, in the process of this id.
#[derive(Serialize, Deserialize)]
struct PanicsOnDrop {
    at: u32,
    text: String,
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if std::process::id() == self.at && !std::thread::panicking() {
            panic!("boom: {}", self.text);
        }
    }
}

fn panics_on_drop(at: u32, text: &str) -> PanicsOnDrop {
    PanicsOnDrop { at, text: text.into() }
}

#[test]
fn a_panic_in_the_drop_of_an_argument_fails_its_task_or_is_logged() {
    with_pool(workers(1), |pool| {
        logged("");
        let worker = pool.submit(pid, ()).result().unwrap();
        let future = pool.submit(|_: PanicsOnDrop| 5, panics_on_drop(std::process::id(), "argument here"));
        assert_eq!(future.result().unwrap(), 5, "only its original was dropped in this process");
        assert_eq!(logged("boom: argument here").len(), 1);
        let outcome = pool.submit(|_: PanicsOnDrop| 5, panics_on_drop(worker, "argument there")).result();
        assert_eq!(panicked(outcome).message(), "boom: argument there", "the function drops what it is given");
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn a_panic_in_the_drop_of_a_result_loses_nothing() {
    fn make((at, text): (u32, String)) -> PanicsOnDrop {
        PanicsOnDrop { at, text }
    }
    with_pool(workers(1), |pool| {
        logged("");
        let worker = pool.submit(pid, ()).result().unwrap();
        let result = pool.submit(make, (worker, "result there".into())).result().unwrap();
        assert_eq!(result.text, "result there", "it was written before it was dropped");
        pool.submit(make, (std::process::id(), "result here".into())).detach();
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
        assert_eq!(logged("boom: result here").len(), 1, "the pool drops a result without a handle");
        let map = pool.with(MapOptions::new().chunk_size(3));
        let texts = (0..9).map(|n| (worker, n.to_string()));
        for (n, outcome) in map.map(make, texts).enumerate() {
            assert_eq!(outcome.unwrap().text, n.to_string());
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn a_panic_in_the_drop_of_a_payload_costs_the_task_alone() {
    fn explode(text: String) {
        panic_any(PanicsOnDrop { at: std::process::id(), text })
    }
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let panic = panicked(pool.submit(explode, "payload".into()).result());
        assert_eq!(panic.message(), "a payload that is no text");
        assert!(panic.location().unwrap().contains("payloads.rs:"));
        let map = pool.with(MapOptions::new().chunk_size(3));
        for outcome in map.map(explode, (0..6).map(|n| n.to_string())) {
            assert_eq!(panicked(outcome).message(), "a payload that is no text");
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn a_payload_that_is_no_string_is_a_panic_with_a_location() {
    with_pool(workers(1), |pool| {
        let line = line!() + 1;
        let future = pool.submit(|n: u8| -> u8 { panic_any(n) }, 7);
        let error = future.result().unwrap_err();
        let panic = panicked::<()>(Err(error.clone()));
        assert_eq!(panic.message(), "a payload that is no text");
        assert!(panic.location().unwrap().contains(&format!("payloads.rs:{line}:")), "{panic}");
        assert!(panic.worker_name().unwrap().starts_with("ProcessPoolExecutor-"), "{panic}");
        assert!(error.into_panic().is_err(), "the payload itself stays where it was");
        pool.works();
    });
}

/// Bytes that cross in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl Blob {
    /// The same for the same seed and length.
    fn new(seed: u64, length: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let block: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(61).collect();
        let mut bytes = block.repeat(length / block.len() + 1);
        bytes.truncate(length);
        Self(bytes)
    }
}

#[track_caller]
fn assert_too_large<T: fmt::Debug>(outcome: Outcome<T>, size: u64, limit: u64) {
    match outcome {
        Err(Error::TooLarge(large)) => assert_eq!((large.size(), large.limit()), (size, limit)),
        other => panic!("not too large: {other:?}"),
    }
}

#[test]
fn an_argument_or_result_above_the_frame_limit_fails_alone() {
    fn zeros(length: usize) -> Blob {
        Blob(vec![0; length])
    }
    // Two bytes go before the others: their number.
    with_pool(workers(1).max_message_size(1000), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        assert_eq!(pool.submit(|blob: Blob| blob.0.len(), zeros(998)).result().unwrap(), 998);
        assert_too_large(pool.submit(|blob: Blob| blob.0.len(), zeros(999)).result(), 1001, 1000);
        assert_eq!(pool.submit(zeros, 998).result().unwrap(), zeros(998));
        assert_too_large(pool.submit(zeros, 999).result(), 1001, 1000);
        assert_too_large(pool.submit(zeros, 10_000_000).result(), 10_000_004, 1000);
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn only_the_item_above_the_frame_limit_fails_in_a_chunk() {
    fn zeros(length: usize) -> Blob {
        Blob(vec![0; length])
    }
    with_pool(workers(1).max_message_size(100_000), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let map = pool.with(MapOptions::new().chunk_size(20));
        let lengths = (0..40).map(|n| if n % 7 == 3 { 100_000 } else { 90_000 + n });
        for (length, outcome) in lengths.clone().zip(map.map(|blob: Blob| blob.0.len(), lengths.clone().map(zeros))) {
            match length {
                100_000 => assert_too_large(outcome, 100_003, 100_000),
                _ => assert_eq!(outcome.unwrap(), length, "its own length is within the limit"),
            }
        }
        for (length, outcome) in lengths.clone().zip(map.map(zeros, lengths)) {
            match length {
                100_000 => assert_too_large(outcome, 100_003, 100_000),
                _ => assert_eq!(outcome.unwrap().0.len(), length),
            }
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn results_of_a_chunk_are_divided_among_frames() {
    fn zeros(length: usize) -> Blob {
        Blob(vec![0; length])
    }
    for limit in [51_000, 100_000] {
        with_pool(workers(1).max_message_size(limit as u64), move |pool| {
            let worker = pool.submit(pid, ()).result().unwrap();
            let lengths = [100, limit - 3, limit - 3, 30_000, 30_000, 30_000, limit - 3, 0];
            let map = pool.with(MapOptions::new().chunk_size(lengths.len()));
            for (length, outcome) in lengths.into_iter().zip(map.map(zeros, lengths)) {
                assert_eq!(outcome.unwrap().0.len(), length);
            }
            assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
        });
    }
}

#[test]
fn an_error_of_any_length_costs_the_task_alone() {
    fn shout(length: usize) {
        // Without the hook, which would print it.
        resume_unwind(Box::new("x".repeat(length)))
    }
    fn explain(length: usize) -> Result<(), String> {
        Err("ä".repeat(length))
    }
    with_pool(workers(1).max_message_size(1000), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let map = pool.with(MapOptions::new().chunk_size(2));
        for length in [500, 5_000] {
            assert_eq!(panicked(pool.submit(shout, length).result()).message().len(), length);
            let error = pool.try_submit(explain, length).result().unwrap_err();
            assert!(matches!(error, Error::Failed(_)), "{error}");
            assert_eq!(error.to_string().chars().count(), length);
            for outcome in map.map(shout, [length; 4]) {
                assert_eq!(panicked(outcome).message().len(), length);
            }
        }
        // The text of an error may be longer than a result, but not as long as it likes.
        const LIMIT: usize = 60 << 10;
        let too_large = |outcome| matches!(outcome, Err(Error::TooLarge(large)) if large.limit() == LIMIT as u64);
        for length in [500_000, 5_000_000] {
            assert!(too_large(pool.submit(shout, length).result()));
            assert!(too_large(pool.try_submit(explain, length).result()));
            assert!(map.map(shout, [length; 4]).all(too_large));
        }
        let size = match pool.submit(shout, 500_000).result() {
            Err(Error::TooLarge(large)) => large.size() as usize,
            outcome => panic!("not too large: {outcome:?}"),
        };
        let longest = LIMIT - (size - 500_000);
        assert_eq!(panicked(pool.submit(shout, longest).result()).message().len(), longest);
        assert!(too_large(pool.submit(shout, longest + 1).result()));
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct New(i128);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(String, Option<Option<u8>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Line(f64),
    Box(u8, char),
    Text { lines: Vec<String>, font: Option<Box<Shape>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    flags: (bool, bool),
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128, usize),
    floats: Vec<f64>,
    single: f32,
    letters: Vec<char>,
    text: String,
    units: ((), Unit),
    new: New,
    pair: Pair,
    array: [u8; 32],
    shapes: Vec<Shape>,
    sorted: BTreeMap<String, Vec<u16>>,
    hashed: HashMap<(i8, char), Shape>,
    result: Result<u8, String>,
    time: Duration,
    path: PathBuf,
    address: IpAddr,
    range: Range<u32>,
}

fn everything() -> Everything {
    let text = Shape::Text { lines: vec![String::new(), "flag".into()], font: Some(Box::new(Shape::Point)) };
    let shapes = vec![Shape::Point, Shape::Line(-0.0), Shape::Box(255, '\u{10FFFF}'), text];
    Everything {
        flags: (true, false),
        signed: (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN),
        unsigned: (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, usize::MAX),
        floats: vec![0.1, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX],
        single: f32::EPSILON,
        letters: vec!['a', '\0', 'ß', '🏴'],
        text: "a text, and a zero \0 in it".into(),
        units: ((), Unit),
        new: New(i128::MAX),
        pair: Pair("pair".into(), Some(None)),
        array: [7; 32],
        hashed: shapes.iter().enumerate().map(|(n, shape)| ((n as i8, 'k'), shape.clone())).collect(),
        shapes,
        sorted: [("empty".into(), vec![]), ("three".into(), vec![1, 2, 3])].into(),
        result: Err("no".into()),
        time: Duration::new(u64::MAX, 999_999_999),
        path: "/a/path".into(),
        address: "2001:db8::1".parse().unwrap(),
        range: 3..9,
    }
}

#[test]
fn values_of_every_shape_are_returned_unchanged() {
    #[track_caller]
    fn there_and_back<T: Payload + Clone + PartialEq + fmt::Debug>(pool: &impl Executor, value: T) {
        assert_eq!(pool.submit(same::<T>, value.clone()).result().unwrap(), value);
        let values: Vec<T> = vec![value; 5];
        let chunks = pool.with(MapOptions::new().chunk_size(2));
        assert_eq!(chunks.map(same::<T>, values.clone()).collect::<Result<Vec<T>, _>>().unwrap(), values);
    }
    with_pool(workers(2), |pool| {
        there_and_back(&**pool, everything());
        there_and_back(&**pool, vec![everything(); 10]);
        there_and_back(&**pool, ());
        there_and_back(&**pool, ((), ((), ())));
        there_and_back(&**pool, Unit);
        there_and_back(&**pool, Vec::<()>::new());
        there_and_back(&**pool, Vec::<Everything>::new());
        there_and_back(&**pool, String::new());
        there_and_back(&**pool, [(); 0]);
        there_and_back(&**pool, None::<Option<()>>);
        there_and_back(&**pool, Some(None::<()>));
        there_and_back(&**pool, Blob(vec![]));
        there_and_back(&**pool, Ok::<(), ()>(()));
        let nan = pool.submit(same, f64::from_bits(0x7ff8_0000_dead_beef)).result().unwrap();
        assert_eq!(nan.to_bits(), 0x7ff8_0000_dead_beef);
    });
}

#[test]
fn fifty_megabytes_cross_both_ways() {
    const LENGTH: usize = 50 << 20;
    with_pool(workers(2), |pool| {
        let small = pool.submit(same, 1);
        let there = pool.submit(|blob: Blob| blob == Blob::new(1, LENGTH), Blob::new(1, LENGTH));
        let back = pool.submit(|seed| Blob::new(seed, LENGTH), 2);
        let both = pool.submit(same, Blob::new(3, LENGTH));
        assert_eq!(small.result().unwrap(), 1);
        assert!(there.result().unwrap());
        assert!(back.result().unwrap() == Blob::new(2, LENGTH));
        assert!(both.result().unwrap() == Blob::new(3, LENGTH));
        let chunks = pool.with(MapOptions::new().chunk_size(2));
        let lengths = [0, LENGTH / 5, 1, LENGTH / 5, 0];
        for (length, outcome) in lengths.iter().zip(chunks.map(same, lengths.map(|length| Blob::new(4, length)))) {
            assert!(outcome.unwrap() == Blob::new(4, *length));
        }
        pool.works();
    });
}

/// Checks what it is given, and gives as much as it is told.
fn trade((seed, blob, length): (u64, Blob, usize)) -> Blob {
    assert!(blob == Blob::new(seed, blob.0.len()), "not what was sent");
    Blob::new(!seed, length)
}

#[test]
fn ten_thousand_blobs_of_any_length_cross_both_ways() {
    const THREADS: u64 = 4;
    const TASKS: u64 = 10_000 / THREADS;
    with_pool(workers(3), |pool| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    for batch in 0..TASKS / 50 {
                        let tasks = (0..50).map(|n| {
                            let seed = thread << 32 | batch << 8 | n;
                            let [there, back] = [(); 2].map(|()| random.usize(0..200 << 10));
                            ((seed, back), pool.submit(trade, (seed, Blob::new(seed, there), back)))
                        });
                        for ((seed, back), future) in as_completed(tasks) {
                            assert!(future.result().unwrap() == Blob::new(!seed, back), "not what was returned");
                        }
                    }
                });
            }
        });
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.failed, stats.pending, stats.respawned), (10_000, 0, 0, 0));
    });
}

#[test]
fn a_task_leaves_no_values_in_its_worker() {
    with_pool(workers(1), |pool| {
        let values = |count: usize| (0..count).map(|_| Value::new()).collect::<Vec<_>>();
        // Each task counts the values in its own process.
        let count = |values: Vec<Value>| (values.len(), Value::alive());
        assert_eq!(pool.submit(count, values(3)).result().unwrap(), (3, 3));
        assert_eq!(pool.submit(values, 5).result().unwrap().len(), 5);
        assert_eq!(pool.submit(|()| Value::alive(), ()).result().unwrap(), 0);
    });
}

/// An error of a task, one of whose methods panics.
#[derive(Debug)]
enum Bomb {
    None,
    Display,
    Source,
    Drop,
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!matches!(self, Self::Display), "no text");
        f.write_str("it failed")
    }
}

impl std::error::Error for Bomb {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        assert!(!matches!(self, Self::Source), "no cause");
        None
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!matches!(self, Self::Drop), "no end");
    }
}

fn explode(which: u8) -> Result<u8, Bomb> {
    Err(match which {
        0 => return Ok(7),
        1 => Bomb::None,
        2 => Bomb::Display,
        3 => Bomb::Source,
        _ => Bomb::Drop,
    })
}

#[test]
fn an_error_whose_methods_panic_costs_no_worker() {
    with_pool(workers(1), |pool| {
        let pid = pool.submit(pid, ()).result().unwrap();
        let check = |which: u8, outcome: Outcome<u8>| match outcome {
            Ok(seven) => assert_eq!((which, seven), (0, 7)),
            Err(Error::Failed(failed)) => {
                let text = failed.to_string();
                assert!(text.contains(if which == 2 { "no text" } else { "it failed" }), "{text}");
                let cause = std::error::Error::source(&failed).map(ToString::to_string);
                assert_eq!(cause.is_some_and(|cause| cause.contains("no cause")), which == 3);
            }
            Err(other) => panic!("{which}: {other}"),
        };
        for which in 0..5 {
            check(which, pool.try_submit(explode, which).result());
            for (which, outcome) in [0, which, 0].into_iter().zip(pool.try_map(explode, [0, which, 0])) {
                check(which, outcome);
            }
            for (which, outcome) in [0, which, 0]
                .into_iter()
                .zip(pool.with(MapOptions::new().chunk_size(3)).try_map(explode, [0, which, 0]))
            {
                check(which, outcome);
            }
        }
        assert_eq!(pool.submit(super::support::pid, ()).result().unwrap(), pid);
    });
}
