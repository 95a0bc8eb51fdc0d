//! The connection of a model.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::receiver::{Helper, Keeper, Receiver};
use super::slots::Slots;
use super::sys::Line;

pub(super) struct Connection {
    pub(super) socket: Line,
    pub(super) receiver: Receiver,
    pub(super) slots: Slots,
}

impl Connection {
    pub(super) fn new() -> Arc<Self> {
        let socket = Line::new();
        let receiver = Receiver::new(&socket).expect("a model has descriptors");
        Arc::new(Self { socket, receiver, slots: Slots::new() })
    }

    pub(super) fn lay_down(&self, keeper: &mut Keeper) -> bool {
        keeper.lay_down(&self.receiver, &self.slots)
    }

    pub(super) fn take_up(&self, keeper: &mut Keeper, rung: bool, heard: bool) {
        keeper.take_up(&self.receiver, &self.slots, rung, heard, || self.socket.look(|told| told.rung = false));
    }

    pub(super) fn help(&self) -> Option<Helper<'_>> {
        self.receiver.help(&self.socket, &self.slots)
    }

    pub(super) fn ring(&self) {
        self.socket.tell(|told| told.rung = true);
    }
}
