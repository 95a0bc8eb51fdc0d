//! What schedules have found, told in as few steps as it takes: workers that are replaced after each task.
#![forbid(unsafe_code)]

use std::sync::Arc;

use fastrand::Rng;

use super::stock;
use super::world::{Stock, Weather, World};
use crate::options::TaskOptions;
use crate::process::flight::Flight;
use crate::process::slots::Slots;
use crate::process::supervisor::{Answered, LinkId, Next, Order, Submitted};

const FIRST: LinkId = LinkId(0);
const SECOND: LinkId = LinkId(1);

/// One worker, which may have one task.
fn world(stock: &mut Stock) -> World<'_> {
    let weather = Weather {
        max_workers: 1,
        max_pending: None,
        max_tasks: Some(1),
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
    fn submit_task(&mut self) -> (Arc<Flight>, Submitted<LinkId>) {
        let flight = self.flight(TaskOptions::new(), None, false, 0);
        let submitted = self.decide(|supervisor, now| supervisor.submit(Arc::clone(&flight), now));
        (flight, submitted)
    }

    fn make_ready(&mut self, id: LinkId) {
        let slots = Arc::new(Slots::create().unwrap().0);
        self.decide(|supervisor, now| supervisor.ready(id, id, slots, now));
    }

    fn refill(&mut self, id: LinkId) -> (Next, Vec<Order>) {
        let mut orders = Vec::new();
        (self.decide(|supervisor, now| supervisor.refill(id, false, now, &mut orders)), orders)
    }

    fn is_rung(&mut self, id: LinkId) -> bool {
        std::mem::take(&mut self.keepers.get_mut(&id).unwrap().rung)
    }

    /// The first worker has its only task, and the second one is ready for the next.
    fn replace_one(&mut self) -> [Arc<Flight>; 2] {
        let (flight, _) = self.submit_task();
        self.make_ready(FIRST);
        assert_eq!(self.refill(FIRST).0, Next::Work(None));
        let (next, _) = self.submit_task();
        self.make_ready(SECOND);
        [flight, next]
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
    let [flight, next] = world.replace_one();
    for flight in [next, flight] {
        assert!(world.decide(|supervisor, now| supervisor.cancel(&flight, now)));
    }
    assert_eq!(world.refill(FIRST).0, Next::Leave);
    assert!(matches!(world.refill(SECOND).0, Next::Idle(_)));
}

#[test]
fn who_stands_by_takes_the_seat_also_while_nothing_waits() {
    let mut stock = stock();
    let mut world = world(&mut stock);
    let [flight, next] = world.replace_one();
    assert_eq!(world.refill(SECOND).0, Next::Wait);
    assert!(world.decide(|supervisor, now| supervisor.cancel(&next, now)));
    world.is_rung(SECOND);
    let answered = Answered { slot: 0, sequence: 1, last: true };
    let settled = world.decide(|supervisor, now| supervisor.settle(FIRST, answered, now));
    assert!(settled.is_some_and(|settled| Arc::ptr_eq(&settled, &flight)));
    world.refill(FIRST);
    assert!(world.is_rung(SECOND), "the next task would wait for the first worker to exit");
    assert!(matches!(world.refill(SECOND).0, Next::Idle(_)));
    assert!(matches!(world.submit_task().1, Submitted::Sent(SECOND, _)));
}
