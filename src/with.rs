//! [`With`]: an executor that adds options to every task.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::{Stats, TaskOptions};

/// Submits to an executor with [`TaskOptions`] on every task. Made by [`Executor::with`](crate::Executor::with).
///
/// Everything else is passed to the executor: closing this closes the executor.
pub struct With<'e, B: ?Sized> {
    pub(crate) backend: &'e B,
    pub(crate) options: Arc<TaskOptions>,
}

impl<'e, B: Backend + ?Sized> With<'e, B> {
    pub(crate) fn new(backend: &'e B, options: TaskOptions) -> Self {
        let items = backend.item_executor();
        let options = Arc::new(options.over(items.options().map_or(TaskOptions::NONE, |options| options)));
        Self { backend, options }
    }

    /// Adds more options. Options given here take precedence over those given before.
    pub fn with(&self, options: TaskOptions) -> With<'e, B> {
        With { backend: self.backend, options: Arc::new(options.over(&self.options)) }
    }
}

impl<B: Backend + ?Sized> Backend for With<'_, B> {
    fn execute(&self, job: Job) {
        self.backend.execute(job.with_options(Arc::clone(&self.options)));
    }
    fn max_workers(&self) -> usize {
        self.backend.max_workers()
    }
    fn close(&self) {
        self.backend.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.backend.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.backend.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.backend.stats()
    }
    fn item_executor(&self) -> ItemExecutor {
        self.backend.item_executor().with_options(Arc::clone(&self.options))
    }
}

impl<B: ?Sized> Clone for With<'_, B> {
    fn clone(&self) -> Self {
        Self { backend: self.backend, options: Arc::clone(&self.options) }
    }
}

impl<B: ?Sized> fmt::Debug for With<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").field("options", &self.options).finish_non_exhaustive()
    }
}
