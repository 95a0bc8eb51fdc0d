//! [`with_room`]: user code that may nest as deeply as it likes.
//!
//! A callback may complete another future, whose callback completes the next one. The drop of a task may cancel another
//! task. A task may run another one in an executor without workers. Each of these is a few frames further down the
//! stack. Where the stack is nearly used up, the next callback, drop or task runs on the stack of a new thread, and the
//! calling thread waits for it.
//!
//! For this crate the two threads are one: the new thread belongs to the same executor, has the same thread token and
//! the same current task, and must not block if the old one must not. For the program they are two threads:
//! thread-locals, and locks that belong to a thread, differ. This happens only after dozens of levels.
//!
//! If no thread can be started, callbacks and drops run on the remaining stack, because they have to run.
#![forbid(unsafe_code)]

use std::io;

use super::{context, owner};
use crate::stack;
use crate::unwind::catch_and_log_dyn;

/// Runs `body` on this stack, or on a fresh one if little of this one is left.
#[inline]
pub(crate) fn with_room<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    if stack::has_reserve() {
        return body();
    }
    let mut body = Some(body);
    match elsewhere(&mut body) {
        Ok(result) => result,
        Err(_) => body.take().expect("it has not run")(),
    }
}

/// As [`with_room`], but `body` does not run if there is too little stack and no thread for it.
///
/// # Errors
///
/// Returns the error if no thread can be started.
#[inline]
pub(crate) fn if_room<R: Send>(body: impl FnOnce() -> R + Send) -> io::Result<R> {
    if stack::has_reserve() { Ok(body()) } else { elsewhere(&mut Some(body)) }
}

/// Runs user code as a callback: it may nest, must not block on a future, and a panic is logged.
///
/// Not generic, because generic code of a task is compiled for each submitted function.
pub(super) fn as_callback(what: &str, code: &mut (dyn FnMut() + Send)) {
    with_room(move || catch_and_log_dyn(what, &mut || owner::in_callback(&mut *code)));
}

#[cold]
fn elsewhere<R: Send, F: FnOnce() -> R + Send>(body: &mut Option<F>) -> io::Result<R> {
    let (context, task) = (owner::Context::of_this_thread(), context::carry());
    let run = || {
        let body = body.take().expect("only one thread takes it");
        context.enter(|| context::enter_carried(task, body))
    };
    stack::on_deep(&mut Some(run))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::{if_room, with_room};
    use crate::stack;
    use crate::task::owner;
    use crate::task::roles::TaskOwner;

    /// Runs `code` on a stack that is nearly used up.
    fn at_the_end<R: Send>(code: impl FnOnce() -> R + Send) -> R {
        fn down<R>(code: impl FnOnce() -> R) -> R {
            let much = std::hint::black_box([0_u8; 1024]);
            let result = if stack::has_reserve() { down(code) } else { code() };
            std::hint::black_box(much);
            result
        }
        let run = || {
            stack::begin(256 << 10);
            down(code)
        };
        thread::scope(|scope| {
            thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, run).unwrap().join().unwrap()
        })
    }

    #[test]
    fn a_fresh_stack_keeps_the_identity_of_its_thread() {
        struct Nobody;
        impl TaskOwner for Nobody {}
        at_the_end(|| {
            let owner: Arc<dyn TaskOwner> = Arc::new(Nobody);
            owner::enter(Arc::clone(&owner));
            let (id, token) = (thread::current().id(), owner::thread_token());
            let is_here = || (thread::current().id() == id, owner::thread_token() == token);
            let is_ours = || owner::is_current(owner::address(&owner));
            let seen = with_room(|| (is_here(), is_ours(), owner::may_block(), crate::task::current().is_some()));
            assert_eq!(seen, ((false, true), true, true, false));
            let seen = owner::in_callback(|| if_room(|| (is_here(), is_ours(), owner::may_block())).unwrap());
            assert_eq!(seen, ((false, true), true, false));
            assert!(owner::may_block() && is_ours());
        });
    }

    #[test]
    fn code_with_enough_stack_stays_on_its_thread() {
        let id = thread::current().id();
        assert!(with_room(|| thread::current().id() == id));
        assert!(if_room(|| thread::current().id() == id).unwrap());
    }
}
