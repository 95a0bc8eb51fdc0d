//! Functions that an optimised build would copy or merge: small ones, and two with the same body.

use std::sync::Mutex;
use std::time::Duration;

use concurrent_futures::{Backend, Executor, Job, task};

#[task(name = "sums.sum_to")]
pub fn sum_to(n: u64) -> u64 {
    (1..=n).sum()
}

#[task(name = "sums.double")]
pub fn double(n: u64) -> u64 {
    2 * n
}

#[task(name = "sums.scale_v1")]
pub fn scale_v1(n: u64) -> u64 {
    (0..n).fold(7, |sum: u64, i| sum.wrapping_mul(31).wrapping_add(i))
}

#[task(name = "sums.scale_v2")]
pub fn scale_v2(n: u64) -> u64 {
    (0..n).fold(7, |sum: u64, i| sum.wrapping_mul(31).wrapping_add(i))
}

#[task]
pub fn shift(n: u64) -> u64 {
    n << 1
}

pub fn plain_double(n: u64) -> u64 {
    2 * n
}

pub fn plain_scale(n: u64) -> u64 {
    (0..n).fold(7, |sum: u64, i| sum.wrapping_mul(31).wrapping_add(i))
}

pub fn generic<T: Copy + std::ops::Add<Output = T>>(n: T) -> T {
    n + n
}

/// An executor that only wants to know the names of the functions.
#[derive(Default)]
pub struct Names(Mutex<Vec<Option<&'static str>>>);

impl Backend for Names {
    fn execute(&self, job: Job) {
        self.0.lock().unwrap().push(job.function_name());
        job.run();
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

impl Names {
    /// Returns the name that a function has where it is submitted.
    pub fn of(&self, function: fn(u64) -> u64) -> Option<&'static str> {
        self.submit(function, 3).result().unwrap();
        self.0.lock().unwrap().pop().unwrap()
    }
}

/// The functions, and the names that they should have.
#[macro_export]
macro_rules! functions {
    () => {
        [
            ($crate::sum_to as fn(u64) -> u64, Some("sums.sum_to")),
            ($crate::double, Some("sums.double")),
            ($crate::scale_v1, Some("sums.scale_v1")),
            ($crate::scale_v2, Some("sums.scale_v2")),
            ($crate::shift, Some("tasks.shift")),
            ($crate::plain_double, None),
            ($crate::plain_scale, None),
            ($crate::generic::<u64>, None),
            (|n| 2 * n, None),
        ]
    };
}

#[inline(never)]
pub fn functions() -> [(fn(u64) -> u64, Option<&'static str>); 9] {
    functions!()
}
