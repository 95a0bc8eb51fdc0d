use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::LocalItems;
use crate::error::{Error, Outcome};
use crate::map::range::Collect;
use crate::map::runs::Order;
use crate::map::source::SharedItems;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::roles::TaskOwner;
use crate::task::{Ran, Runnable};
use crate::ticket::Ticket;

/// A pool whose threads are the test: it keeps the hands that were sent.
#[derive(Default)]
struct Desk {
    sent: Mutex<Vec<Arc<dyn Runnable>>>,
    workers: AtomicUsize,
    completed: AtomicU64,
}

impl TaskOwner for Desk {}

impl Sharing for Desk {
    fn workers(&self) -> usize {
        self.workers.load(Ordering::SeqCst)
    }
    fn refuses_all(&self) -> Option<Error> {
        None
    }
    fn ticket(&self) -> Ticket {
        Ticket::default()
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

impl Desk {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { workers: AtomicUsize::new(workers), ..Self::default() })
    }

    fn waiting(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Has the oldest hand work here until it finds nothing more. Was there one?
    fn work(&self) -> bool {
        let hand = {
            let mut sent = self.sent.lock().unwrap();
            (!sent.is_empty()).then(|| sent.remove(0))
        };
        let ran = hand.map(|hand| hand.run(Arc::clone(&hand)));
        // Its items count, it does not.
        assert!(matches!(ran, None | Some(Ran::Uncounted | Ran::Skipped)));
        ran.is_some()
    }
}

/// What the hands have done, in order.
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

/// LocalItems that note their items.
fn noting(workers: usize) -> (Arc<Desk>, Log, Arc<LocalItems<u32, u32>>) {
    let (desk, log) = (Desk::new(workers), Log::default());
    let seen = log.clone();
    let hands = hands(&desk, move |n| seen.note(n));
    (desk, log, hands)
}

/// The same, but in item 0, before it is noted, the next hand works.
fn interrupted() -> (Arc<Desk>, Log, Arc<LocalItems<u32, u32>>) {
    let (desk, log) = (Desk::new(2), Log::default());
    let (there, seen) = (Arc::clone(&desk), log.clone());
    let hands = hands(&desk, move |n| {
        if n == 0 {
            there.work();
        }
        seen.note(n)
    });
    (desk, log, hands)
}

fn hands(
    desk: &Arc<Desk>,
    function: impl Fn(u32) -> Outcome<u32> + Send + Sync + 'static,
) -> Arc<LocalItems<u32, u32>> {
    LocalItems::new(Arc::clone(desk) as _, None, function)
}

/// Hands over the items as one range.
fn hand_over(hands: &LocalItems<u32, u32>, items: impl IntoIterator<Item = u32>) -> Box<dyn Collect<u32>> {
    let (range, follow_up) = hands.take_in(items.into_iter().collect());
    follow_up();
    range
}

/// Leaves the items to the workers that are engaged.
fn hold_back(hands: &LocalItems<u32, u32>, items: impl IntoIterator<Item = u32>) {
    for item in items {
        assert!(!hands.input().add(item, usize::MAX, hands));
    }
}

#[test]
fn a_hand_is_on_its_way_while_an_item_is_left() {
    let (desk, log, hands) = interrupted();
    let _range = hand_over(&hands, 0..3);
    assert_eq!(desk.waiting(), 1);
    assert!(desk.work());
    assert_eq!(log.take(), [1, 2, 0]);
    assert_eq!(desk.completed.load(Ordering::SeqCst), 3);
    while desk.work() {}
    assert!(log.take().is_empty());
}

#[test]
fn a_hand_goes_on_with_what_another_has_begun() {
    let (desk, log, hands) = interrupted();
    let _range = hand_over(&hands, [0, 1, 2]);
    let _range = hand_over(&hands, [3, 4]);
    assert!(desk.work());
    assert_eq!(log.take(), [3, 4, 1, 2, 0]);
}

#[test]
fn what_is_held_back_is_there_to_be_counted_and_called_off() {
    let (desk, log, hands) = noting(1);
    let handed_over = hand_over(&hands, [0, 1]);
    hold_back(&hands, [2, 3, 4]);
    // The hand that was sent is counted by the pool.
    assert_eq!(hands.progress().0, 5 - 1);
    let shared: &dyn Shared = &*hands;
    assert_eq!(shared.call_off(&Error::Cancelled), 5);
    while desk.work() {}
    assert!(log.take().is_empty());
    assert_eq!(hands.progress().0, 0);
    let mut outcomes = [handed_over].into_iter().chain(hands.input().ranges()).flat_map(|mut range| {
        let mut outcomes = range.take(Order::Input).unwrap().outcomes;
        std::iter::from_fn(move || outcomes.pop())
    });
    assert!(outcomes.by_ref().take(5).all(|outcome| matches!(outcome, Err(Error::Cancelled))));
    assert!(outcomes.next().is_none());
}

#[test]
fn what_was_left_to_a_hand_that_goes_to_sleep_is_handed_over() {
    let desk = Desk::new(1);
    let hands = hands(&desk, Ok);
    let _range = hand_over(&hands, [0]);
    hold_back(&hands, [1]);
    assert_eq!(hands.input().count(), 1);
    hands.hand_over();
    assert_eq!(hands.input().count(), 0);
    assert_eq!(hands.progress().0, 2 - 1);
}

#[test]
fn a_hand_looks_for_what_was_held_back_before_it_goes() {
    let (desk, log, hands) = noting(1);
    let _range = hand_over(&hands, [0]);
    hold_back(&hands, [1, 2]);
    assert!(desk.work());
    assert_eq!(log.take(), [0, 1, 2]);
}

#[test]
fn items_are_held_back_as_long_as_all_workers_are_engaged() {
    let desk = Desk::new(2);
    let hands = hands(&desk, Ok);
    assert!(!hands.is_engaged());
    let _range = hand_over(&hands, [0, 1]);
    assert!(!hands.is_engaged(), "one of two");
    desk.workers.store(1, Ordering::SeqCst);
    assert!(hands.is_engaged());
    while desk.work() {}
    assert!(!hands.is_engaged(), "it has gone");
}

#[test]
fn nothing_that_was_pulled_is_left_when_nobody_wants_more() {
    let (desk, log, hands) = noting(1);
    let _range = hand_over(&hands, [0]);
    hold_back(&hands, [1, 2]);
    hands.input().clear();
    hands.dismiss();
    while desk.work() {}
    assert!(log.take().is_empty());
}
