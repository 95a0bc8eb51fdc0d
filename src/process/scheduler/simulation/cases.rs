//! What schedules have found, told in as few steps as it takes: workers that are replaced after each task; and what they seldom come
//! upon, or never.
#![forbid(unsafe_code)]

mod deaths;
mod limits;
mod monitors;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::stock;
use super::world::{Stock, Weather, World};
use crate::error::Error;
use crate::options::TaskOptions;
use crate::process::scheduler::{Answered, Dispatch, Next, Submitted};
use crate::process::shm::table::TaskTable;
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;

const FIRST: WorkerId = WorkerId(0);
const SECOND: WorkerId = WorkerId(1);
const THIRD: WorkerId = WorkerId(2);

/// One worker, which may have one task.
fn world(stock: &mut Stock) -> World<'_> {
    world_of(1, Some(1), stock)
}

/// So many workers, each of which may have so many tasks.
fn world_of(max_workers: usize, max_tasks: Option<u64>, stock: &mut Stock) -> World<'_> {
    let weather = Weather {
        max_workers,
        max_pending: None,
        max_tasks,
        keep_alive: None,
        failed_starts: 0,
        unfit: 0,
        calm: 1,
        are_lazy: false,
        patience: 1,
    };
    World::under(weather, 0, Rng::with_seed(0), stock)
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

    /// It is ready, and is sent two of the tasks.
    fn send_two(&mut self, id: WorkerId) -> (Arc<TaskTable>, [Dispatch; 2]) {
        let table = self.make_ready(id);
        // They are short as a rule, so that one is sent ahead.
        self.decide(|scheduler, _| scheduler.observe(id, 100, Duration::from_micros(100)));
        let Ok(orders) = self.refill(id).1.try_into() else { panic!("one is sent ahead") };
        (table, orders)
    }

    fn refill(&mut self, id: WorkerId) -> (Next, Vec<Dispatch>) {
        let mut orders = Vec::new();
        (self.decide(|scheduler, now| scheduler.refill(id, false, now, &mut orders)), orders)
    }

    /// The worker answers a task for good. Whose is it?
    fn answer(&mut self, id: WorkerId, slot: u8, sequence: u64) -> Option<Arc<RemoteTask>> {
        let answered = Answered { slot, sequence, last: true };
        self.decide(|scheduler, now| scheduler.settle(id, answered, now))
    }

    fn is_rung(&mut self, id: WorkerId) -> bool {
        std::mem::take(&mut self.monitors.get_mut(&id).unwrap().rung)
    }

    /// The first worker has its only task, and the second one is ready for the next.
    fn replace_one(&mut self) -> [Arc<RemoteTask>; 2] {
        let (remote, _) = self.submit_task();
        self.make_ready(FIRST);
        assert_eq!(self.refill(FIRST).0, Next::Work(None));
        let (next, _) = self.submit_task();
        self.make_ready(SECOND);
        [remote, next]
    }
}

#[test]
fn who_stands_by_for_a_seat_sleeps() {
    let mut stock = stock();
    let mut world = world(&mut stock);
    world.replace_one();
    assert_eq!(world.refill(SECOND).0, Next::Wait);
    assert!(!world.is_rung(SECOND), "it would look over and over");
}

#[test]
fn a_worker_that_counts_again_beside_its_replacement_leaves() {
    let mut stock = stock();
    let mut world = world(&mut stock);
    let [remote, next] = world.replace_one();
    for remote in [next, remote] {
        assert!(world.decide(|scheduler, now| scheduler.cancel(&remote, now)));
    }
    assert_eq!(world.refill(FIRST).0, Next::Leave);
    assert!(matches!(world.refill(SECOND).0, Next::Idle(_)));
}

#[test]
fn who_stands_by_takes_the_seat_also_while_nothing_waits() {
    let mut stock = stock();
    let mut world = world(&mut stock);
    let [remote, next] = world.replace_one();
    assert_eq!(world.refill(SECOND).0, Next::Wait);
    assert!(world.decide(|scheduler, now| scheduler.cancel(&next, now)));
    world.is_rung(SECOND);
    assert!(world.answer(FIRST, 0, 1).is_some_and(|answered| Arc::ptr_eq(&answered, &remote)));
    world.refill(FIRST);
    assert!(world.is_rung(SECOND), "the next task would wait for the first worker to exit");
    assert!(matches!(world.refill(SECOND).0, Next::Idle(_)));
    assert!(matches!(world.submit_task().1, Submitted::Sent(SECOND, _)));
}

#[test]
fn who_is_idle_takes_the_seat_for_a_task_that_waits() {
    let mut stock = stock();
    let mut world = world_of(2, Some(1), &mut stock);
    world.submit_task();
    world.make_ready(FIRST);
    assert_eq!(world.refill(FIRST).0, Next::Work(None));
    // Two more come for tasks that are not to be.
    let remotes = [(); 2].map(|()| world.submit_task().0);
    for remote in remotes {
        assert!(world.decide(|scheduler, now| scheduler.cancel(&remote, now)));
    }
    for id in [SECOND, THIRD] {
        world.make_ready(id);
        assert!(matches!(world.refill(id).0, Next::Idle(_)));
    }
    assert!(matches!(world.submit_task().1, Submitted::Sent(THIRD, _)));
    assert!(matches!(world.submit_task().1, Submitted::Queued), "two are at work already");
    world.answer(FIRST, 0, 1);
    world.is_rung(SECOND);
    world.refill(FIRST);
    assert!(world.is_rung(SECOND), "the task would wait for the third worker");
    assert_eq!(world.refill(SECOND).0, Next::Work(None));
}

#[test]
fn an_answer_is_to_the_task_that_has_the_slot_now() {
    let mut stock = stock();
    let mut world = world_of(1, None, &mut stock);
    let (remote, _) = world.submit_task();
    world.make_ready(FIRST);
    world.refill(FIRST);
    assert!(world.answer(FIRST, 0, 2).is_none() && world.answer(FIRST, 1, 1).is_none(), "nobody has asked for these");
    assert!(world.answer(FIRST, 0, 1).is_some_and(|answered| Arc::ptr_eq(&answered, &remote)));
    assert!(world.answer(FIRST, 0, 1).is_none(), "it has been answered");
}

#[test]
fn who_has_nothing_takes_what_was_sent_ahead_to_another() {
    let mut stock = stock();
    let mut world = world_of(2, None, &mut stock);
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

/// What a worker does whose only task somebody else has taken the answer of.
fn rests(max_tasks: Option<u64>, meanwhile: impl FnOnce(&mut World<'_>)) -> bool {
    let mut stock = stock();
    let mut world = world_of(2, max_tasks, &mut stock);
    world.submit_task();
    world.make_ready(FIRST);
    world.refill(FIRST);
    meanwhile(&mut world);
    let (remote, rests) = world.decide(|scheduler, now| scheduler.settle_only(FIRST, 0, 1, now));
    assert!(remote.is_some() && world.scheduler.idle.contains(&FIRST) == rests);
    rests
}

#[test]
fn a_worker_rests_where_its_thread_has_nothing_to_do() {
    assert!(rests(None, |_| {}));
    assert!(!rests(Some(1), |_| {}), "it has had its last task");
    assert!(!rests(None, |world| world.scheduler.closed = true));
    assert!(!rests(None, |world| world.scheduler.broken = Some(Error::Abandoned)));
    assert!(!rests(None, |world| drop(world.submit_task())), "that one waits");
    let send_ahead = |world: &mut World<'_>| {
        world.submit_task();
        world.make_ready(SECOND);
        world.refill(SECOND);
        world.decide(|scheduler, _| scheduler.observe(SECOND, 100, Duration::from_micros(100)));
        world.submit_task();
        assert_eq!(world.refill(SECOND).1.len(), 1);
    };
    assert!(!rests(None, send_ahead), "it could take that");
    let send_portion = |world: &mut World<'_>| {
        let portion = world.remote(TaskOptions::new(), Some(3), true, 0);
        world.decide(|scheduler, now| scheduler.submit(portion, now));
        world.make_ready(SECOND);
        assert_eq!(world.refill(SECOND).1.len(), 1);
    };
    assert!(!rests(None, send_portion), "it could take a part");
}

#[test]
fn nobody_takes_more_than_he_may_have() {
    const MOST: u64 = 6;
    let mut stock = stock();
    let mut world = world_of(2, Some(MOST), &mut stock);
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
    assert_eq!(world.refill(SECOND).1.len(), 1, "it takes two of four, and may have one");
    assert_eq!(world.scheduler.waiting(), 1);
}
