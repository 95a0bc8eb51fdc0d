//! [`Subject`]: a backend under test, and what its author says of it.

use std::sync::Arc;

use concurrent_futures::Backend;

use crate::need::Need;
use crate::points::{Make, Point};

/// A backend under test.
///
/// By default it is held to everything. Each method states one thing that the backend does not promise: points that need it are ignored,
/// and their names are printed with the reason. `--include-ignored` runs them nevertheless.
pub struct Subject {
    pub(crate) name: String,
    make: Arc<Make>,
    missing: Vec<Need>,
}

/// Names a backend and says how an executor with so many workers is made: one for each point.
pub fn backend<B: Backend + 'static>(
    name: impl Into<String>,
    make: impl Fn(usize) -> B + Send + Sync + 'static,
) -> Subject {
    Subject { name: name.into(), make: Arc::new(move |workers| Box::new(make(workers))), missing: Vec::new() }
}

impl Subject {
    /// The task has run when `submit` returns, as with `InlineExecutor`.
    ///
    /// Leaves out every point that does something while a task is pending or runs: most about `cancel`, waiting and timeouts.
    pub fn runs_inside_submit(self) -> Self {
        self.without(Need::Background).without(Need::Queue)
    }

    /// Tasks run at once, however many there are, or start in any order: a thread for each task, for example.
    ///
    /// Leaves out points that need a pending task behind a busy worker: most about `cancel` and dropped maps, and the order of starts.
    pub fn without_queue(self) -> Self {
        self.without(Need::Queue)
    }

    /// `close` has no effect, and later tasks run like earlier ones.
    ///
    /// Leaves out points about refused tasks.
    pub fn never_closes(self) -> Self {
        self.without(Need::Closing)
    }

    /// `cancel_pending` is the trait's own, which cancels nothing.
    ///
    /// Leaves out the points about it and about `shutdown_now`.
    pub fn without_cancel_pending(self) -> Self {
        self.without(Need::CancelPending)
    }

    /// `stats` is the trait's own, which counts nothing.
    ///
    /// Leaves out the points about it.
    pub fn without_stats(self) -> Self {
        self.without(Need::Stats).without(Need::OnDemand)
    }

    /// Workers are there before the first task, or more of them than tasks.
    ///
    /// Leaves out the point that counts them.
    pub fn starts_workers_early(self) -> Self {
        self.without(Need::OnDemand)
    }

    /// A time limit has no effect.
    ///
    /// Leaves out the points about tasks that run past one.
    pub fn without_time_limits(self) -> Self {
        self.without(Need::TimeLimits)
    }

    /// A drop of the executor does not wait for its tasks: it is a handle on workers that others have as well.
    ///
    /// Leaves out the points about the drop. The kit shuts down no executor for which it is not asked to.
    pub fn drop_leaves_tasks(self) -> Self {
        self.without(Need::Drop)
    }

    /// The workers know functions by name, so the author has made those of [`functions`](crate::functions) known to them.
    ///
    /// Leaves out the points that submit others.
    pub fn runs_listed_functions_only(self) -> Self {
        self.without(Need::AnyFunction)
    }

    /// The word that a task has begun may come later than what the task does: from another machine, for example.
    ///
    /// Leaves out points that expect a task to be running because it has come to a door.
    pub fn remote(self) -> Self {
        self.without(Need::PromptStart)
    }

    fn without(mut self, need: Need) -> Self {
        self.missing.push(need);
        self
    }

    pub(crate) fn make(&self) -> Arc<Make> {
        Arc::clone(&self.make)
    }

    /// Returns something that the point needs and the backend does not promise.
    pub(crate) fn misses(&self, point: &Point) -> Option<Need> {
        point.needs.iter().copied().find(|need| self.missing.contains(need))
    }
}
