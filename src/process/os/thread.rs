//! Waits for the end of threads.
#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::ptr;
use std::thread::JoinHandle;

/// Waits until a thread has ended, in whatever way. std's own `join` looks for what the thread has left, and panics if that is nothing.
pub(super) fn wait<T>(thread: JoinHandle<T>) {
    let thread = thread.into_pthread_t();
    // SAFETY: the handle was given up for the thread, so that nobody else joins or detaches it.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
}
