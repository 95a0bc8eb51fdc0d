//! How a worker process begins: this program is started again, and becomes a worker before its `main`.
//!
//! The pool starts the program with a [`Mark`] as its one argument and with one end of a socket as standard input. On
//! Linux, with the feature `auto-entry`, a function among the program's initialisers looks for the mark; in a normal
//! process it only looks at one argument. Elsewhere [`init`] does so, as the first line of `main`.
//!
//! A process with a mark never runs `main` in place of a worker. It becomes a worker, or leaves the mark to another
//! copy of this crate, or exits with the code of a [`StartFailure`], from which the pool makes an error after that one
//! try.
#![allow(unsafe_code)]

mod failure;
mod mark;
mod surroundings;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::process::getppid;

use super::fork::exit_at_once;
use super::image::image;
use crate::process::{os, worker};
pub(in crate::process) use failure::StartFailure;
use mark::{Copy, How, Mark, Reading, first_arguments, is_mark};

/// `true` if workers enter before `main`.
pub(in crate::process) const ENTERS_BY_ITSELF: bool = cfg!(all(target_os = "linux", feature = "auto-entry"));

/// How this copy of the crate sees its marks.
const HOW: How = if ENTERS_BY_ITSELF { How::Entry } else { How::Init };

/// How many pools may be nested: a task that uses a pool of its own, whose tasks do the same, and so on.
pub(in crate::process) const MAX_DEPTH: u32 = 8;

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Returns how many pools deep this process is nested; 0 if it is no worker.
pub(in crate::process) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Set once a worker of this program has said hello. Until then it is not known whether one can, and only one is tried
/// at a time.
static HAS_COME_UP: AtomicBool = AtomicBool::new(false);

/// Returns `true` if a worker of this program has ever said hello.
pub(in crate::process) fn has_come_up() -> bool {
    HAS_COME_UP.load(Ordering::Relaxed)
}

/// Notes that a worker has said hello.
pub(in crate::process) fn note_hello() {
    HAS_COME_UP.store(true, Ordering::Relaxed);
}

/// Returns `true` if this process was started with a mark.
#[cfg(all(test, target_os = "linux", feature = "auto-entry", not(portable)))]
pub(in crate::process) fn is_marked() -> bool {
    first_arguments().get(1).is_some_and(|argument| is_mark(argument.as_encoded_bytes()))
}

/// Returns `true` if this process was started as a worker but has not become one.
pub(in crate::process) fn was_missed() -> bool {
    depth() == 0 && matches!(reading(mark::is_code), Some(Reading::Own(_) | Reading::Nobody(_)))
}

/// Tells the process that `command` starts that it is a worker, and gives it the name of this program.
pub(in crate::process) fn announce(command: &mut Command) {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    automatic::keep();
    let own = Copy { how: HOW, offset: own_offset().unwrap_or_default() };
    let parent = std::process::id().cast_signed();
    if let Some(name) = program_name() {
        command.arg0(name);
    }
    command.arg(Mark { parent, depth: depth() + 1 }.for_copy(own));
}

/// Returns `true` if a worker can see its mark before `main`. Where the C library gives initialisers no arguments, that
/// needs `/proc`.
pub(in crate::process) fn is_visible() -> bool {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    return automatic::HAVE_ARGUMENTS || mark::of_kernel().is_ok();
    #[cfg(not(all(target_os = "linux", feature = "auto-entry")))]
    true
}

/// Returns the name by which this program was started.
fn program_name() -> Option<OsString> {
    first_arguments().into_iter().next()
}

/// Returns the offset of this copy of the crate in the program, or `None` if it is in a shared library.
pub(in crate::process) fn own_offset() -> Option<u64> {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    let address = automatic::address();
    #[cfg(not(all(target_os = "linux", feature = "auto-entry")))]
    let address = (take_over as fn(&Mark) -> OwnedFd) as *const () as usize;
    image().offset_of(address)
}

/// Turns this process into a worker if it was started as one; otherwise does nothing.
///
/// Must be the first line of `main` where worker processes do not enter by themselves: without the feature
/// `auto-entry`, and on systems other than Linux. It is harmless where they do. In a worker it does not return.
///
/// Code before this call runs in each worker too. If the call is missing, `main` runs once more, to its end, in the
/// process that was meant to be the first worker, and tasks end with [`Error::Broken`](crate::Error::Broken).
///
/// # Examples
///
/// ```standalone_crate
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
    match reading(|copy| copy.how == How::Init && mark::is_code(copy)) {
        Some(Reading::Own(mark)) => worker::main(take_over(&mark)),
        Some(Reading::Nobody(failure)) => exit_at_once(failure.code()),
        Some(Reading::Another) | None => {}
    }
}

/// Reads the mark that this process was started with, if any.
fn reading(comes_later: impl Fn(Copy) -> bool) -> Option<Reading> {
    let argument = first_arguments().into_iter().nth(1).filter(|argument| is_mark(argument.as_encoded_bytes()))?;
    // A copy in a shared library has no marks, and leaves them all to the copies in the program.
    let own = Copy { how: HOW, offset: own_offset()? };
    if os::runs_with_other_rights() {
        // It takes no orders from the process that started it.
        return Some(Reading::Nobody(StartFailure::Rights));
    }
    Some(mark::read(argument.as_encoded_bytes(), own, comes_later))
}

/// Turns the process into a worker: takes the socket, and removes whatever its tasks must not meet.
fn take_over(mark: &Mark) -> OwnedFd {
    DEPTH.store(mark.depth, Ordering::Relaxed);
    // Before anything else, and before the check that the parent is alive: it may have died in between.
    os::die_with_parent(mark.parent);
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != mark.parent) {
        exit_at_once(StartFailure::Parent.code());
    }
    take_name();
    match surroundings::take_over() {
        Ok(socket) if socket_type(&socket) == Ok(SocketType::STREAM) => socket,
        Err(error) if error.raw_os_error() != Some(libc::EBADF) => exit_at_once(worker::exit::LOST),
        _ => exit_at_once(StartFailure::Socket.code()),
    }
}

/// Appears in lists of processes under the program's name, not under that of the link by which it was started.
fn take_name() {
    #[cfg(target_os = "linux")]
    if let Some(program) = program_name()
        && let Some(name) = std::path::Path::new(&program).file_name()
    {
        // Without /proc, the name stays as it is.
        let _ = std::fs::write("/proc/self/comm", name.as_encoded_bytes());
    }
}

#[cfg(all(target_os = "linux", feature = "auto-entry"))]
mod automatic {
    use std::ffi::{CStr, c_char, c_int};
    use std::ptr;

    use super::mark::{self, Copy, How, Mark, Reading, is_mark};
    use super::{exit_at_once, image, reading, take_over, worker};

    type Initialiser = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

    /// Called by the loader before `main`.
    #[used]
    // SAFETY: the section holds pointers to functions of this type, which the loader calls one after the other.
    #[unsafe(link_section = ".init_array")]
    static ENTRY: Initialiser = enter;

    // SAFETY: the linker defines both in every program that has initialisers, and this program has one.
    unsafe extern "C" {
        static __init_array_start: [usize; 0];
        static __init_array_end: [usize; 0];
    }

    /// Makes a program that has pools refer to the entry, so that no linker drops it.
    pub(in crate::process) fn keep() {
        // SAFETY: a static may be read at any time.
        let entry = unsafe { (&raw const ENTRY).read_volatile() };
        std::hint::black_box(entry);
    }

    /// Returns the address of the initialiser.
    pub(in crate::process) fn address() -> usize {
        enter as Initialiser as usize
    }

    /// `true` if initialisers get the arguments of `main`. The GNU C library passes them, musl does not: there,
    /// initialisers must not look at them.
    pub(in crate::process) const HAVE_ARGUMENTS: bool = cfg!(any(target_env = "gnu", target_env = "uclibc"));

    unsafe extern "C" fn enter(count: c_int, values: *const *const c_char, environment: *const *const c_char) {
        // In any program, not only in a worker: each pool has to notice a fork.
        crate::process::program::fork::watch();
        let first = if HAVE_ARGUMENTS && count > 1 {
            // SAFETY: the loader passes a list with `count` arguments.
            let first = unsafe { values.add(1) };
            // SAFETY: as above.
            let text = unsafe { first.read() };
            // SAFETY: an argument is a string that ends with a zero.
            (!text.is_null() && is_mark(unsafe { CStr::from_ptr(text) }.to_bytes())).then_some(first)
        } else {
            None
        };
        if HAVE_ARGUMENTS && first.is_none() {
            return;
        }
        // A panic must not leave through the loader.
        let entered = std::panic::catch_unwind(|| match reading(comes_later) {
            Some(Reading::Own(mark)) => {
                if let Some(first) = first {
                    // The list ends before the mark, so that code that asks for the program's arguments does not see
                    // it.
                    // SAFETY: the list is the process's own, on its stack; std reads it up to this null, and no other
                    // thread exists yet.
                    unsafe { first.cast_mut().write(ptr::null()) };
                }
                become_worker(&mark, |initialiser| {
                    // SAFETY: the loader would call it next, with the same arguments, of which there is now one less.
                    unsafe { initialiser(if HAVE_ARGUMENTS { 1 } else { count }, values, environment) };
                });
            }
            Some(Reading::Nobody(failure)) => exit_at_once(failure.code()),
            Some(Reading::Another) | None => {}
        });
        if entered.is_err() {
            exit_at_once(worker::exit::LOST);
        }
    }

    /// Returns `true` if another copy of this crate will see its mark, as one of the initialisers or when `main` calls
    /// its `init()`.
    fn comes_later(copy: Copy) -> bool {
        match (copy.how, image().address_of(copy.offset)) {
            (How::Entry, Some(address)) => initialisers().contains(&address),
            (How::Init, _) => mark::is_code(copy),
            (How::Entry, None) => false,
        }
    }

    fn become_worker(mark: &Mark, initialise: impl Fn(Initialiser)) {
        let socket = take_over(mark);
        // `main` is never reached, but tasks need whatever other parts of the program set up before it.
        for initialiser in later_initialisers() {
            initialise(initialiser);
        }
        worker::main(socket);
    }

    /// Returns the addresses of the program's initialisers, in the order in which the loader calls them.
    fn initialisers() -> &'static [usize] {
        let start = (&raw const __init_array_start).cast::<usize>();
        let end = (&raw const __init_array_end).cast::<usize>();
        let count = (end.addr() - start.addr()) / size_of::<usize>();
        // SAFETY: between the two lie `count` words, which nobody writes any more.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// Returns the initialisers that the loader would call after ours.
    fn later_initialisers() -> impl Iterator<Item = Initialiser> {
        let later = initialisers().iter().skip_while(|word| **word != address()).skip(1);
        later.filter(|word| !matches!(**word, 0 | usize::MAX)).map(|word| {
            let address = std::ptr::with_exposed_provenance::<()>(*word);
            // SAFETY: the section holds pointers to functions of this type; 0 and -1 are markers of old linkers.
            unsafe { std::mem::transmute::<*const (), Initialiser>(address) }
        })
    }
}
