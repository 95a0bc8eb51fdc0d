//! [`Encoded`]: encoded items of a map that are in no batch yet.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::error::Error;
use crate::items::Attached;
use crate::map::range::Items;
use crate::task::encoded::ItemOffsets;

/// Encoded arguments that are not taken.
#[derive(Default)]
pub(super) struct Encoded {
    argument: Vec<u8>,
    /// The offset in `argument` at which each item ends.
    ends: Box<[usize]>,
    refused: Vec<(usize, Error)>,
    /// The position of the first item that is not taken.
    next: usize,
    /// The items with long bytes that are not taken: the position of each, and its bytes.
    attached: VecDeque<(usize, Attached)>,
}

impl Items for Encoded {
    fn count(&self) -> usize {
        self.ends.len() - self.next
    }

    fn nothing() -> Self {
        Self::default()
    }

    fn drop_caught(self) {}
}

impl Encoded {
    pub(super) fn new(argument: Vec<u8>, cut: ItemOffsets, attached: Vec<(usize, Attached)>) -> Self {
        Self { argument, ends: cut.ends, refused: cut.refused, next: 0, attached: attached.into() }
    }

    /// Makes a stand-in for `count` items that are not encoded yet.
    pub(super) fn of_none(count: usize) -> Self {
        Self { ends: vec![0; count].into(), ..Self::default() }
    }

    /// Returns `true` if an item has long bytes.
    pub(super) fn is_heavy(&self) -> bool {
        !self.attached.is_empty()
    }

    /// Takes up to `most` of the next items. An item with long bytes is taken alone.
    ///
    /// So every batch with several items can be divided, and no item waits behind another one while a worker has
    /// nothing to do. Dividing a batch with long bytes would take a report for each of its items of whether the worker
    /// has kept them. It would save little: to copy long bytes takes longer than to send a batch.
    pub(super) fn take(&mut self, most: usize) -> (ItemOffsets, Vec<u8>, Option<Attached>) {
        let from = self.next;
        let (until, attached) = match self.attached.front() {
            Some((position, _)) if *position == from => (from + 1, self.attached.pop_front()),
            Some((position, _)) => (*position, None),
            None => (self.ends.len(), None),
        };
        let to = until.min(from + most);
        self.next = to;
        let (argument, cut) = ItemOffsets::part(&self.argument, &self.ends, &self.refused, from..to);
        (cut, argument, attached.map(|(_, attached)| attached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_with_long_bytes_is_taken_alone() {
        let (argument, cut) = ItemOffsets::of(&[0_u8; 9]);
        let attached = [2, 3, 8].map(|position| (position, Attached(Box::new(position))));
        let mut encoded = Encoded::new(argument, cut, attached.into());
        let mut taken = Vec::new();
        while encoded.count() > 0 {
            let (cut, argument, attached) = encoded.take(3);
            assert_eq!(cut.ends.len(), argument.len());
            let of = attached.and_then(|attached| attached.0.downcast::<usize>().ok());
            taken.push((cut.ends.len(), of.map(|position| *position)));
        }
        let expected = [(2, None), (1, Some(2)), (1, Some(3)), (3, None), (1, None), (1, Some(8))];
        assert_eq!(taken, expected);
    }
}
