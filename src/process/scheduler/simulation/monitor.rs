//! [`Monitor`]: the simulated monitor of a worker. It decides with the real [`MonitorState`], and performs one action
//! at a time. Anything may happen between two of them.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fake_task::next_call;
use super::worker::{Message, Worker};
use super::world::World;
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::process::monitor::event::{Action, Event};
use crate::process::monitor::state::{Acceptance, Alarm, MonitorState, Terms};
use crate::process::protocol::frame::Kind;
use crate::process::scheduler::worker::Stage;
use crate::process::scheduler::{LostTask, Prospect};
use crate::process::shm::table::TaskTable;
use crate::process::worker_id::WorkerId;

#[derive(Default)]
pub(super) struct Monitor {
    /// `None` before its worker was spawned, and if that has failed.
    state: Option<MonitorState>,
    has_begun: bool,
    /// The actions that were decided and not performed yet.
    actions: VecDeque<Action<Message>>,
    /// What it does after the actions, before it sleeps.
    steps: VecDeque<Step>,
    pub(super) rung: bool,
    /// Until when it stays to keep a pause.
    pub(super) stays: Option<Instant>,
    /// The slot and sequence number of the task whose reply a waiter looks for.
    pub(super) wanted_reply: Option<(u8, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads up to this many messages.
    Receive(usize),
    /// Looks for work.
    Look,
    Reap,
    Forget,
}

impl Monitor {
    /// Returns `true` if it has a reason to wake.
    pub(super) fn wakes(&self, has_messages: bool, has_died: bool, now: Instant) -> bool {
        if let Some(until) = self.stays {
            return until <= now;
        }
        let is_rung = self.rung || self.alarm().is_some_and(|(then, _)| then <= now);
        !self.has_begun || !self.is_asleep() || is_rung || has_died || has_messages
    }

    pub(super) fn alarm(&self) -> Option<(Instant, Alarm)> {
        let stays = self.stays.map(|until| (until, Alarm::StartAgain));
        stays.or_else(|| self.state.as_ref()?.alarm())
    }

    /// Returns `true` if it is about to look for work, or to reap its worker.
    pub(super) fn will_look(&self) -> bool {
        self.rung || self.steps.iter().any(|step| matches!(step, Step::Look | Step::Reap))
    }

    /// Returns `true` if it makes a decision by then, whatever else happens.
    pub(super) fn keeps(&self, due: Instant) -> bool {
        !self.has_begun || self.rung || !self.steps.is_empty() || self.alarm().is_some_and(|(then, _)| then <= due)
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.actions.is_empty() && self.steps.is_empty()
    }

    /// Returns `true` if its worker has ended, and the last replies are being read.
    pub(super) fn is_gone(&self) -> bool {
        self.state.as_ref().is_some_and(MonitorState::is_gone)
    }
}

impl World<'_> {
    fn monitor(&mut self, id: WorkerId) -> &mut Monitor {
        self.monitors.get_mut(&id).expect("an acting monitor is in the map")
    }

    /// Lets the monitor take its next step.
    pub(super) fn look_after(&mut self, id: WorkerId) {
        if let Some(action) = self.monitor(id).actions.pop_front() {
            self.act_for(id, action);
        } else if let Some(step) = self.monitor(id).steps.pop_front() {
            self.step_for(id, step);
        } else if !self.monitor(id).has_begun {
            self.spawn(id);
        } else {
            self.wake(id);
        }
    }

    fn wake(&mut self, id: WorkerId) {
        let now = self.now();
        let (has_died, messages) = {
            let processes = self.processes.borrow();
            let worker = &processes.workers[&id];
            (!worker.is_alive, worker.outgoing.len())
        };
        let monitor = self.monitors.get_mut(&id).expect("the worker has a monitor");
        if has_died {
            // It waits until no waiter looks.
            monitor.wanted_reply = None;
            monitor.steps.extend([Step::Receive(usize::MAX), Step::Reap, Step::Forget]);
            self.on(id, Event::Gone);
        } else if monitor.rung || messages > 0 {
            let rung = std::mem::take(&mut monitor.rung);
            if messages > 0 {
                let count = self.rng.usize(usize::from(!rung)..=messages);
                monitor.steps.push_back(Step::Receive(count));
            }
            if rung {
                monitor.steps.push_back(Step::Look);
            }
        } else if let Some((_, alarm)) = monitor.alarm().filter(|(then, _)| *then <= now) {
            self.trace(|| format!("monitor {}: {alarm:?}", id.0));
            let clock = self.clock();
            let first = self.scheduler.workers[&id].in_flight.front().map(|sent| (sent.slot, sent.sequence));
            self.on(id, Event::TimePassed { clock });
            if self.monitor(id).actions.iter().any(|action| matches!(action, Action::Expire(..))) {
                self.audit_stopped(id, first.expect("the worker had a task"));
            }
        }
    }

    fn spawn(&mut self, id: WorkerId) {
        self.monitor(id).has_begun = true;
        let failed_starts = self.config.failed_starts;
        if self.once_in(failed_starts) {
            self.trace(|| format!("monitor {} cannot start", id.0));
            let unstarted = self.decide(|scheduler, now| scheduler.not_started(id, now));
            let error = Error::Broken(Broken::new("no worker process can be started"));
            let monitor = self.monitor(id);
            monitor.actions.push_back(Action::Refuse(unstarted, Some(error)));
            monitor.steps.push_back(Step::Forget);
            self.ring_all();
            return;
        }
        self.trace(|| format!("monitor {} starts", id.0));
        let table = self
            .fixture
            .tables
            .pop()
            .unwrap_or_else(|| Arc::new(TaskTable::create().expect("a table can be created").0));
        let unfit = self.config.unfit;
        let is_unfit = self.once_in(unfit);
        self.processes.borrow_mut().workers.insert(id, Worker::new(table, is_unfit));
        self.decide(|scheduler, _| scheduler.attach(id, id));
        let terms =
            Terms { hello_within: Duration::from_secs(60), has_initializer: false, keep_alive: self.config.keep_alive };
        let state = MonitorState::new(id, terms, self.now());
        self.monitor(id).state = Some(state);
    }

    /// Lets the state decide. The actions are performed after earlier ones, and before the monitor's other steps.
    fn on(&mut self, id: WorkerId, event: Event<'_, WorkerId, Message>) {
        let monitor = self.monitor(id);
        let mut state = monitor.state.take().expect("its worker was spawned");
        let mut actions = std::mem::take(&mut monitor.actions);
        let (before, was_starting) = (actions.len(), self.scheduler.workers[&id].stage == Stage::Starting);
        let is_ready = matches!(event, Event::Ready(..));
        self.decide(|scheduler, now| state.on(event, scheduler, now, &mut actions));
        if actions.iter().skip(before).any(|action| matches!(action, Action::SayNoMore)) && (is_ready || !was_starting)
        {
            self.audit_leaving(id);
        }
        let monitor = self.monitor(id);
        monitor.state = Some(state);
        monitor.actions = actions;
    }

    fn step_for(&mut self, id: WorkerId, step: Step) {
        self.trace(|| format!("monitor {}: {step:?}", id.0));
        match step {
            Step::Receive(count) => self.receive(id, count),
            Step::Look => self.on(id, Event::Woken),
            Step::Reap => self.reap(id),
            Step::Forget => {
                let now = self.now();
                let stays = self.scheduler.must_stay(id, now);
                self.monitor(id).stays = stays;
                if stays.is_some() {
                    return self.monitor(id).steps.push_front(Step::Forget);
                }
                let left = self.decide(|scheduler, _| scheduler.forget(id));
                assert!(left.is_empty(), "a forgotten worker has tasks");
                self.monitors.remove(&id);
                if let Some(worker) = self.processes.borrow_mut().workers.remove(&id) {
                    self.fixture.tables.push(worker.table);
                }
            }
        }
    }

    /// Reads up to `count` messages: all replies as one event, each other message as one of its own.
    fn receive(&mut self, id: WorkerId, count: usize) {
        let mut replies = Vec::new();
        for left in (0..count).rev() {
            let message =
                self.processes.borrow_mut().workers.get_mut(&id).and_then(|worker| worker.outgoing.pop_front());
            let Some(message) = message else { break };
            let state = self.monitors[&id].state.as_ref().expect("its worker was spawned");
            match state.accepts(message.kind()) {
                Acceptance::Take => {}
                Acceptance::Ignore => continue,
                Acceptance::Damage => panic!("a worker is killed for what it says: {:?}", message.kind()),
            }
            let event = match message {
                Message::Hello => Event::Hello { is_same_build: true },
                Message::Ready => Event::Ready(id, Arc::clone(&self.processes.borrow().workers[&id].table)),
                Message::Unfit => Event::Unfit(Error::Abandoned, Prospect::None),
                reply => {
                    replies.push(reply);
                    continue;
                }
            };
            self.on(id, event);
            self.monitor(id).steps.push_front(Step::Receive(left));
            break;
        }
        if !replies.is_empty() {
            self.on(id, Event::Replies(&mut replies));
        }
    }

    fn reap(&mut self, id: WorkerId) {
        let worker = &self.scheduler.workers[&id];
        let was_doomed = worker.stage == Stage::Doomed;
        let first = worker.in_flight.front().map(|sent| Arc::clone(&sent.remote));
        self.on(id, Event::Reaped { exit: &Exit::Unknown });
        let lost: Vec<_> =
            self.monitor(id).actions.iter().filter_map(lost_task).map(|lost| Arc::clone(&lost.remote)).collect();
        if let Some(missed) = first.filter(|first| !lost.iter().any(|lost| Arc::ptr_eq(lost, first))) {
            self.audit_missed(&missed);
        }
        assert!(!was_doomed || lost.is_empty(), "a worker was killed for one task, and another has died of it");
        self.trace(|| format!("monitor {} has reaped, {} lost", id.0, lost.len()));
    }

    fn act_for(&mut self, id: WorkerId, action: Action<Message>) {
        self.trace(|| format!("monitor {}: {}", id.0, action.name()));
        match action {
            Action::Send(orders) => self.send(id, orders),
            Action::SayNoMore => {
                if let Some(worker) = self.processes.borrow_mut().workers.get_mut(&id) {
                    worker.no_more = true;
                }
            }
            Action::Kill => self.kill(id),
            Action::Deliver(Some(remote), message) => self.deliver(remote, message, true),
            Action::Deliver(None, _) | Action::Warn(_) => {}
            Action::Expire(remote, limit) => remote.expire(limit),
            Action::Refuse(remotes, error) => self.refuse(&remotes, error.as_ref()),
            Action::Judge(lost) => self.judge(id, lost),
            Action::EndQueued(queued, error) => self.refuse(&queued, Some(&error)),
            Action::Fail(remote, error) => remote.fail(&error),
            Action::BreakDown(error) => {
                self.remotes.iter().for_each(|remote| self.call_off(remote));
                let unstarted = self.decide(|scheduler, now| scheduler.break_down(&error, now));
                self.monitor(id).actions.push_front(Action::Refuse(unstarted, Some(error)));
                self.ring_all();
            }
            Action::GiveUp => unreachable!("every worker can be killed"),
        }
    }

    fn judge(&mut self, id: WorkerId, lost: LostTask) {
        let table = Arc::clone(&self.processes.borrow().workers[&id].table);
        let died = || {
            // The monitor knows by now what the worker had done before.
            if let Some(call) = next_call(&lost.remote) {
                self.oracle.lock().calls[call].blamed += 1;
            }
            Error::WorkerDied(WorkerDied::new("a worker", Exit::Unknown, None))
        };
        let error = lost.judge(&table, died);
        let (runs_again, before) = (error.is_none(), self.monitor(id).actions.len());
        self.on(id, Event::Judged(Arc::clone(&lost.remote), error));
        if runs_again && self.monitor(id).actions.len() == before {
            self.audit_next(&lost.remote);
        }
    }
}

fn lost_task(action: &Action<Message>) -> Option<&LostTask> {
    if let Action::Judge(lost) = action { Some(lost) } else { None }
}

impl Action<Message> {
    /// Returns a name for a trace.
    fn name(&self) -> String {
        use super::fake_task::open_calls;
        match self {
            Self::Send(orders) => {
                let orders: Vec<_> = orders.iter().map(|order| (order.sequence, open_calls(&order.remote))).collect();
                format!("send {orders:?}")
            }
            Self::SayNoMore => "say no more".into(),
            Self::Kill => "kill".into(),
            Self::GiveUp => "give up".into(),
            Self::Deliver(remote, _) => format!("deliver {:?}", remote.as_ref().map(|remote| open_calls(remote))),
            Self::Expire(remote, _) => format!("expire {:?}", open_calls(remote)),
            Self::Refuse(remotes, error) => {
                format!("refuse {:?}: {error:?}", remotes.iter().map(|remote| open_calls(remote)).collect::<Vec<_>>())
            }
            Self::EndQueued(queued, _) => {
                format!("end queued {:?}", queued.iter().map(|remote| open_calls(remote)).collect::<Vec<_>>())
            }
            Self::Judge(lost) => format!("judge {:?}", open_calls(&lost.remote)),
            Self::Fail(remote, _) => format!("fail {:?}", open_calls(remote)),
            Self::BreakDown(_) => "break down".into(),
            Self::Warn(text) => format!("warn: {text}"),
        }
    }
}

impl Message {
    fn kind(&self) -> Kind {
        match self {
            Self::Hello => Kind::Hello,
            Self::Ready => Kind::Ready,
            Self::Unfit => Kind::Unfit,
            Self::Value { .. } => Kind::Value,
            Self::Items { .. } => Kind::Items,
        }
    }
}
