//! The threads of a worker, and who goes on when the one that runs tasks does not.
//!
//! | thread | what it does |
//! |---|---|
//! | main | sleeps until the pool is gone, and ends the process |
//! | runner | has the [`Worker`]: receives, runs, answers |
//! | clock | as the runner, but without the worker: it keeps the time of flushes, and takes the worker from one that takes too long |
//! | witness, of each of those two | joins it, and ends the process when it has vanished |
//!
//! # A flush that does not come back
//!
//! Another thread of the worker may keep standard output locked for ever, and nobody can look whether that is so without waiting for it.
//! So a runner leaves the worker on the [`Desk`] while it flushes, with the answer that is due:
//!
//! | place | means | left for | by |
//! |---|---|---|---|
//! | `Empty` | no flush | `Flushing` | the runner, before it flushes |
//! | `Flushing` | whoever takes the worker out is the runner | `Empty`, `Stuck` | the runner, after the flush; the clock, after [`LIMIT`] |
//! | `Stuck` | a thread that has no worker is in a flush | `Empty` | that thread, which is the clock from then on |
//!
//! While the place is `Stuck` the runner does not flush, and does not wait: what is printed goes out with the flush that is under way. So
//! there are never more than these two threads, and one of them has the worker. Who is stuck keeps no time; nothing needs it then.
//!
//! The clock wakes for the first flush after a quiet time, and then every `LIMIT` until one passes without a flush. A flush that is
//! not waited for costs two turns of a lock that nobody else wants.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::{LOST, Setup, Worker, leave};
use crate::codec::READING_STACK;
use crate::process::os;
use crate::process::program::fork;
use crate::process::shm::table::TaskTable;
use crate::stack;
use crate::sync::{Condvar, Mutex};

/// How long an answer waits for what was printed to be written.
const LIMIT: Duration = Duration::from_millis(250);

/// Starts the threads of a worker.
pub(super) fn start(mut worker: Box<Worker>, setup: Setup) -> io::Result<()> {
    let desk = Arc::new(Desk::default());
    let (name, table) = (setup.0.clone(), worker.table);
    let (starting, all_run) = channel::<()>();
    // Tasks have what any thread has, and arguments are read on top of that, also where no more memory is to be had.
    let size = stack::usual_size().saturating_add(READING_STACK);
    let clock = {
        let (desk, starting) = (Arc::clone(&desk), starting.clone());
        move || {
            stack::begin(size);
            os::die_with_parent_too();
            drop(starting);
            run(&desk, None)
        }
    };
    let runner = Builder::new().name(name.clone()).stack_size(size).spawn(move || {
        stack::begin(size);
        os::die_with_parent_too();
        exit_on_panic(|| {
            if setup.2.is_some() {
                // What the others need of the address space is no task's: a limit starts from there. Nothing comes but the end.
                let _ = all_run.recv();
            }
            worker.set_up(setup)
        });
        run(&desk, Some(worker));
    })?;
    os::witness(runner, starting.clone(), vanished(table));
    // Where there is no room for it, a flush takes as long as it takes.
    if let Ok(clock) = Builder::new().name(name).stack_size(size).spawn(clock) {
        os::witness(clock, starting, vanished(table));
    }
    Ok(())
}

/// Ends the process with what a thread of it has to say, if it has.
fn exit_on_panic(body: impl FnOnce() -> Option<i32>) {
    // Nothing of a task's comes through here; if it does, the worker must not stand there as if it was at work.
    let code = panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| std::process::abort());
    if let Some(code) = code {
        leave(code);
    }
}

fn run(desk: &Desk, mut worker: Option<Box<Worker>>) -> ! {
    loop {
        let worker = worker.take().unwrap_or_else(|| desk.keep_time());
        exit_on_panic(|| worker.serve(desk));
    }
}

/// What a witness does. What the vanished thread had locked stays so: this takes no lock, and frees nothing.
fn vanished(table: &'static TaskTable) -> impl FnOnce() + Send {
    move || {
        table.note_vanished();
        fork::exit_at_once(LOST)
    }
}

/// Where a runner leaves its worker while it flushes.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// The clock is to keep the time.
    begun: Condvar,
}

#[derive(Default)]
struct State {
    place: Place,
    /// How many flushes have begun.
    flushes: u64,
    /// The clock is awake, or is about to be.
    is_timed: bool,
}

#[derive(Default)]
enum Place {
    #[default]
    Empty,
    Flushing(Box<Worker>),
    Stuck,
}

impl Desk {
    /// Writes what was printed, unless that takes too long. `None`: then the worker was taken by the other thread.
    pub(super) fn flush(&self, worker: Box<Worker>) -> Option<Box<Worker>> {
        let mut state = self.state.lock();
        if matches!(state.place, Place::Stuck) {
            return Some(worker);
        }
        state.place = Place::Flushing(worker);
        state.flushes += 1;
        let is_first = !std::mem::replace(&mut state.is_timed, true);
        drop(state);
        if is_first {
            self.begun.notify_one();
        }
        // A stream that is closed is the task's own doing.
        let _ = io::stdout().flush();
        match std::mem::take(&mut self.state.lock().place) {
            Place::Flushing(worker) => Some(worker),
            Place::Empty | Place::Stuck => None,
        }
    }

    /// Keeps the time of flushes, until one takes too long: then its worker is this thread's.
    fn keep_time(&self) -> Box<Worker> {
        let mut state = self.state.lock();
        loop {
            while !state.is_timed {
                self.begun.wait(&mut state);
            }
            let (flushes, until) = (state.flushes, Instant::now() + LIMIT);
            while !self.begun.wait_until(&mut state, until).timed_out() {}
            if state.flushes != flushes {
                continue;
            }
            match std::mem::replace(&mut state.place, Place::Stuck) {
                Place::Flushing(worker) => {
                    // Whoever is stuck is the next clock, which looks at this.
                    state.is_timed = false;
                    return worker;
                }
                other => state.place = other,
            }
            state.is_timed = false;
        }
    }
}
