//! The connection of a model.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::os::Line;
use super::receiver::{Helper, Keeper, Receiver};
use super::shm::table::TaskTable;

pub(super) struct Connection {
    pub(super) socket: Line,
    pub(super) receiver: Receiver,
    pub(super) table: TaskTable,
}

impl Connection {
    pub(super) fn new() -> Arc<Self> {
        let socket = Line::new();
        let receiver = Receiver::new(&socket).expect("a model has descriptors");
        Arc::new(Self { socket, receiver, table: TaskTable::new() })
    }

    pub(super) fn lay_down(&self, keeper: &mut Keeper) -> bool {
        keeper.lay_down(&self.receiver, &self.table)
    }

    pub(super) fn take_up(&self, keeper: &mut Keeper, rung: bool, heard: bool) {
        keeper.take_up(&self.receiver, &self.table, rung, heard, || self.socket.look(|told| told.rung = false));
    }

    pub(super) fn help(&self) -> Option<Helper<'_>> {
        self.receiver.help(&self.socket, &self.table)
    }

    pub(super) fn ring(&self) {
        self.socket.tell(|told| told.rung = true);
    }
}
