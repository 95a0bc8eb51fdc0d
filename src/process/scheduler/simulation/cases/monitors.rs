//! What a monitor decides, event by event.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::monitor::Monitor;
use super::super::worker::Message;
use super::super::world::{LATE, World};
use super::{FIRST, SECOND, fixture, world_of};
use crate::error::{Error, Exit};
use crate::process::monitor::event::{Action, Event};
use crate::process::monitor::state::{Acceptance, Alarm, MonitorState, Terms};
use crate::process::protocol::frame::Kind;
use crate::process::shm::table::TaskTable;
use crate::process::worker_id::WorkerId;

/// Longer than anything that a monitor waits for.
const LONG: Duration = Duration::from_secs(100);

struct Watched {
    state: MonitorState,
}

impl Watched {
    /// Watches the first worker of the pool, which was just spawned.
    fn new(world: &mut World<'_>) -> Self {
        world.decide(|scheduler, _| scheduler.attach(FIRST, FIRST));
        let terms = Terms {
            hello_within: Duration::from_secs(60),
            has_initializer: false,
            keep_alive: Some(Duration::from_secs(1)),
        };
        Self { state: MonitorState::new(FIRST, terms, world.now()) }
    }

    /// Watches the first worker of the pool, which is ready.
    fn ready(world: &mut World<'_>) -> (Self, Arc<TaskTable>, Vec<Action<Message>>) {
        let mut watched = Self::new(world);
        assert!(watched.on(world, Event::Hello { is_same_build: true }).is_empty());
        let table = Arc::new(TaskTable::create().unwrap().0);
        let actions = watched.on(world, Event::Ready(FIRST, Arc::clone(&table)));
        (watched, table, actions)
    }

    fn on(&mut self, world: &mut World<'_>, event: Event<'_, WorkerId, Message>) -> Vec<Action<Message>> {
        let mut actions = VecDeque::new();
        world.decide(|scheduler, now| self.state.on(event, scheduler, now, &mut actions));
        actions.into()
    }

    /// Advances the clock to the alarm, and returns what it decides.
    fn wait(&mut self, world: &mut World<'_>) -> (Alarm, Vec<Action<Message>>) {
        let (_, alarm) = self.state.alarm().expect("the monitor would sleep for ever");
        world.advance(LONG);
        let clock = world.clock();
        (alarm, self.on(world, Event::TimePassed { clock }))
    }
}

#[test]
fn a_starting_worker_without_work_is_dismissed() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_task();
    let mut watched = Watched::new(&mut world);
    assert!(watched.on(&mut world, Event::Woken).is_empty(), "a task waits for the worker");
    assert!(world.decide(|scheduler, now| scheduler.cancel(&remote, now)));
    world.scheduler.closed = true;
    assert!(matches!(watched.on(&mut world, Event::Woken)[..], [Action::SayNoMore]));
    assert_eq!(watched.state.accepts(Kind::Ready), Acceptance::Ignore, "the worker is ready too late");
}

#[test]
fn a_worker_that_does_not_exit_is_killed_or_given_up() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    let (mut watched, ..) = Watched::ready(&mut world);
    assert!(watched.on(&mut world, Event::HungUp).is_empty(), "the worker may be about to exit");
    assert!(matches!(watched.wait(&mut world), (Alarm::Kill, actions) if matches!(actions[..], [Action::Kill])));
    assert!(watched.state.alarm().is_none(), "a killed worker ends");
    watched.on(&mut world, Event::CannotBeKilled);
    assert!(matches!(watched.wait(&mut world), (Alarm::GiveUp, actions) if matches!(actions[..], [Action::GiveUp])));
}

#[test]
fn a_worker_without_hello_is_killed_with_a_reason() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    let mut watched = Watched::new(&mut world);
    assert!(matches!(watched.wait(&mut world), (Alarm::Kill, actions) if matches!(actions[..], [Action::Kill])));
    watched.on(&mut world, Event::Gone);
    let actions = watched.on(&mut world, Event::Reaped { exit: &Exit::Unknown });
    let text = match &actions[..] {
        [Action::Refuse(..), Action::Warn(text)] => text.clone(),
        [Action::Refuse(..), Action::BreakDown(error)] => error.to_string(),
        _ => panic!("the reason is not reported"),
    };
    assert!(text.contains("not ready within 60s"), "{text}");
}

#[test]
fn a_worker_that_is_idle_for_long_enough_leaves() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    let (remote, _) = world.submit_task();
    assert!(world.decide(|scheduler, now| scheduler.cancel(&remote, now)));
    let (mut watched, _, actions) = Watched::ready(&mut world);
    assert!(actions.is_empty());
    assert!(matches!(watched.wait(&mut world), (Alarm::Idle, actions) if matches!(actions[..], [Action::SayNoMore])));
}

#[test]
fn the_next_task_is_sent_before_the_last_is_completed() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    world.submit_task();
    let (mut watched, _, actions) = Watched::ready(&mut world);
    let [Action::Send(sent)] = &actions[..] else { panic!("a task waits for the worker") };
    let mut replies = vec![Message::Value { slot: sent[0].slot, sequence: sent[0].sequence, bytes: [0; 4] }];
    let actions = watched.on(&mut world, Event::Replies(&mut replies));
    assert!(matches!(actions[..], [Action::Send(_), Action::Deliver(Some(_), _)]));
}

#[test]
fn a_worker_that_has_ended_gets_no_more_tasks() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    let mut watched = Watched::new(&mut world);
    watched.on(&mut world, Event::Hello { is_same_build: true });
    watched.on(&mut world, Event::Gone);
    let table = Arc::new(TaskTable::create().unwrap().0);
    assert!(watched.on(&mut world, Event::Ready(FIRST, table)).is_empty());
    let actions = watched.on(&mut world, Event::Reaped { exit: &Exit::Unknown });
    assert!(matches!(actions[..], [Action::Refuse(..)]), "a worker that was ready does not break the pool");
}

#[test]
fn a_worker_that_sends_nonsense_or_is_of_another_build_is_killed() {
    let mut fixture = fixture();
    let mut world = world_of(1, None, &mut fixture);
    world.submit_task();
    let mut watched = Watched::new(&mut world);
    assert_eq!(watched.state.accepts(Kind::Value), Acceptance::Damage);
    assert_eq!(watched.state.accepts(Kind::Hello), Acceptance::Take);
    assert!(matches!(watched.on(&mut world, Event::Hello { is_same_build: false })[..], [Action::Kill]));
    watched.on(&mut world, Event::Gone);
    let actions = watched.on(&mut world, Event::Reaped { exit: &Exit::Unknown });
    assert!(
        matches!(actions[..], [Action::Refuse(..), Action::BreakDown(Error::Broken(_))]),
        "others would be the same"
    );
}

/// Lets the first worker of two be busy, and the second one not be started for the other task.
fn one_of_two(world: &mut World<'_>) -> Watched {
    world.submit_task();
    world.submit_task();
    let (mut watched, _, actions) = Watched::ready(world);
    assert!(matches!(&actions[..], [Action::Send(orders)] if orders.len() == 1));
    world.fail_to_start(SECOND);
    world.monitors.insert(FIRST, Monitor::default());
    watched.on(world, Event::Woken);
    watched
}

#[test]
fn a_start_that_has_failed_is_tried_again_when_it_is_due() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let mut watched = one_of_two(&mut world);
    let mut before = Duration::ZERO;
    for id in 2..20 {
        assert_eq!(world.scheduler.starting, 0, "it would lack the same again");
        let (due, alarm) = watched.state.alarm().expect("a task waits");
        assert_eq!(alarm, Alarm::StartAgain);
        let pause = due - world.now();
        assert!(pause + LATE >= before && pause <= Duration::from_secs(5), "{pause:?} after {before:?}");
        before = pause;
        world.advance(pause + LATE);
        let clock = world.clock();
        assert!(watched.on(&mut world, Event::TimePassed { clock }).is_empty());
        assert_eq!(world.scheduler.starting, 1);
        assert!(watched.state.alarm().is_none(), "it is being tried");
        assert_eq!(world.fail_to_start(WorkerId(id)), 0);
        watched.on(&mut world, Event::Woken);
    }
    assert!(before + LATE >= Duration::from_secs(5));
}

#[test]
fn no_monitor_wakes_to_start_a_worker_that_no_task_waits_for() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let mut watched = one_of_two(&mut world);
    assert!(watched.state.alarm().is_some());
    let waiting = world.scheduler.take_queue();
    assert_eq!(waiting.len(), 1);
    watched.on(&mut world, Event::Woken);
    assert!(watched.state.alarm().is_none());
    // The next one is to be noticed, although no worker is idle.
    std::mem::take(&mut world.monitors.get_mut(&FIRST).unwrap().rung);
    world.submit_task();
    assert!(world.monitors[&FIRST].rung);
    watched.on(&mut world, Event::Woken);
    assert!(watched.state.alarm().is_some());
}

#[test]
fn a_task_that_was_sent_behind_another_waits_for_a_worker_as_well() {
    let mut fixture = fixture();
    let mut world = world_of(2, None, &mut fixture);
    let mut watched = one_of_two(&mut world);
    // Its tasks are usually short, so that one is sent ahead. But this one may take any time.
    world.decide(|scheduler, _| scheduler.observe(FIRST, 100, Duration::from_micros(100)));
    let actions = watched.on(&mut world, Event::Woken);
    assert!(matches!(&actions[..], [Action::Send(orders)] if orders.len() == 1));
    assert_eq!((world.scheduler.waiting(), world.scheduler.starting), (0, 0));
    assert!(matches!(watched.wait(&mut world), (Alarm::StartAgain, actions) if actions.is_empty()));
    assert_eq!(world.scheduler.starting, 1);
    world.make_ready(WorkerId(2));
    assert_eq!(world.refill(WorkerId(2)).1.len(), 1, "it takes it");
    watched.on(&mut world, Event::Woken);
    assert!(watched.state.alarm().is_none());
}
