//! [`Items`]: the items of a chunk or batch on its way, and what is known of each.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::protocol::frame::{Kind, take_item};
use super::protocol::reply;
use crate::error::Error;
use crate::sync::Mutex;
use crate::task::encoded::ItemOffsets;

pub(super) struct Items {
    /// Where in the argument each item ends.
    pub(super) ends: Box<[usize]>,
    /// How many of the items belong to this task. The others, at the end, were given to another one.
    count: AtomicUsize,
    /// The items that are not sent, in order, with their errors. A worker skips them.
    refused: Vec<(usize, Error)>,
    /// Set if the items that have not begun are no longer wanted.
    curtailed: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// The known outcomes, in input order.
#[derive(Default)]
pub(super) struct Ledger {
    replies: Vec<ItemReply>,
    values: Vec<u8>,
    /// The error of the worker that died of the next item, if that will be retried.
    last_death: Option<Error>,
}

enum ItemReply {
    /// Where in `values` its encoded result ends.
    Value(usize),
    Error(Error),
}

impl Items {
    pub(super) fn new(offsets: ItemOffsets) -> Self {
        let ItemOffsets { ends, refused, .. } = offsets;
        let (count, curtailed) = (AtomicUsize::new(ends.len()), AtomicBool::new(false));
        Self { ends, count, refused, curtailed, ledger: Mutex::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns how many items have a known outcome, counted from the first.
    pub(super) fn known(&self) -> usize {
        let known = self.ledger.lock().replies.len();
        // A damaged worker may continue with items while they are given away.
        known.min(self.count())
    }

    /// Returns `true` if there is a wanted item without a known outcome.
    pub(super) fn has_more(&self) -> bool {
        self.known() < self.count() && !self.is_curtailed()
    }

    /// Returns `true` if an outcome is known, or a worker has died of an item.
    pub(super) fn have_begun(&self) -> bool {
        let ledger = self.ledger.lock();
        !ledger.replies.is_empty() || ledger.last_death.is_some()
    }

    /// Notes that the items that have not begun are no longer wanted.
    pub(super) fn curtail(&self) {
        self.curtailed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_curtailed(&self) -> bool {
        self.curtailed.load(Ordering::Relaxed)
    }

    /// Gives the items in `range`, the last ones, away. `argument` is where they are encoded.
    pub(super) fn split_off(&self, range: Range<usize>, argument: &[u8]) -> (Vec<u8>, ItemOffsets) {
        self.count.store(range.start, Ordering::Relaxed);
        ItemOffsets::part(argument, &self.ends, &self.refused, range)
    }

    /// Returns why the item is not sent, or `None` if it is.
    pub(super) fn refusal(&self, position: usize) -> Option<&Error> {
        let index = self.refused.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(&self.refused[index].1)
    }

    /// Notes the replies to `count` items, starting at `first`. Returns `false` if they are not the ones asked for.
    pub(super) fn note(&self, first: u32, count: u32, mut bytes: &[u8]) -> bool {
        let mut ledger = self.ledger.lock();
        for position in (first as usize)..(first as usize).saturating_add(count as usize) {
            let Some((kind, body)) = take_item(&mut bytes) else {
                return false;
            };
            if position > ledger.replies.len() || position >= self.count() {
                return false;
            }
            // The earlier ones are known already, from a journal that was sent and not yet emptied.
            if position == ledger.replies.len() {
                match self.refusal(position) {
                    Some(error) => ledger.add_error(error.clone()),
                    None => ledger.add(kind, body),
                }
            }
        }
        bytes.is_empty()
    }

    /// Notes that the next item ends with this error, or with its refusal if it was not sent.
    pub(super) fn note_error(&self, error: Error) {
        let mut ledger = self.ledger.lock();
        let next = ledger.replies.len();
        if next < self.count() {
            ledger.add_error(self.refusal(next).cloned().unwrap_or(error));
        }
    }

    /// Notes that a worker died of the next item, which will be retried. It ends with `error` if it is not.
    pub(super) fn note_death(&self, error: Error) {
        self.ledger.lock().last_death = Some(error);
    }

    /// Takes the known outcomes. The items without one end with `error`.
    pub(super) fn settle(&self, error: &Error) -> Ledger {
        let mut ledger = std::mem::take(&mut *self.ledger.lock());
        // The items beyond belong to another task, which has outcomes of its own for them.
        ledger.replies.truncate(self.count());
        if let Some(died) = ledger.last_death.take()
            && ledger.replies.len() < self.count()
        {
            // The item has run, so it was not cancelled.
            ledger.add_error(self.refusal(ledger.replies.len()).cloned().unwrap_or(died));
        }
        for position in ledger.replies.len()..self.count() {
            ledger.add_error(self.refusal(position).unwrap_or(error).clone());
        }
        ledger
    }
}

impl Ledger {
    fn add(&mut self, kind: Kind, body: &[u8]) {
        if kind != Kind::Value {
            return self.add_error(reply::from_bytes(body));
        }
        self.values.extend_from_slice(body);
        self.push(ItemReply::Value(self.values.len()));
    }

    fn add_error(&mut self, error: Error) {
        self.push(ItemReply::Error(error));
    }

    fn push(&mut self, reply: ItemReply) {
        self.replies.push(reply);
        // Whatever a worker died of before, it was not what comes next.
        self.last_death = None;
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = Result<&[u8], Error>> {
        let mut start = 0;
        self.replies.iter().map(move |reply| match reply {
            ItemReply::Value(end) => Ok(&self.values[std::mem::replace(&mut start, *end)..*end]),
            ItemReply::Error(error) => Err(error.clone()),
        })
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TooLarge;
    use crate::process::protocol::frame::put_item;

    fn values(replies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        replies.iter().for_each(|reply| put_item(&mut bytes, Kind::Value, reply));
        bytes
    }

    #[test]
    fn replies_must_be_to_sent_items_and_in_order() {
        let items = Items::new(ItemOffsets { ends: [1, 2, 3, 4].into(), refused: Vec::new(), stored: Box::default() });
        assert!(!items.note(1, 1, &values(&[b"b"])), "the item before is missing");
        assert!(items.note(0, 2, &values(&[b"a", b"b"])));
        assert!(!items.note(2, 2, &values(&[b"c"])), "the second reply is cut off");
        assert!(!items.note(3, 1, &[&values(&[b"d"])[..], b"?"].concat()), "bytes are left over");
        items.split_off(3..4, b"wxyz");
        for first in [3, u32::MAX] {
            assert!(!items.note(first, 1, &values(&[b"d"])), "the item belongs to another task or to none");
        }
        assert!(items.note(1, 2, &values(&[b"B", b"C"])), "a known outcome may come again");
        let ledger = items.settle(&Error::Cancelled);
        let replies: Vec<_> = ledger.in_order().map(|reply| reply.unwrap()).collect();
        assert_eq!(replies, [b"a", b"b", b"c"]);
    }

    #[test]
    fn a_worker_does_not_die_of_an_item_that_was_not_sent() {
        let refused = || Error::TooLarge(TooLarge::new(2, 1));
        let offsets = |at| ItemOffsets { ends: [0, 0].into(), refused: vec![(at, refused())], stored: Box::default() };
        let items = |at| Items::new(offsets(at));
        for at in [0, 1] {
            let (noted, retried) = (items(at), items(at));
            noted.note_error(Error::Abandoned);
            retried.note_death(Error::Abandoned);
            for items in [noted, retried] {
                let errors = items.settle(&Error::Cancelled);
                let errors: Vec<_> = errors.in_order().map(|reply| reply.unwrap_err().variant().name()).collect();
                assert_eq!(errors, if at == 0 { ["TooLarge", "Cancelled"] } else { ["Abandoned", "TooLarge"] });
            }
        }
    }
}
