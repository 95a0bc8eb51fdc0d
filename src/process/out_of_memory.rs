//! Detects that a worker ran out of memory, and records it in the page that the worker shares with the pool.
//!
//! A failed allocation ends in `abort`, like many other errors, and the exit status does not distinguish them. So a
//! worker with a memory limit handles SIGABRT: the handler looks for the cause, and lets the signal end the process. It
//! accepts either of two signs of a lack of memory: `errno` is still `ENOMEM`, or a frame of [`handle_alloc_error`] is
//! on the stack (printing a backtrace may have changed `errno`).
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::process::shm::table::TaskTable;

/// Where the handler leaves its note; null if the signal is not handled.
static NOTE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Handles SIGABRT from now on. A handler that a task or initializer sets for it replaces this one.
pub(super) fn watch(table: &'static TaskTable) {
    NOTE.store(ptr::from_ref(table.shortage()).cast_mut(), Ordering::Release);
    // SAFETY: all zero is a valid `sigaction`: no flags, an empty mask, the default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_abort as extern "C" fn(libc::c_int) as usize;
    // On the alternate stack, if there is one: the thread's own may have overflowed. Once only: the next signal ends
    // the process.
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
    // SAFETY: the handler does only what a signal handler may, and the previous action is not asked for.
    unsafe { libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut()) };
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        look: extern "C" fn(*mut c_void, *mut c_void) -> libc::c_int,
        found: *mut c_void,
    ) -> libc::c_int;
    fn _Unwind_GetRegionStart(frame: *mut c_void) -> usize;
}

/// Sets `found` if this frame belongs to the function. Returns zero to continue with the next frame.
extern "C" fn look_at(frame: *mut c_void, found: *mut c_void) -> libc::c_int {
    const FUNCTION: fn(Layout) -> ! = handle_alloc_error;
    // SAFETY: called by the unwinder with a frame.
    let start = unsafe { _Unwind_GetRegionStart(frame) };
    if start == FUNCTION as usize {
        // SAFETY: it points to a variable of the caller, to which no other reference exists.
        unsafe { found.cast::<bool>().write(true) };
    }
    0
}

fn is_out_of_memory() -> bool {
    let errno = io::Error::last_os_error().raw_os_error();
    let mut is_on_stack = false;
    // SAFETY: it calls the function with each frame and with the pointer, which points to a `bool`.
    unsafe { _Unwind_Backtrace(look_at, (&raw mut is_on_stack).cast()) };
    errno == Some(libc::ENOMEM) || is_on_stack
}

/// Reads `errno` and the stack, without allocating and without a lock that this thread could hold, stores a number, and
/// raises the signal again. All of this is allowed at any moment.
extern "C" fn on_abort(signal: libc::c_int) {
    // SAFETY: null, or a word of the page that stays mapped until the worker ends.
    if let Some(note) = unsafe { NOTE.load(Ordering::Acquire).as_ref() }
        && is_out_of_memory()
    {
        // A forked copy has another id.
        note.store(std::process::id().into(), Ordering::Release);
    }
    // SAFETY: async-signal-safe. The signal stays blocked until this handler returns.
    unsafe { libc::raise(signal) };
}
