//! The threads of a worker, and which one continues when the one that runs tasks cannot.
//!
//! | thread | what it does |
//! |---|---|
//! | main | sleeps until the pool is gone, and ends the process |
//! | runner | owns the [`TaskLoop`]: receives, runs, answers |
//! | clock | the same as the runner, but without the loop: it keeps the time of flushes, and takes the loop from one that takes too long ([`Handoff`]) |
//! | witness, one for each of these two | joins it, and ends the process when it has vanished |
#![forbid(unsafe_code)]

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;

use super::exit::{LOST, leave};
use super::handoff::Handoff;
use super::task_loop::TaskLoop;
use crate::bytes;
use crate::codec::READING_STACK;
use crate::process::os;
use crate::process::program::fork;
use crate::process::protocol::setup::Setup;
use crate::process::shm::table::TaskTable;
use crate::stack;

/// Starts the threads of a worker.
pub(super) fn start(mut task_loop: Box<TaskLoop>, setup: Setup) -> io::Result<()> {
    let handoff = Arc::new(Handoff::default());
    let (name, table) = (setup.0.clone(), task_loop.table);
    let (starting, all_run) = channel::<()>();
    // Tasks have the stack of any thread, and arguments are read on top of that, even if no more memory is available.
    let size = stack::usual_size().saturating_add(READING_STACK);
    let clock = {
        let (handoff, starting) = (Arc::clone(&handoff), starting.clone());
        move || {
            stack::begin(size);
            os::die_with_parent_too();
            drop(starting);
            run(&handoff, None)
        }
    };
    let runner = Builder::new().name(name.clone()).stack_size(size).spawn(move || {
        stack::begin(size);
        os::die_with_parent_too();
        exit_on_panic(|| {
            if setup.2.is_some() {
                // An address space limit counts from here, so the other threads must have started. Nothing is received
                // but the end of the channel.
                let _ = all_run.recv();
            }
            task_loop.set_up(setup)
        });
        run(&handoff, Some(task_loop));
    });
    let runner = runner.map_err(|error| {
        io::Error::other(format!(
            "no thread can be started with a stack of {size} bytes, which depends on `RUST_MIN_STACK`: {error}"
        ))
    })?;
    os::witness(runner, starting.clone(), vanished(table));
    // If there is no memory for the clock, a flush may take arbitrarily long.
    if let Ok(clock) = Builder::new().name(name).stack_size(size).spawn(clock) {
        os::witness(clock, starting, vanished(table));
    }
    Ok(())
}

/// Ends the process with the exit code that `body` returns, if it returns one.
fn exit_on_panic(body: impl FnOnce() -> Option<i32>) {
    // No panic of a task gets here. If one did, the worker must not look as if it was still working.
    let code = panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| std::process::abort());
    if let Some(code) = code {
        leave(code);
    }
}

fn run(handoff: &Handoff<TaskLoop>, mut task_loop: Option<Box<TaskLoop>>) -> ! {
    loop {
        let task_loop = task_loop.take().unwrap_or_else(|| handoff.keep_time());
        exit_on_panic(|| {
            bytes::keep(Arc::clone(&task_loop.out_of_band));
            task_loop.serve(handoff)
        });
    }
}

/// Returns what a witness does. Locks of the vanished thread stay locked, so it takes no lock and frees nothing.
fn vanished(table: &'static TaskTable) -> impl FnOnce() + Send {
    move || {
        table.note_vanished();
        fork::exit_at_once(LOST)
    }
}
