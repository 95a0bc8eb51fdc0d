//! [`BackOff`]: the length of the pause before the next attempt.
//!
//! The formula is "full jitter" of "Exponential Backoff And Jitter" in the AWS Architecture Blog: a random time between
//! zero and `min(most, first * 2^n)` after attempt `n`, counted from zero. Of the formulas compared there, it leads to the
//! fewest calls, because tasks that failed together are not tried again together.
#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BackOff {
    first: Duration,
    most: Duration,
}

impl BackOff {
    #[track_caller]
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        assert!(!first.is_zero(), "the first pause of back_off must be longer than zero");
        assert!(
            first <= most,
            "back_off takes the first pause and the longest one: the first, {first:?}, must not be longer than {most:?}"
        );
        Self { first, most }
    }

    /// Returns the pause after `attempts` attempts that failed.
    pub(super) fn pause(self, attempts: u64) -> Duration {
        self.part(attempts, random())
    }

    /// Returns `random / 2^32` of the longest pause that is possible after `attempts` attempts.
    fn part(self, attempts: u64, random: u32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let longest = self.first.saturating_mul(1 << doublings).min(self.most);
        const SECOND: u128 = 1_000_000_000;
        let nanos = (longest.as_nanos() * u128::from(random)) >> 32;
        let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
        Duration::new(seconds, u32::try_from(nanos % SECOND).unwrap_or(0))
    }
}

/// Returns a random number. It comes from std's hashers, which have random keys.
fn random() -> u32 {
    let bytes = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BackOff, random};

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_pause_doubles_up_to_the_most() {
        let back_off = BackOff::new(seconds(2), seconds(30));
        // Half of the longest, which is exact.
        let halves: Vec<_> = (1..=6).map(|attempts| back_off.part(attempts, 1 << 31).as_secs()).collect();
        assert_eq!(halves, [1, 2, 4, 8, 15, 15]);
        assert_eq!(back_off.part(3, 0), Duration::ZERO);
        assert!(back_off.part(3, u32::MAX) < seconds(8));
    }

    #[test]
    fn no_pause_is_too_long_to_be_counted() {
        let endless = BackOff::new(Duration::from_nanos(1), Duration::MAX);
        assert!(endless.part(u64::MAX, u32::MAX) < seconds(3));
        let back_off = BackOff::new(Duration::MAX, Duration::MAX);
        for attempts in [1, 2, 40, u64::MAX] {
            assert_eq!(back_off.part(attempts, 1 << 31), Duration::MAX / 2);
        }
    }

    #[test]
    fn pauses_differ() {
        let (one, other, third) = (random(), random(), random());
        assert!(one != other || other != third);
        let back_off = BackOff::new(seconds(1), seconds(1));
        assert!((0..100).all(|_| back_off.pause(1) < seconds(1)));
    }
}
