//! [`look`]: what a thread does for some microseconds before it sleeps.
//!
//! Putting a thread to sleep and waking it takes longer than handing over most short tasks. So a thread that waits
//! first looks for what it waits for, for 50 us at most: it yields once, looks a few times with a spin-loop hint in
//! between, and begins again. The yield lets the other thread run if both share a cpu.
//!
//! If other threads have work for that cpu, a yield gives a whole time slice away, which is a thousand times as long as
//! a wake-up. So each thread keeps an account of what its looks save and cost. It gains the time of a wake-up for each
//! result that is there when it asks, or that a look finds, and pays for each yield that takes longer than 50 us. A
//! thread in debt does not look.
//!
//! If the thread that got the time slice works for this one, many results are there afterwards, and they soon clear the
//! debt. If it does not, no results clear the debt, and the thread rests: it looks again after as long as the yield
//! took. Each further debt doubles this rest, up to 128 times the yield, and each long yield that the account covers
//! halves it. In the long run, looks cost no more than they have saved, plus less than a hundredth of the time beside a
//! neighbour that never sleeps.
//!
//! A thread with a deadline does not look: one yield could take it past the deadline.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

use crate::sync::{IS_MODEL, thread, thread_local};

/// For how long a thread looks, and the longest yield that a thread does not pay for.
const LONGEST: Duration = Duration::from_micros(50);

/// How much a thread gains when it need not sleep: about the time that a wake-up takes of both threads.
const WAKE_UP: Duration = Duration::from_micros(10);

/// The largest balance. It is small, so that what was saved long ago does not pay for long yields now.
const MOST_SAVED: Duration = Duration::from_millis(5);

/// The most that a thread pays for one yield. A longer one was no time slice: the whole program was stopped meanwhile.
const MOST_PAID: Duration = Duration::from_millis(100);

/// How many times the rest of a thread in debt is doubled at most.
const MOST_DOUBLINGS: u32 = 7;

/// How many spin-loop hints a thread executes between two yields.
const PAUSES: usize = 6;

/// How many times a thread yields to let work accumulate.
const YIELDS: usize = 6;

/// What the looks of a thread have saved and cost.
#[derive(Debug)]
struct Account {
    /// What the thread has gained minus what it has paid, in nanoseconds. Negative if the thread is in debt.
    balance: Cell<i64>,
    /// When the rest of a thread in debt is over.
    not_before: Cell<Option<Instant>>,
    /// How many times the rest is doubled if the thread gets into debt again.
    doublings: Cell<u32>,
}

thread_local! {
    static ACCOUNT: Account = Account::new();
}

/// Looks for up to 50 us until `is_there` returns `true`. Returns `false` if it did not; a thread that does not look
/// calls it once. What `is_there` reads is only a hint: the caller checks it under its lock.
pub(crate) fn look(deadline: Option<Instant>, is_there: impl Fn() -> bool) -> bool {
    // In a model, the caller goes to sleep at once, which is the harder case.
    if IS_MODEL {
        return false;
    }
    let mut goes_on = None;
    while !is_there() {
        if !goes_on.get_or_insert_with(|| looking(deadline))() {
            return false;
        }
    }
    note_found(1);
    true
}

/// Notes that so many results were there, so that this thread need not sleep for them. [`look`] notes what it finds; a
/// caller of [`looking`] has to.
#[inline]
pub(crate) fn note_found(results: usize) {
    if !IS_MODEL {
        // A thread whose thread-locals are gone is about to end.
        let _ = ACCOUNT.try_with(|account| account.gain(results));
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
    ACCOUNT.try_with(|account| account.allows(now)).unwrap_or(false).then_some(now)
}

/// Yields. Returns the time after the yield, or `None` if the yield took long.
fn timed_yield() -> Option<Instant> {
    let before = Instant::now();
    thread::yield_now();
    let after = Instant::now();
    let duration = after.duration_since(before);
    if duration <= LONGEST {
        return Some(after);
    }
    let _ = ACCOUNT.try_with(|account| account.pay(duration, after));
    None
}

impl Account {
    const fn new() -> Self {
        Self { balance: Cell::new(0), not_before: Cell::new(None), doublings: Cell::new(0) }
    }

    /// Returns `true` if the thread may look. Forgives the debt of a thread whose rest is over.
    fn allows(&self, now: Instant) -> bool {
        if self.balance.get() < 0 && self.not_before.get().is_none_or(|not_before| now >= not_before) {
            self.balance.set(0);
        }
        self.balance.get() >= 0
    }

    fn gain(&self, results: usize) {
        let gained = nanos(WAKE_UP).saturating_mul(i64::try_from(results).unwrap_or(i64::MAX));
        self.balance.set(nanos(MOST_SAVED).min(self.balance.get().saturating_add(gained)));
    }

    /// Pays for a yield that took long. A thread that gets into debt rests for longer each time.
    fn pay(&self, duration: Duration, now: Instant) {
        let duration = duration.min(MOST_PAID);
        let doublings = self.doublings.get();
        self.balance.set(self.balance.get().saturating_sub(nanos(duration)));
        if self.balance.get() >= 0 {
            self.doublings.set(doublings.saturating_sub(1));
            return;
        }
        self.not_before.set(now.checked_add(duration * (1 << doublings)));
        self.doublings.set(MOST_DOUBLINGS.min(doublings + 1));
    }
}

const fn nanos(duration: Duration) -> i64 {
    duration.as_nanos() as i64
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use super::{ACCOUNT, Account, MOST_SAVED, WAKE_UP, look, note_found};

    const SLICE: Duration = Duration::from_millis(3);

    /// Lets this thread pay for time slices that it gave away, until it is in debt.
    fn get_into_debt() {
        ACCOUNT.with(|account| {
            while account.balance.get() >= 0 {
                account.pay(SLICE, Instant::now() + Duration::from_secs(3600));
            }
        });
    }

    #[test]
    fn a_look_ends_when_its_condition_holds() {
        let looks = Cell::new(0);
        let is_there = look(None, || looks.replace(looks.get() + 1) == 3);
        // On a busy machine, the first yield ends the look.
        assert!(is_there || ACCOUNT.with(|account| account.balance.get() < 0), "it looked {} times", looks.get());
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
    fn a_thread_in_debt_does_not_look() {
        get_into_debt();
        let looks = Cell::new(0);
        assert!(!look(None, || looks.replace(looks.get() + 1) > 0), "it looks only once, without a yield");
        ACCOUNT.with(|account| account.not_before.set(Some(Instant::now())));
        assert!(look(None, || looks.get() > 0), "its rest is over");
    }

    #[test]
    fn results_that_are_there_clear_a_debt() {
        get_into_debt();
        note_found(1);
        assert!(ACCOUNT.with(|account| !account.allows(Instant::now())), "one result is not enough");
        (1..SLICE.as_micros() / WAKE_UP.as_micros()).for_each(|_| note_found(1));
        assert!(ACCOUNT.with(|account| account.allows(Instant::now())));
        get_into_debt();
        note_found(usize::MAX);
        assert_eq!(ACCOUNT.with(|account| account.balance.get()), super::nanos(MOST_SAVED));
    }

    #[test]
    fn a_program_that_was_stopped_for_long_soon_looks_again() {
        let (account, now) = (Account::new(), Instant::now());
        account.pay(Duration::from_secs(3600), now);
        assert!(!account.allows(now) && account.allows(now + super::MOST_PAID));
    }

    #[test]
    fn the_rest_doubles_with_each_debt_and_halves_with_each_long_yield_that_is_covered() {
        let (account, now) = (Account::new(), Instant::now());
        for factor in [1, 2, 4, 8, 16, 32, 64, 128, 128] {
            account.pay(SLICE, now);
            assert_eq!(account.not_before.get(), Some(now + SLICE * factor));
            assert!(!account.allows(now) && account.allows(now + SLICE * factor), "the rest ends the debt");
        }
        for factor in [64, 32, 16, 8, 4, 2, 1, 1] {
            account.gain(usize::MAX);
            account.pay(SLICE, now);
            assert!(account.allows(now), "the account covers it");
            let doublings = account.doublings.get();
            account.balance.set(0);
            account.pay(SLICE, now);
            assert_eq!(account.not_before.get(), Some(now + SLICE * factor));
            account.balance.set(0);
            account.doublings.set(doublings);
        }
    }
}
