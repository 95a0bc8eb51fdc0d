//! [`Poll`]: the poll of a completion queue, for a stream.
//!
//! A poll stores its waker, and then looks for a key once more. A completion sends its key, and then takes the waker.
//! Both go through one lock, so either the poll finds the key or the completion finds the waker.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::{Context, Waker};

use crate::sync::Mutex;
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;
use crate::unwind::{catch_and_log, drop_caught};

/// The waker of the last poll, and what keeps the pool of the polling thread going until it is woken.
#[derive(Default)]
pub(super) struct Poll(Mutex<Option<(Waker, Option<Arc<CompensationGuard>>)>>);

impl Poll {
    pub(super) fn wake(&self) {
        let poll = self.0.lock().take();
        if let Some((waker, spare)) = poll {
            catch_and_log("the waker of a stream", move || waker.wake());
            drop(spare);
        }
    }

    pub(super) fn set(&self, context: &Context<'_>) {
        let owner = owner::current().filter(|_| owner::may_block());
        let spare = owner.map(|owner| owner::compensate_await(&owner, BlockReason::Worker));
        let poll = (context.waker().clone(), spare);
        let replaced = self.0.lock().replace(poll);
        drop_caught(replaced);
    }
}
