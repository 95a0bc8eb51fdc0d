//! [`Encoded`]: encoded items of a map that are in no batch yet.
#![forbid(unsafe_code)]

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
    /// Out-of-band data of the items. It is not tracked per item: it goes with all of them.
    attached: Option<Attached>,
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
    pub(super) fn new(argument: Vec<u8>, cut: ItemOffsets, attached: Option<Attached>) -> Self {
        Self { argument, ends: cut.ends, refused: cut.refused, next: 0, attached }
    }

    /// Makes a stand-in for `count` items that are not encoded yet.
    pub(super) fn of_none(count: usize) -> Self {
        Self { ends: vec![0; count].into(), ..Self::default() }
    }

    /// Returns `true` if something is attached, so that the items cannot be divided.
    pub(super) fn is_heavy(&self) -> bool {
        self.attached.is_some()
    }

    /// Takes up to `most` of the next items, or all of them if something is attached.
    pub(super) fn take(&mut self, most: usize) -> (ItemOffsets, Vec<u8>, Option<Attached>) {
        let attached = self.attached.take();
        let most = if attached.is_some() { self.ends.len() } else { most };
        let from = self.next;
        let to = self.ends.len().min(from + most);
        self.next = to;
        let (argument, cut) = ItemOffsets::part(&self.argument, &self.ends, &self.refused, from..to);
        (cut, argument, attached)
    }
}
