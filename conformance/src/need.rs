//! [`Need`]: what some points need of a backend, and others do not.

/// What a point needs beyond `execute`. [`Subject`](crate::Subject) has a method for each, by which an author says that it is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// `submit` returns before the task has run.
    Background,
    /// No more tasks run at a time than there are workers. The others are pending and start in the order of submission.
    Queue,
    /// After `close`, tasks are refused.
    Closing,
    /// `cancel_pending` cancels what is pending.
    CancelPending,
    /// `stats` counts.
    Stats,
    /// A worker is started for a task, and not before.
    OnDemand,
    /// A task that is past its time limit is ended.
    TimeLimits,
    /// A drop runs what is queued and waits for it; one while the thread unwinds cancels it.
    Drop,
    /// Functions run that are not listed in `functions`.
    AnyFunction,
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
            Self::PromptStart => "needs prompt start",
        }
    }
}
