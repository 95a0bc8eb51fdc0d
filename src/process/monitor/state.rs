//! [`MonitorState`]: what the monitor of a worker knows and decides, without a descriptor, thread or clock.
//!
//! [`on`](MonitorState::on) takes an event, decides with the scheduler, whose lock the caller holds, and appends
//! actions to a queue. The caller performs them in order once the lock is released: the [monitor](super) for a real
//! worker, or the simulation, where anything may happen between two of them.
//!
//! # Stages
//!
//! | stage | the worker | next | when |
//! |---|---|---|---|
//! | `Spawned` | has not said hello | `SettingUp`, `Ending` | it says hello; it has to go |
//! | `SettingUp` | runs its initializer | `Serving`, `Ending` | it is ready; it is unfit, or has to go |
//! | `Serving` | has tasks, or may be given some | `Ending` | it has to go |
//! | `Ending` | has to exit, or is killed | - | |
//!
//! # Events
//!
//! | event | decision | actions |
//! |---|---|---|
//! | `Woken` | in `Serving`: its next tasks, or that it leaves; before: whether it is still needed | `Send`, `SayNoMore` |
//! | `Hello` | others may be started; from another build: as `Damaged` | |
//! | `Ready` | it serves; its first tasks | `Send` |
//! | `Unfit` | it gets [`GRACE`] to exit | |
//! | `Replies` | the tasks that they belong to; the worker's next tasks | `Send`, then a `Deliver` each |
//! | `HungUp` | it gets [`GRACE`] to exit | |
//! | `Damaged` | it is killed: what it sends makes no sense any more | `Kill` |
//! | `TimePassed` | depends on the [`Alarm`], if its time has come | `Kill`, `Expire`, `Send`, `SayNoMore`, `GiveUp` |
//! | `CannotBeKilled` | it gets [`GRACE`] to exit, and is then given up | |
//! | `Gone` | it gets no more tasks: its process has ended or was given up, but its last replies are still to be read | |
//! | `Reaped` | what happens to its tasks, and what its end says about the next worker | `Refuse`, `Judge`; then `BreakDown`, `EndQueued` or `Warn` |
//! | `Judged` | whether a lost task runs again | `Fail`, or none |
//!
//! It is one state machine, so all transitions are in one file.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::early_end;
use super::event::{Action, Event, Reply};
use crate::error::{Broken, Error, Exit};
use crate::process::protocol::frame::Kind;
use crate::process::scheduler::{Death, Expiry, Next, Prospect, Scheduler};
use crate::process::worker_id::WorkerId;

/// How long a worker that was told to leave, or that has closed its connection, may take to exit.
const GRACE: Duration = Duration::from_secs(2);

pub(in crate::process) struct MonitorState {
    id: WorkerId,
    terms: Terms,
    stage: Stage,
    said_hello: bool,
    was_ready: bool,
    /// Set if it gets no more tasks.
    is_gone: bool,
    cannot_be_killed: bool,
    /// When to act for its worker if nothing else happens before, and why.
    alarm: Option<(Instant, Alarm)>,
    /// When the pause is over that tasks wait for, as of its last decision. It may concern any worker that is missing,
    /// so every monitor keeps it.
    start_due: Option<Instant>,
    /// Why it ended before it was ready, if it said so or the pool noticed; or why it was killed, if it was ready.
    complaint: Option<Error>,
    /// What to expect of the next worker, if this one is unfit.
    unfit: Option<Prospect>,
}

/// The settings of the pool that its monitors need.
#[derive(Clone, Copy, Debug)]
pub(in crate::process) struct Terms {
    /// How long a worker may take to say hello and, without an initializer, to be ready. An initializer may take any
    /// time.
    pub(in crate::process) hello_within: Duration,
    pub(in crate::process) has_initializer: bool,
    pub(in crate::process) keep_alive: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Spawned,
    SettingUp,
    Serving,
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Alarm {
    /// The time limit of the first task has passed.
    Limit,
    /// It has been idle for as long as it may be.
    Idle,
    /// It should have said hello, or exited.
    Kill,
    /// It cannot be killed, and should have ended by itself.
    GiveUp,
    /// Another worker could not be started, and is to be tried again.
    StartAgain,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Acceptance {
    Take,
    /// It comes too late, or has no content.
    Ignore,
    /// The worker would not send it in this stage.
    Damage,
}

impl MonitorState {
    /// Returns the state of the monitor of a worker that was just spawned.
    pub(in crate::process) fn new(id: WorkerId, terms: Terms, now: Instant) -> Self {
        Self {
            id,
            terms,
            stage: Stage::Spawned,
            said_hello: false,
            was_ready: false,
            is_gone: false,
            cannot_be_killed: false,
            alarm: now.checked_add(terms.hello_within).map(|then| (then, Alarm::Kill)),
            start_due: None,
            complaint: None,
            unfit: None,
        }
    }

    /// Returns when to act if nothing else happens before, and why.
    pub(in crate::process) fn alarm(&self) -> Option<(Instant, Alarm)> {
        let start = self.start_due.map(|then| (then, Alarm::StartAgain));
        self.alarm.into_iter().chain(start).min_by_key(|(then, _)| *then)
    }

    pub(in crate::process) fn complaint(&self) -> Option<&Error> {
        self.complaint.as_ref()
    }

    /// Notes why it ends, if no reason is known yet.
    pub(in crate::process) fn complain(&mut self, error: Error) {
        self.complaint.get_or_insert(error);
    }

    pub(in crate::process) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Returns what to do with a frame of this kind.
    ///
    /// | kind | `Spawned` | `SettingUp` | `Serving` | `Ending` |
    /// |---|---|---|---|---|
    /// | `Hello` | take | damage | damage | ignore |
    /// | `Ready`, `Unfit` | damage | take | damage | ignore |
    /// | `Segment`, `Forget`, `Started`, `Value`, `Fault`, `Items` | damage | damage | take | take |
    /// | `Bell` | ignore | ignore | ignore | ignore |
    /// | others | damage | damage | damage | damage |
    pub(in crate::process) fn accepts(&self, kind: Kind) -> Acceptance {
        match (self.stage, kind) {
            (Stage::Spawned, Kind::Hello)
            | (Stage::SettingUp, Kind::Ready | Kind::Unfit)
            | (Stage::Serving | Stage::Ending, Kind::Segment | Kind::Forget | Kind::Started)
            | (Stage::Serving | Stage::Ending, Kind::Value | Kind::Fault | Kind::Items) => Acceptance::Take,
            (Stage::Ending, Kind::Hello | Kind::Ready | Kind::Unfit) | (_, Kind::Bell) => Acceptance::Ignore,
            _ => Acceptance::Damage,
        }
    }

    pub(in crate::process) fn on<W: Clone, R: Reply>(
        &mut self,
        event: Event<'_, W, R>,
        scheduler: &mut Scheduler<W>,
        now: Instant,
        actions: &mut VecDeque<Action<R>>,
    ) {
        match event {
            Event::Woken => match self.stage {
                Stage::Serving => self.refill(false, scheduler, now, actions),
                Stage::Spawned | Stage::SettingUp if scheduler.dismiss(self.id) => self.let_go(now, actions),
                Stage::Spawned | Stage::SettingUp | Stage::Ending => {}
            },
            Event::Hello { is_same_build: true } => {
                scheduler.is_first_try = false;
                self.stage = Stage::SettingUp;
                self.said_hello = true;
                if self.terms.has_initializer {
                    // An initializer may take any time.
                    self.alarm = None;
                }
            }
            Event::Hello { is_same_build: false } => {
                // All others would be, too.
                self.unfit = Some(Prospect::None);
                let text = "a worker process sent the hello of another build of the program";
                self.damaged(Error::Broken(Broken::new(text)), actions);
            }
            Event::Ready(connection, table) => {
                self.stage = Stage::Serving;
                self.was_ready = true;
                // In one decision: otherwise, another worker would be started for the task that this one is for.
                scheduler.ready(self.id, connection, table, now);
                self.refill(false, scheduler, now, actions);
            }
            Event::Unfit(error, next) => {
                self.complain(error);
                self.unfit = Some(next);
                self.end(now);
            }
            Event::Replies(replies) => self.settle(replies, scheduler, now, actions),
            // It may be about to exit; if not, it can do nothing any more.
            Event::HungUp => self.end(now),
            Event::Damaged(error) => self.damaged(error, actions),
            Event::TimePassed { clock } => self.ring_alarm(clock, scheduler, now, actions),
            Event::CannotBeKilled => {
                self.cannot_be_killed = true;
                self.end(now);
            }
            Event::Gone => self.is_gone = true,
            Event::Reaped { exit } => self.reaped(exit, scheduler, now, actions),
            Event::Judged(remote, None) => {
                let refused = scheduler.requeue_or_refuse(&remote);
                actions.extend(refused.map(|error| Action::Fail(remote, error)));
            }
            Event::Judged(remote, Some(error)) => {
                scheduler.loss_told(&remote);
                actions.push_back(Action::Fail(remote, error));
            }
        }
        self.start_due = scheduler.start_due(now);
    }

    /// Gives the worker the tasks that it can take, or lets it go, and sets the alarm.
    fn refill<W: Clone, R>(
        &mut self,
        expired: bool,
        scheduler: &mut Scheduler<W>,
        now: Instant,
        actions: &mut VecDeque<Action<R>>,
    ) {
        let mut orders = Vec::new();
        let next = if self.is_gone { Next::End } else { scheduler.refill(self.id, expired, now, &mut orders) };
        if !orders.is_empty() {
            actions.push_back(Action::Send(orders));
        }
        match next {
            Next::Work(deadline) => self.alarm = deadline.map(|then| (then, Alarm::Limit)),
            Next::Idle(since) => {
                // Counted from when it became idle, which is neither now nor when its monitor last noticed.
                let until = self.terms.keep_alive.and_then(|time| since.checked_add(time));
                self.alarm = until.map(|then| (then, Alarm::Idle));
            }
            Next::Leave => self.let_go(now, actions),
            Next::End if self.stage == Stage::Serving => {
                self.stage = Stage::Ending;
                self.alarm = None;
            }
            Next::End => {}
        }
    }

    /// Takes the answered tasks from the worker, gives it new ones, and then completes the answered ones.
    fn settle<W: Clone, R: Reply>(
        &mut self,
        replies: &mut Vec<R>,
        scheduler: &mut Scheduler<W>,
        now: Instant,
        actions: &mut VecDeque<Action<R>>,
    ) {
        let since = scheduler.since(self.id, now);
        let mut ended = 0;
        let mut settled = Vec::with_capacity(replies.len());
        for reply in replies.drain(..) {
            let answered = reply.answered();
            ended += u32::from(answered.last);
            settled.push(Action::Deliver(scheduler.settle(self.id, answered, now), reply));
        }
        let took = now.saturating_duration_since(since);
        scheduler.observe(self.id, ended, took);
        for action in &settled {
            if let Action::Deliver(Some(remote), _) = action {
                remote.note_time(took / ended.max(1));
            }
        }
        self.refill(false, scheduler, now, actions);
        actions.extend(settled);
    }

    fn damaged<R>(&mut self, error: Error, actions: &mut VecDeque<Action<R>>) {
        self.complain(error);
        self.kill(actions);
    }

    fn kill<R>(&mut self, actions: &mut VecDeque<Action<R>>) {
        self.stage = Stage::Ending;
        self.alarm = None;
        actions.push_back(Action::Kill);
    }

    fn let_go<R>(&mut self, now: Instant, actions: &mut VecDeque<Action<R>>) {
        actions.push_back(Action::SayNoMore);
        self.end(now);
    }

    /// Gives the worker [`GRACE`] to end by itself. Then it is killed, or given up if it cannot be killed.
    fn end(&mut self, now: Instant) {
        let alarm = if self.cannot_be_killed { Alarm::GiveUp } else { Alarm::Kill };
        self.stage = Stage::Ending;
        self.alarm = now.checked_add(GRACE).map(|then| (then, alarm));
    }

    fn ring_alarm<W: Clone, R>(
        &mut self,
        clock: u64,
        scheduler: &mut Scheduler<W>,
        now: Instant,
        actions: &mut VecDeque<Action<R>>,
    ) {
        let Some((_, alarm)) = self.alarm.take_if(|(then, _)| *then <= now) else { return };
        match alarm {
            Alarm::Kill => {
                if matches!(self.stage, Stage::Spawned | Stage::SettingUp) {
                    let text = format!("a worker process was not ready within {:?}", self.terms.hello_within);
                    self.complain(Error::Broken(Broken::new(text)));
                }
                self.kill(actions);
            }
            Alarm::GiveUp => actions.push_back(Action::GiveUp),
            // Every decision starts the workers that are missing and may be started.
            Alarm::StartAgain => {}
            Alarm::Idle => {
                // A waiter may have read its answer meanwhile.
                let idle = now.saturating_duration_since(scheduler.since(self.id, now));
                let expired = self.terms.keep_alive.is_some_and(|time| idle >= time);
                self.refill(expired, scheduler, now, actions);
            }
            Alarm::Limit => match scheduler.expire(self.id, now, clock) {
                Expiry::Later(then) => self.alarm = then.map(|then| (then, Alarm::Limit)),
                Expiry::Stopped(remote) => {
                    let limit = remote.limit().unwrap_or_default();
                    // Before callbacks run: the worker has nothing more to do.
                    self.kill(actions);
                    actions.push_back(Action::Expire(remote, limit));
                }
            },
        }
    }

    fn reaped<W: Clone, R>(
        &mut self,
        exit: &Exit,
        scheduler: &mut Scheduler<W>,
        now: Instant,
        actions: &mut VecDeque<Action<R>>,
    ) {
        // In one decision with the death: otherwise, the next worker would be started.
        let prospect = self.prospect(exit);
        let Death { lost_tasks, unstarted, refusal, given_up, expected, is_the_end } =
            scheduler.died(self.id, prospect, now);
        actions.push_back(Action::Refuse(unstarted, refusal));
        actions.extend(lost_tasks.into_iter().map(Action::Judge));
        if !self.was_ready && !expected {
            let cause = early_end::reason(exit, self.complaint.as_ref(), self.said_hello, self.terms.has_initializer);
            let error = (is_the_end || !given_up.is_empty()).then(|| Error::Broken(Broken::new(cause.clone())));
            actions.push_back(match error {
                Some(error) if is_the_end => Action::BreakDown(error),
                Some(error) => Action::EndQueued(given_up, error),
                None => Action::Warn(cause),
            });
        }
    }

    /// Returns what to expect of the next worker, if this one was not ready.
    fn prospect(&self, exit: &Exit) -> Prospect {
        if let Some(prospect) = self.unfit {
            return prospect;
        }
        if self.said_hello {
            // This signal comes from outside, as far as anyone can tell.
            let is_killed = *exit == Exit::Signal("SIGKILL".into()) && self.complaint.is_none();
            return match self.terms.has_initializer {
                false => Prospect::Fair,
                true if is_killed => Prospect::IfOnceReady,
                true => Prospect::None,
            };
        }
        early_end::prospect_without_hello(exit, self.complaint.is_some())
    }
}
