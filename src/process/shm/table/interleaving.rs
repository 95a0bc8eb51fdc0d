//! A hook that runs before each access of the pool to a slot. The simulation, which has one thread, lets workers take
//! steps there.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use super::{COUNT, TaskSlots, TaskTable};

thread_local! {
    static HOOK: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Sets the hook.
pub(in crate::process) fn set_hook(hook: Option<Box<dyn FnMut()>>) {
    HOOK.set(hook);
}

impl TaskTable {
    /// Returns the slots without running the hook.
    pub(in crate::process) fn slots_without_hook(&self) -> &TaskSlots<COUNT> {
        &self.shared().slots
    }
}

/// Runs the hook, because the pool is about to access a slot.
pub(super) fn run_hook() {
    if let Some(mut hook) = HOOK.take() {
        hook();
        HOOK.set(Some(hook));
    }
}
