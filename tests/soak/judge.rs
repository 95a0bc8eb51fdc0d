//! Which outcomes a task may have: by what it does itself, and by what was done to it and its pool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use concurrent_futures::{Error, Exit, Part};

use crate::settings::Settings;
use crate::tasks::{Act, EXIT_CODE, Trap};
use crate::ticket::Ticket;

/// What was done to a pool and its workers. Recorded before it is done.
#[derive(Debug, Default)]
pub(crate) struct Interventions {
    /// Workers that were sent SIGKILL or SIGTERM from outside.
    pub(crate) killed: Mutex<BTreeSet<u32>>,
    /// Workers that were stopped.
    pub(crate) stopped: AtomicUsize,
    /// Calls of `kill_workers` and `terminate_workers`.
    pub(crate) workers_ended: AtomicUsize,
    /// Calls of `cancel_pending` and `shutdown_now`.
    pub(crate) withdrawn: AtomicUsize,
    /// Calls that close.
    pub(crate) closed: AtomicUsize,
}

pub(crate) struct Judge<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) interventions: &'a Interventions,
    /// In which processes a task has run, by its id.
    pub(crate) runs: BTreeMap<u64, Vec<u32>>,
}

impl Judge<'_> {
    /// What is wrong with the outcomes of a pool's tasks.
    pub(crate) fn complaints(&self, tickets: &[Arc<Ticket>]) -> Vec<String> {
        let wrong = tickets.iter().filter_map(|ticket| {
            self.look_at(ticket).err().map(|why| format!("{why}: {ticket:?}, ran in {:?}", self.runs_of(ticket)))
        });
        let mut complaints: Vec<_> = wrong.collect();
        let is_late = |ticket: &&Arc<Ticket>| {
            !ticket.never_ends() && matches!(&*ticket.told.lock().unwrap(), Some(Err(Error::TimeLimit(_))))
        };
        let (late, stopped) = (tickets.iter().filter(is_late).count(), self.count(&self.interventions.stopped));
        if late > stopped {
            complaints.push(format!("{late} innocent tasks ran out of time, but only {stopped} workers were stopped"));
        }
        complaints
    }

    fn count(&self, interventions: &AtomicUsize) -> usize {
        interventions.load(Ordering::SeqCst)
    }

    fn runs_of(&self, ticket: &Ticket) -> &[u32] {
        self.runs.get(&ticket.id).map_or(&[], Vec::as_slice)
    }

    fn look_at(&self, ticket: &Ticket) -> Result<(), String> {
        let runs = self.runs_of(ticket);
        let is_true = |fact, text: &str| if fact { Ok(()) } else { Err(text.to_owned()) };
        is_true(ticket.calls.load(Ordering::SeqCst) == 1, "not completed exactly once")?;
        is_true(runs.len() <= 1 + ticket.retries as usize, "ran too often")?;
        let told = ticket.told.lock().unwrap();
        let outcome = told.as_ref().expect("the callback was called");
        let cancelled = ticket.cancelled.load(Ordering::SeqCst);
        is_true(!cancelled || runs.is_empty(), "cancelled, but ran")?;
        let aborted = ticket.aborted.load(Ordering::SeqCst);
        if cancelled || aborted {
            return is_true(matches!(outcome, Err(Error::Cancelled)), "cancelled or aborted, but ended otherwise");
        }
        match outcome {
            Ok(right) => {
                is_true(*right, "a wrong value")?;
                is_true(self.has_value(ticket), "a value from nowhere")?;
                is_true(!runs.is_empty(), "a value without a run")?;
                is_true(ticket.retries > 0 || runs.len() == 1, "ran again")
            }
            Err(Error::Cancelled) => {
                let by_whom = self.count(&self.interventions.withdrawn) > 0;
                is_true(by_whom && runs.is_empty(), "cancelled without a cause, or ran")
            }
            Err(Error::ShutDown) => {
                is_true(self.count(&self.interventions.closed) > 0 && runs.is_empty(), "refused without reason, or ran")
            }
            Err(Error::Full(_)) => {
                let may_be = ticket.refuse_when_full && self.settings.max_pending.is_some();
                is_true(may_be && runs.is_empty(), "refused without reason, or ran")
            }
            Err(Error::Panicked(panic)) => is_true(
                ticket.act == Act::Panic && panic.message() == format!("task {} panics", ticket.id),
                "a panic from nowhere",
            ),
            Err(Error::Failed(failed)) => is_true(
                ticket.act == Act::Fail && failed.to_string() == format!("task {} fails", ticket.id),
                "a failure from nowhere",
            ),
            Err(Error::TimeLimit(_)) => is_true(
                ticket.never_ends() || self.count(&self.interventions.stopped) > 0,
                "out of time without reason",
            ),
            Err(Error::WorkerDied(died)) => {
                let pid = died.pid().expect("a worker of this machine");
                let by_itself = self.dies_by(ticket, died.exit()) && runs.last() == Some(&pid);
                is_true(by_itself || self.was_killed(pid, died.exit()), "died without reason")
            }
            Err(Error::TooLarge(_)) => is_true(
                ticket.may_be_too_long(self.settings)
                    && (runs.is_empty() || !ticket.is_argument_too_long(self.settings)),
                "too large without reason, or ran",
            ),
            Err(Error::Encode(encode)) => {
                is_true(encode.message().contains(Trap::MESSAGE), "a message from nowhere")?;
                match encode.part() {
                    Part::Argument => is_true(
                        ticket.act == Act::UnwritableArgument && runs.is_empty(),
                        "encoding failed without a cause",
                    ),
                    Part::Result => is_true(
                        ticket.act == Act::UnwritableResult && !runs.is_empty(),
                        "encoding failed without a cause",
                    ),
                    part => Err(format!("no task has such a {part}")),
                }
            }
            Err(Error::Decode(decode)) => {
                is_true(decode.message().contains(Trap::MESSAGE), "a message from nowhere")?;
                match decode.part() {
                    Part::Argument => is_true(
                        ticket.act == Act::UnreadableArgument && runs.is_empty(),
                        "encoding failed without a cause",
                    ),
                    Part::Result => is_true(
                        ticket.act == Act::UnreadableResult && !runs.is_empty(),
                        "encoding failed without a cause",
                    ),
                    part => Err(format!("no task has such a {part}")),
                }
            }
            Err(other) => Err(format!("nothing can lead to {other:?}")),
        }
    }

    fn has_value(&self, ticket: &Ticket) -> bool {
        let good = matches!(
            ticket.act,
            Act::Answer | Act::Sleep | Act::Big | Act::Print | Act::Nest | Act::DieOnce | Act::Item
        );
        good && !ticket.is_too_long(self.settings)
    }

    /// Is this how the task ends its own worker?
    fn dies_by(&self, ticket: &Ticket, exit: &Exit) -> bool {
        let signal = |names: &[&str]| matches!(exit, Exit::Signal(name) if names.contains(&&**name));
        match ticket.act {
            Act::Exit | Act::FatalItem => *exit == Exit::Code(EXIT_CODE),
            // A kill from outside may have taken its retries, at a moment when it had not noted the run.
            Act::DieOnce => *exit == Exit::Code(EXIT_CODE) && self.has_killed(),
            Act::Abort | Act::Allocate => signal(&["SIGABRT"]),
            Act::Kill => signal(&["SIGKILL"]),
            Act::Overflow => signal(&["SIGABRT", "SIGSEGV"]),
            _ => false,
        }
    }

    fn has_killed(&self) -> bool {
        self.count(&self.interventions.workers_ended) > 0 || !self.interventions.killed.lock().unwrap().is_empty()
    }

    fn was_killed(&self, pid: u32, exit: &Exit) -> bool {
        let by_signal = matches!(exit, Exit::Signal(name) if name == "SIGKILL" || name == "SIGTERM");
        by_signal
            && (self.count(&self.interventions.workers_ended) > 0
                || self.interventions.killed.lock().unwrap().contains(&pid))
    }
}
