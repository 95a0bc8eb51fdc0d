//! [`ThreadPoolExecutor`]: tasks on threads of this process.
//!
//! `pool` has the queue and its protocol, `worker` the loop of a thread, `timer` the time limits, `closures` the
//! methods that take closures that capture, `retrying` those of tasks that are tried again, `with_context` those that
//! take a context too, `scope` the tasks that borrow, and `scope_map` the maps that do.

mod builder;
mod closures;
mod executor;
mod pool;
mod retrying;
mod scope;
mod scope_map;
mod timer;
mod with_context;
mod worker;

pub use builder::ThreadPoolBuilder;
pub use executor::ThreadPoolExecutor;
pub use scope::Scope;
pub use scope_map::{ScopedMap, ScopedMapUnordered};
