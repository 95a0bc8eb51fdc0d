//! [`PoolId`]: the number of a pool of threads.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of a pool. No two pools of a program have the same number.
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
