//! The context of a running task.

// A task is a state machine (`state`), which executors and callers use through the traits in `roles`: `runner`
// implements those for executors, `handle` those for callers. `call` is what a task calls, with its `arguments` and the
// `replies` to it where it is called elsewhere, `owner` the executor that has it. `after` holds a
// task back until others are done, and `hooks` tell executors of its start and end.
pub(crate) mod after;
pub(crate) mod arguments;
pub(crate) mod bound;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod encoded;
pub(crate) mod formats;
pub(crate) mod function;
pub(crate) mod handle;
pub(crate) mod hooks;
pub(crate) mod items_span;
pub(crate) mod listener;
mod marks;
mod more;
pub(crate) mod nested;
pub(crate) mod observing;
pub(crate) mod owner;
pub(crate) mod owner_ref;
mod phase;
pub(crate) mod pool_id;
pub(crate) mod remote;
pub(crate) mod replies;
pub(crate) mod roles;
pub(crate) mod runner;
pub(crate) mod shared_context;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod times;
pub(crate) mod trace;
pub(crate) mod worker_state;

pub use context::{TaskContext, check, current};
pub(crate) use roles::{Awaited, Callback, Ran, Runnable, TaskHandle};
pub(crate) use snapshot::State;
pub(crate) use state::{continuation, local_task, new_task};
pub use worker_state::worker_state;
