//! [`Subject`]: a backend under test, and what its author says about it.

use std::sync::Arc;

use concurrent_futures::Backend;

use crate::need::Need;
use crate::points::{Make, Point};

/// A backend under test.
///
/// By default every point runs. Each method states one thing that the backend does not promise: points that need it are
/// ignored, and their names are printed with the reason. `--include-ignored` runs them nevertheless.
pub struct Subject {
    pub(crate) name: String,
    make: Arc<Make>,
    missing: Vec<Need>,
    /// Points that do not hold, with the reasons.
    exceptions: Vec<(String, String)>,
}

/// Names a backend and says how to make an executor with a given number of workers. Each point gets a new one.
pub fn backend<B: Backend + 'static>(
    name: impl Into<String>,
    make: impl Fn(usize) -> B + Send + Sync + 'static,
) -> Subject {
    Subject {
        name: name.into(),
        make: Arc::new(move |workers| Box::new(make(workers))),
        missing: Vec::new(),
        exceptions: Vec::new(),
    }
}

impl Subject {
    /// States that `submit` returns after the task has run, as with `InlineExecutor`.
    ///
    /// Leaves out every point that acts while a task is pending or running: most about `cancel`, waiting and timeouts.
    pub fn runs_inside_submit(self) -> Self {
        self.without(Need::Background).without(Need::Queue)
    }

    /// States that tasks run at once, however many there are, or start in any order: a thread for each task, for
    /// example.
    ///
    /// Leaves out points that need a pending task behind a busy worker: most about `cancel` and dropped maps, and the
    /// order of starts.
    pub fn without_queue(self) -> Self {
        self.without(Need::Queue)
    }

    /// States that `close` has no effect, and later tasks run like earlier ones.
    ///
    /// Leaves out points about refused tasks.
    pub fn never_closes(self) -> Self {
        self.without(Need::Closing)
    }

    /// States that `cancel_pending` is the trait's own, which cancels nothing.
    ///
    /// Leaves out the points about it, about `shutdown_now`, and about a drop while the thread unwinds.
    pub fn without_cancel_pending(self) -> Self {
        self.without(Need::CancelPending)
    }

    /// States that `stats` is the trait's own, which counts nothing.
    ///
    /// Leaves out the points about it.
    pub fn without_stats(self) -> Self {
        self.without(Need::Stats).without(Need::OnDemand)
    }

    /// States that workers exist before the first task, or more of them than tasks.
    ///
    /// Leaves out the point that counts them.
    pub fn starts_workers_early(self) -> Self {
        self.without(Need::OnDemand)
    }

    /// States that a time limit has no effect.
    ///
    /// Leaves out the points about tasks that run past one.
    pub fn without_time_limits(self) -> Self {
        self.without(Need::TimeLimits)
    }

    /// States that `submitter` is the trait's own: `submit_after` blocks until the inputs are done.
    ///
    /// Leaves out points whose inputs are not done when a task is submitted after them.
    pub fn without_submitter(self) -> Self {
        self.without(Need::Submitter)
    }

    /// States that dropping the executor does not wait for its tasks: it is a handle on workers that others use as
    /// well.
    ///
    /// Leaves out the points about the drop. The kit shuts an executor down only where a point asks for it.
    pub fn drop_leaves_tasks(self) -> Self {
        self.without(Need::Drop)
    }

    /// States that the workers know functions by name. The author has registered those of
    /// [`functions`](crate::functions).
    ///
    /// Leaves out the points that submit other functions.
    pub fn runs_listed_functions_only(self) -> Self {
        self.without(Need::AnyFunction)
    }

    /// States that the news that a task has begun may come later than what the task does: from another machine, for
    /// example.
    ///
    /// Leaves out points that expect a task to be running because it has come to a door.
    pub fn remote(self) -> Self {
        self.without(Need::PromptStart)
    }

    /// States that one point does not hold, and why. The reason is printed.
    ///
    /// For what no other method of this type says.
    ///
    /// # Panics
    ///
    /// If there is no such point, as [`points`](crate::points()) names them.
    #[track_caller]
    pub fn except(mut self, point: &str, reason: &str) -> Self {
        assert!(crate::points().any(|name| name == point), "there is no point {point:?}");
        self.exceptions.push((point.to_owned(), reason.to_owned()));
        self
    }

    fn without(mut self, need: Need) -> Self {
        self.missing.push(need);
        self
    }

    pub(crate) fn make(&self) -> Arc<Make> {
        Arc::clone(&self.make)
    }

    /// Returns why the point is left out, if it is: the first thing that it needs and the backend does not promise, or the
    /// reason of the exception.
    pub(crate) fn misses(&self, name: &str, point: &Point) -> Option<&str> {
        let missing = point.needs.iter().copied().find(|need| self.missing.contains(need));
        let exception = || self.exceptions.iter().find(|(point, _)| point == name).map(|(_, reason)| &**reason);
        missing.map(Need::text).or_else(exception)
    }
}
