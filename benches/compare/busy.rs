//! [`Busy`]: work of a known length.

use std::hint::black_box;
use std::time::Duration;

use crate::contest::time;

/// Keeps a cpu busy for a known time, without reading a clock.
#[derive(Clone, Copy)]
pub(crate) struct Busy {
    turns: u64,
}

impl Busy {
    /// Measures how many turns take `duration`. The time of one run is measured in a loop of runs, because a processor
    /// begins a short run before the previous one has ended.
    pub(crate) fn of(duration: Duration) -> Self {
        let seconds = duration.as_secs_f64();
        let mut turns = 1e9 * seconds;
        // The first measurement is of a length that may be far off, so it is corrected by a second one.
        for _ in 0..2 {
            turns *= seconds / Self { turns: turns as u64 }.seconds();
        }
        Self { turns: turns.round().max(1.0) as u64 }
    }

    /// Runs the turns. It is not inlined, so that every contestant runs the same code.
    #[inline(never)]
    pub(crate) fn run(self) -> u64 {
        (0..self.turns).fold(1, |number: u64, turn| black_box(number).wrapping_mul(6_364_136_223_846_793_005) ^ turn)
    }

    /// Returns how long one run takes in a loop. The fastest of several tries is the one that nothing else disturbed.
    fn seconds(self) -> f64 {
        let runs = 1_000_000 / self.turns.max(1) + 1;
        let tries = (0..20).map(|_| time(|| (0..runs).map(|_| self.run()).fold(0, u64::wrapping_add)));
        tries.fold(f64::INFINITY, f64::min) / runs as f64
    }
}
