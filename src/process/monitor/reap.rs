//! The end of a worker: its last replies, its exit status, and the hint at what it died of, which `WorkerDied` gives.
#![forbid(unsafe_code)]

use rustix::process::Signal;

use super::{Event, WorkerMonitor};
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::process::child::{Child, OomCounter};
use crate::process::scheduler::LostTask;
use crate::unwind;

/// The kernel ends a single thread at a bare `exit` call, in the strict mode of seccomp, and by a filter's
/// `KILL_THREAD`.
const VANISHED: &str =
    "the thread that runs tasks ended without its process, by a bare `exit` system call or a filter of system calls";

impl WorkerMonitor<'_> {
    /// Reads the last replies of a process that has ended or was given up, then its exit status, then decides on its
    /// tasks.
    pub(super) fn reap(&mut self, child: &Child) {
        // No process of its group may continue to write while this thread reads.
        if child.signal(Signal::KILL).is_err() {
            self.connection.cut_off();
        }
        self.on(Event::Gone, &[]);
        while self.parse().is_ok()
            && let Ok(1..) = self.reader.receive(self.connection.socket())
        {}
        if self.connection.table.has_vanished() {
            self.state.complain(Error::Broken(Broken::new(VANISHED)));
        }
        self.exit = if self.is_given_up { self.give_up(child) } else { child.reap() };
        self.connection.close();
        let exit = self.exit.clone();
        self.on(Event::Reaped { exit: &exit }, &[]);
    }

    /// Gives up a worker that cannot be ended: logs its process id and stops waiting for it. If the kernel has
    /// permission, it kills the worker when this thread, which spawned it, ends.
    fn give_up(&self, child: &Child) -> Exit {
        let pid = child.pid();
        let reason = self.connection.signal_error().map(|error| error.to_string()).unwrap_or_default();
        child.abandon();
        unwind::catch_and_log("the program's logger", || {
            log::error!("the worker process {pid} cannot be killed ({reason}) and does not end: it is left behind");
        });
        Exit::Unknown
    }

    /// Returns the error that a task ends with after its worker died of it, or `None` if it is queued again.
    pub(super) fn judge(&self, lost: &LostTask) -> Option<Error> {
        let pid = self.connection.child().map_or(0, Child::pid);
        let died = || {
            let name = lost.remote.call.described();
            let died = WorkerDied::new(self.pool.worker_name(self.id), self.exit.clone(), Some(name)).with_pid(pid);
            Error::WorkerDied(match self.hint(pid) {
                Some(hint) => died.with_hint(hint),
                None => died,
            })
        };
        lost.judge(&self.connection.table, died)
    }

    fn hint(&self, pid: u32) -> Option<String> {
        if let Some(complaint) = self.state.complaint() {
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
            && self.connection.table.ran_short(pid)
        {
            return Some(format!("perhaps out of memory: its memory_limit is {limit} bytes"));
        }
        let killed = self.exit == Exit::Signal("SIGKILL".into());
        (killed && OomCounter::read().rose_since(self.oom))
            .then(|| "probably killed by the system because memory ran out".into())
    }
}
