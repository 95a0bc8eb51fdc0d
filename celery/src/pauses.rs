//! [`Pauses`]: an exponential backoff.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

/// The first pause, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The pauses between attempts, each twice as long as the one before it, until an attempt succeeds.
pub(crate) struct Pauses(Cell<Duration>);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(Cell::new(PAUSE.0))
    }

    /// Returns how long to pause now. The next pause is twice as long.
    pub(crate) fn next(&self) -> Duration {
        self.0.replace((self.0.get() * 2).min(PAUSE.1))
    }

    /// Begins again with the first pause, because an attempt has succeeded.
    pub(crate) fn reset(&self) {
        self.0.set(PAUSE.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSE, Pauses};

    #[test]
    fn pauses_double_up_to_a_limit_until_something_works() {
        let pauses = Pauses::new();
        assert_eq!([(); 3].map(|()| pauses.next()), [PAUSE.0, PAUSE.0 * 2, PAUSE.0 * 4]);
        assert_eq!((0..9).map(|_| pauses.next()).last(), Some(PAUSE.1));
        pauses.reset();
        assert_eq!(pauses.next(), PAUSE.0);
    }
}
