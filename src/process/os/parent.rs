//! The death of the process that a worker belongs to, and what it does to the worker's group.
//!
//! SIGKILL would be the surest death signal, but it ends only the worker, and what its tasks have started lives on. So
//! the signal is one that is handled, and the handler kills the group. When the thread that started this process dies,
//! the kernel sends the process one signal for each thread here that has asked, the one that this thread has asked for:
//!
//! | thread of the worker | asks for | because |
//! |---|---|---|
//! | main, until the other one runs | [`DEATH`] | it has started nothing yet |
//! | main, from then on | SIGCONT | a stopped process handles no signal until it continues |
//! | the one that runs tasks | [`DEATH`] | `exec` in a task keeps this signal, which then kills, as the handler is gone |
//!
//! The main thread blocks no signal, so the handler runs whatever signals tasks block. A task may change the handler,
//! or the rights of the process, which makes the kernel forget the signals. Then the main thread ends the group: it
//! waits for the [hang-up of the socket](super::outlive), or if a task has closed that, for the death of the parent.
//!
//! SIGHUP is handled too: when the program is gone, the kernel sends it to a group with stopped members before any
//! other signal gets through, and unhandled it would end only the worker. While the program lives, SIGHUP does what it
//! always does.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal};

use super::descriptor::above_streams;
use super::group::end_group;

/// A signal that the kernel never sends by itself, that programs leave alone, and that ends a process without a
/// handler.
#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "sparc",
    target_arch = "sparc64"
)))]
const DEATH: Signal = Signal::STKFLT;
#[cfg(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "sparc",
    target_arch = "sparc64"
))]
const DEATH: Signal = Signal::POWER;

/// The id of this process, which tells it from its forked copies.
static OWN: AtomicI32 = AtomicI32::new(0);
static PARENT: AtomicI32 = AtomicI32::new(0);

/// Makes this process end with its parent, together with all that it has started in its group. Must be called by the
/// main thread, in a process that has started nothing; then the caller checks that the parent is still alive.
pub(in crate::process) fn die_with_parent(parent: i32) {
    OWN.store(getpid().as_raw_nonzero().get(), Ordering::Relaxed);
    PARENT.store(parent, Ordering::Relaxed);
    handle(DEATH);
    handle(Signal::HUP);
    let _ = set_parent_process_death_signal(Some(DEATH));
}

/// Does the same for the thread that runs tasks, which must call it.
pub(in crate::process) fn die_with_parent_too() {
    let _ = set_parent_process_death_signal(Some(DEATH));
}

/// Replaces the main thread's signal by SIGCONT, once another thread dies with the parent. Must be called by the main
/// thread.
pub(super) fn go_on_with_death() {
    let _ = set_parent_process_death_signal(Some(Signal::CONT));
}

/// Blocks until the parent is dead, using nothing that a task could have closed before.
pub(super) fn wait_for_death() {
    while let Ok(parent) = parent_if_alive() {
        let mut parent = [PollFd::new(&parent, PollFlags::IN)];
        // If a task closes this descriptor too, the loop opens another.
        while let Err(Errno::INTR) = poll(&mut parent, None) {}
    }
    while is_alive() {
        // The system does not let us wait for it. The signal remains.
        std::thread::park();
    }
}

/// Returns a pidfd of the parent. Fails if it is dead, or if the system does not allow it.
fn parent_if_alive() -> rustix::io::Result<OwnedFd> {
    let parent = Pid::from_raw(PARENT.load(Ordering::Relaxed)).ok_or(Errno::SRCH)?;
    let descriptor = above_streams(pidfd_open(parent, PidfdFlags::empty())?).map_err(|_| Errno::MFILE)?;
    // While this process is its child, no other process has its number.
    if is_alive() { Ok(descriptor) } else { Err(Errno::SRCH) }
}

fn is_alive() -> bool {
    getppid().map_or(0, |parent| parent.as_raw_nonzero().get()) == PARENT.load(Ordering::Relaxed)
}

fn handle(signal: Signal) {
    // SAFETY: for this type, zeroes are no flags and no blocked signals.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = end as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler does only what a handler may do, and never needs what it has interrupted.
    unsafe { libc::sigaction(signal.as_raw(), &raw const action, std::ptr::null_mut()) };
}

/// Makes system calls only.
extern "C" fn end(signal: c_int) {
    let is_worker = getpid().as_raw_nonzero().get() == OWN.load(Ordering::Relaxed);
    // A program that replaces itself (`exec`) keeps its number, but its threads are dead.
    if is_worker && (signal == DEATH.as_raw() || !is_alive()) {
        end_group();
    }
    // As if the signal was not handled, once the handler has returned.
    // SAFETY: allowed in a handler; restoring the default has no preconditions.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: allowed in a handler, and touches no memory.
    unsafe { libc::raise(signal) };
}
