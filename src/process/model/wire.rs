//! The wire of a model.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::frame::Reader;
use super::receiver::{Helper, Receiver};
use super::slots::Slots;
use super::sys::Line;

pub(super) struct Wire {
    pub(super) socket: Line,
    pub(super) receiver: Receiver,
    pub(super) slots: Slots,
}

impl Wire {
    pub(super) fn new() -> Arc<Self> {
        let socket = Line::new();
        let receiver = Receiver::new(&socket).expect("a model has descriptors");
        Arc::new(Self { socket, receiver, slots: Slots::new() })
    }

    pub(super) fn lay_down(&self, reader: Option<Box<Reader>>) -> bool {
        self.receiver.lay_down(reader, &self.slots)
    }

    pub(super) fn take_up(&self, heard: bool) -> Option<Box<Reader>> {
        self.receiver.take_up(heard, &self.slots)
    }

    pub(super) fn help(&self) -> Option<Helper<'_>> {
        self.receiver.help(&self.socket, &self.slots)
    }

    pub(super) fn ring(&self) {
        self.socket.tell(|told| told.rung = true);
    }

    pub(super) fn hush(&self) {
        self.socket.look(|told| told.rung = false);
    }
}
