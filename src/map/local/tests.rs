use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::LocalItems;
use crate::error::{Error, Outcome};
use crate::fork;
use crate::map::range::Collect;
use crate::map::runs::Order;
use crate::map::source::SharedItems;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::roles::TaskOwner;
use crate::task::{Ran, Runnable};
use crate::ticket::{Ticket, Tickets};

/// A pool whose only thread is the test's. It keeps the map workers that were sent.
#[derive(Default)]
struct TestOwner {
    sent: Mutex<Vec<Arc<dyn Runnable>>>,
    tickets: Tickets,
    completed: AtomicU64,
}

impl TaskOwner for TestOwner {}

impl Sharing for TestOwner {
    fn admit(&self) -> Result<Ticket, Error> {
        Ok(self.tickets.now())
    }
    fn has_earlier(&self, _: Ticket) -> bool {
        false
    }
    fn push(&self, task: Arc<dyn Runnable>, _: Ticket) {
        self.sent.lock().unwrap().push(task);
    }
    fn enlist(&self, _shared: Weak<dyn Shared>) {}
    fn add(&self, ended: Ended) {
        self.completed.fetch_add(ended.completed, Ordering::SeqCst);
    }
}

impl TestOwner {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn waiting(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Runs the oldest map worker here until it finds nothing more. Returns `true` if there was one.
    fn work(&self) -> bool {
        let worker = {
            let mut sent = self.sent.lock().unwrap();
            (!sent.is_empty()).then(|| sent.remove(0))
        };
        let ran = worker.map(|worker| worker.run(Arc::clone(&worker), None));
        // Its items are counted, the worker itself is not.
        assert!(matches!(ran, None | Some(Ran::Uncounted | Ran::Skipped)));
        ran.is_some()
    }
}

/// The items that map workers have run, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u32>>>);

impl Log {
    fn note(&self, n: u32) -> Outcome<u32> {
        self.0.lock().unwrap().push(n);
        Ok(n)
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Makes a map whose items are logged.
fn noting() -> (Arc<TestOwner>, Log, Arc<LocalItems<u32, u32>>) {
    let (owner, log) = (TestOwner::new(), Log::default());
    let seen = log.clone();
    let shared = shared(&owner, move |n| seen.note(n));
    (owner, log, shared)
}

/// As `noting`, but item 0 runs the next map worker before it is logged.
fn interrupted() -> (Arc<TestOwner>, Log, Arc<LocalItems<u32, u32>>) {
    let (owner, log) = (TestOwner::new(), Log::default());
    let (there, seen) = (Arc::clone(&owner), log.clone());
    let shared = shared(&owner, move |n| {
        if n == 0 {
            there.work();
        }
        seen.note(n)
    });
    (owner, log, shared)
}

fn shared(
    owner: &Arc<TestOwner>,
    function: impl Fn(u32) -> Outcome<u32> + Send + Sync + 'static,
) -> Arc<LocalItems<u32, u32>> {
    LocalItems::new(Arc::clone(owner) as _, None, function)
}

/// Hands the items over as one range.
fn hand_over(shared: &LocalItems<u32, u32>, items: impl IntoIterator<Item = u32>) -> Box<dyn Collect<u32>> {
    let (range, follow_up) = shared.take_in(items.into_iter().collect(), Ticket::default());
    follow_up();
    range
}

/// Adds items that are held back for the map worker that is coming.
fn hold_back(shared: &LocalItems<u32, u32>, items: impl IntoIterator<Item = u32>) {
    for item in items {
        let before = shared.input().count();
        shared.input().add(item, shared, fork::generation());
        assert_eq!(shared.input().count(), before + 1);
    }
}

#[test]
fn a_map_worker_is_on_its_way_while_an_item_is_left() {
    let (owner, log, shared) = interrupted();
    let _range = hand_over(&shared, 0..3);
    assert_eq!(owner.waiting(), 1);
    assert!(owner.work());
    assert_eq!(log.take(), [1, 2, 0]);
    assert_eq!(owner.completed.load(Ordering::SeqCst), 3);
    while owner.work() {}
    assert!(log.take().is_empty());
}

#[test]
fn a_map_worker_continues_the_range_of_another_one() {
    let (owner, log, shared) = interrupted();
    let _range = hand_over(&shared, [0, 1, 2]);
    let _range = hand_over(&shared, [3, 4]);
    assert!(owner.work());
    assert_eq!(log.take(), [3, 4, 1, 2, 0]);
}

#[test]
fn items_held_back_are_counted_and_can_be_called_off() {
    let (owner, log, shared) = noting();
    let handed_over = hand_over(&shared, [0, 1]);
    hold_back(&shared, [2, 3, 4]);
    // The pool counts the worker that was sent.
    assert_eq!(shared.progress().0, 5 - 1);
    assert_eq!(Shared::call_off(&*shared, &Error::Cancelled), 5);
    while owner.work() {}
    assert!(log.take().is_empty());
    assert_eq!(shared.progress().0, 0);
    let mut outcomes = [handed_over].into_iter().chain(shared.input().ranges()).flat_map(|mut range| {
        let mut outcomes = range.take(Order::Input).unwrap().outcomes;
        std::iter::from_fn(move || outcomes.pop())
    });
    assert!(outcomes.by_ref().take(5).all(|outcome| matches!(outcome, Err(Error::Cancelled))));
    assert!(outcomes.next().is_none());
}

#[test]
fn items_left_to_a_cancelled_map_worker_are_handed_over() {
    let owner = TestOwner::new();
    let shared = shared(&owner, Ok);
    let _range = hand_over(&shared, [0]);
    hold_back(&shared, [1]);
    assert_eq!((owner.waiting(), shared.input().count()), (1, 1));
    let coming = owner.sent.lock().unwrap().remove(0);
    coming.cancel();
    assert_eq!((owner.waiting(), shared.input().count()), (1, 0), "another map worker is sent for the item");
}

#[test]
fn a_map_worker_takes_items_held_back_before_it_leaves() {
    let (owner, log, shared) = noting();
    let _range = hand_over(&shared, [0]);
    hold_back(&shared, [1, 2]);
    assert!(owner.work());
    assert_eq!(log.take(), [0, 1, 2]);
}

#[test]
fn items_are_held_back_while_a_map_worker_is_on_its_way() {
    let owner = TestOwner::new();
    let shared = shared(&owner, Ok);
    assert!(!shared.may_hold_back());
    let _range = hand_over(&shared, [0, 1]);
    assert!(shared.may_hold_back());
    while owner.work() {}
    assert!(!shared.may_hold_back(), "the map worker has come and left");
}

#[test]
fn items_pulled_after_a_submit_are_in_their_own_range() {
    let owner = TestOwner::new();
    let shared = shared(&owner, Ok);
    let _range = hand_over(&shared, [0]);
    hold_back(&shared, [1, 2]);
    owner.tickets.next();
    shared.input().add(3, &*shared, fork::generation());
    assert_eq!(shared.input().count(), 1, "only the item behind the task is held back");
    assert_eq!(shared.input().ranges().iter().map(|range| range.left()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_dropped_map_drops_every_item_it_has_pulled() {
    let (owner, log, shared) = noting();
    let _range = hand_over(&shared, [0]);
    hold_back(&shared, [1, 2]);
    shared.input().clear();
    shared.dismiss();
    while owner.work() {}
    assert!(log.take().is_empty());
}
