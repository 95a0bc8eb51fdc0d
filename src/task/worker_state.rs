//! [`worker_state`]: what a worker's initializer has returned, for the tasks that the worker runs.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::sync::thread_local;

thread_local! {
    static STATE: RefCell<Option<Rc<dyn Any>>> = RefCell::new(None);
}

/// Returns what the initializer of this worker has returned, if it is of this type.
///
/// Each worker has a state of its own, which its tasks share one after the other: a connection to a database, or a table
/// that takes long to load. It is dropped when the worker's thread ends, and not at all when a worker process ends.
///
/// What the caller has, and tasks only read, is a [context](crate::Executor::with_context) instead.
///
/// Returns `None` outside of a worker, in a worker without an initializer that returns a value of this type, and in a
/// task that is nested so deeply that it runs on a fresh stack.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use concurrent_futures::{ThreadPoolExecutor, task};
///
/// let builder = ThreadPoolExecutor::builder().max_workers(1);
/// let threads = builder.initializer(|| Cell::new(0_u32)).build()?;
/// let count = || {
///     let calls = task::worker_state::<Cell<u32>>().expect("the initializer returns one");
///     calls.set(calls.get() + 1);
///     calls.get()
/// };
/// assert_eq!((threads.spawn(count).result()?, threads.spawn(count).result()?), (1, 2));
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub fn worker_state<S: 'static>() -> Option<Rc<S>> {
    let state = STATE.try_with(|state| state.borrow().clone()).ok().flatten()?;
    state.downcast().ok()
}

/// Keeps the state of the worker that this thread is.
pub(crate) fn set<S: 'static>(state: S) {
    let replaced = STATE.try_with(|place| place.replace(Some(Rc::new(state))));
    drop(replaced);
}
