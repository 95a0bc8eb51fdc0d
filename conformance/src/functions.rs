//! All functions that points submit. With the feature `remote` they have names, `concurrent_futures_conformance.functions.double`
//! and so on, for executors that know functions by name.

use std::collections::BTreeMap;
use std::io;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concurrent_futures::{BoxError, Error, Executor, InlineExecutor, Outcome, ThreadPoolExecutor, TimeLimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{enter, marks};

pub use crate::support::{mark, pass, pass_with, pid};

/// Doubles a number.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn double(n: u64) -> u64 {
    2 * n
}

/// Adds two numbers.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn add((a, b): (u64, u64)) -> u64 {
    a + b
}

/// Adds numbers.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn sum(numbers: Vec<u64>) -> u64 {
    numbers.into_iter().sum()
}

/// Multiplies two numbers.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn area((width, height): (u32, u32)) -> u32 {
    width * height
}

/// Raises a number to a power.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn power((base, exponent): (u64, u32)) -> u64 {
    base.pow(exponent)
}

/// Returns the length of a text.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn length(text: String) -> usize {
    text.len()
}

/// Returns a number as text.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn to_text(n: u8) -> String {
    n.to_string()
}

/// Returns the number that it was given.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn same_number(n: u32) -> u32 {
    n
}

/// Returns the numbers that it was given.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn same_numbers(numbers: Vec<u64>) -> Vec<u64> {
    numbers
}

/// A value of several shapes.
pub type Shapes = ((), char, Result<u8, String>, BTreeMap<String, Vec<Option<f64>>>);

/// Returns the value that it was given.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn same_shapes(shapes: Shapes) -> Shapes {
    shapes
}

/// Returns a vector.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn numbers(_: ()) -> Vec<u64> {
    vec![1]
}

/// Drops bytes.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn drop_bytes(bytes: Vec<u8>) {
    drop(bytes);
}

/// Panics with a text.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn panic_with(text: String) -> u64 {
    panic!("{text}")
}

/// Returns the number, or panics if it is 2, 7 or 11.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn panic_at_some(n: u64) -> u64 {
    match n {
        2 => panic!("two"),
        7 => panic!("seven"),
        11 => panic!("eleven"),
        n => n,
    }
}

/// Parses a number.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn parse(text: String) -> Result<u64, ParseIntError> {
    text.parse()
}

/// Leaves a mark, and returns the number of marks in the file, or an error if there are fewer than `good`.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn fail_until((file, good): (PathBuf, usize)) -> Result<usize, String> {
    mark((file.clone(), 0));
    let count = marks(&file).len();
    if count < good { Err(format!("mark {count} of {good}")) } else { Ok(count) }
}

/// Leaves a mark, and returns the number of marks in the file, or an error if there are fewer than its context.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn fail_until_context(good: &u64, file: PathBuf) -> Result<u64, String> {
    fail_until((file, *good as usize)).map(|count| count as u64)
}

/// Returns an error without a text.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn fail_without_text(_: ()) -> Result<(), String> {
    Err(String::new())
}

/// Returns an I/O error of the kind `TimedOut` for 1, and the number for others.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn time_out_at_one(n: u64) -> io::Result<u64> {
    if n == 1 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(n) }
}

/// Leaves a mark. The item with number 1 waits at a door first.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn second_waits((door, number): (PathBuf, u32)) -> u32 {
    if number == 1 {
        enter(&door);
    }
    mark((door.join("marks"), number))
}

/// Waits at a door and leaves a mark there.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn pass_and_mark((door, number): (PathBuf, u32)) -> u32 {
    enter(&door);
    mark((door.join("marks"), number))
}

/// Leaves a mark and waits at a door.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn mark_and_pass((door, number): (PathBuf, u32)) -> u32 {
    mark((door.join("marks"), number));
    enter(&door);
    number
}

/// Returns the number. Number 2000 waits at a door first.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn wait_at_the_last((door, number): (PathBuf, u64)) -> u64 {
    if number == 2000 { pass_with((door, number)) } else { number }
}

/// Waits for a future of its own, which ends with an error for every number but 7.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn pass_on(which: u8) -> Outcome<u8> {
    match which {
        0 => InlineExecutor.submit(|_: u8| -> u8 { panic!("no more flags") }, 0).result(),
        1 => InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "one".into()).result(),
        2 => {
            let threads = ThreadPoolExecutor::new(1);
            threads.shutdown();
            threads.submit(|n| n, 3).result()
        }
        3 => ThreadPoolExecutor::builder().max_workers(0).build().map(|_| 0).map_err(Error::from),
        4 => Err(Error::TimeLimit(TimeLimit::new(Duration::from_secs(7)))),
        5 => Err(Error::Abandoned),
        6 => Err(Error::Cancelled),
        _ => Ok(which),
    }
}

/// Does the same as [`pass_on`], but returns a boxed error by `?`.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn pass_on_boxed(which: u8) -> Result<u8, BoxError> {
    Ok(pass_on(which)?)
}

/// Multiplies a number by its context.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn scale(factor: &u64, n: u64) -> u64 {
    factor * n
}

/// Multiplies two numbers by their context.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn scale_pair(factor: &u64, (one, other): (u64, u64)) -> (u64, u64) {
    (factor * one, factor * other)
}

/// Adds two numbers, unless the sum is above its context.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn add_up_to(most: &u64, (one, other): (u64, u64)) -> Result<u64, String> {
    let sum = one + other;
    if sum > *most { Err(format!("{sum} is above {most}")) } else { Ok(sum) }
}

/// A table of numbers, by position.
pub type Table = BTreeMap<usize, u64>;

/// Looks a number up in a table.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn look_up(table: &Table, position: usize) -> Option<u64> {
    table.get(&position).copied()
}

/// A number to panic about, and what to say.
pub type Topic = (u64, String);

/// Returns the number, or panics if it is that of the context.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn panic_about(topic: &Topic, n: u64) -> u64 {
    if n == topic.0 { panic!("{}", topic.1) } else { n }
}

/// Returns the number, whatever its context is.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn number_with_value(_: &Value, n: u64) -> u64 {
    n
}

/// A value that counts its instances in its process.
pub struct Value;

/// How many values exist in this process. Raised by `new`, lowered by the drop.
static VALUES: AtomicUsize = AtomicUsize::new(0);

impl Value {
    /// Makes a value and counts it.
    #[expect(clippy::new_without_default, reason = "counts")]
    pub fn new() -> Self {
        VALUES.fetch_add(1, Ordering::SeqCst);
        Self
    }

    /// Returns how many values exist in this process.
    pub fn alive() -> usize {
        VALUES.load(Ordering::SeqCst)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        VALUES.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self::new())
    }
}

/// Makes a value.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn make_value(_: u32) -> Value {
    Value::new()
}

/// Drops a value.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn drop_value(value: Value) {
    drop(value);
}

/// Counts values.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn count_values(values: Vec<Value>) -> usize {
    values.len()
}
