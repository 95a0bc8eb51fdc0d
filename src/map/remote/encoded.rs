//! [`Encoded`]: items of a map that are encoded, and that no batch has.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::items::Attached;
use crate::map::range::Items;
use crate::task::encoded::ItemOffsets;

/// Encoded arguments that nobody has taken.
#[derive(Default)]
pub(super) struct Encoded {
    argument: Vec<u8>,
    /// Where each item ends.
    ends: Box<[usize]>,
    refused: Vec<(usize, Error)>,
    /// The first that nobody has taken.
    next: usize,
    /// What goes beside the encoding is not tracked per item: it goes with all of it.
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

    /// Stands for so many items that are not encoded.
    pub(super) fn of_none(count: usize) -> Self {
        Self { ends: vec![0; count].into(), ..Self::default() }
    }

    /// Is something attached, so that it cannot be divided?
    pub(super) fn is_heavy(&self) -> bool {
        self.attached.is_some()
    }

    /// Takes the next few items: all of them, if something is attached.
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
