//! [`Encoded`]: items of a map that are encoded, and that no portion has.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Error;
use crate::process::shm::segments::{SegmentPool, SegmentRef};
use crate::spread::Stock;
use crate::task::encoded::ItemOffsets;

/// Encoded arguments that nobody has taken.
pub(super) struct Encoded {
    pub(super) argument: Vec<u8>,
    /// Where each item ends.
    pub(super) ends: Box<[usize]>,
    pub(super) refused: Vec<(usize, Error)>,
    /// The first that nobody has taken.
    pub(super) next: usize,
    /// Whose they are is not known: they go with all of it.
    pub(super) segments: Vec<SegmentRef>,
    pub(super) store: Option<Arc<SegmentPool>>,
}

impl Stock for Encoded {
    fn count(&self) -> usize {
        self.ends.len() - self.next
    }

    fn nothing() -> Self {
        Self {
            argument: Vec::new(),
            ends: Box::default(),
            refused: Vec::new(),
            next: 0,
            segments: Vec::new(),
            store: None,
        }
    }

    fn drop_caught(self) {}
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if let Some(store) = &self.store
            && !self.segments.is_empty()
        {
            store.release(&self.segments, false);
        }
    }
}

impl Encoded {
    /// Stands for so many items that are not encoded.
    pub(super) fn of_none(count: usize) -> Self {
        let mut none = Self::nothing();
        none.ends = vec![0; count].into();
        none
    }

    /// Takes the next few items.
    pub(super) fn take(&mut self, most: usize) -> (ItemOffsets, Vec<u8>, Vec<SegmentRef>) {
        let segments = std::mem::take(&mut self.segments);
        let most = if segments.is_empty() { most } else { self.ends.len() };
        let from = self.next;
        let to = self.ends.len().min(from + most);
        self.next = to;
        let (argument, offsets) = ItemOffsets::part(&self.argument, &self.ends, &self.refused, from..to);
        (offsets, argument, segments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::OutOfBand;
    use crate::process::shm::segments::LONG;

    #[test]
    fn segments_that_no_portion_took_along_are_free_again() {
        let store = Arc::<SegmentPool>::default();
        let number = store.put(&[7; LONG]).unwrap();
        let mut items = Encoded::of_none(1);
        items.segments = store.references(&[number]);
        items.store = Some(Arc::clone(&store));
        items.drop_caught();
        assert_eq!(store.put(&[7; LONG]), Some(number));
    }
}
