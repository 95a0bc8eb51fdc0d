//! [`Need`]: what some points need from a backend.

/// What a point needs beyond `execute`. For each one, [`Subject`](crate::Subject) has a method by which an author says
/// that it is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// `submit` returns before the task has run.
    Background,
    /// At most as many tasks run at a time as there are workers. The others are pending and start in the order of
    /// submission.
    Queue,
    /// After `close`, tasks are refused.
    Closing,
    /// `cancel_pending` cancels pending tasks.
    CancelPending,
    /// `stats` counts.
    Stats,
    /// A worker is started for a task, and not before.
    OnDemand,
    /// A task that is past its time limit is ended.
    TimeLimits,
    /// A drop waits until queued tasks have run. With `CancelPending`, a drop while the thread unwinds cancels them.
    Drop,
    /// Functions that are not listed in `functions` run too.
    AnyFunction,
    /// `submitter` returns a handle, so `submit_after` does not block.
    Submitter,
    /// A task is running as soon as it does anything.
    PromptStart,
}

impl Need {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Background => "needs background",
            Self::Queue => "needs queue",
            Self::Closing => "needs closing",
            Self::CancelPending => "needs cancel_pending",
            Self::Stats => "needs stats",
            Self::OnDemand => "needs on demand",
            Self::TimeLimits => "needs time limits",
            Self::Drop => "needs drop",
            Self::AnyFunction => "needs any function",
            Self::Submitter => "needs submitter",
            Self::PromptStart => "needs prompt start",
        }
    }
}
