//! How a worker process begins: this program is started again, and turns into a worker before its `main`.
//!
//! The pool starts the program with a variable in its environment and with one end of a socket as standard input. On Linux, with
//! the feature `auto-entry`, a function among the program's initialisers looks for the variable; in a normal process
//! that is one `getenv`. Elsewhere [`init`] does, as the first line of `main`.
//!
//! The variable says which version of the protocol is spoken, who the parent is, how deep pools are nested, and where in
//! the program the copy of this crate lies that asks: another copy of it in the same program, of another version,
//! leaves it alone.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::getppid;

use super::image::image;
use super::{sys, worker};

const VARIABLE: &CStr = c"CONCURRENT_FUTURES_WORKER";

const PROTOCOL: u32 = 1;

/// How many pools may be nested: a task that uses a pool of its own, whose tasks do, and so on.
pub(super) const MAX_DEPTH: u32 = 8;

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// How many pools this process is a worker of.
pub(super) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Was this process started as a worker without having become one?
pub(super) fn was_missed() -> bool {
    std::env::var_os(name()).is_some()
}

fn name() -> &'static str {
    VARIABLE.to_str().expect("a plain name")
}

/// Tells the process that `command` starts what it is.
pub(super) fn announce(command: &mut Command) {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    automatic::keep();
    let own = own_offset().unwrap_or_default();
    command.env(name(), format!("{PROTOCOL} {} {} {own}", std::process::id(), depth() + 1));
}

/// Where in the program this copy of the crate lies. `None`: in a shared library.
pub(super) fn own_offset() -> Option<u64> {
    image().offset_of((turn_into_worker as fn(Announced)) as *const () as usize)
}

/// Turns this process into a worker if it was started as one; otherwise does nothing.
///
/// The first line of `main`, where worker processes do not enter by themselves: without the feature `auto-entry`, and on
/// other systems than Linux. Harmless where they do. In a worker it does not return.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
///
/// fn main() -> Result<(), Error> {
///     concurrent_futures::init();
///     let processes = ProcessPoolExecutor::new(2);
///     assert_eq!(processes.submit(|n: u64| n + 1, 1).result()?, 2);
///     Ok(())
/// }
/// ```
pub fn init() {
    if let Some(announced) = announced() {
        turn_into_worker(announced);
    }
}

struct Announced {
    parent: i32,
    depth: u32,
}

/// What the variable says, if it is meant for this copy of the crate.
fn announced() -> Option<Announced> {
    // SAFETY: the name ends with a zero; this runs before anything can change the environment, or at the start of `main`.
    let value = unsafe { libc::getenv(VARIABLE.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns is a string, and it lives until the environment is changed.
    let value = unsafe { CStr::from_ptr(value) };
    let mut words = value.to_str().ok()?.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (protocol, parent, depth, offset) = (number()?, number()?, number()?, number()?);
    // A program that runs with its owner's rights takes no orders from the environment.
    if protocol != u64::from(PROTOCOL) || Some(offset) != own_offset() || sys::runs_with_other_rights() {
        return None;
    }
    Some(Announced { parent: i32::try_from(parent).ok()?, depth: u32::try_from(depth).ok()? })
}

fn turn_into_worker(announced: Announced) {
    let socket = take_over(&announced);
    worker::main(socket);
}

/// Makes the process a worker: the socket for itself, and nothing that its tasks could stumble over.
fn take_over(announced: &Announced) -> OwnedFd {
    DEPTH.store(announced.depth, Ordering::Relaxed);
    // Before anything else, and then a look whether the parent is still there: it may have died in between.
    sys::die_with_parent();
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != announced.parent) {
        exit_at_once();
    }
    take_name();
    // SAFETY: the name ends with a zero; nothing else reads or changes the environment yet.
    unsafe { libc::unsetenv(VARIABLE.as_ptr()) };
    // std does this before `main`, which is not reached.
    // SAFETY: to ignore a signal has no preconditions.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // A worker is not in the terminal's group, and may print all the same.
    // SAFETY: to ignore a signal has no preconditions.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    // SAFETY: copies descriptor 0, the socket, to one above the three that belong to the tasks.
    let socket = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    if socket < 0 {
        exit_at_once();
    }
    // SAFETY: the descriptor was made a moment ago, for this owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let Ok(nothing) = std::fs::File::open("/dev/null") else {
        exit_at_once();
    };
    // SAFETY: replaces descriptor 0, which this process has and nothing uses yet.
    if unsafe { libc::dup2(nothing.as_raw_fd(), 0) } < 0 {
        exit_at_once();
    }
    socket
}

/// Shows in lists of processes under the program's name, not under that of the link it was started by.
fn take_name() {
    #[cfg(target_os = "linux")]
    if let Some(program) = std::env::args_os().next()
        && let Some(name) = std::path::Path::new(&program).file_name()
    {
        // Without /proc it is called as it is.
        let _ = std::fs::write("/proc/self/comm", name.as_encoded_bytes());
    }
}

fn exit_at_once() -> ! {
    // SAFETY: ends the process, without running anything of the program's.
    unsafe { libc::_exit(worker::LOST) }
}

#[cfg(all(target_os = "linux", feature = "auto-entry"))]
mod automatic {
    use std::ffi::{c_char, c_int};

    use super::{Announced, announced, exit_at_once, take_over, worker};

    type Initialiser = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

    /// Called by the loader before `main`.
    #[used]
    // SAFETY: the section holds pointers to functions of this type, which the loader calls one after the other.
    #[unsafe(link_section = ".init_array")]
    static ENTRY: Initialiser = enter;

    // SAFETY: the linker defines both in every program that has initialisers, and this one has.
    unsafe extern "C" {
        static __init_array_start: [usize; 0];
        static __init_array_end: [usize; 0];
    }

    /// Makes a program that has pools refer to the entry, so that no linker leaves it out.
    pub(super) fn keep() {
        // SAFETY: a static may be read at any time.
        let entry = unsafe { (&raw const ENTRY).read_volatile() };
        std::hint::black_box(entry);
    }

    unsafe extern "C" fn enter(arguments: c_int, values: *const *const c_char, environment: *const *const c_char) {
        // A panic must not leave through the loader.
        let entered = std::panic::catch_unwind(|| {
            super::super::fork::watch();
            if let Some(announced) = announced() {
                become_worker(&announced, |initialiser| {
                    // SAFETY: the loader would call it next, with the same arguments.
                    unsafe { initialiser(arguments, values, environment) };
                });
            }
        });
        if entered.is_err() {
            exit_at_once();
        }
    }

    fn become_worker(announced: &Announced, initialise: impl Fn(Initialiser)) {
        let socket = take_over(announced);
        // `main` is never reached, but what other parts of the program set up before it is for tasks as well.
        for initialiser in later_initialisers() {
            initialise(initialiser);
        }
        worker::main(socket);
    }

    /// The initialisers that the loader would call after ours.
    fn later_initialisers() -> impl Iterator<Item = Initialiser> {
        let start = (&raw const __init_array_start).cast::<usize>();
        let end = (&raw const __init_array_end).cast::<usize>();
        let count = (end.addr() - start.addr()) / size_of::<usize>();
        // SAFETY: between the two are as many words as was computed, which nobody writes any more.
        let words = unsafe { std::slice::from_raw_parts(start, count) };
        let own = enter as Initialiser as usize;
        let later = words.iter().skip_while(move |word| **word != own).skip(1);
        later.filter(|word| !matches!(**word, 0 | usize::MAX)).map(|word| {
            let address = std::ptr::with_exposed_provenance::<()>(*word);
            // SAFETY: the section holds pointers to functions of this type; 0 and -1 are markers of old linkers.
            unsafe { std::mem::transmute::<*const (), Initialiser>(address) }
        })
    }
}
