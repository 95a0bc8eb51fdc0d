//! [`Keeper`]: the thread that looks after a worker, as `worker` has it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::due::Due;
use super::errand::next_call;
use super::worker::Worker;
use super::world::World;
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::process::scheduler::{Death, Dispatch, Expiry, Next, Prospect, worker};
use crate::process::shm::table::TaskTable;
use crate::process::worker_id::WorkerId;

const GRACE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Keeper {
    pub(super) stage: Stage,
    /// What it does before it sleeps.
    pub(super) dues: VecDeque<Due>,
    pub(super) rung: bool,
    pub(super) alarm: Option<(Instant, Alarm)>,
    /// A waiter looks for the answer to the task with this slot and sequence number.
    pub(super) looked_for: Option<(u8, u64)>,
    pub(super) was_ready: bool,
    pub(super) is_dead: bool,
    pub(super) is_unfit: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Hired,
    SettingUp,
    Serving,
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Limit,
    Idle,
    Kill,
}

impl Keeper {
    /// Is there something to wake for?
    pub(super) fn wakes(&self, has_said: bool, has_died: bool, now: Instant) -> bool {
        let is_rung = self.rung || self.alarm.is_some_and(|(then, _)| then <= now);
        self.stage == Stage::Hired || !self.dues.is_empty() || is_rung || has_died || has_said
    }

    /// Is it going to look for what there is to do, or to bury its worker?
    pub(super) fn will_look(&self) -> bool {
        self.rung || self.dues.iter().any(|due| matches!(due, Due::Look | Due::Died))
    }

    pub(super) fn is_dying(&self) -> bool {
        self.dues.iter().any(|due| matches!(due, Due::Died))
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.dues.is_empty()
    }
}

impl World<'_> {
    pub(super) fn keeper(&mut self, id: WorkerId) -> &mut Keeper {
        self.keepers.get_mut(&id).expect("a keeper that acts is there")
    }

    pub(super) fn keep(&mut self, id: WorkerId) {
        if let Some(due) = self.keeper(id).dues.pop_front() {
            let next = self.perform_for(id, due);
            if let Some(keeper) = self.keepers.get_mut(&id) {
                next.into_iter().rev().for_each(|due| keeper.dues.push_front(due));
            }
            return;
        }
        if self.keeper(id).stage == Stage::Hired {
            return self.spawn(id);
        }
        let now = self.now();
        let (has_died, said) = {
            let floor = self.floor.borrow();
            let worker = &floor.workers[&id];
            (!worker.is_alive, worker.outgoing.len())
        };
        let keeper = self.keepers.get_mut(&id).expect("it is there");
        if has_died {
            // It waits until no waiter looks.
            keeper.looked_for = None;
            keeper.is_dead = true;
            keeper.dues.extend([Due::Receive(usize::MAX), Due::Died]);
        } else if keeper.rung || said > 0 {
            let rung = std::mem::take(&mut keeper.rung);
            if said > 0 {
                let count = self.rng.usize(usize::from(!rung)..=said);
                keeper.dues.push_back(Due::Receive(count));
            }
            if rung {
                keeper.dues.push_back(Due::Look);
            }
        } else if keeper.alarm.is_some_and(|(then, _)| then <= now) {
            self.ring_alarm(id);
        }
    }

    fn spawn(&mut self, id: WorkerId) {
        let failed_starts = self.weather.failed_starts;
        if self.once_in(failed_starts) {
            self.trace(|| format!("keeper {} cannot start", id.0));
            let unstarted = self.decide(|scheduler, now| scheduler.not_started(id, now));
            let error = Error::Broken(Broken::new("no worker process can be started"));
            self.keeper(id).stage = Stage::Ending;
            self.keeper(id).dues.extend([Due::RingAll, Due::Refuse(unstarted, Some(error)), Due::Forget]);
            return;
        }
        self.trace(|| format!("keeper {} starts", id.0));
        let table = self.stock.table.pop().unwrap_or_else(|| Arc::new(TaskTable::create().expect("there is memory").0));
        let unfit = self.weather.unfit;
        let is_unfit = self.once_in(unfit);
        self.floor.borrow_mut().workers.insert(id, Worker::new(table, is_unfit));
        self.decide(|scheduler, _| scheduler.attach(id, id));
        self.keeper(id).stage = Stage::SettingUp;
    }

    /// What is to come next.
    fn perform_for(&mut self, id: WorkerId, due: Due) -> Vec<Due> {
        self.trace(|| format!("keeper {}: {}", id.0, due.name()));
        match due {
            Due::Send(to, orders, _) => self.send(to, orders),
            Due::Receive(count) => return self.receive(id, count),
            Due::Look => return self.look(id),
            Due::Deliver(remote, said) => self.deliver(remote, said, true),
            Due::Refuse(remotes, error) => self.refuse(&remotes, error.as_ref()),
            Due::Died => return self.died(id),
            Due::Mourn(lost) => {
                let table = Arc::clone(&self.floor.borrow().workers[&id].table);
                let died = || {
                    // By now it is known what the worker had done before.
                    if let Some(call) = next_call(&lost.remote) {
                        self.book.lock().calls[call].blamed += 1;
                    }
                    Error::WorkerDied(WorkerDied::new("a worker", Exit::Unknown, None))
                };
                return vec![match lost.judge(&table, died) {
                    None => Due::Requeue(lost.remote),
                    Some(error) => Due::Bury(lost.remote, error),
                }];
            }
            Due::Requeue(remote) => {
                let refused = self.decide(|scheduler, _| scheduler.requeue_or_refuse(&remote));
                match refused {
                    Some(error) => remote.fail(&error),
                    None => self.audit_next(&remote),
                }
            }
            Due::Bury(remote, error) => {
                self.decide(|scheduler, _| scheduler.loss_told(&remote));
                remote.fail(&error);
            }
            Due::Expire(remote) => remote.expire(remote.limit().expect("it had a limit")),
            Due::Kill(_) => self.kill(id),
            Due::Break => {
                let error = Error::Broken(Broken::new("workers do not start"));
                self.remotes.iter().for_each(|remote| self.call_off(remote));
                let unstarted = self.decide(|scheduler, now| scheduler.break_down(&error, now));
                return vec![Due::RingAll, Due::Refuse(unstarted, Some(error))];
            }
            Due::RingAll => self.ring_all(),
            Due::Forget => {
                let left = self.decide(|scheduler, _| scheduler.forget(id));
                assert!(left.is_empty(), "a worker is forgotten with its tasks");
                self.keepers.remove(&id);
                if let Some(worker) = self.floor.borrow_mut().workers.remove(&id) {
                    self.stock.table.push(worker.table);
                }
                if self.weather.max_tasks.is_some() {
                    self.ring_all();
                }
            }
            Due::Read(..) => unreachable!("who waited does that"),
        }
        Vec::new()
    }

    fn look(&mut self, id: WorkerId) -> Vec<Due> {
        match self.keeper(id).stage {
            Stage::Serving => {
                let mut orders = Vec::new();
                let rung = |world: &Self| world.keepers.values().filter(|keeper| keeper.rung).count();
                let before = rung(self);
                let next = self.decide(|scheduler, now| scheduler.refill(id, false, now, &mut orders));
                let stands_by = next == Next::Wait && self.scheduler.workers[&id].budget > 0;
                let wakes_nobody = rung(self) == before || self.scheduler.is_over();
                assert!(!stands_by || wakes_nobody, "those who stand by wake each other");
                self.proceed(id, next, orders)
            }
            Stage::SettingUp => {
                if self.decide(|scheduler, _| scheduler.dismiss(id)) {
                    self.end(id);
                }
                Vec::new()
            }
            Stage::Hired | Stage::Ending => Vec::new(),
        }
    }

    fn end(&mut self, id: WorkerId) {
        if let Some(worker) = self.floor.borrow_mut().workers.get_mut(&id) {
            worker.no_more = true;
        }
        let then = self.now() + GRACE;
        self.keeper(id).stage = Stage::Ending;
        self.keeper(id).alarm = Some((then, Alarm::Kill));
    }

    pub(super) fn proceed(&mut self, id: WorkerId, next: Next, orders: Vec<Dispatch>) -> Vec<Due> {
        self.trace(|| format!("keeper {}: {next:?}, {} sent", id.0, orders.len()));
        let keep_alive = self.weather.keep_alive;
        let keeper = self.keeper(id);
        match next {
            Next::Work(deadline) => keeper.alarm = deadline.map(|then| (then, Alarm::Limit)),
            Next::Wait => keeper.alarm = None,
            Next::Idle(since) => keeper.alarm = keep_alive.map(|time| (since + time, Alarm::Idle)),
            Next::Leave => {
                self.audit_leaving(id);
                self.end(id);
            }
            Next::End if keeper.stage == Stage::Serving => {
                keeper.stage = Stage::Ending;
                keeper.alarm = None;
            }
            Next::End => {}
        }
        if orders.is_empty() { Vec::new() } else { vec![Due::Send(id, orders, false)] }
    }

    fn died(&mut self, id: WorkerId) -> Vec<Due> {
        let worker = &self.scheduler.workers[&id];
        let (was_doomed, first) =
            (worker.stage == worker::Stage::Doomed, worker.in_flight.front().map(|sent| Arc::clone(&sent.remote)));
        let prospect = if self.keeper(id).is_unfit { Prospect::None } else { Prospect::Fair };
        let Death { lost_tasks, unstarted, refusal, expected, is_the_end } =
            self.decide(|scheduler, now| scheduler.died(id, prospect, now));
        if let Some(missed) = first.filter(|first| !lost_tasks.iter().any(|lost| Arc::ptr_eq(&lost.remote, first))) {
            self.audit_missed(&missed);
        }
        assert!(!was_doomed || lost_tasks.is_empty(), "a worker was killed for one task, and another has died of it");
        self.trace(|| format!("keeper {} buries, {} lost_tasks", id.0, lost_tasks.len()));
        let mut dues = vec![Due::Refuse(unstarted, refusal)];
        dues.extend(lost_tasks.into_iter().map(Due::Mourn));
        if is_the_end {
            assert!(!self.keeper(id).was_ready && !expected);
            dues.push(Due::Break);
        }
        dues.push(Due::Forget);
        dues
    }

    fn ring_alarm(&mut self, id: WorkerId) {
        let Some((_, alarm)) = self.keeper(id).alarm.take() else { return };
        self.trace(|| format!("keeper {}: {alarm:?}", id.0));
        match alarm {
            Alarm::Kill => {
                self.keeper(id).stage = Stage::Ending;
                self.kill(id);
            }
            Alarm::Idle => {
                let (keep_alive, mut orders) = (self.weather.keep_alive, Vec::new());
                let next = self.decide(|scheduler, now| {
                    let idle = now.saturating_duration_since(scheduler.since(id, now));
                    let expired = keep_alive.is_some_and(|time| idle >= time);
                    scheduler.refill(id, expired, now, &mut orders)
                });
                let dues = self.proceed(id, next, orders);
                self.keeper(id).dues.extend(dues);
            }
            Alarm::Limit => {
                let clock = self.clock();
                let first = self.scheduler.workers[&id].in_flight.front().map(|sent| (sent.slot, sent.sequence));
                match self.decide(|scheduler, now| scheduler.expire(id, now, clock)) {
                    Expiry::Later(then) => self.keeper(id).alarm = then.map(|then| (then, Alarm::Limit)),
                    Expiry::Stopped(remote) => {
                        self.audit_stopped(id, first.expect("it had a task"));
                        let keeper = self.keeper(id);
                        keeper.stage = Stage::Ending;
                        keeper.dues.extend([Due::Kill(id), Due::Expire(remote)]);
                    }
                }
            }
        }
    }
}
