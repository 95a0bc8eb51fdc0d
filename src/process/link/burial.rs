//! The end of a worker: what it leaves behind, and what is told of it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use rustix::process::Signal;

use super::Link;
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::panics;
use crate::process::child::{Child, OomCounter};
use crate::process::flight::Flight;
use crate::process::supervisor::{Death, Victim};

impl Link<'_> {
    /// The process has ended: its last words, then its exit status, then its tasks.
    pub(super) fn bury(&mut self, child: &Child) {
        // Nobody of its group is to go on writing while we read.
        child.signal(Signal::KILL);
        self.is_dead = true;
        self.keeper.recall(&self.wire.receiver);
        // What a helper has left comes first.
        while self.parse().is_ok()
            && let Some(reader) = &mut self.keeper.reader
            && let Ok(1..) = reader.receive(self.wire.socket())
        {}
        let exit = child.reap();
        self.wire.close();
        // The next one would do no better. In one decision with the death, or the next one would be started.
        let is_fatal = self.said_hello && (self.pool.settings.initializer.is_some() || self.is_unfit);
        let Death { victims, orphans, refusal, expected, is_the_end } =
            self.pool.decide(|supervisor, now| supervisor.died(self.id, is_fatal, now));
        self.pool.refuse(orphans, refusal.as_ref());
        for victim in victims {
            self.mourn(child, &exit, victim);
        }
        if !self.was_ready && !expected {
            self.report(&exit, is_the_end);
        }
    }

    /// Ends the task that the worker died of, or lets it be run again.
    pub(super) fn mourn(&self, child: &Child, exit: &Exit, victim: Victim) {
        let died = || {
            let name = victim.flight.call.name().into_owned();
            let died = WorkerDied::new(child.pid(), exit.clone(), Some(name));
            Error::WorkerDied(match self.hint(child, exit) {
                Some(hint) => died.with_hint(hint),
                None => died,
            })
        };
        match victim.judge(&self.wire.slots, died) {
            None => self.requeue(victim.flight),
            Some(error) => {
                self.pool.decide(|supervisor, _| supervisor.mourned_for(&victim.flight));
                victim.flight.fail(&error);
            }
        }
    }

    pub(super) fn requeue(&self, flight: Arc<Flight>) {
        let refused = self.pool.decide(|supervisor, _| supervisor.requeue_or_refuse(&flight));
        if let Some(error) = refused {
            flight.fail(&error);
        }
    }

    pub(super) fn hint(&self, child: &Child, exit: &Exit) -> Option<String> {
        if let Some(complaint) = &self.complaint {
            return Some(match complaint {
                Error::Broken(broken) => broken.cause().to_string(),
                other => other.to_string(),
            });
        }
        if let Some(limit) = self.pool.settings.memory_limit
            && self.wire.slots.ran_short(child.pid())
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
            Some(Error::Broken(broken)) => broken.cause().to_string(),
            Some(other) => format!("the initializer failed: {other}"),
            None if self.said_hello && initializer => format!("the initializer ended its worker process, which {exit}"),
            None if self.said_hello => format!("a worker process {exit} while it was set up"),
            None if cfg!(all(target_os = "linux", feature = "auto-entry")) => {
                format!("a worker process {exit} before it said hello")
            }
            None => format!(
                "a worker process {exit} before it said hello; is `concurrent_futures::init()` the first line of `main`?"
            ),
        };
        if is_the_end {
            self.pool.break_down(&Error::Broken(Broken::new(cause)));
        } else {
            panics::shield("the program's logger", || log::warn!("{cause}"));
        }
    }
}
