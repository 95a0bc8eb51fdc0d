//! Workers that die: what happens to their tasks, and whether another worker is started.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::super::world::LATE;
use super::{FIRST, SECOND, World, fixture, world_of};
use crate::error::Error;
use crate::options::TaskOptions;
use crate::process::scheduler::{Death, MISSES, Next, Prospect, TRIES};
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;

impl World<'_> {
    fn die(&mut self, id: WorkerId) -> Death {
        self.die_with(id, Prospect::Fair)
    }

    fn die_with(&mut self, id: WorkerId, prospect: Prospect) -> Death {
        let death = self.decide(|scheduler, now| scheduler.died(id, prospect, now));
        assert!(self.decide(|scheduler, _| scheduler.forget(id)).is_empty());
        death
    }

    /// Lets the worker die while it runs this task, and nothing else.
    fn die_of(&mut self, id: WorkerId, remote: &Arc<RemoteTask>) {
        let table = self.make_ready(id);
        let (_, orders) = self.refill(id);
        assert!(table.slots().start(orders[0].slot, orders[0].sequence, self.clock()));
        let lost_tasks = self.die(id).lost_tasks;
        assert!(matches!(&lost_tasks[..], [lost] if Arc::ptr_eq(&lost.remote, remote)));
    }

    fn try_again(&mut self, remote: &Arc<RemoteTask>) -> Option<Error> {
        remote.retry(Error::Abandoned);
        self.decide(|scheduler, _| scheduler.requeue_or_refuse(remote))
    }

    /// Reports that the worker could not be started. Returns how many tasks are given up.
    pub(super) fn fail_to_start(&mut self, id: WorkerId) -> usize {
        let unstarted = self.decide(|scheduler, now| scheduler.not_started(id, now));
        self.decide(|scheduler, _| scheduler.forget(id));
        unstarted.len()
    }
}

#[test]
fn cancel_pending_spares_a_task_between_two_tries() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_with(TaskOptions::new().retries(1));
    world.die_of(FIRST, &remote);
    world.scheduler.closed = true;
    assert!(world.decide(|scheduler, now| scheduler.cancel_pending(now)).is_empty());
    assert!(world.try_again(&remote).is_none(), "the task has begun");
    world.make_ready(SECOND);
    assert_eq!(world.refill(SECOND).1.len(), 1);
    // The task was not the one that this worker died of.
    let Death { lost_tasks, unstarted, .. } = world.die(SECOND);
    assert!(lost_tasks.is_empty() && unstarted.is_empty());
    assert_eq!(world.scheduler.waiting(), 1);
}

#[test]
fn a_task_aborted_between_two_tries_does_not_run_again() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_with(TaskOptions::new().retries(1));
    world.die_of(FIRST, &remote);
    assert!(world.decide(|scheduler, now| scheduler.stop(&remote, now)));
    assert!(matches!(world.try_again(&remote), Some(Error::Cancelled)));
    assert_eq!(world.scheduler.waiting(), 0);
}

#[test]
fn a_task_is_not_blamed_for_a_death_of_the_task_before_it() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (deadly, _) = world.submit_with(TaskOptions::new().retries(MISSES + 1));
    world.submit_task();
    for id in (0..=MISSES).map(WorkerId) {
        let (table, [first, _]) = world.send_two(id);
        assert!(Arc::ptr_eq(&first.remote, &deadly));
        assert!(table.slots().start(first.slot, first.sequence, world.clock()));
        assert_eq!(world.die(id).lost_tasks.len(), 1);
        assert!(world.try_again(&deadly).is_none());
    }
}

#[test]
fn the_third_worker_that_dies_before_it_is_ready_is_the_last() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    assert_eq!([0, 1, 2].map(|id| world.die(WorkerId(id)).is_the_end), [false, false, true]);
}

#[test]
fn a_worker_with_no_better_prospect_is_not_tried() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let _tasks = [world.submit_task(), world.submit_task()];
    // One of the two may have held what the other lacked.
    assert!(!world.die_with(FIRST, Prospect::Poor).is_the_end);
    assert!(!world.die_with(SECOND, Prospect::Poor).is_the_end);
    assert!(world.die_with(WorkerId(2), Prospect::Poor).is_the_end);
}

#[test]
fn the_first_worker_of_a_program_is_alone_until_it_says_hello() {
    let mut fixture = fixture();
    let mut world = world_of(3, None, &mut fixture);
    world.scheduler.is_first_try = true;
    let _tasks = [world.submit_task(), world.submit_task(), world.submit_task()];
    assert_eq!(world.scheduler.workers(), 1);
    // It was killed, which says nothing about others, so the next one is tried.
    world.die_with(FIRST, Prospect::Fair);
    assert_eq!(world.scheduler.workers(), 1);
    world.decide(|scheduler, _| scheduler.is_first_try = false);
    assert_eq!(world.scheduler.workers(), 3);
}

#[test]
fn workers_killed_by_request_do_not_count_as_deaths() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    for id in (0..5).map(WorkerId) {
        world.scheduler.expect_deaths();
        let Death { expected, is_the_end, .. } = world.die(id);
        assert!(expected && !is_the_end);
    }
}

#[test]
fn only_a_replacement_of_a_dead_worker_counts_as_respawned() {
    let mut fixture = fixture();
    let mut world = world_of(3, None, &mut fixture);
    let (remote, _) = world.submit_task();
    // While this worker was about to take its task, a second one was started for that.
    world.die_of(FIRST, &remote);
    assert_eq!((world.scheduler.workers(), world.scheduler.respawned), (1, 0));
    world.submit_task();
    world.submit_task();
    assert_eq!((world.scheduler.workers(), world.scheduler.respawned), (2, 1));
    world.submit_task();
    assert_eq!((world.scheduler.workers(), world.scheduler.respawned), (3, 1));
}

#[test]
fn no_worker_is_started_after_one_that_shows_that_none_can_work() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    world.submit_task();
    assert!(world.die_with(FIRST, Prospect::None).is_the_end);
    assert!(world.scheduler.workers.is_empty());
}

#[test]
fn a_worker_is_tried_alone_before_the_pool_gives_up() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    world.submit_task();
    world.submit_task();
    // The fourth was started while the third was alive.
    assert_eq!([0, 1, 2, 3, 4].map(|id| world.die(WorkerId(id)).is_the_end), [false, false, false, false, true]);
}

#[test]
fn a_failed_replacement_costs_no_task_while_other_workers_live() {
    let mut fixture = fixture();
    let mut world = world_of(2, Some(1), &mut fixture);
    for _ in 0..3 {
        world.submit_task();
    }
    for id in [FIRST, SECOND] {
        world.make_ready(id);
        assert_eq!(world.refill(id).0, Next::Work(None));
    }
    assert!(world.answer(FIRST, 0, 1).is_some());
    assert_eq!(world.refill(FIRST).0, Next::Leave);
    world.die(FIRST);
    assert_eq!(world.fail_to_start(WorkerId(2)), 0);
    assert_eq!(world.scheduler.starting, 0, "another worker would fail in the same way");
    assert!(world.answer(SECOND, 0, 2).is_some());
    assert_eq!(world.refill(SECOND).0, Next::Leave);
    world.die(SECOND);
    assert_eq!(
        (world.scheduler.starting, world.scheduler.waiting()),
        (1, 1),
        "the resources of the other workers are free now"
    );
}

#[test]
fn a_worker_is_started_alone_before_tasks_are_refused() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    world.submit_task();
    world.submit_task();
    assert_eq!([0, 1, 2].map(|id| world.fail_to_start(WorkerId(id))), [0, 0, 2]);
}

#[test]
fn a_worker_is_started_for_a_task_that_was_sent_ahead_when_another_worker_dies() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let _first = [world.submit_task(), world.submit_task()];
    for id in [FIRST, SECOND] {
        world.make_ready(id);
        assert_eq!(world.refill(id).1.len(), 1);
    }
    world.submit_task();
    world.decide(|scheduler, _| scheduler.observe(FIRST, 100, Duration::from_micros(100)));
    assert_eq!(world.refill(FIRST).1.len(), 1, "it is sent ahead");
    assert!(world.answer(SECOND, 0, 2).is_some());
    world.die(SECOND);
    assert_eq!((world.scheduler.waiting(), world.scheduler.starting), (0, 1));
}

#[test]
fn no_task_is_sent_ahead_while_a_worker_may_be_started_for_it() {
    let mut fixture = fixture();
    let mut world = world_of(4, None, &mut fixture);
    let _two = [world.submit_task(), world.submit_task()];
    world.make_ready(FIRST);
    world.decide(|scheduler, _| scheduler.observe(FIRST, 100, Duration::from_micros(100)));
    assert_eq!(world.refill(FIRST).1.len(), 1);
    assert!(world.refill(FIRST).1.is_empty(), "the second one is for this");
}

/// Lets a worker be ready, and die with its task.
fn serve_once(world: &mut World<'_>) {
    let (remote, _) = world.submit_task();
    world.die_of(FIRST, &remote);
    world.decide(|scheduler, _| scheduler.loss_told(&remote));
}

#[test]
fn a_pool_that_has_served_is_never_broken_by_workers_that_die_early() {
    for prospect in [Prospect::Fair, Prospect::Poor, Prospect::IfOnceReady] {
        let mut fixture = fixture();
        let mut world = world_of(3, None, &mut fixture);
        serve_once(&mut world);
        let mut waiting = vec![world.submit_task().0];
        let mut paused = Duration::ZERO;
        for nth in 1.. {
            let id = WorkerId(nth);
            assert_eq!(
                world.scheduler.workers.keys().collect::<Vec<_>>(),
                [&id],
                "one at a time, however many tasks wait"
            );
            let Death { given_up, is_the_end, .. } = world.decide(|scheduler, now| scheduler.died(id, prospect, now));
            assert!(!is_the_end);
            let now = world.now();
            let until = world.scheduler.must_stay(id, now);
            // The first was not alone: it was started while another worker served.
            if nth == TRIES + 1 {
                assert_eq!((given_up.len(), until), (waiting.len(), None));
                world.decide(|scheduler, _| scheduler.forget(id));
                break;
            }
            assert!(given_up.is_empty());
            waiting.push(world.submit_task().0);
            let until = until.expect("the next one is tried after a pause");
            paused += until - now;
            world.advance(until - now + LATE);
            let now = world.now();
            assert_eq!(world.scheduler.must_stay(id, now), None);
            world.decide(|scheduler, _| scheduler.forget(id));
        }
        assert!((Duration::from_secs(10)..Duration::from_secs(30)).contains(&paused), "{paused:?}");
        // The next task makes a try of its own, and the one after that is served.
        world.submit_task();
        assert_eq!(world.die_with(WorkerId(TRIES + 2), prospect).given_up.len(), 1);
        world.submit_task();
        world.make_ready(WorkerId(TRIES + 3));
        assert_eq!(world.refill(WorkerId(TRIES + 3)).1.len(), 1);
        world.submit_task();
        assert!(world.die_with(WorkerId(TRIES + 4), prospect).given_up.is_empty(), "it counts from the beginning");
    }
}

#[test]
fn a_pause_is_over_when_no_task_waits_for_it() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    serve_once(&mut world);
    let (remote, _) = world.submit_task();
    let second = SECOND;
    world.decide(|scheduler, now| scheduler.died(second, Prospect::Fair, now));
    let now = world.now();
    assert!(world.scheduler.must_stay(second, now).is_some() && !world.scheduler.keeper_may_go(now));
    assert!(world.scheduler.stop(&remote, now));
    assert!(world.scheduler.keeper_may_go(now) && world.scheduler.must_stay(second, now).is_none());
}

#[test]
fn an_initializer_that_is_killed_breaks_only_a_pool_that_has_never_served() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    assert!(world.die_with(FIRST, Prospect::IfOnceReady).is_the_end);
}
