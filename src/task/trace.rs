//! [`TaskSpan`]: the span of a task, with the feature `tracing`.
//!
//! The span is made together with the task, as a child of the span that is current there, and is closed at the end of
//! the task, before its callbacks. The thread that runs the task enters it. A task in a worker process has two spans:
//! one here, which no thread enters, and one in the worker, around the call. Both have the same `traceparent`. It is
//! made of what both sides know: the trace id of the program, which a worker inherits in its environment, and the id of
//! the task.
//!
//! If no subscriber wants spans, a task has none, and that costs one load of an atomic. Subscribers are user code. The
//! caller's thread calls them directly when a span is made; all other calls of them are made as callbacks are. A clone or
//! a drop of a [`Span`](tracing::Span) is such a call, and both happen under locks: so tasks share one span, and the last
//! of those that have it closes it as a callback.
#![forbid(unsafe_code)]

#[cfg(feature = "tracing")]
pub(crate) mod identity;
#[cfg(feature = "tracing")]
pub(crate) mod names;

pub(crate) use imp::{Caller, TaskSpan};

/// The name of the user code that a call of a subscriber runs, for the log line about its panic.
pub(crate) const SUBSCRIBER: &str = "a subscriber of `tracing`";

/// Runs `code`, whose spans are children of the caller's, if there is one.
pub(crate) fn in_scope_of<R>(caller: Option<&Caller>, code: impl FnOnce() -> R) -> R {
    match caller {
        Some(caller) => caller.in_scope(code),
        None => code(),
    }
}

#[cfg(feature = "tracing")]
mod imp {
    use std::borrow::Cow;
    use std::sync::Arc;

    use tracing::dispatcher::{self, Dispatch};
    use tracing::field::{Empty, Value, display};
    use tracing::level_filters::LevelFilter;
    use tracing::span::{Entered, Span};

    use crate::error::Error;
    use crate::id::FutureId;
    use crate::task::encoded::Entry;
    use crate::task::nested::as_callback;
    use crate::task::times::Times;
    use crate::task::trace::SUBSCRIBER;
    use crate::task::trace::identity::traceparent;
    use crate::task::trace::names::{function_of, name_of};
    use crate::unwind::Caught;

    /// What calls the subscriber when it is dropped: as a callback.
    struct Dropped<T: Send>(Option<T>);

    impl<T: Send> Drop for Dropped<T> {
        fn drop(&mut self) {
            as_callback(SUBSCRIBER, &mut || drop(self.0.take()));
        }
    }

    /// Its clones share one span, and call no subscriber.
    #[derive(Clone)]
    pub(crate) struct TaskSpan(Option<Arc<Dropped<Span>>>);

    impl TaskSpan {
        pub(crate) const fn none() -> Self {
            Self(None)
        }

        fn span(&self) -> Option<&Span> {
            self.0.as_deref()?.0.as_ref()
        }

        fn record(&self, field: &str, value: impl Value) {
            if let Some(span) = self.span() {
                span.record(field, value);
            }
        }

        pub(crate) fn is_none(&self) -> bool {
            self.span().is_none()
        }

        /// Returns `true` if a subscriber may want spans of tasks. If there is none, this is one load of an atomic.
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

        /// Makes the span of a call that this worker process makes for another process. There is none if that panics.
        pub(crate) fn in_worker(id: FutureId, function: impl Fn() -> Cow<'static, str> + Sync) -> Self {
            let mut span = Self::none();
            if Self::are_wanted() {
                as_callback(SUBSCRIBER, &mut || {
                    span = Self::make(id, &function);
                    if let Some(worker) = std::thread::current().name() {
                        span.record("worker", worker);
                    }
                });
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
            Self((!span.is_disabled()).then(|| Arc::new(Dropped(Some(span)))))
        }

        pub(crate) fn started(&self, times: &Times, executor: Option<&str>, name: Option<&str>) {
            self.record_names(executor, name);
            self.record("queued_us", micros(times.queued()));
        }

        /// Records the worker that runs the task.
        pub(crate) fn runs_on(&self, times: &Times) {
            if let Some(worker) = times.worker_name() {
                self.record("worker", worker);
            }
        }

        pub(crate) fn ended(
            &self,
            outcome: Result<(), &Error>,
            times: &Times,
            executor: Option<&str>,
            name: Option<&str>,
        ) {
            match times.ran() {
                Some(ran) => {
                    self.record("ran_us", micros(ran));
                }
                None => {
                    self.record_names(executor, name);
                    self.record("queued_us", micros(times.queued()));
                }
            }
            match outcome {
                Ok(()) => {
                    self.record("outcome", "Ok");
                }
                Err(error) => {
                    self.record("outcome", error.variant().name());
                    self.record("error", display(error));
                }
            }
        }

        fn record_names(&self, executor: Option<&str>, name: Option<&str>) {
            for (field, value) in [("executor", executor), ("name", name)] {
                if let Some(value) = value {
                    self.record(field, value);
                }
            }
        }

        /// Enters the span until the returned value is dropped. May panic, but not at that drop, which may be in the middle of
        /// another panic.
        pub(crate) fn enter(&self) -> Caught<Option<Entered<'_>>> {
            Caught::new(self.span().map(Span::enter))
        }
    }

    /// The span and the subscriber that were current in the thread of a caller, for spans that other threads make for it.
    #[derive(Clone)]
    pub(crate) struct Caller(Arc<Dropped<(Dispatch, Span)>>);

    impl Caller {
        /// Returns `None` if no spans are wanted.
        pub(crate) fn here() -> Option<Self> {
            let here = || (dispatcher::get_default(Dispatch::clone), Span::current());
            TaskSpan::are_wanted().then(|| Self(Arc::new(Dropped(Some(here())))))
        }

        /// Runs `code`, whose spans are children of the caller's.
        pub(crate) fn in_scope<R>(&self, code: impl FnOnce() -> R) -> R {
            match &self.0.0 {
                Some((subscriber, span)) => dispatcher::with_default(subscriber, || span.in_scope(code)),
                None => code(),
            }
        }

        /// Makes the span of a batch of items.
        pub(crate) fn span_of_items(
            &self,
            id: FutureId,
            function: impl FnOnce() -> Cow<'static, str>,
            items: usize,
        ) -> TaskSpan {
            let span = self.in_scope(|| TaskSpan::make(id, function));
            span.record("items", items);
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

    /// Stands for no span. The compiler removes all of this.
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
        pub(crate) fn in_worker(_: FutureId, _: impl Fn() -> Cow<'static, str> + Sync) -> Self {
            Self
        }
        pub(crate) fn started(&self, _: &Times, _: Option<&str>, _: Option<&str>) {}
        pub(crate) fn runs_on(&self, _: &Times) {}
        pub(crate) fn ended(&self, _: Result<(), &Error>, _: &Times, _: Option<&str>, _: Option<&str>) {}
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }
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
