//! The body of a pool's worker thread.
#![forbid(unsafe_code)]

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use super::pool::{Counts, Pool};
use crate::error::{Broken, Error};
use crate::panics;
use crate::task::Ran;
use crate::task::owner;
use crate::task::roles::TaskOwner;

pub(super) fn run(pool: &Arc<Pool>, number: usize, counts: &Counts) {
    let here: Arc<dyn TaskOwner> = Arc::clone(pool) as _;
    owner::enter(Arc::clone(&here));
    if let Some(initializer) = &pool.settings.initializer
        && let Err(error) = panics::catch(|| {
            initializer();
            Ok(())
        })
    {
        pool.break_down(Error::Broken(Broken::new(blame(&error))));
    }
    let mut ran = None;
    while let Some(task) = pool.next(number, ran, counts) {
        // A task does not unwind; but if it did, this worker would stay counted for ever.
        let run = || task.run(Arc::clone(&task), Some(&here));
        ran = Some(panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or(Ran::Failed));
    }
}

fn blame(error: &Error) -> String {
    let Error::Panicked(panic) = error else {
        return error.to_string();
    };
    let location = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
    let worker = panic.worker_name().map(|name| format!(" of {name}")).unwrap_or_default();
    format!("the initializer{worker} panicked{location}: {}", panic.message())
}
