//! How many schedules are tried of a model, and what is drawn in them.

use crate::checker::{draw, sample};

/// How many schedules of each kind are tried of a model.
const SCHEDULES: usize = 2500;

/// Runs a model under random schedules, and as many by probabilistic concurrency testing.
pub(crate) fn check<M: Fn() + Send + Sync + 'static>(model: M) {
    check_often(1, model);
}

/// Runs a model like [`check`], with so many times as many schedules, for what is rare.
pub(crate) fn check_often<M: Fn() + Send + Sync + 'static>(times: usize, model: M) {
    sample(times * SCHEDULES, model);
}

/// Draws a number below `end`.
pub(crate) fn below(end: usize) -> usize {
    draw() as usize % end
}

/// Lets others go first, some of the way.
pub(crate) fn dawdle() {
    (0..below(30)).for_each(|_| shuttle::thread::yield_now());
}
