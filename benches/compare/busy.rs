//! [`Busy`]: work of a known length.

use std::hint::black_box;
use std::time::Duration;

use crate::contest::time;

/// Keeps a cpu busy for some time, without a look at a clock.
#[derive(Clone, Copy)]
pub(crate) struct Busy {
    turns: u64,
}

impl Busy {
    /// Finds out how much takes so long. What counts is a loop of them: a processor begins a short one before the last has ended.
    pub(crate) fn of(duration: Duration) -> Self {
        let seconds = duration.as_secs_f64();
        let mut turns = 1e9 * seconds;
        // Twice, as a length that is far off says little.
        for _ in 0..2 {
            turns *= seconds / Self { turns: turns as u64 }.seconds();
        }
        Self { turns: turns.round().max(1.0) as u64 }
    }

    /// The same code wherever it is called from.
    #[inline(never)]
    pub(crate) fn run(self) -> u64 {
        (0..self.turns).fold(1, |number: u64, turn| black_box(number).wrapping_mul(6_364_136_223_846_793_005) ^ turn)
    }

    /// How long one takes in a loop. The fastest of some tries: nothing else ran meanwhile.
    fn seconds(self) -> f64 {
        let runs = 1_000_000 / self.turns.max(1) + 1;
        let tries = (0..20).map(|_| time(|| (0..runs).map(|_| self.run()).fold(0, u64::wrapping_add)));
        tries.fold(f64::INFINITY, f64::min) / runs as f64
    }
}
