//! What workers do between two looks that the pool takes at their slots: for the simulation, where all of them are one thread.
#![forbid(unsafe_code)]

use std::cell::RefCell;

thread_local! {
    static OTHERS: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Says what happens whenever the pool is about to look.
pub(in crate::process) fn let_happen(others: Option<Box<dyn FnMut()>>) {
    OTHERS.set(others);
}

/// Looks without letting anything happen.
pub(in crate::process) fn apart<R>(look: impl FnOnce() -> R) -> R {
    let others = OTHERS.take();
    let seen = look();
    OTHERS.set(others);
    seen
}

/// The pool is about to look.
pub(super) fn happens() {
    if let Some(mut others) = OTHERS.take() {
        others();
        OTHERS.set(Some(others));
    }
}
