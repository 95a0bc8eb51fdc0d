//! How much stack a thread has left, and a fresh stack for code that needs more.
//!
//! Code that nests (a task that runs a task, a callback that completes another future, a deep value) asks here before it goes one level
//! further down. Stacks grow downwards on all systems that Rust's threads run on, so an address in the caller's frame tells how far it has come.
//!
//! | thread | where its stack ends |
//! |---|---|
//! | started by this crate | so far below its first frame as it was started with: it says so by [`begin`] |
//! | any other | at least [`SURE`] below the frame that asked first |
//! | the same, when that is not enough | on Linux, where the memory ends that the frame lies in, as the kernel lists it. Elsewhere [`LIKELY`] below that frame |
//!
//! A fresh stack is that of a new thread, while the old one waits for it. So it is for what is rare: it costs tens of microseconds.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::{io, thread};

use crate::panics;

/// What every thread has from the frame on that asks first.
const SURE: usize = 32 << 10;

/// What a thread is taken to have where that cannot be looked up.
const LIKELY: usize = 256 << 10;

/// What code needs that was not nested any further, if the stack is large: callbacks, drops, loggers.
const RESERVE: usize = 128 << 10;

/// The size of a fresh stack for what nests without a known end. What is not used of it takes no memory, but addresses.
const DEEP: usize = if cfg!(target_pointer_width = "64") { 64 << 20 } else { 4 << 20 };

/// An address so far below the end of a stack is on another one: a program may switch to stacks of its own.
const FAR: usize = 64 << 10;

#[derive(Clone, Copy)]
struct Bounds {
    end: usize,
    /// The highest address that is known to be part of it. 0: nobody has asked.
    top: usize,
    /// There is no more to be learned.
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

/// An address in the frame of the caller.
#[inline(always)]
pub(crate) fn here() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(&local).addr()
}

/// The size of the stack that a thread gets unless the program says otherwise: std's.
pub(crate) fn usual_size() -> usize {
    let set = std::env::var("RUST_MIN_STACK").ok().and_then(|size| size.parse().ok());
    set.unwrap_or(2 << 20)
}

/// Says that the calling thread was started with a stack of this size, a moment ago.
pub(crate) fn begin(size: usize) {
    // The system has put a guard and what is the thread's own in it, and the first frames are on it.
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

/// Returns at least how many bytes are left.
pub(crate) fn left() -> usize {
    if cfg!(any(model = "loom", model = "shuttle")) {
        // A checker's stacks are its own.
        return usize::MAX;
    }
    here().saturating_sub(bounds().end)
}

/// Looks up where the stack ends if that was only assumed. Returns `true` if there is more than was assumed.
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

/// Returns `true` if so many bytes are left.
pub(crate) fn has(bytes: usize) -> bool {
    left() >= bytes || (look_further() && left() >= bytes)
}

/// Returns `true` if at least half of the stack is left. A task that a waiter runs in place has that.
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

/// Runs `body` on the fresh stack of a new thread, which is named like this one, and waits for it. A panic of `body` goes on here.
///
/// # Errors
///
/// No thread can be started with a stack of this size. `body` is in place then, and has not run.
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

/// Runs `body` on a fresh stack for what nests without a known end: the largest that there is.
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

    /// Where the stack that has this address ends, and where it begins.
    pub(super) fn stack_of(address: usize) -> Option<(usize, usize)> {
        let maps = read_to_string("/proc/self/maps").ok()?;
        let mut below = 0;
        for line in maps.lines() {
            let (start, end) = bounds(line)?;
            if (start..end).contains(&address) {
                // The main thread's grows when it is used, down to its limit, but not close to what lies there.
                let is_main = line.ends_with("[stack]");
                return Some((if is_main { end_of_main(end)?.max(below + GAP) } else { start }, end));
            }
            below = end;
        }
        None
    }

    /// What the kernel keeps free below a stack that grows.
    const GAP: usize = 1 << 20;

    fn bounds(line: &str) -> Option<(usize, usize)> {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    }

    fn end_of_main(top: usize) -> Option<usize> {
        // What may be mapped right below a stack without a limit, nobody knows.
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

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::thread;

    use super::{BOUNDS, Bounds, LIKELY, SURE, begin, has, has_half, has_reserve, here, left, look_further, on_fresh};
    use crate::error::Error;
    use crate::panics;

    /// Runs `code` on a thread that is not known to have so much stack.
    fn on_stack<R: Send + 'static>(size: usize, code: impl FnOnce() -> R + Send + 'static) -> R {
        thread::Builder::new()
            .stack_size(size)
            .spawn(code)
            .unwrap()
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload))
    }

    #[test]
    fn a_thread_is_sure_of_little_and_finds_out_about_the_rest_once() {
        for size in [64 << 10, 2 << 20, 16 << 20] {
            on_stack(size, move || {
                assert!(left() <= SURE + 1024 && has_half());
                assert!(look_further());
                let found = left();
                if cfg!(target_os = "linux") {
                    // The system may hand out the stack of an earlier thread, if it is not much larger.
                    assert!((size / 2..=5 * size).contains(&found), "{found} of {size}");
                } else {
                    assert!((LIKELY / 2..=LIKELY).contains(&found), "{found}");
                }
                assert!(!look_further());
                assert!(has(found / 2) && !has(2 * found));
            });
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_main_thread_has_what_its_limit_leaves_it() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let main = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (start, _) = main.split_once('-').unwrap();
        let top = usize::from_str_radix(start, 16).unwrap();
        let (end, _) = super::lookup::stack_of(top).unwrap();
        // Its limit is far more than what tests have touched of it.
        assert!(end + (1 << 20) < top, "{end:#x} is not far below {top:#x}");
        assert_eq!(super::lookup::stack_of(1), None);
    }

    #[test]
    fn what_is_not_on_the_stack_that_was_looked_up_is_on_another_one() {
        on_stack(2 << 20, || {
            assert!(look_further());
            let Bounds { end, top, is_known } = BOUNDS.get();
            // As if the thread had been on a stack above, or below, when it asked.
            for shift in [usize::wrapping_add, usize::wrapping_sub] {
                BOUNDS.set(Bounds { end: shift(end, 4 << 20), top: shift(top, 4 << 20), is_known });
                assert!((SURE / 2..=SURE + 1024).contains(&left()));
                assert!(look_further() && BOUNDS.get().end == end);
            }
            // But not in the last bytes of one.
            BOUNDS.set(Bounds { end: here() + 1000, top, is_known });
            assert!(left() == 0 && !look_further());
        });
    }

    #[test]
    fn a_thread_of_ours_knows_its_stack() {
        on_stack(1 << 20, || {
            begin(1 << 20);
            assert!(((1 << 20) - (32 << 10)..1 << 20).contains(&left()), "{}", left());
            assert!(!look_further() && has(900 << 10) && !has(1 << 20));
        });
    }

    /// Uses up the stack until `is_enough`, and runs `code` there.
    fn below<R>(is_enough: &dyn Fn() -> bool, code: impl FnOnce() -> R) -> R {
        let much = std::hint::black_box([0_u8; 1024]);
        let result = if is_enough() { code() } else { below(is_enough, code) };
        std::hint::black_box(much);
        result
    }

    #[test]
    fn half_of_it_and_a_reserve_are_used_up_one_after_the_other() {
        for (size, reserve) in [(64 << 10, 12 << 10), (1 << 20, 128 << 10)] {
            let (half, end) = on_stack(size, move || {
                begin(size);
                (below(&|| !has_half(), left), below(&|| !has_reserve(), left))
            });
            assert!((size / 4..size / 2).contains(&half), "{half} of {size}");
            assert!((reserve / 2..reserve + 4096).contains(&end), "{end} of {size}");
        }
    }

    #[test]
    fn a_fresh_stack_is_another_threads_which_is_named_like_this_one() {
        let name = || thread::current().name().map(str::to_owned);
        let (own, id) = (name(), thread::current().id());
        let local = 7;
        let on_it = || (name(), thread::current().id(), left(), local);
        let (other, other_id, left, seen) = on_fresh(4 << 20, &mut Some(on_it)).unwrap();
        assert!(own == other && id != other_id && seen == 7);
        assert!((3 << 20..4 << 20).contains(&left), "{left}");
        assert!(here() > 0);
    }

    #[test]
    fn a_panic_on_a_fresh_stack_is_one_here_and_keeps_its_place() {
        panics::install_hook();
        let outcome =
            panics::catch(|| -> Result<(), Error> { on_fresh(1 << 20, &mut Some(|| panic!("down there"))).unwrap() });
        let Err(Error::Panicked(panic)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(panic.message(), "down there");
        assert!(panic.location().is_some_and(|location| location.starts_with(file!())), "{panic:?}");
    }

    #[test]
    fn what_finds_no_stack_has_not_run() {
        // No address space has that much, however wide addresses are.
        let most = usize::MAX - usize::MAX / 16;
        let mut body = Some(|| 7);
        assert!(on_fresh(most, &mut body).is_err());
        assert_eq!(body.map(|body| body()), Some(7));
    }
}
