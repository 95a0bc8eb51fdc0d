//! [`Reply`]: a frame that answers a task, or some of its items.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::event;
use crate::process::protocol::frame::{Header, ItemsHead};
use crate::process::scheduler::Answered;

pub(super) struct Reply {
    pub(super) header: Header,
    /// Where its body is in the buffer that it was read into.
    pub(super) body: Range<usize>,
    pub(super) items: Option<ItemsHead>,
}

impl event::Reply for Reply {
    fn answered(&self) -> Answered {
        let Header { slot, sequence, .. } = self.header;
        Answered { slot, sequence, last: self.items.is_none_or(|head| head.last) }
    }
}
