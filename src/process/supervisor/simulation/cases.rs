//! What schedules have found, told in as few steps as it takes: workers that are replaced after each task; and what they do not come
//! upon: tasks that come to a worker in another order than they were sent in.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::stock;
use super::world::{Stock, Weather, World};
use crate::options::TaskOptions;
use crate::process::flight::Flight;
use crate::process::slots::Slots;
use crate::process::supervisor::{Answered, Expiry, LinkId, Next, Order, Submitted};

const FIRST: LinkId = LinkId(0);
const SECOND: LinkId = LinkId(1);
const THIRD: LinkId = LinkId(2);

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
    fn submit_task(&mut self) -> (Arc<Flight>, Submitted<LinkId>) {
        self.submit_with(TaskOptions::new())
    }

    fn submit_with(&mut self, options: TaskOptions) -> (Arc<Flight>, Submitted<LinkId>) {
        let flight = self.flight(options, None, false, 0);
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

#[test]
fn who_is_idle_takes_the_seat_for_a_task_that_waits() {
    let mut stock = stock();
    let mut world = world_of(2, Some(1), &mut stock);
    world.submit_task();
    world.make_ready(FIRST);
    assert_eq!(world.refill(FIRST).0, Next::Work(None));
    // Two more come for tasks that are not to be.
    let flights = [(); 2].map(|()| world.submit_task().0);
    for flight in flights {
        assert!(world.decide(|supervisor, now| supervisor.cancel(&flight, now)));
    }
    for id in [SECOND, THIRD] {
        world.make_ready(id);
        assert!(matches!(world.refill(id).0, Next::Idle(_)));
    }
    assert!(matches!(world.submit_task().1, Submitted::Sent(THIRD, _)));
    assert!(matches!(world.submit_task().1, Submitted::Queued), "two are at work already");
    let answered = Answered { slot: 0, sequence: 1, last: true };
    world.decide(|supervisor, now| supervisor.settle(FIRST, answered, now));
    world.is_rung(SECOND);
    world.refill(FIRST);
    assert!(world.is_rung(SECOND), "the task would wait for the third worker");
    assert_eq!(world.refill(SECOND).0, Next::Work(None));
}

#[test]
fn a_time_limit_is_that_of_the_task_that_runs_also_where_another_was_sent_before() {
    const LIMIT: Duration = Duration::from_secs(10);
    let mut stock = stock();
    let mut world = world_of(1, None, &mut stock);
    let flights = [(); 2].map(|()| world.submit_with(TaskOptions::new().time_limit(LIMIT)).0);
    let slots = Arc::new(Slots::create().unwrap().0);
    world.decide(|supervisor, now| supervisor.ready(FIRST, FIRST, Arc::clone(&slots), now));
    // They are short as a rule, so that one is sent ahead.
    world.decide(|supervisor, _| supervisor.observe(FIRST, 100, Duration::from_micros(100)));
    let (_, orders) = world.refill(FIRST);
    let [sent, late] = &orders[..] else { panic!("{} were sent", orders.len()) };
    assert!(Arc::ptr_eq(&sent.flight, &flights[0]) && Arc::ptr_eq(&late.flight, &flights[1]));
    assert!(slots.words().start(late.slot, late.sequence, world.clock()));
    // Nobody is stopped for the other's sake.
    for _ in 0..3 {
        let clock = world.clock();
        let expiry = world.decide(|supervisor, now| supervisor.expire(FIRST, now, clock));
        assert!(matches!(expiry, Expiry::Later(Some(_))));
        world.advance(LIMIT / 2);
    }
    world.advance(LIMIT);
    let mut look = || {
        let clock = world.clock();
        world.decide(|supervisor, now| supervisor.expire(FIRST, now, clock))
    };
    let stopped = (0..3).find_map(|_| match look() {
        Expiry::Stopped(flight) => Some(flight),
        Expiry::Later(_) => None,
    });
    assert!(stopped.is_some_and(|stopped| Arc::ptr_eq(&stopped, &flights[1])));
}

#[test]
fn a_time_limit_counts_from_when_the_worker_began() {
    const LIMIT: Duration = Duration::from_secs(10);
    let second = Duration::from_secs(1);
    let mut stock = stock();
    let mut world = world_of(1, None, &mut stock);
    let (flight, _) = world.submit_with(TaskOptions::new().time_limit(LIMIT));
    let slots = Arc::new(Slots::create().unwrap().0);
    world.decide(|supervisor, now| supervisor.ready(FIRST, FIRST, Arc::clone(&slots), now));
    let (_, orders) = world.refill(FIRST);
    // So long it was on its way.
    world.advance(4 * second);
    assert!(slots.words().start(orders[0].slot, orders[0].sequence, world.clock()));
    let due = world.now() + LIMIT;
    for _ in 0..9 {
        world.advance(second);
        let clock = world.clock();
        let expiry = world.decide(|supervisor, now| supervisor.expire(FIRST, now, clock));
        let Expiry::Later(Some(then)) = expiry else { panic!("it has time left") };
        assert!(due - second < then && then <= due, "{:?} from {due:?}", due.max(then) - due.min(then));
    }
    world.advance(2 * second);
    let clock = world.clock();
    let expiry = world.decide(|supervisor, now| supervisor.expire(FIRST, now, clock));
    assert!(matches!(expiry, Expiry::Stopped(stopped) if Arc::ptr_eq(&stopped, &flight)));
}
