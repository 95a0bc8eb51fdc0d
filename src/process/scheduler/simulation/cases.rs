//! Failures that schedules have found, in as few steps as possible; cases with workers that are replaced after each
//! task; and cases that schedules seldom or never reach.
#![forbid(unsafe_code)]

mod deaths;
mod limits;
mod monitors;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::fixture;
use super::world::{Config, Fixture, World};
use crate::error::Error;
use crate::options::TaskOptions;
use crate::process::scheduler::{Answered, Dispatch, Next, Prospect, Submitted};
use crate::process::shm::table::TaskTable;
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;

const FIRST: WorkerId = WorkerId(0);
const SECOND: WorkerId = WorkerId(1);

/// Returns a world with one worker, which may have one task.
fn world(fixture: &mut Fixture) -> World<'_> {
    world_of(1, Some(1), fixture)
}

/// Returns a world with `max_workers` workers, each of which may have `max_tasks` tasks.
fn world_of(max_workers: usize, max_tasks: Option<u64>, fixture: &mut Fixture) -> World<'_> {
    let config = Config {
        max_workers,
        max_pending: None,
        max_tasks,
        keep_alive: None,
        failed_starts: 0,
        unfit: 0,
        call_rate: 1,
        slow_workers: false,
        cancel_rate: 1,
    };
    World::with_config(config, 0, Rng::with_seed(0), fixture)
}

impl World<'_> {
    fn submit_task(&mut self) -> (Arc<RemoteTask>, Submitted<WorkerId>) {
        self.submit_with(TaskOptions::new())
    }

    fn submit_with(&mut self, options: TaskOptions) -> (Arc<RemoteTask>, Submitted<WorkerId>) {
        let remote = self.remote(options, None, false, 0);
        remote.take_ticket(&self.tickets);
        let submitted = self.decide(|scheduler, now| scheduler.submit(Arc::clone(&remote), now));
        (remote, submitted)
    }

    fn make_ready(&mut self, id: WorkerId) -> Arc<TaskTable> {
        let table = Arc::new(TaskTable::create().unwrap().0);
        self.decide(|scheduler, now| scheduler.ready(id, id, Arc::clone(&table), now));
        table
    }

    /// Makes the worker ready, and sends it two of the tasks.
    fn send_two(&mut self, id: WorkerId) -> (Arc<TaskTable>, [Dispatch; 2]) {
        let table = self.make_ready(id);
        // Its tasks are usually short, so that one is sent ahead.
        self.decide(|scheduler, _| scheduler.observe(id, 100, Duration::from_micros(100)));
        let Ok(orders) = self.refill(id).1.try_into() else { panic!("a second task is sent ahead") };
        (table, orders)
    }

    fn refill(&mut self, id: WorkerId) -> (Next, Vec<Dispatch>) {
        let mut orders = Vec::new();
        (self.decide(|scheduler, now| scheduler.refill(id, false, now, &mut orders)), orders)
    }

    /// Gives the last answer of a worker to a task. Returns that task.
    fn answer(&mut self, id: WorkerId, slot: u8, sequence: u64) -> Option<Arc<RemoteTask>> {
        let answered = Answered { slot, sequence, last: true };
        self.decide(|scheduler, now| scheduler.settle(id, answered, now))
    }
}

#[test]
fn a_worker_that_reached_its_task_limit_is_replaced_after_its_exit() {
    let mut fixture = fixture();
    let mut world = world_of(2, Some(1), &mut fixture);
    for _ in 0..4 {
        world.submit_task();
    }
    for id in [FIRST, SECOND] {
        world.make_ready(id);
        assert_eq!(world.refill(id).0, Next::Work(None));
    }
    assert!(world.answer(FIRST, 0, 1).is_some());
    assert_eq!(world.refill(FIRST).0, Next::Leave);
    assert_eq!(world.scheduler.starting, 0, "the worker is still alive");
    let death = world.decide(|scheduler, now| scheduler.died(FIRST, Prospect::Fair, now));
    assert!(death.lost_tasks.is_empty() && !death.is_the_end);
    assert_eq!(world.scheduler.starting, 0, "the monitor still holds the connection");
    assert!(world.decide(|scheduler, _| scheduler.forget(FIRST)).is_empty());
    assert_eq!(world.scheduler.starting, 1);
    assert_eq!(world.scheduler.respawned, 0, "the worker has not died");
}

#[test]
fn a_cancelled_task_does_not_count_against_the_task_limit() {
    let mut fixture = fixture();
    let mut world = world(&mut fixture);
    let (remote, _) = world.submit_task();
    world.make_ready(FIRST);
    assert_eq!(world.refill(FIRST).0, Next::Work(None));
    assert!(world.decide(|scheduler, now| scheduler.cancel(&remote, now)));
    assert!(matches!(world.refill(FIRST).0, Next::Idle(_)));
    assert!(matches!(world.submit_task().1, Submitted::Sent(FIRST, _)));
}

#[test]
fn a_reply_goes_to_the_task_that_has_the_slot_now() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_task();
    world.make_ready(FIRST);
    world.refill(FIRST);
    assert!(world.answer(FIRST, 0, 2).is_none() && world.answer(FIRST, 1, 1).is_none(), "no such task was sent");
    assert!(world.answer(FIRST, 0, 1).is_some_and(|answered| Arc::ptr_eq(&answered, &remote)));
    assert!(world.answer(FIRST, 0, 1).is_none(), "the task has its reply");
}

#[test]
fn an_idle_worker_takes_a_task_sent_ahead_to_another() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let remotes = [(); 3].map(|()| world.submit_task().0);
    for id in [FIRST, SECOND] {
        world.make_ready(id);
        assert_eq!(world.refill(id).1.len(), 1);
    }
    world.decide(|scheduler, _| scheduler.observe(FIRST, 100, Duration::from_micros(100)));
    let (_, ahead) = world.refill(FIRST);
    assert!(matches!(&ahead[..], [order] if Arc::ptr_eq(&order.remote, &remotes[2])));
    assert!(world.answer(SECOND, 0, 2).is_some());
    let (_, orders) = world.refill(SECOND);
    assert!(matches!(&orders[..], [order] if Arc::ptr_eq(&order.remote, &remotes[2])));
}

/// Returns `true` if a worker is idle after a waiter has taken the answer to its only task.
fn is_idle_after(max_tasks: Option<u64>, before: impl FnOnce(&mut World<'_>)) -> bool {
    let mut fixture = fixture();
    let mut world = world_of(2, max_tasks, &mut fixture);
    world.submit_task();
    world.make_ready(FIRST);
    world.refill(FIRST);
    before(&mut world);
    let (remote, is_idle) = world.decide(|scheduler, now| scheduler.settle_only(FIRST, 0, 1, now));
    assert!(remote.is_some() && world.scheduler.idle.contains(&FIRST) == is_idle);
    is_idle
}

#[test]
fn a_worker_is_idle_if_its_monitor_has_nothing_to_do() {
    assert!(is_idle_after(None, |_| {}));
    assert!(!is_idle_after(Some(1), |_| {}), "the worker has reached its task limit");
    assert!(!is_idle_after(None, |world| world.scheduler.closed = true));
    assert!(!is_idle_after(None, |world| world.scheduler.broken = Some(Error::Abandoned)));
    assert!(!is_idle_after(None, |world| drop(world.submit_task())), "a task waits");
    let send_ahead = |world: &mut World<'_>| {
        world.submit_task();
        world.make_ready(SECOND);
        world.refill(SECOND);
        world.decide(|scheduler, _| scheduler.observe(SECOND, 100, Duration::from_micros(100)));
        world.submit_task();
        assert_eq!(world.refill(SECOND).1.len(), 1);
    };
    assert!(!is_idle_after(None, send_ahead), "the worker could take the task sent ahead");
    let send_batch = |world: &mut World<'_>| {
        let batch = world.remote(TaskOptions::new(), Some(3), true, 0);
        world.decide(|scheduler, now| scheduler.submit(batch, now));
        world.make_ready(SECOND);
        assert_eq!(world.refill(SECOND).1.len(), 1);
    };
    assert!(!is_idle_after(None, send_batch), "the worker could take half of the batch");
}

#[test]
fn a_worker_takes_no_more_tasks_than_its_limit() {
    const MOST: u64 = 6;
    let mut fixture = fixture();
    let mut world = world_of(2, Some(MOST), &mut fixture);
    for _ in 0..2 {
        world.submit_task();
    }
    for id in [FIRST, SECOND] {
        world.make_ready(id);
        assert_eq!(world.refill(id).1.len(), 1);
    }
    // All but one.
    for sequence in 2..=MOST {
        if sequence == MOST {
            for _ in 0..4 {
                world.submit_task();
            }
            world.decide(|scheduler, _| scheduler.observe(FIRST, 1000, Duration::from_micros(1000)));
            let ahead: usize = (0..4).map(|_| world.refill(FIRST).1.len()).sum();
            assert_eq!(ahead, 4);
        }
        assert!(world.answer(SECOND, 0, sequence).is_some());
        if sequence < MOST {
            assert!(matches!(world.refill(SECOND).0, Next::Idle(_)));
            assert!(matches!(world.submit_task().1, Submitted::Sent(SECOND, _)));
        }
    }
    assert_eq!(world.refill(SECOND).1.len(), 1, "the worker would take two of four tasks, and may have one");
    assert_eq!(world.scheduler.waiting(), 1);
}

#[test]
fn a_task_that_was_taken_back_is_dropped_by_the_caller_of_the_scheduler() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let [(remote, _), _other] = [(); 2].map(|()| world.submit_task());
    let now = world.now();
    assert!(world.scheduler.stop(&remote, now));
    // Not swept yet, because another one waits.
    world.scheduler.take_queue();
    assert!(world.scheduler.take_removed().iter().any(|removed| Arc::ptr_eq(removed, &remote)));
    let late = world.remote(TaskOptions::new(), None, false, 0);
    assert!(world.scheduler.stop(&late, now));
    assert!(matches!(world.scheduler.submit(Arc::clone(&late), now), Submitted::TakenBack));
    assert!(world.scheduler.take_removed().iter().any(|removed| Arc::ptr_eq(removed, &late)));
}
