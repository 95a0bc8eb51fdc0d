//! What the headers of a message say about the task that a worker makes of it: its options, and its place in a trace.
#![forbid(unsafe_code)]

use concurrent_futures::TaskOptions;

use crate::message::TaskMessage;

impl TaskMessage {
    /// Returns the options of the task.
    pub(crate) fn options(&self) -> TaskOptions {
        let mut options = TaskOptions::new();
        if let Some(name) = &self.shadow {
            options = options.name(&**name);
        }
        if let Some(limit) = self.time_limit {
            options = options.time_limit(limit);
        }
        match self.retries_allowed {
            Some(allowed) => options.retries(allowed.saturating_sub(self.retries)),
            None => options,
        }
    }

    /// Submits the task, whose span becomes the child of one for the message. That one has the place in the trace that the
    /// client gave the task, and is closed after its child.
    #[cfg(feature = "tracing")]
    pub(crate) fn in_span<R>(&self, submit: impl FnOnce() -> R) -> R {
        let span = tracing::info_span!(
            target: "concurrent_futures_celery",
            "message",
            id = self.id,
            task = self.task,
            traceparent = self.traceparent,
        );
        span.in_scope(submit)
    }

    #[cfg(not(feature = "tracing"))]
    pub(crate) fn in_span<R>(&self, submit: impl FnOnce() -> R) -> R {
        submit()
    }
}
