//! [`PoolId`]: the number of a pool of threads.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of a pool, which no other pool of the program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolId(NonZeroU32);

impl PoolId {
    /// Returns a new number.
    ///
    /// # Panics
    ///
    /// If the program has made 2^32 pools.
    pub(super) fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Self(NonZeroU32::new(next).expect("fewer than 2^32 pools"))
    }
}
