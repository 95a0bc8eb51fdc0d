//! [`Pace`]: how long a task or an item took lately.
#![forbid(unsafe_code)]

use std::time::Duration;

#[derive(Clone, Copy, Default)]
pub(super) struct Pace(Option<Duration>);

impl Pace {
    /// Notes that so many took so long. Quick to take a long one for what may follow it, and slower to forget it.
    pub(super) fn observe(&mut self, count: u32, took: Duration) {
        if count > 0 {
            let each = took / count;
            self.0 = Some(self.0.map_or(each, |pace| each.max((pace * 3 + each) / 4)));
        }
    }

    /// How many are to be expected in this time; `None` before the first.
    pub(super) fn per(&self, time: Duration) -> Option<usize> {
        let count = time.as_nanos() / self.0?.as_nanos().max(1);
        Some(usize::try_from(count).unwrap_or(usize::MAX))
    }
}
