//! [`TaskSpan`]: the span of a task, with the feature `tracing`.
//!
//! It is made where the task is, as a child of the span that is current there, and closed at the end of the task, before
//! its callbacks. In between, the thread that runs the task enters it. A task in a worker process has two: one here, that
//! nobody enters, and one in the worker, around the call. Both have the same `traceparent`, which is made of what both
//! sides know: the trace id of the program, which a worker inherits in its environment, and the id of the task.
//!
//! A span without a subscriber that wants it is none, and costs a look at an atomic. Subscribers are user code: apart from
//! the making of a span, in the thread of the caller, every call of one is made as a callback is.
#![forbid(unsafe_code)]

#[cfg(feature = "tracing")]
pub(crate) mod identity;
#[cfg(feature = "tracing")]
pub(crate) mod names;

pub(crate) use imp::{Caller, TaskSpan};

#[cfg(feature = "tracing")]
mod imp {
    use std::borrow::Cow;

    use tracing::dispatcher::{self, Dispatch};
    use tracing::field::{Empty, display};
    use tracing::level_filters::LevelFilter;
    use tracing::span::{Entered, Span};

    use crate::error::Error;
    use crate::id::FutureId;
    use crate::task::encoded::Entry;
    use crate::task::times::Times;
    use crate::task::trace::identity::traceparent;
    use crate::task::trace::names::{function_of, name_of};

    #[derive(Clone)]
    pub(crate) struct TaskSpan(Span);

    impl TaskSpan {
        pub(crate) const fn none() -> Self {
            Self(Span::none())
        }

        pub(crate) fn is_none(&self) -> bool {
            self.0.is_none()
        }

        /// Returns `true` if a subscriber may want spans of tasks. Without any, looks at an atomic.
        #[inline(always)]
        pub(crate) fn are_wanted() -> bool {
            #[cold]
            fn ask() -> bool {
                tracing::enabled!(target: "concurrent_futures", tracing::Level::INFO)
            }
            LevelFilter::current() >= LevelFilter::INFO && ask()
        }

        /// Makes the span of a call of the type named `call`, or of the function of an `entry`.
        pub(crate) fn of_call(id: FutureId, call: &'static str, entry: impl FnOnce() -> Option<Entry>) -> Self {
            Self::make(id, || entry().map_or_else(|| function_of(call), name_of))
        }

        /// Makes the span of a call that this worker process makes for another process.
        pub(crate) fn in_worker(id: FutureId, function: impl FnOnce() -> Cow<'static, str>) -> Self {
            let span = Self::make(id, function);
            if let Some(worker) = std::thread::current().name() {
                span.0.record("worker", worker);
            }
            span
        }

        fn make(id: FutureId, function: impl FnOnce() -> Cow<'static, str>) -> Self {
            let span = tracing::info_span!(
                target: "concurrent_futures",
                "task",
                id = id.to_u64(),
                name = Empty,
                function = %function(),
                items = Empty,
                executor = Empty,
                worker = Empty,
                queued_us = Empty,
                ran_us = Empty,
                outcome = Empty,
                error = Empty,
                traceparent = %traceparent(id),
            );
            if span.is_disabled() { Self::none() } else { Self(span) }
        }

        pub(crate) fn started(&self, times: &Times, executor: Option<&str>, name: Option<&str>) {
            if self.is_none() {
                return;
            }
            self.tell_names(executor, name);
            self.0.record("queued_us", micros(times.queued()));
        }

        pub(crate) fn runs_on(&self, times: &Times) {
            if let Some(worker) = times.worker_name() {
                self.0.record("worker", worker);
            }
        }

        pub(crate) fn ended(
            &self,
            outcome: Result<(), &Error>,
            times: &Times,
            executor: Option<&str>,
            name: Option<&str>,
        ) {
            if self.is_none() {
                return;
            }
            match times.ran() {
                Some(ran) => {
                    self.0.record("ran_us", micros(ran));
                }
                None => {
                    self.tell_names(executor, name);
                    self.0.record("queued_us", micros(times.queued()));
                }
            }
            match outcome {
                Ok(()) => {
                    self.0.record("outcome", "Ok");
                }
                Err(error) => {
                    self.0.record("outcome", error.variant());
                    self.0.record("error", display(error));
                }
            }
        }

        fn tell_names(&self, executor: Option<&str>, name: Option<&str>) {
            for (field, value) in [("executor", executor), ("name", name)] {
                if let Some(value) = value {
                    self.0.record(field, value);
                }
            }
        }

        pub(crate) fn enter(&self) -> Entered<'_> {
            self.0.enter()
        }

        /// Lets go of the span. It is closed by the last of those that hold it.
        pub(crate) fn leave(self) {}
    }

    /// The span and the subscriber that were current in the thread of a caller, for spans that other threads make for it.
    #[derive(Clone)]
    pub(crate) struct Caller {
        subscriber: Dispatch,
        span: Span,
    }

    impl Caller {
        /// Returns `None` if no spans are wanted.
        pub(crate) fn here() -> Option<Self> {
            let here = || Self { subscriber: dispatcher::get_default(Dispatch::clone), span: Span::current() };
            TaskSpan::are_wanted().then(here)
        }

        /// Runs `code`, whose spans are children of the caller's.
        pub(crate) fn in_scope<R>(&self, code: impl FnOnce() -> R) -> R {
            dispatcher::with_default(&self.subscriber, || self.span.in_scope(code))
        }

        /// Makes the span of items that travel together.
        pub(crate) fn span_of_items(
            &self,
            id: FutureId,
            function: impl FnOnce() -> Cow<'static, str>,
            items: usize,
        ) -> TaskSpan {
            let span = self.in_scope(|| TaskSpan::make(id, function));
            span.0.record("items", items);
            span
        }
    }

    fn micros(time: std::time::Duration) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use std::borrow::Cow;

    use crate::error::Error;
    use crate::id::FutureId;
    use crate::task::encoded::Entry;
    use crate::task::times::Times;

    /// None. All of it is compiled to nothing.
    #[derive(Clone)]
    pub(crate) struct TaskSpan;

    impl TaskSpan {
        pub(crate) const fn none() -> Self {
            Self
        }
        pub(crate) fn is_none(&self) -> bool {
            true
        }
        pub(crate) fn are_wanted() -> bool {
            false
        }
        pub(crate) fn of_call(_: FutureId, _: &'static str, _: impl FnOnce() -> Option<Entry>) -> Self {
            Self
        }
        pub(crate) fn in_worker(_: FutureId, _: impl FnOnce() -> Cow<'static, str>) -> Self {
            Self
        }
        pub(crate) fn started(&self, _: &Times, _: Option<&str>, _: Option<&str>) {}
        pub(crate) fn runs_on(&self, _: &Times) {}
        pub(crate) fn ended(&self, _: Result<(), &Error>, _: &Times, _: Option<&str>, _: Option<&str>) {}
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }
        pub(crate) fn leave(self) {}
    }

    pub(crate) struct Entered;

    #[derive(Clone)]
    pub(crate) struct Caller;

    impl Caller {
        pub(crate) fn here() -> Option<Self> {
            None
        }
        pub(crate) fn in_scope<R>(&self, code: impl FnOnce() -> R) -> R {
            code()
        }
        pub(crate) fn span_of_items(&self, _: FutureId, _: impl FnOnce() -> Cow<'static, str>, _: usize) -> TaskSpan {
            TaskSpan
        }
    }
}
