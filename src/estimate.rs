//! [`DurationEstimate`]: how long the next task or item is expected to take.
#![forbid(unsafe_code)]

use std::time::Duration;

#[derive(Clone, Copy, Default)]
pub(crate) struct DurationEstimate(Option<Duration>);

impl DurationEstimate {
    /// Records that `count` tasks or items took this long together. The estimate rises to a long one at once, and falls
    /// by a quarter of the difference.
    pub(crate) fn observe(&mut self, count: u32, took: Duration) {
        if count > 0 {
            let each = took / count;
            self.0 = Some(self.0.map_or(each, |pace| each.max((pace * 3 + each) / 4)));
        }
    }

    /// Returns how many are expected to run in this time, or `None` if nothing was recorded.
    pub(crate) fn per(&self, time: Duration) -> Option<usize> {
        let count = time.as_nanos() / self.0?.as_nanos().max(1);
        Some(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_rises_at_once_and_falls_slowly() {
        let ms = Duration::from_millis;
        let mut pace = DurationEstimate::default();
        pace.observe(0, ms(1));
        assert_eq!(pace.per(ms(10)), None, "nothing has run");
        pace.observe(2, ms(2));
        assert_eq!(pace.per(ms(10)), Some(10));
        pace.observe(1, ms(8));
        assert_eq!(pace.per(ms(16)), Some(2));
        pace.observe(1, ms(0));
        assert_eq!(pace.per(ms(18)), Some(3), "three quarters of what it was");
    }
}
