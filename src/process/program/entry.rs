//! How a worker process begins: this program is started again, and turns into a worker before its `main`.
//!
//! The pool starts the program with a [`Mark`] as its one argument and with one end of a socket as standard input. On Linux, with
//! the feature `auto-entry`, a function among the program's initialisers looks for the mark; in a normal process
//! that is a look at one argument. Elsewhere [`init`] does, as the first line of `main`.
//!
//! A process with a mark never runs `main` in place of a worker. It becomes one, or leaves the mark to another copy of this crate,
//! or exits with the code of a [`StartFailure`], of which the pool makes an error after that one try.
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

/// Do workers enter before `main`?
pub(in crate::process) const ENTERS_BY_ITSELF: bool = cfg!(all(target_os = "linux", feature = "auto-entry"));

/// How this copy of the crate sees its marks.
const HOW: How = if ENTERS_BY_ITSELF { How::Entry } else { How::Init };

/// How many pools may be nested: a task that uses a pool of its own, whose tasks do, and so on.
pub(in crate::process) const MAX_DEPTH: u32 = 8;

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// How many pools this process is a worker of.
pub(in crate::process) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Until a worker of this program has said hello, it is not known whether one can, and only one is tried at a time.
static HAS_COME_UP: AtomicBool = AtomicBool::new(false);

/// Has a worker of this program ever said hello?
pub(in crate::process) fn has_come_up() -> bool {
    HAS_COME_UP.load(Ordering::Relaxed)
}

/// A worker has said hello.
pub(in crate::process) fn note_hello() {
    HAS_COME_UP.store(true, Ordering::Relaxed);
}

/// Was this process started with a mark?
#[cfg(all(test, target_os = "linux", feature = "auto-entry", not(portable)))]
pub(in crate::process) fn is_marked() -> bool {
    first_arguments().get(1).is_some_and(|argument| is_mark(argument.as_encoded_bytes()))
}

/// Was this process started as a worker without having become one?
pub(in crate::process) fn was_missed() -> bool {
    depth() == 0 && matches!(reading(mark::is_code), Some(Reading::Own(_) | Reading::Nobody(_)))
}

/// Tells the process that `command` starts what it is, and what the program is called.
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

/// Can a worker see its mark before `main`? Where the C library gives initialisers no arguments, only by `/proc`.
pub(in crate::process) fn is_visible() -> bool {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    return automatic::HAVE_ARGUMENTS || mark::of_kernel().is_ok();
    #[cfg(not(all(target_os = "linux", feature = "auto-entry")))]
    true
}

/// What the program was called by who started it.
fn program_name() -> Option<OsString> {
    first_arguments().into_iter().next()
}

/// Where in the program this copy of the crate lies. `None`: in a shared library.
pub(in crate::process) fn own_offset() -> Option<u64> {
    #[cfg(all(target_os = "linux", feature = "auto-entry"))]
    let address = automatic::address();
    #[cfg(not(all(target_os = "linux", feature = "auto-entry")))]
    let address = (take_over as fn(&Mark) -> OwnedFd) as *const () as usize;
    image().offset_of(address)
}

/// Turns this process into a worker if it was started as one; otherwise does nothing.
///
/// The first line of `main`, where worker processes do not enter by themselves: without the feature `auto-entry`, and on
/// other systems than Linux. Harmless where they do. In a worker it does not return.
///
/// Code before this call runs in each worker too. If the call is missing, `main` runs once more, to its end, in the process that was
/// meant to be the first worker, and tasks end with [`Error::Broken`](crate::Error::Broken).
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

/// Reads the mark that this process was started with, if there is one.
fn reading(comes_later: impl Fn(Copy) -> bool) -> Option<Reading> {
    let argument = first_arguments().into_iter().nth(1).filter(|argument| is_mark(argument.as_encoded_bytes()))?;
    // A copy in a shared library has no marks, and leaves all to those in the program.
    let own = Copy { how: HOW, offset: own_offset()? };
    if os::runs_with_other_rights() {
        // It takes no orders from whoever started it.
        return Some(Reading::Nobody(StartFailure::Rights));
    }
    Some(mark::read(argument.as_encoded_bytes(), own, comes_later))
}

/// Makes the process a worker: the socket for itself, and nothing that its tasks could stumble over.
fn take_over(mark: &Mark) -> OwnedFd {
    DEPTH.store(mark.depth, Ordering::Relaxed);
    // Before anything else, and then a look whether the parent is still there: it may have died in between.
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

/// Shows in lists of processes under the program's name, not under that of the link it was started by.
fn take_name() {
    #[cfg(target_os = "linux")]
    if let Some(program) = program_name()
        && let Some(name) = std::path::Path::new(&program).file_name()
    {
        // Without /proc it is called as it is.
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

    // SAFETY: the linker defines both in every program that has initialisers, and this one has.
    unsafe extern "C" {
        static __init_array_start: [usize; 0];
        static __init_array_end: [usize; 0];
    }

    /// Makes a program that has pools refer to the entry, so that no linker leaves it out.
    pub(in crate::process) fn keep() {
        // SAFETY: a static may be read at any time.
        let entry = unsafe { (&raw const ENTRY).read_volatile() };
        std::hint::black_box(entry);
    }

    /// Where the initialiser is.
    pub(in crate::process) fn address() -> usize {
        enter as Initialiser as usize
    }

    /// Do initialisers get what `main` gets? They do by the GNU C library, and not by musl: there they must not look at it.
    pub(in crate::process) const HAVE_ARGUMENTS: bool = cfg!(any(target_env = "gnu", target_env = "uclibc"));

    unsafe extern "C" fn enter(count: c_int, values: *const *const c_char, environment: *const *const c_char) {
        // In any program, not only in a worker: each pool is to hear of a fork.
        crate::process::program::fork::watch();
        let first = if HAVE_ARGUMENTS && count > 1 {
            // SAFETY: the loader lends a list with so many arguments.
            let first = unsafe { values.add(1) };
            // SAFETY: likewise.
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
                    // Nobody is to see it who asks for the program's arguments: the list ends before it.
                    // SAFETY: the list is the process's own, on its stack; std reads it up to this, and nobody else is there yet.
                    unsafe { first.cast_mut().write(ptr::null()) };
                }
                become_worker(&mark, |initialiser| {
                    // SAFETY: the loader would call it next, with the same arguments, of which there is one less now.
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

    /// Will another copy of this crate see its mark? As one of the initialisers, or when `main` calls its `init()`.
    fn comes_later(copy: Copy) -> bool {
        match (copy.how, image().address_of(copy.offset)) {
            (How::Entry, Some(address)) => initialisers().contains(&address),
            (How::Init, _) => mark::is_code(copy),
            (How::Entry, None) => false,
        }
    }

    fn become_worker(mark: &Mark, initialise: impl Fn(Initialiser)) {
        let socket = take_over(mark);
        // `main` is never reached, but what other parts of the program set up before it is for tasks as well.
        for initialiser in later_initialisers() {
            initialise(initialiser);
        }
        worker::main(socket);
    }

    /// The addresses of the program's initialisers, in the order in which the loader calls them.
    fn initialisers() -> &'static [usize] {
        let start = (&raw const __init_array_start).cast::<usize>();
        let end = (&raw const __init_array_end).cast::<usize>();
        let count = (end.addr() - start.addr()) / size_of::<usize>();
        // SAFETY: between the two are as many words as was computed, which nobody writes any more.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// The initialisers that the loader would call after ours.
    fn later_initialisers() -> impl Iterator<Item = Initialiser> {
        let later = initialisers().iter().skip_while(|word| **word != address()).skip(1);
        later.filter(|word| !matches!(**word, 0 | usize::MAX)).map(|word| {
            let address = std::ptr::with_exposed_provenance::<()>(*word);
            // SAFETY: the section holds pointers to functions of this type; 0 and -1 are markers of old linkers.
            unsafe { std::mem::transmute::<*const (), Initialiser>(address) }
        })
    }
}
