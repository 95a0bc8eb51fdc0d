//! Did a worker end because it had no memory left? It leaves a note of that, in the page that it shares with its pool.
//!
//! An allocation that fails ends in `abort`, as many another thing does, and after that nobody can be asked. But the allocator has left
//! `ENOMEM` to the thread, and what stands between (a text to stderr) does not fail. So SIGABRT is looked at here, in a worker that has a limit,
//! and goes on as if it was not.
#![allow(unsafe_code)]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::process::slots::Slots;

/// Where the note goes; null as long as nobody looks.
static NOTE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Looks at SIGABRT from now on. A handler that a task or initializer sets for it comes in place of ours.
pub(super) fn watch(slots: &'static Slots) {
    NOTE.store(ptr::from_ref(slots.shortage()).cast_mut(), Ordering::Release);
    // SAFETY: all zero is a valid `sigaction`: no flags, an empty mask, the default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_abort as extern "C" fn(libc::c_int) as usize;
    // On the other stack, where there is one: the thread's own may be what has overflowed. Once: the next signal ends the process.
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
    // SAFETY: the handler does only what a handler may, and what was set before is not asked for.
    unsafe { libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut()) };
}

/// Reads the thread's `errno`, stores a number, and sends the signal again: that is allowed at any moment.
extern "C" fn on_abort(signal: libc::c_int) {
    let has_failed = io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM);
    // SAFETY: null, or a word of the page that the worker has until its end.
    if let Some(note) = unsafe { NOTE.load(Ordering::Acquire).as_ref() }
        && has_failed
    {
        // A fork of this process is not this process.
        note.store(std::process::id().into(), Ordering::Release);
    }
    // SAFETY: async-signal-safe. It is held back until this handler returns.
    unsafe { libc::raise(signal) };
}
