//! Waits for the end of threads.
#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::ptr;
use std::thread::JoinHandle;

/// Blocks until a thread has ended, in whatever way. std's `join` looks for the thread's result, and panics if there is
/// none.
pub(super) fn wait<T>(thread: JoinHandle<T>) {
    let thread = thread.into_pthread_t();
    // SAFETY: the handle was given up for the thread, so nobody else joins or detaches it.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
}
