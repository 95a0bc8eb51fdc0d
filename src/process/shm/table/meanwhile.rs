//! What workers do between two looks that the pool takes at their slots: for the simulation, where all of them are one thread.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use super::{COUNT, TaskTable, TaskWords};

thread_local! {
    static OTHERS: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Says what happens whenever the pool is about to look.
pub(in crate::process) fn let_happen(others: Option<Box<dyn FnMut()>>) {
    OTHERS.set(others);
}

impl TaskTable {
    /// The words, without letting anything happen.
    pub(in crate::process) fn quiet_words(&self) -> &TaskWords<COUNT> {
        &self.shared().words
    }
}

/// The pool is about to look.
pub(super) fn happens() {
    if let Some(mut others) = OTHERS.take() {
        others();
        OTHERS.set(Some(others));
    }
}
