//! [`AnyFormat`]: a task whose argument is written in any format of serde, and whose result is read from any.
//!
//! A task knows its types and not the format; the author of an executor knows the format and not the types. So one of
//! the two is erased: the format, by `erased_serde`, under the feature `remote`. Each type that a program submits is
//! then written and read in a second way, which is compiled in for it; without the feature, a task has only the methods
//! that are postcard's, and [`AnyFormat`] has none.
//!
//! # Who may call what, and when
//!
//! Only a [`Job`](crate::Job) calls these methods, and a job is in the hands of one thread at a time. The future is in
//! others' hands meanwhile, so the task may end at any moment: cancelled, aborted, refused.
//!
//! | the task ends | then |
//! |---|---|
//! | before `show` | `show` returns `Cancelled` and calls nothing |
//! | during `show` | the future is done at once; `show` goes on, succeeds, and drops the argument when it is over |
//! | between `show` and `read` | the argument is dropped by whoever ended the task; `read` calls nothing and drops the replies |
//! | during `read` | what was read is dropped, and the end stays what it was |
//!
//! While `show` has the argument, the task has no call: nothing can run it, and a `show` or `encode` inside is refused.
//! `start`, `entrust` and `on_abort` need no call, so `visit` may call them.
//!
//! # What is caught
//!
//! The code of the task's types, which is the caller's, runs without a lock. A panic of a `Serialize` becomes an error
//! of the format at that value, so that of a chunk only that item need fail; any other panic in `visit` ends `show` with
//! `Encode`. A panic of a `Deserialize` is `Decode` for that reply. The iterator of replies is the author's own: if it
//! panics, the job is dropped in the unwinding, and with it the task ends.
//!
//! How deeply a value may be nested is up to the format. Only postcard, through `codec`, measures the stack.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
mod erased;
#[cfg(feature = "remote")]
mod task;

#[cfg(feature = "remote")]
pub use erased::Reply;
#[cfg(feature = "remote")]
pub(crate) use erased::{AnyFormat, Caught, FormattedReplies, Visit, Visitor};

/// A task that knows only postcard.
#[cfg(not(feature = "remote"))]
pub(crate) trait AnyFormat {}

#[cfg(not(feature = "remote"))]
impl<T: ?Sized> AnyFormat for T {}
