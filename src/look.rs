//! [`look`]: what a thread does for some microseconds before it sleeps.
//!
//! Putting a thread to sleep and waking it takes longer than handing over most short tasks. So a thread that waits
//! first looks for what it waits for, for 50 us at most: it yields once, looks a few times with a spin-loop hint in
//! between, and begins again. The yield lets the other thread run if both share a cpu.
//!
//! If other threads have work for that cpu, a yield gives a whole time slice away, which is a thousand times as long as
//! a wake-up. So a yield that takes longer than 50 us ends the look, and the thread does not look again for as long as
//! that yield took. Each further long yield doubles this rest, up to 128 times the yield, and each short yield halves
//! it. So the looks lose about as much time as a neighbour works now and then, and less than a hundredth of the time
//! beside a neighbour that never sleeps.
//!
//! A thread with a deadline does not look: one yield could take it past the deadline.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

use crate::sync::{IS_MODEL, thread, thread_local};

/// For how long a thread looks, and the longest yield after which it will look again.
const LONGEST: Duration = Duration::from_micros(50);

/// How many times the rest after a long yield is doubled at most.
const MOST_DOUBLINGS: u32 = 7;

/// How many spin-loop hints a thread executes between two yields.
const PAUSES: usize = 6;

/// How many times a thread yields to let work accumulate.
const YIELDS: usize = 6;

/// What a thread remembers of its yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Yields {
    /// The thread does not look before this time, because a yield has taken long.
    not_before: Option<Instant>,
    /// How many times the rest is doubled if the next yield takes long.
    doublings: u32,
}

thread_local! {
    static MEMORY: Cell<Yields> = Cell::new(Yields { not_before: None, doublings: 0 });
}

/// Looks for up to 50 us until `is_there` returns `true`. Returns `false` if it did not; a thread that does not look
/// calls it once. What `is_there` reads is only a hint: the caller checks it under its lock.
pub(crate) fn look(deadline: Option<Instant>, is_there: impl Fn() -> bool) -> bool {
    // In a model, the caller goes to sleep at once, which is the harder case.
    if IS_MODEL {
        return false;
    }
    let mut goes_on = looking(deadline);
    loop {
        if is_there() {
            return true;
        }
        if !goes_on() {
            return false;
        }
    }
}

/// Returns a function to call between two looks. It yields or pauses, and returns `false` once the thread has looked for
/// long enough.
pub(crate) fn looking(deadline: Option<Instant>) -> impl FnMut() -> bool {
    let start = start(deadline);
    // In a model, a second look finds all that more of them would.
    let (mut before, mut pauses) = (start, usize::from(IS_MODEL));
    move || {
        if pauses > 0 {
            pauses -= 1;
            spin_loop();
            return true;
        }
        let (Some(start), Some(last)) = (start, before) else { return false };
        if last.duration_since(start) >= LONGEST {
            return false;
        }
        before = timed_yield();
        pauses = PAUSES;
        before.is_some()
    }
}

/// Yields a few times, so that work accumulates meanwhile. Does nothing if the thread does not look.
pub(crate) fn let_accumulate() {
    let may_yield = start(None).is_some();
    let _ = may_yield && (0..YIELDS).all(|_| timed_yield().is_some());
}

/// Returns the time, or `None` if the thread does not look. A model does not: its threads take turns anyway.
fn start(deadline: Option<Instant>) -> Option<Instant> {
    if IS_MODEL || deadline.is_some() {
        return None;
    }
    let now = Instant::now();
    // A thread whose thread-locals are gone is about to end.
    let not_before = MEMORY.try_with(Cell::get).ok()?.not_before;
    not_before.is_none_or(|not_before| now >= not_before).then_some(now)
}

/// Yields. Returns the time after the yield, or `None` if the yield took long.
fn timed_yield() -> Option<Instant> {
    let before = Instant::now();
    thread::yield_now();
    let after = Instant::now();
    let remembered = MEMORY.try_with(Cell::get).ok()?;
    let (memory, in_time) = remembered.after_yield(before, after);
    if memory != remembered {
        let _ = MEMORY.try_with(|place| place.set(memory));
    }
    in_time.then_some(after)
}

impl Yields {
    /// Returns what to remember after a yield, and `true` if the yield did not take long.
    fn after_yield(self, before: Instant, after: Instant) -> (Self, bool) {
        let duration = after.duration_since(before);
        if duration <= LONGEST {
            return (Self { doublings: self.doublings.saturating_sub(1), ..self }, true);
        }
        let not_before = after.checked_add(duration * (1 << self.doublings));
        (Self { not_before, doublings: MOST_DOUBLINGS.min(self.doublings + 1) }, false)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use super::{LONGEST, MEMORY, Yields, look};

    #[test]
    fn a_look_ends_when_its_condition_holds() {
        let looks = Cell::new(0);
        let found = look(None, || looks.replace(looks.get() + 1) == 3);
        // On a busy machine, the first yield ends the look.
        assert!(found || MEMORY.get().not_before.is_some(), "it looked {} times", looks.get());
    }

    #[test]
    fn a_look_in_vain_ends() {
        assert!(!look(None, || false));
    }

    #[test]
    fn a_thread_with_a_deadline_does_not_look() {
        let looks = Cell::new(0);
        assert!(!look(Some(Instant::now()), || looks.replace(looks.get() + 1) > 0), "it looks only once");
    }

    #[test]
    fn after_a_long_yield_the_thread_does_not_look() {
        let not_before = Instant::now() + Duration::from_secs(3600);
        MEMORY.set(Yields { not_before: Some(not_before), doublings: 0 });
        let looks = Cell::new(0);
        assert!(!look(None, || looks.replace(looks.get() + 1) > 0), "it looks only once, without a yield");
        MEMORY.set(Yields { not_before: Some(Instant::now()), doublings: 0 });
        assert!(look(None, || looks.get() > 0));
    }

    #[test]
    fn the_rest_doubles_with_each_long_yield_and_halves_with_each_short_one() {
        let now = Instant::now();
        let long = Duration::from_millis(3);
        let after = |memory: Yields, duration| memory.after_yield(now, now + duration);
        let mut memory = Yields { not_before: None, doublings: 0 };
        for factor in [1, 2, 4, 8, 16, 32, 64, 128, 128] {
            let (next, in_time) = after(memory, long);
            assert_eq!((next.not_before, in_time), (Some(now + long + long * factor), false));
            memory = next;
        }
        for factor in [64, 32, 16, 8, 4, 2, 1, 1] {
            let (next, in_time) = after(memory, LONGEST);
            assert!(in_time);
            assert_eq!(after(next, long).0.not_before, Some(now + long + long * factor));
            memory = next;
        }
    }
}
