//! [`FutureId`]: the number of a future, unique for as long as the program runs.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread_local;

/// The id of a future. Unique in the program, even after the future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FutureId(u64);

impl FutureId {
    /// Returns a new id. Each thread takes ids in blocks, so that threads that submit at the same time do not contend
    /// for one counter.
    pub(crate) fn next() -> Self {
        const BLOCK: u64 = 1024;
        static BLOCKS: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NEXT: std::cell::Cell<u64> = std::cell::Cell::new(0);
        }
        let from_block = || BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK + 1;
        let id = NEXT.try_with(|next| {
            let id = match next.get() {
                0 => from_block(),
                id => id,
            };
            // Blocks begin at a multiple of their length plus 1, so a multiple of the length is the last id of a block.
            next.set(if id % BLOCK == 0 { 0 } else { id + 1 });
            id
        });
        Self(id.unwrap_or_else(|_| from_block()))
    }
}

impl FutureId {
    pub(crate) fn to_u64(self) -> u64 {
        self.0
    }

    /// Returns the id of a future in another process, for its task that runs in this one.
    pub(crate) fn from_u64(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for FutureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::FutureId;

    #[test]
    fn a_thread_takes_ids_in_blocks() {
        const IDS: usize = 5000;
        let thread = thread::spawn(|| (0..IDS).map(|_| FutureId::next().0).collect::<Vec<_>>());
        let ids = thread.join().unwrap();
        let in_a_row = ids.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
        assert!(in_a_row > IDS - 10, "{in_a_row} of {IDS}");
        assert!(!ids.contains(&0));
    }
}
