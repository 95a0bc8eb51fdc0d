//! The end of a worker: what it leaves behind, and what is told of it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use rustix::process::Signal;

use super::Link;
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::process::child::{Child, OomCounter};
use crate::process::program::entry::{ENTERS_BY_ITSELF, StartFailure};
use crate::process::scheduler::{Death, LostTask, Prospect};
use crate::process::task::RemoteTask;
use crate::process::worker::exit::LOST;
use crate::unwind;

/// The code that a program exits with whose libraries cannot be loaded.
const NOT_LOADED: i32 = 127;

/// What ends a process for what it did itself.
const CRASHES: [&str; 7] = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"];

const IS_INIT_MISSING: &str = "is `concurrent_futures::init()` the first line of `main`?";

/// Why the process refused to be a worker, if that is what it ended with.
fn start_failure(exit: &Exit) -> Option<StartFailure> {
    if let Exit::Code(code) = exit { StartFailure::of(*code) } else { None }
}

/// The kernel ends a thread alone at a bare `exit` call, in the strict mode of seccomp, and by a filter's `KILL_THREAD`.
const VANISHED: &str =
    "the thread that runs tasks ended without its process, by a bare `exit` system call or a filter of system calls";

impl Link<'_> {
    /// The process has ended, or was given up: its last words, then its exit status, then its tasks.
    pub(super) fn reap(&mut self, child: &Child) {
        // Nobody of its group is to go on writing while we read.
        if child.signal(Signal::KILL).is_err() {
            self.connection.cut_off();
        }
        self.is_dead = true;
        while self.parse().is_ok()
            && let Ok(1..) = self.reader.receive(self.connection.socket())
        {}
        if self.connection.table.has_vanished() {
            self.complain(Error::Broken(Broken::new(VANISHED)));
        }
        let exit = if self.is_given_up { self.give_up(child) } else { child.reap() };
        self.connection.close();
        // In one decision with the death, or the next one would be started.
        let prospect = self.prospect(&exit);
        let Death { lost_tasks, unstarted, refusal, expected, is_the_end } =
            self.pool.decide(|scheduler, now| scheduler.died(self.id, prospect, now));
        self.pool.refuse(unstarted, refusal.as_ref());
        for lost in lost_tasks {
            self.mourn(child, &exit, lost);
        }
        if !self.was_ready && !expected {
            self.report(&exit, is_the_end);
        }
    }

    /// What is to be expected of the next worker, if this one was not ready.
    ///
    /// | it ended | others |
    /// |---|---|
    /// | while its initializer ran, or said that it cannot serve | would do no better |
    /// | before hello, with the code of a [`StartFailure`] | would do no better |
    /// | before hello, with [`LOST`] | may find what this one lacked |
    /// | before hello, with the code of a loader, or by a signal of its own doing | would do no better, if it was alone |
    /// | before hello, with any other code | would do no better: some other program has run, or `main` |
    /// | before hello, by another signal, or nobody knows how | may do better: who sent that did not mean the program |
    /// | was killed because it said nothing | may do better, unless that is `main`, which was to call `init()` |
    fn prospect(&self, exit: &Exit) -> Prospect {
        if self.is_unfit {
            return Prospect::None;
        }
        if self.said_hello {
            return if self.pool.settings.initializer.is_some() { Prospect::None } else { Prospect::Fair };
        }
        if self.complaint.is_some() {
            return if ENTERS_BY_ITSELF { Prospect::Fair } else { Prospect::None };
        }
        match exit {
            Exit::Code(LOST) => Prospect::Fair,
            Exit::Code(NOT_LOADED) => Prospect::Poor,
            Exit::Code(_) => Prospect::None,
            Exit::Signal(name) if CRASHES.contains(&name.as_str()) => Prospect::Poor,
            _ => Prospect::Fair,
        }
    }

    /// Gives up a worker that cannot be ended: logs its process id and stops waiting for it. If the kernel is allowed to, it kills the
    /// worker when this thread, which spawned it, ends.
    fn give_up(&self, child: &Child) -> Exit {
        let pid = child.pid();
        let reason = self.connection.signal_error().map(|error| error.to_string()).unwrap_or_default();
        child.abandon();
        unwind::catch_and_log("the program's logger", || {
            log::error!("the worker process {pid} cannot be killed ({reason}) and does not end: it is left behind");
        });
        Exit::Unknown
    }

    /// Ends the task that the worker died of, or lets it be run again.
    pub(super) fn mourn(&self, child: &Child, exit: &Exit, lost: LostTask) {
        let died = || {
            let name = lost.remote.call.name().into_owned();
            let died = WorkerDied::new(self.pool.worker_name(self.id), exit.clone(), Some(name)).with_pid(child.pid());
            Error::WorkerDied(match self.hint(child, exit) {
                Some(hint) => died.with_hint(hint),
                None => died,
            })
        };
        match lost.judge(&self.connection.table, died) {
            None => self.requeue(lost.remote),
            Some(error) => {
                self.pool.decide(|scheduler, _| scheduler.loss_told(&lost.remote));
                lost.remote.fail(&error);
            }
        }
    }

    pub(super) fn requeue(&self, remote: Arc<RemoteTask>) {
        let refused = self.pool.decide(|scheduler, _| scheduler.requeue_or_refuse(&remote));
        if let Some(error) = refused {
            remote.fail(&error);
        }
    }

    pub(super) fn hint(&self, child: &Child, exit: &Exit) -> Option<String> {
        if let Some(complaint) = &self.complaint {
            return Some(match complaint {
                Error::Broken(broken) => broken.cause().to_string(),
                other => other.to_string(),
            });
        }
        if let Some(error) = self.connection.signal_error() {
            let then = if self.is_given_up { ", without effect" } else { "" };
            return Some(format!("the system refused to signal it ({error}), so its connection was shut{then}"));
        }
        if let Some(limit) = self.pool.settings.memory_limit
            && self.connection.table.ran_short(child.pid())
        {
            return Some(format!("perhaps for want of memory: its memory_limit is {limit} bytes"));
        }
        let killed = *exit == Exit::Signal("SIGKILL".into());
        (killed && OomCounter::read().rose_since(self.oom)).then(|| "probably by the system for want of memory".into())
    }

    /// Tells the pool of a worker that never was ready.
    pub(super) fn report(&self, exit: &Exit, is_the_end: bool) {
        let initializer = self.pool.settings.initializer.is_some();
        let cause = match &self.complaint {
            Some(Error::Panicked(panic)) => {
                let location = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
                let worker = panic.worker_name().unwrap_or("a worker");
                format!("the initializer of {worker} panicked{location}: {}", panic.message())
            }
            Some(Error::Broken(broken)) if self.said_hello || ENTERS_BY_ITSELF => broken.cause().to_string(),
            Some(Error::Broken(broken)) => format!("{}; {IS_INIT_MISSING}", broken.cause()),
            Some(other) => format!("the initializer failed: {other}"),
            None if self.said_hello && initializer => format!("the initializer ended its worker process, which {exit}"),
            None if self.said_hello => format!("a worker process {exit} while it was set up"),
            None if start_failure(exit).is_some() => start_failure(exit).map_or("", StartFailure::reason).into(),
            None if ENTERS_BY_ITSELF && matches!(exit, Exit::Code(code) if ![LOST, NOT_LOADED].contains(code)) => {
                format!(
                    "what was started as a worker has run something else, which may be another program in the place of this one, a wrapper of it, \
                 or what it does before `main`: a worker process {exit} before it said hello"
                )
            }
            None if ENTERS_BY_ITSELF => format!("a worker process {exit} before it said hello"),
            None => format!("a worker process {exit} before it said hello; {IS_INIT_MISSING}"),
        };
        if is_the_end {
            self.pool.break_down(&Error::Broken(Broken::new(cause)));
        } else {
            unwind::catch_and_log("the program's logger", || log::warn!("{cause}"));
        }
    }
}
