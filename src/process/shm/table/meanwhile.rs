//! What workers do between two accesses of the pool to their slots: for the simulation, which runs all of them on one
//! thread.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use super::{COUNT, TaskSlots, TaskTable};

thread_local! {
    static OTHERS: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Sets what happens whenever the pool is about to access a slot.
pub(in crate::process) fn let_happen(others: Option<Box<dyn FnMut()>>) {
    OTHERS.set(others);
}

impl TaskTable {
    /// Returns the slots without letting anything happen.
    pub(in crate::process) fn quiet_slots(&self) -> &TaskSlots<COUNT> {
        &self.shared().slots
    }
}

/// Lets the others act, as the pool is about to access a slot.
pub(super) fn happens() {
    if let Some(mut others) = OTHERS.take() {
        others();
        OTHERS.set(Some(others));
    }
}
