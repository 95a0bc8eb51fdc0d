//! The death of the process that a worker belongs to, and what that does to the worker's group.
//!
//! SIGKILL would be the surest of death signals, but it ends the worker alone, and what its tasks have started lives on. So the signal is
//! one that is handled, and the handler kills the group. The kernel sends it to the process if the thread dies that started it, for
//! each thread here that has asked, each with the signal that this thread has asked for:
//!
//! | thread of the worker | asks for | because |
//! |---|---|---|
//! | main, until the other one runs | [`DEATH`] | it has started nothing yet |
//! | main, from then on | SIGCONT | a process that is stopped handles nothing until it goes on |
//! | the one that runs tasks | [`DEATH`] | if a task replaces the process (`exec`), it keeps this thread's; there, without the handler, it kills |
//!
//! The main thread blocks no signal, so the handler runs whatever tasks block. What if a task has changed the handler, or its rights,
//! with which the kernel forgets what was asked for? Then the main thread ends the group, which waits for the
//! [hang-up of the socket](super::outlive), or if a task has closed that, for the death of the process itself.
//!
//! SIGHUP is handled too: the kernel sends it to a group with members that are stopped when the program is gone, before anything else that
//! it sends gets through, and it would end the worker alone. As long as the program is there, SIGHUP does what it always does.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal};

use super::descriptor::above_streams;
use super::group::end_group;

/// A signal that the kernel never sends by itself, that programs leave alone, and that ends who does not handle it.
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

/// This process, to tell it from what it has forked.
static OWN: AtomicI32 = AtomicI32::new(0);
static PARENT: AtomicI32 = AtomicI32::new(0);

/// Has this process end with its parent, and with it all that it has started in its group. To be called by the main thread, of a
/// process that has started nothing; then the caller looks whether the parent is still there.
pub(in crate::process) fn die_with_parent(parent: i32) {
    OWN.store(getpid().as_raw_nonzero().get(), Ordering::Relaxed);
    PARENT.store(parent, Ordering::Relaxed);
    handle(DEATH);
    handle(Signal::HUP);
    let _ = set_parent_process_death_signal(Some(DEATH));
}

/// To be called by the thread that runs tasks.
pub(in crate::process) fn die_with_parent_too() {
    let _ = set_parent_process_death_signal(Some(DEATH));
}

/// To be called by the main thread, when another one dies with the parent.
pub(super) fn go_on_with_death() {
    let _ = set_parent_process_death_signal(Some(Signal::CONT));
}

/// Waits until the parent is dead, without anything that a task could have closed before.
pub(super) fn wait_for_death() {
    while let Ok(parent) = parent_if_alive() {
        let mut parent = [PollFd::new(&parent, PollFlags::IN)];
        // Is this one closed as well, there is another.
        while let Err(Errno::INTR) = poll(&mut parent, None) {}
    }
    while is_alive() {
        // The system does not let us look. There still is the signal.
        std::thread::park();
    }
}

/// Fails if it is dead, or if the system does not let us look.
fn parent_if_alive() -> rustix::io::Result<OwnedFd> {
    let parent = Pid::from_raw(PARENT.load(Ordering::Relaxed)).ok_or(Errno::SRCH)?;
    let descriptor = above_streams(pidfd_open(parent, PidfdFlags::empty())?).map_err(|_| Errno::MFILE)?;
    // As long as this process is its child, nobody else has its number.
    if is_alive() { Ok(descriptor) } else { Err(Errno::SRCH) }
}

fn is_alive() -> bool {
    getppid().map_or(0, |parent| parent.as_raw_nonzero().get()) == PARENT.load(Ordering::Relaxed)
}

fn handle(signal: Signal) {
    // SAFETY: of this type, zeroes are no flags and no blocked signals.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = end as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler does only what one may do, and never needs what it has interrupted.
    unsafe { libc::sigaction(signal.as_raw(), &raw const action, std::ptr::null_mut()) };
}

/// Makes system calls and nothing else.
extern "C" fn end(signal: c_int) {
    let is_worker = getpid().as_raw_nonzero().get() == OWN.load(Ordering::Relaxed);
    // A program that replaces itself (`exec`) is alive by its number, and its threads are dead all the same.
    if is_worker && (signal == DEATH.as_raw() || !is_alive()) {
        end_group();
    }
    // As if it was not handled, once the handler has returned.
    // SAFETY: allowed in a handler; to restore the default has no preconditions.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: allowed in a handler, and touches no memory.
    unsafe { libc::raise(signal) };
}
