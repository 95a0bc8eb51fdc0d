//! Time limits, if tasks reach a worker late, or in another order than they were sent in; and results that come late.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::world::LATE;
use super::{FIRST, World, fixture, world_of};
use crate::options::TaskOptions;
use crate::process::scheduler::{ARRIVAL, Expiry};

const LIMIT: Duration = Duration::from_secs(10);

impl World<'_> {
    /// Checks the time limit of the first worker.
    fn expire(&mut self) -> Expiry {
        let clock = self.clock();
        self.decide(|scheduler, now| scheduler.expire(FIRST, now, clock))
    }
}

#[test]
fn the_time_limit_of_the_running_task_counts() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let remotes = [(); 2].map(|()| world.submit_with(TaskOptions::new().time_limit(LIMIT)).0);
    let (table, [sent, late]) = world.send_two(FIRST);
    assert!(Arc::ptr_eq(&sent.remote, &remotes[0]) && Arc::ptr_eq(&late.remote, &remotes[1]));
    assert!(table.slots().start(late.slot, late.sequence, world.clock()));
    // No task is stopped because of the other one.
    for _ in 0..3 {
        assert!(matches!(world.expire(), Expiry::Later(Some(_))));
        world.advance(LIMIT / 2);
    }
    world.advance(LIMIT);
    let stopped = (0..3).find_map(|_| match world.expire() {
        Expiry::Stopped(remote) => Some(remote),
        Expiry::Later(_) => None,
    });
    assert!(stopped.is_some_and(|stopped| Arc::ptr_eq(&stopped, &remotes[1])));
}

#[test]
fn a_time_limit_counts_from_when_the_worker_began() {
    let second = Duration::from_secs(1);
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_with(TaskOptions::new().time_limit(LIMIT));
    let table = world.make_ready(FIRST);
    let (_, orders) = world.refill(FIRST);
    // It was on its way for this long.
    world.advance(4 * second);
    assert!(table.slots().start(orders[0].slot, orders[0].sequence, world.clock()));
    let deadline = world.now() + LIMIT;
    for _ in 0..9 {
        world.advance(second);
        let Expiry::Later(Some(then)) = world.expire() else { panic!("the task has time left") };
        assert!(
            deadline - second < then && then <= deadline,
            "{:?} from {deadline:?}",
            deadline.max(then) - deadline.min(then)
        );
    }
    world.advance(2 * second);
    assert!(matches!(world.expire(), Expiry::Stopped(stopped) if Arc::ptr_eq(&stopped, &remote)));
}

/// Returns when to check again.
#[track_caller]
fn then(expiry: Expiry) -> Instant {
    let Expiry::Later(Some(then)) = expiry else { panic!("the monitor does not wait for the result") };
    then
}

#[test]
fn a_finished_result_has_limited_time_to_arrive() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_with(TaskOptions::new().time_limit(LIMIT));
    let table = world.make_ready(FIRST);
    let (_, orders) = world.refill(FIRST);
    assert!(table.slots().start(orders[0].slot, orders[0].sequence, world.clock()));
    assert!(table.slots().finish(orders[0].slot, orders[0].sequence));
    world.advance(2 * LIMIT);
    let until = then(world.expire());
    assert!(until + LATE >= world.now() + ARRIVAL, "the task was done in time");
    world.advance(ARRIVAL / 2);
    assert_eq!(then(world.expire()), until, "once");
    world.advance(ARRIVAL);
    assert!(matches!(world.expire(), Expiry::Stopped(stopped) if Arc::ptr_eq(&stopped, &remote)));
}

#[test]
fn a_worker_that_runs_the_next_task_has_sent_its_result() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let remotes = [(); 2].map(|()| world.submit_with(TaskOptions::new().time_limit(LIMIT)).0);
    let (table, [first, second]) = world.send_two(FIRST);
    assert!(table.slots().start(first.slot, first.sequence, world.clock()));
    assert!(table.slots().finish(first.slot, first.sequence));
    assert!(table.slots().start(second.slot, second.sequence, world.clock()));
    world.advance(2 * LIMIT);
    for _ in 0..3 {
        let until = then(world.expire());
        assert!(until + LATE >= world.now() + ARRIVAL, "the result may be about to be read");
        world.advance(until - world.now() + LATE);
    }
    drop(remotes);
}
