//! How a worker runs the items of a chunk or batch: each reply is safe before the next item begins.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::call::call;
use super::item_replies::ItemReplies;
use super::task_loop::{KEPT, TaskLoop};
use crate::error::{Error, TooLarge};
use crate::process::protocol::frame::{self, Kind, NOT_SENT, TaskHead};

impl TaskLoop {
    /// Runs the items of a chunk or batch, except those that are taken back. Each reply is in the journal before the
    /// next item begins, and is sent when the journal is full.
    pub(super) fn many(
        &self,
        head: TaskHead,
        mut arguments: &[u8],
        slot: u8,
        sequence: u64,
        bytes: Vec<u8>,
    ) -> ItemReplies {
        // No segments: the results are in the journal, which may outlive them.
        self.carriage.room.store(0, Ordering::Relaxed);
        let mut replies = ItemReplies::new(Arc::clone(&self.socket), self.table, slot, sequence, bytes);
        replies.begin(head.first);
        let context = self.contexts.find(head.context);
        let mut reply = Vec::new();
        while let Some(item) = self.table.slots().take_item(slot) {
            let Some(argument) = next_argument(&mut arguments) else {
                break;
            };
            let result = argument
                .and_then(|argument| call(head.enter, head.function, context, argument, &mut reply, &self.out_of_band))
                .and_then(|taken| self.sized(reply.len(), taken))
                .and_then(|_| match u32::try_from(reply.len()) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(Error::TooLarge(TooLarge::new(reply.len() as u64, u32::MAX.into()))),
                });
            match result {
                Ok(()) => replies.add(item, Kind::Value, &reply),
                Err(error) => replies.add(item, Kind::Fault, &self.fault(error)),
            }
            reply.clear();
            reply.shrink_to(KEPT);
        }
        replies.kept = self.has_kept();
        replies
    }
}

/// Takes the next argument from the front. Returns `Err` if it was not sent.
fn next_argument<'a>(arguments: &mut &'a [u8]) -> Option<Result<&'a [u8], Error>> {
    let length = frame::u32_at(arguments, 0)?;
    let rest = &arguments[4..];
    if length == NOT_SENT {
        *arguments = rest;
        // The pool replaces this by its own error.
        return Some(Err(Error::Abandoned));
    }
    let (argument, rest) = rest.split_at_checked(length as usize)?;
    *arguments = rest;
    Some(Ok(argument))
}
