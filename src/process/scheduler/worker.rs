//! [`WorkerState`]: a worker, as the scheduler sees it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::estimate::DurationEstimate;
use crate::process::shm::table::{self, Progress, TaskTable};
use crate::process::task::RemoteTask;

/// How much work is sent ahead to a busy worker: enough to cover the time until the pool looks at its results.
pub(super) const AHEAD_TIME: Duration = Duration::from_micros(200);

/// Nothing is sent ahead behind a task that takes longer than this: the gap before the next task is negligible.
pub(super) const LONG_TASK: Duration = Duration::from_millis(20);

pub(super) struct WorkerState<W> {
    pub(super) stage: Stage,
    /// Set once it was spawned.
    pub(super) connection: Option<W>,
    /// Set once it is ready.
    pub(super) table: Option<Arc<TaskTable>>,
    /// The tasks that it was sent, in the order in which it runs them. The first may have started.
    pub(super) in_flight: VecDeque<Sent>,
    /// When the first task became the first, or since when there is none.
    pub(super) since: Instant,
    /// How many bytes the arguments in `in_flight` have.
    pub(super) bytes: usize,
    /// A bit for each free slot of the task table.
    pub(super) free: u64,
    /// How many more tasks it may be given.
    pub(super) budget: u64,
    /// How long its tasks took lately.
    pub(super) pace: DurationEstimate,
    /// Set if the time limit of the first task passed when it was already done: until when its result may arrive.
    pub(super) arrival: Option<Instant>,
    /// When the time limit of the first task passes, counted from the start that the worker noted. Read once.
    pub(super) due: Option<Instant>,
    /// Set if its death was requested, by a signal or by dismissing it.
    pub(super) expected: bool,
    /// Set if no other worker existed, or was being started, when it was started.
    pub(super) alone: bool,
}

pub(super) struct Sent {
    pub(super) remote: Arc<RemoteTask>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Serving,
    /// Leaving, to be replaced.
    Retiring,
    Leaving,
    Doomed,
}

impl<W> WorkerState<W> {
    pub(super) fn new(max_tasks: Option<u64>, now: Instant) -> Self {
        Self {
            stage: Stage::Starting,
            connection: None,
            table: None,
            in_flight: VecDeque::new(),
            since: now,
            bytes: 0,
            free: u64::MAX,
            budget: max_tasks.unwrap_or(u64::MAX),
            pace: DurationEstimate::default(),
            arrival: None,
            due: None,
            expected: false,
            alone: false,
        }
    }

    /// Returns `true` if it counts towards the limit of workers.
    pub(super) fn counts(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Serving | Stage::Retiring)
    }

    /// Returns how many tasks it may have, including the one that it runs.
    pub(super) fn room(&self) -> usize {
        let is_long = self.pace.per(LONG_TASK) == Some(0);
        let ahead = match self.pace.per(AHEAD_TIME) {
            Some(count) if !is_long => count.max(1),
            _ => 0,
        };
        let most = (table::COUNT as u64).min(self.budget.saturating_add(self.in_flight.len() as u64));
        ahead.saturating_add(1).min(most as usize)
    }

    /// Returns when the first task must have ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limit = self.in_flight.front()?.remote.limit()?;
        self.arrival.or(self.due).or_else(|| self.since.checked_add(limit))
    }

    /// Returns `true` if it may have something that another worker could take from it.
    pub(super) fn has_more_than_it_runs(&self) -> bool {
        self.in_flight.len() > 1 || self.in_flight.iter().any(|sent| sent.remote.is_divisible())
    }

    /// Returns how many workers could take something from it now: a task each that was sent ahead and has not begun, or
    /// half of a batch.
    pub(super) fn held_up(&self) -> usize {
        let Some(table) = self.table.as_ref().filter(|_| self.stage == Stage::Serving) else { return 0 };
        let progress = |sent: &Sent| table.slots().progress(sent.slot, sent.sequence);
        // The order in which tasks arrive may be another one, until the monitor learns of it.
        let is_overtaken = self.in_flight.iter().skip(1).any(|sent| matches!(progress(sent), Progress::Running(_)));
        let is_ahead = |sent: &Sent| progress(sent) == Progress::Ready;
        let can_be_halved = |sent: &Sent| {
            let range = sent.remote.range().filter(|_| sent.remote.is_divisible());
            range.is_some_and(|range| table.slots().can_be_halved(sent.slot, sent.sequence, range))
        };
        let sent = self.in_flight.iter().enumerate();
        sent.filter(|(nth, sent)| ((*nth > 0 || is_overtaken) && is_ahead(sent)) || can_be_halved(sent)).count()
    }

    pub(super) fn take(&mut self, is_it: impl Fn(&Sent) -> bool, now: Instant) -> Option<Arc<RemoteTask>> {
        let position = self.in_flight.iter().position(is_it)?;
        let sent = self.in_flight.remove(position)?;
        self.free |= 1 << sent.slot;
        self.bytes -= sent.remote.argument.len();
        if position == 0 {
            self.since = now;
            self.arrival = None;
            self.due = None;
        }
        Some(sent.remote)
    }

    /// Puts the task that the worker runs first, and returns `true` if it was not: of tasks that two threads send at
    /// the same time, the later one may arrive first.
    pub(super) fn put_first_what_runs(&mut self) -> bool {
        let Some(table) = &self.table else { return false };
        let has_begun = |sent: &Sent| table.slots().progress(sent.slot, sent.sequence) != Progress::Ready;
        let position = self.in_flight.iter().position(has_begun).filter(|position| *position > 0);
        let sent = position.and_then(|position| self.in_flight.remove(position));
        let is_another = sent.is_some();
        sent.into_iter().for_each(|sent| self.in_flight.push_front(sent));
        is_another
    }

    /// Takes the last task back, if the worker has not started it.
    pub(super) fn take_back(&mut self, now: Instant) -> Option<Arc<RemoteTask>> {
        let table = self.table.as_ref()?;
        let last = self.in_flight.back()?;
        let sequence = last.sequence;
        if !table.slots().revoke(last.slot, sequence) {
            return None;
        }
        self.take(|sent| sent.sequence == sequence, now)
    }
}
