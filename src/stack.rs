//! How much stack a thread has left, and a fresh stack for code that needs more.
//!
//! Code that nests (a task that runs a task, a callback that completes another future, a deep value) asks here before
//! it nests one level deeper. Stacks grow downwards on every system that Rust has threads on, so the address of a local
//! shows how much of the stack is used.
//!
//! | thread | where its stack ends |
//! |---|---|
//! | started by this crate | its first frame less the size it was started with, which it states by [`begin`] |
//! | any other | [`SURE`] below the frame that asked first, or deeper |
//! | any other, when that is not enough | on Linux, at the start of the mapping that has the frame, which is looked up in `/proc` once a thread; elsewhere, [`LIKELY`] below the frame that asked first |
//!
//! A fresh stack is the stack of a new thread, for which the old thread waits. It costs tens of microseconds, so it is
//! for rare cases.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::{io, thread};

use crate::panics;

/// How many bytes every thread has below the frame that asks first.
const SURE: usize = 32 << 10;

/// How many bytes a thread is assumed to have where that cannot be looked up.
const LIKELY: usize = 256 << 10;

/// How many bytes are kept for code that does not nest: one callback, drop or logger. On small stacks it is a quarter.
const RESERVE: usize = 128 << 10;

/// The size of a fresh stack for code that nests to an unknown depth. Unused parts take address space, but no memory.
const DEEP: usize = if cfg!(target_pointer_width = "64") { 64 << 20 } else { 4 << 20 };

/// An address that is lower than the end of the stack by more than this is on another stack: programs may switch
/// stacks.
const FAR: usize = 64 << 10;

#[derive(Clone, Copy)]
struct Bounds {
    end: usize,
    /// The highest address that is known to be part of the stack, or 0 if the thread has not asked yet.
    top: usize,
    /// Set if `end` is the end of the stack, and not only an address above it.
    is_known: bool,
}

impl Bounds {
    fn size(self) -> usize {
        self.top - self.end
    }
}

std::thread_local! {
    static BOUNDS: Cell<Bounds> = const { Cell::new(Bounds { end: 0, top: 0, is_known: false }) };
}

/// Returns an address in the frame of the caller.
#[inline(always)]
pub(crate) fn here() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(&local).addr()
}

/// Returns the size of the stack that std gives a thread by default.
pub(crate) fn usual_size() -> usize {
    let set = std::env::var("RUST_MIN_STACK").ok().and_then(|size| size.parse().ok());
    set.unwrap_or(2 << 20)
}

/// States that the calling thread was just started with a stack of this size.
pub(crate) fn begin(size: usize) {
    // The stack also holds the guard page, the thread's data of the system, and the first frames.
    let size = size - (size / 8).min(16 << 10);
    let top = here();
    BOUNDS.set(Bounds { end: top.saturating_sub(size), top, is_known: true });
}

#[inline]
fn bounds() -> Bounds {
    let bounds = BOUNDS.get();
    let is_other = here() > bounds.top || (bounds.is_known && here() < bounds.end.saturating_sub(FAR));
    if is_other { assume() } else { bounds }
}

#[cold]
fn assume() -> Bounds {
    let top = here();
    let bounds = Bounds { end: top.saturating_sub(SURE), top, is_known: false };
    BOUNDS.set(bounds);
    bounds
}

/// Returns how many bytes are left, at least.
pub(crate) fn left() -> usize {
    if cfg!(any(model = "loom", model = "shuttle")) {
        // A model's threads run on stacks of the checker.
        return usize::MAX;
    }
    here().saturating_sub(bounds().end)
}

/// Looks up where the stack ends if that is not known. Returns `true` if more is left than before.
#[cold]
pub(crate) fn look_further() -> bool {
    let sure = bounds();
    if sure.is_known {
        return false;
    }
    let (end, top) = lookup::stack_of(here()).unwrap_or((sure.top.saturating_sub(LIKELY), sure.top));
    BOUNDS.set(Bounds { end, top, is_known: true });
    end < sure.end
}

/// Returns `true` if that many bytes are left.
pub(crate) fn has(bytes: usize) -> bool {
    left() >= bytes || (look_further() && left() >= bytes)
}

/// Returns `true` if at least half of the stack is left: enough for a task that a waiter runs in place.
#[inline]
pub(crate) fn has_half() -> bool {
    #[cfg(any(model = "loom", model = "shuttle"))]
    return !crate::sync::is_cramped();
    #[cfg(not(any(model = "loom", model = "shuttle")))]
    has_of_this_stack(|size| size / 2)
}

/// Returns `true` if there is room for code that may nest further.
#[inline]
pub(crate) fn has_reserve() -> bool {
    let reserve = |size: usize| RESERVE.min(size / 4);
    has_of_this_stack(reserve) || (look_further() && has_of_this_stack(reserve))
}

/// Returns `true` if as much is left as `share` says for a stack of the size that is known.
#[inline]
fn has_of_this_stack(share: impl Fn(usize) -> usize) -> bool {
    let bounds = bounds();
    cfg!(any(model = "loom", model = "shuttle")) || here().saturating_sub(bounds.end) >= share(bounds.size())
}

/// Runs `body` on a new thread with a stack of this size and the name of this thread, and waits for it. A panic of
/// `body` is resumed here.
///
/// # Errors
///
/// No thread can be started with a stack of this size. Then `body` has not run, and is still there.
pub(crate) fn on_fresh<R: Send, F: FnOnce() -> R + Send>(size: usize, body: &mut Option<F>) -> io::Result<R> {
    let mut builder = thread::Builder::new().stack_size(size);
    if let Some(name) = thread::current().name() {
        builder = builder.name(name.to_owned());
    }
    thread::scope(|scope| {
        let on_thread = || {
            begin(size);
            let body = body.take().expect("only one thread takes it");
            panics::recorded(|| panic::catch_unwind(AssertUnwindSafe(body)))
        };
        let thread = builder.spawn_scoped(scope, on_thread)?;
        let (result, record) = thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload));
        panics::hand_on(record);
        Ok(result.unwrap_or_else(|payload| panic::resume_unwind(payload)))
    })
}

/// Runs `body` on a fresh stack for code that nests to an unknown depth.
///
/// # Errors
///
/// As for [`on_fresh`].
pub(crate) fn on_deep<R: Send, F: FnOnce() -> R + Send>(body: &mut Option<F>) -> io::Result<R> {
    on_fresh(DEEP, body).or_else(|_| on_fresh(2 << 20, body))
}

#[cfg(target_os = "linux")]
mod lookup {
    use std::fs::read_to_string;

    /// Returns where the stack that has this address ends, and where it begins.
    pub(super) fn stack_of(address: usize) -> Option<(usize, usize)> {
        let maps = read_to_string("/proc/self/maps").ok()?;
        let mut below = 0;
        for line in maps.lines() {
            let (start, end) = bounds(line)?;
            if (start..end).contains(&address) {
                // The main thread's stack grows down to its limit, but not close to the mapping below it.
                let is_main = line.ends_with("[stack]");
                return Some((if is_main { end_of_main(end)?.max(below + GAP) } else { start }, end));
            }
            below = end;
        }
        None
    }

    /// How many bytes the kernel keeps free below a stack that grows.
    const GAP: usize = 1 << 20;

    fn bounds(line: &str) -> Option<(usize, usize)> {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    }

    fn end_of_main(top: usize) -> Option<usize> {
        // The mapping right below a stack without a limit is unknown.
        const UNLIMITED: usize = 64 << 20;
        let limits = read_to_string("/proc/self/limits").ok()?;
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max stack size"))?.split_whitespace().next()?;
        Some(top.saturating_sub(limit.parse().map_or(UNLIMITED, |limit: usize| limit.min(UNLIMITED))))
    }
}

#[cfg(not(target_os = "linux"))]
mod lookup {
    pub(super) fn stack_of(_: usize) -> Option<(usize, usize)> {
        None
    }
}
