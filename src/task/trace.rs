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

pub(crate) use imp::{Caller, TaskSpan};
#[cfg(feature = "tracing")]
pub(crate) use imp::{ENVIRONMENT, environment, name_functions_by, traceparent};

#[cfg(feature = "tracing")]
mod imp {
    use std::borrow::Cow;
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;

    use tracing::dispatcher::{self, Dispatch};
    use tracing::field::{Empty, display};
    use tracing::span::{Entered, Span};

    use crate::error::Error;
    use crate::id::FutureId;
    use crate::task::encoded::Entry;
    use crate::task::times::Times;

    /// The variable by which a program tells its children which trace they belong to.
    pub(crate) const ENVIRONMENT: &str = "TRACEPARENT";

    #[derive(Clone)]
    pub(crate) struct TaskSpan(Span);

    impl TaskSpan {
        pub(crate) const fn none() -> Self {
            Self(Span::none())
        }

        pub(crate) fn is_none(&self) -> bool {
            self.0.is_none()
        }

        /// Returns `true` if a subscriber may want spans of tasks.
        pub(crate) fn are_wanted() -> bool {
            tracing::enabled!(target: "concurrent_futures", tracing::Level::INFO)
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

    /// Returns the place of a task in the trace of the program, in the form of the W3C's recommendation "Trace Context".
    pub(crate) fn traceparent(id: FutureId) -> String {
        format!("00-{:032x}-{:016x}-01", trace_id(), id.to_u64())
    }

    /// Returns what worker processes find in their [`ENVIRONMENT`].
    pub(crate) fn environment() -> String {
        format!("00-{:032x}-{:016x}-01", trace_id(), std::process::id())
    }

    /// Returns the trace id that this process was given in its environment, or one at random.
    fn trace_id() -> u128 {
        static ID: OnceLock<u128> = OnceLock::new();
        *ID.get_or_init(|| {
            let given = std::env::var(ENVIRONMENT).ok().and_then(|text| parse(&text));
            given.unwrap_or_else(|| {
                let half = || u128::from(RandomState::new().hash_one(std::process::id()));
                half() << 64 | half() | 1
            })
        })
    }

    /// Reads the trace id of a `traceparent`.
    fn parse(text: &str) -> Option<u128> {
        let mut parts = text.split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if version.len() != 2 || id.len() != 32 || !is_hex(version) || !is_hex(id) {
            return None;
        }
        u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)
    }

    type NameFunction = fn(usize) -> Option<String>;

    static FUNCTION_NAMES: OnceLock<NameFunction> = OnceLock::new();

    /// Names plain functions by what `find` says of their addresses from now on.
    pub(crate) fn name_functions_by(find: NameFunction) {
        FUNCTION_NAMES.get_or_init(|| find);
    }

    /// Returns the name of a plain function, or its type.
    fn name_of(entry: Entry) -> Cow<'static, str> {
        let named = FUNCTION_NAMES.get().and_then(|find| find(entry.function));
        named.map_or(Cow::Borrowed(entry.signature), Cow::Owned)
    }

    /// Returns the user's function, or closure, in the name of a type of this crate that is around it.
    ///
    /// Type names are made to be read, and so is what this returns: if their form changes, it is less telling.
    pub(super) fn function_of(call: &'static str) -> Cow<'static, str> {
        let mut name = call;
        loop {
            let path = name.trim_start_matches('<');
            if !path.starts_with(concat!(env!("CARGO_CRATE_NAME"), "::")) {
                return Cow::Borrowed(name);
            }
            let Some((method, arguments)) = generics(path) else { return Cow::Borrowed(name) };
            let first = arguments[0];
            let is_pointer = method.ends_with("::Infallible") || method.ends_with("::TryFn");
            if let (true, Some(result)) = (is_pointer, arguments.get(1)) {
                return Cow::Owned(format!("fn({first}) -> {result}"));
            }
            // Their first type is that of the input.
            let takes_input = ["submit_after", "map", "map_unordered", "Via"].iter().any(|end| method.ends_with(end));
            name = if takes_input { arguments.get(1).copied().unwrap_or(first) } else { first };
        }
    }

    /// Returns the path up to the first generic arguments that are types, and those.
    fn generics(path: &str) -> Option<(&str, Vec<&str>)> {
        let mut from = 0;
        while let Some(start) = path[from..].find('<').map(|at| from + at) {
            let inside = &path[start + 1..];
            let (mut found, length) = arguments(inside);
            found.retain(|argument| !argument.starts_with('\''));
            if !inside.starts_with("impl ") && !found.is_empty() {
                return Some((path[..start].trim_end_matches("::"), found));
            }
            from = start + 1 + length;
        }
        None
    }

    /// Returns the generic arguments that `text` begins with, and their length.
    fn arguments(text: &str) -> (Vec<&str>, usize) {
        let (mut found, mut depth, mut start, mut before) = (Vec::new(), 0, 0, ' ');
        for (at, character) in text.char_indices() {
            match character {
                '<' | '(' | '[' => depth += 1,
                '>' if before == '-' => {}
                '>' | ')' | ']' if depth > 0 => depth -= 1,
                '>' => {
                    found.push(text[start..at].trim());
                    return (found, at);
                }
                ',' if depth == 0 => {
                    found.push(text[start..at].trim());
                    start = at + 1;
                }
                _ => {}
            }
            before = character;
        }
        (found, text.len())
    }

    #[cfg(test)]
    mod tests {
        use super::{function_of, parse};
        use crate::task::call::LocalCall;
        use crate::task::function::Infallible;

        #[test]
        fn a_function_is_found_in_the_type_of_its_call() {
            struct Executor;
            impl Executor {
                fn submit<F: FnOnce(u8) -> u8, A>(&self, function: F, _: A) -> &'static str {
                    let call = move || function(1);
                    name(&LocalCall(call))
                }
                fn submit_after<I, F: FnOnce(u8) -> u8>(&self, _: I, function: F) -> &'static str {
                    name(&LocalCall(move || function(1)))
                }
            }
            fn name<T>(_: &T) -> &'static str {
                std::any::type_name::<T>()
            }
            fn plain(n: u8) -> u8 {
                n
            }
            let here = concat!(module_path!(), "::a_function_is_found_in_the_type_of_its_call");
            // Code of this crate is taken for a part of it, down to what has no generics.
            assert_eq!(function_of(Executor.submit(plain, vec![(1, [2])])), format!("{here}::plain"));
            assert_eq!(function_of(Executor.submit_after((1, 2), plain)), format!("{here}::plain"));
            let seed = 1;
            assert_eq!(function_of(Executor.submit(move |n| n + seed, 1)), format!("{here}::{{{{closure}}}}"));
            assert_eq!(function_of(name(&Infallible(plain))), "fn(u8) -> u8");
            assert_eq!(function_of("a::b<c>::{{closure}}"), "a::b<c>::{{closure}}");
            let nested = "concurrent_futures::task::call::LocalCall<a::f<fn(u8) -> b<c, d>, e>::{{closure}}>";
            assert_eq!(function_of(nested), "a::f<fn(u8) -> b<c, d>, e>::{{closure}}");
            let scoped = "concurrent_futures::thread::scope::Scope<'_, '_>::spawn<a::f, u8>::{{closure}}";
            assert_eq!(function_of(scoped), "a::f");
            let with = "concurrent_futures::thread::closures::<impl concurrent_futures::with::With<'_, b>>::spawn<a::f>::{{closure}}";
            assert_eq!(function_of(with), "a::f");
        }

        #[test]
        fn a_trace_id_is_read_only_from_a_traceparent() {
            let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            assert_eq!(parse(given), Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
            let zero = format!("00-{:032x}-00f067aa0ba902b7-01", 0);
            for wrong in ["", "00", "00-12-34-01", &zero, "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
                assert_eq!(parse(wrong), None, "{wrong}");
            }
        }
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
        pub(crate) fn ended(&self, _: Result<(), &Error>, _: &Times, _: Option<&str>, _: Option<&str>) {}
        pub(crate) fn enter(&self) {}
    }

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
