use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};
use std::thread;

use super::queue::{Action, Queue};
use super::{Counts, Pool, Settings};
use crate::error::{Broken, Error};
use crate::task::call::LocalCall;
use crate::task::owner::tests::Nothing;
use crate::task::owner::{Ended, Sharing};
use crate::task::roles::{BlockReason, Claim, TaskOwner};
use crate::task::{Ran, Runnable, TaskHandle, new_task};
use crate::ticket::{Ticket, Tickets};

fn settings(max_workers: usize) -> Settings {
    let prefix = "pool".to_owned();
    Settings {
        max_workers,
        prefix,
        initializer: None,
        stack_size: None,
        keep_alive: None,
        max_pending: None,
        time_limit: None,
    }
}

fn task(pool: &Arc<Pool>) -> Arc<dyn TaskHandle<()>> {
    new_task(Some(LocalCall(|| Ok(()))), None, pool.as_owner())
}

#[test]
fn a_surplus_sleeping_worker_is_told_to_leave() {
    let pool = Pool::new(settings(1));
    let counts = || {
        let queue = pool.queue.lock();
        (queue.idle, queue.permits)
    };
    for (workers, idle, told) in [(2, 1, 1), (2, 0, 0), (1, 1, 0), (1, 0, 0)] {
        pool.block(BlockReason::Worker);
        {
            let mut queue = pool.queue.lock();
            (queue.workers, queue.idle, queue.permits) = (workers, idle, 0);
        }
        pool.unblock(BlockReason::Worker);
        assert_eq!(counts(), (idle - told, told), "{workers} workers, {idle} idle");
    }
}

#[test]
fn no_worker_is_woken_while_one_is_on_its_way() {
    let pool = Pool::new(settings(1));
    let queue = || {
        let mut queue = Queue { idle: 1, workers: 1, max_workers: 2, ..Queue::default() };
        queue.insert(Ticket::default(), task(&pool) as _);
        queue
    };
    assert!(matches!(queue().decide(), Action::Notify));
    assert!(matches!(Queue { permits: 1, ..queue() }.decide(), Action::Nothing));
    assert!(matches!(Queue { searching: true, ..queue() }.decide(), Action::Nothing));
    assert!(matches!(Queue { idle: 0, ..queue() }.decide(), Action::Start(..)));
    assert!(matches!(Queue { idle: 0, workers: 2, ..queue() }.decide(), Action::Nothing));
    assert!(matches!(Queue { coming: 1, ..queue() }.decide(), Action::Notify), "an idle worker is woken first");
    assert!(matches!(Queue { idle: 0, coming: 1, ..queue() }.decide(), Action::Nothing));
    assert!(
        matches!(Queue { idle: 0, dead: 1, ..queue() }.decide(), Action::Nothing),
        "a new worker would find no task"
    );
}

#[test]
fn hastened_tasks_come_first_and_the_last_one_before_them() {
    let pool = Pool::new(settings(1));
    let tasks: Vec<Arc<dyn Runnable>> = (0..20).map(|_| task(&pool) as _).collect();
    let mut queue = Queue { workers: 1, max_workers: 1, ..Queue::default() };
    let tickets = Tickets::default();
    tasks.iter().for_each(|task| queue.insert(tickets.next(), Arc::clone(task)));
    let mut popped = vec![queue.pop().unwrap()];
    // One that is in the front, and two behind it.
    for n in [3, 15, 18] {
        assert!(queue.hasten(Arc::clone(&tasks[n])).is_empty());
    }
    assert_eq!((queue.earliest(), queue.dead), (Ticket::FIRST, 3));
    popped.extend(std::iter::from_fn(|| queue.pop()));
    let place = |task: &Arc<dyn Runnable>| tasks.iter().position(|other| Arc::ptr_eq(task, other)).unwrap();
    let expected = [0, 18, 15, 3].into_iter().chain(1..20);
    assert!(popped.iter().map(place).eq(expected), "their first entries are where they were");
}

#[test]
fn entries_of_hastened_tasks_do_not_pile_up() {
    let pool = Pool::new(settings(1));
    let hasten = |task: &Arc<dyn TaskHandle<()>>| TaskOwner::hasten(&*pool, Arc::clone(task) as _);
    let push = |task: &Arc<dyn TaskHandle<()>>| {
        let mut queue = pool.queue.lock();
        queue.pending += 1;
        queue.insert(pool.tickets.next_locked(), Arc::clone(task) as _);
    };
    let tasks: Vec<_> = (0..1000).map(|_| task(&pool)).collect();
    for task in &tasks {
        push(task);
        hasten(task);
        // As if it was cancelled, which leaves both entries.
        assert!(task.cancel());
        let queue = pool.queue.lock();
        assert!(queue.hastened.len() + queue.tasks.len() < 500, "{} + {}", queue.hastened.len(), queue.tasks.len());
        assert_eq!(queue.dead.cast_unsigned(), queue.hastened.len() + queue.tasks.len());
        assert_eq!(queue.pending, 0);
    }
    let owner: Arc<dyn TaskOwner> = Arc::clone(&pool) as _;
    let tasks: Vec<_> = (0..1000).map(|_| task(&pool)).collect();
    for task in &tasks {
        push(task);
        hasten(task);
        // By the worker that waits for it, which removes its first entry, since that is the newest.
        assert!(task.claim(Arc::clone(task) as _, &owner) == Claim::Done);
    }
    let queue = pool.queue.lock();
    assert!(queue.hastened.len() + queue.tasks.len() < 500, "{} + {}", queue.hastened.len(), queue.tasks.len());
}

#[test]
fn a_closed_pool_ends_with_its_last_worker() {
    let broken = || Some(Error::Broken(Broken::new("a test")));
    for (workers, closed, broken, is_last) in [
        (0, false, None, false),
        (1, true, None, false),
        (1, false, broken(), false),
        (0, true, None, true),
        (0, false, broken(), true),
        (0, true, broken(), true),
    ] {
        assert_eq!(Queue { workers, closed, broken, ..Queue::default() }.is_last(), is_last);
    }
}

#[test]
fn each_end_of_a_task_is_counted() {
    for (ran, ended) in
        [(Ran::Skipped, (0, 0)), (Ran::Completed, (1, 0)), (Ran::Failed, (0, 1)), (Ran::Uncounted, (0, 0))]
    {
        let counts = Counts::default();
        counts.count(ran);
        let Ended { completed, failed } = counts.ended();
        assert_eq!((completed, failed), ended, "{ran:?}");
    }
}

#[test]
fn tasks_in_the_front_are_first_and_need_a_thread() {
    let pool = Pool::new(settings(1));
    let tasks: Vec<Arc<dyn Runnable>> = (0..20).map(|_| task(&pool) as _).collect();
    let mut queue = Queue { workers: 1, max_workers: 2, ..Queue::default() };
    let tickets = Tickets::default();
    tasks.iter().for_each(|task| queue.insert(tickets.next(), Arc::clone(task)));
    let mut popped = vec![queue.pop().unwrap()];
    assert_eq!((queue.front.len(), queue.tasks.len(), queue.pending), (11, 8, -11));
    assert_eq!(queue.earliest(), queue.front_tickets.0);
    // One is taken without the lock, and one with it.
    popped.extend([queue.front.take().unwrap(), queue.pop().unwrap()]);
    queue.tasks.take_all();
    assert!(matches!(queue.decide(), Action::Start(..)), "nothing else is queued");
    // Items of a map that were pulled before these tasks come first.
    queue.insert(Ticket::FIRST, task(&pool));
    assert_eq!((queue.front.len(), queue.tasks.len(), queue.earliest()), (0, 10, Ticket::FIRST));
    queue.pop();
    popped.extend(queue.take_all());
    assert!(popped.iter().zip(&tasks).all(|(popped, task)| Arc::ptr_eq(popped, task)) && popped.len() == 12);
}

#[test]
fn a_dead_entry_is_uncounted_before_the_next_task() {
    let pool = Pool::new(settings(1));
    {
        let mut queue = pool.queue.lock();
        (queue.workers, queue.running, queue.dead) = (1, 1, 1);
        (0..20).for_each(|_| queue.insert(pool.tickets.next_locked(), task(&pool) as _));
        queue.pop();
    }
    let counts = || {
        let queue = pool.queue.lock();
        (queue.dead, queue.front.len())
    };
    let ended = Counts::default();
    assert!(pool.next(0, Some(Ran::Completed), &ended).is_some());
    assert_eq!(counts(), (1, 10), "from the front, without the lock");
    assert!(pool.next(0, Some(Ran::Skipped), &ended).is_some());
    assert_eq!(counts(), (0, 9));
}

#[test]
fn a_task_is_counted_once_at_any_time() {
    let pool = Pool::new(settings(1));
    let counts = Arc::new(Counts::default());
    {
        let mut queue = pool.queue.lock();
        queue.workers = 1;
        queue.counts.insert(0, Arc::clone(&counts));
        (0..40).for_each(|_| queue.insert(pool.tickets.next_locked(), task(&pool) as _));
        queue.pending = 40;
    }
    let mut ran = None;
    for n in 0..40 {
        let task: Arc<dyn Runnable> = pool.next(0, ran, &counts).unwrap();
        // Not each time, because these numbers empty the front.
        let all = || {
            let stats = pool.stats();
            (stats.pending, stats.running, stats.completed)
        };
        assert!(n % 4 != 0 || all() == (39 - n, 1, n as u64), "{:?} after {n}", all());
        ran = Some(task.run(Arc::clone(&task), None));
        assert!(n % 4 != 2 || all() == (39 - n, 1, n as u64), "{:?} after {n}, which has run", all());
    }
}

#[test]
fn tasks_are_refused_if_no_worker_can_be_started() {
    for (awake, is_left) in [(0, false), (1, true)] {
        // No address space is that large, however wide addresses are.
        let most = usize::MAX - usize::MAX / 16;
        let pool = Pool::new(Settings { stack_size: Some(most), ..settings(1) });
        let task = task(&pool);
        {
            let mut queue = pool.queue.lock();
            queue.insert(Ticket::default(), Arc::clone(&task) as _);
            (queue.blocked, queue.waiting, queue.pending) = (1, 2, 1);
            // Including the worker that is to be started.
            (queue.workers, queue.starting, queue.coming) = (3 + awake + 1, 1, 1);
        }
        pool.start(0, Arc::default());
        assert_eq!(task.is_waiting(), is_left);
        let queue = pool.queue.lock();
        assert_eq!((queue.tasks.len(), queue.workers), (usize::from(is_left), 3 + awake));
        assert_eq!((queue.starting, queue.coming), (0, 0));
    }
}

#[test]
fn refused_tasks_leave_no_count_behind() {
    let pool = Pool::new(settings(1));
    let [dead, alive, other] = [task(&pool), task(&pool), task(&pool)];
    {
        let mut queue = pool.queue.lock();
        let tasks: [Arc<dyn Runnable>; 3] = [Arc::clone(&dead) as _, alive as _, other as _];
        tasks.into_iter().for_each(|task| queue.insert(Ticket::default(), task));
        queue.pending = 3;
    }
    assert!(dead.cancel());
    assert_eq!(pool.queue.lock().dead, 1);
    pool.break_down(Error::Broken(Broken::new("a test")));
    let queue = pool.queue.lock();
    assert_eq!((queue.tasks.len(), queue.dead, queue.pending), (0, 0, 0));
}

#[test]
fn dropped_maps_are_forgotten() {
    let pool = Pool::new(settings(1));
    let alive = Arc::new(Nothing);
    pool.enlist(Arc::downgrade(&alive) as _);
    for _ in 0..3 {
        pool.enlist(Weak::<Nothing>::new() as _);
    }
    assert_eq!(pool.shared().len(), 1);
    assert_eq!(pool.shared.lock().len(), 2, "the live map, and the last dropped one");
}

#[test]
fn an_initializer_whose_drop_panics_does_no_harm() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("boom in a drop");
        }
    }
    let value = PanicsOnDrop;
    let initializer = Box::new(move || {
        let _value = &value;
    });
    drop(Pool::new(Settings { initializer: Some(initializer), ..settings(1) }));
}

#[test]
fn a_thread_that_has_left_is_joined_once_it_has_ended() {
    let pool = Pool::new(settings(1));
    let (hold, held) = channel::<()>();
    let running = thread::spawn(move || held.recv().unwrap_or_default());
    let ended = thread::spawn(|| ());
    // The system does not signal the end of the thread.
    while !ended.is_finished() {
        thread::yield_now();
    }
    let (running_id, ended_id) = (running.thread().id(), ended.thread().id());
    {
        let mut queue = pool.queue.lock();
        queue.leaving.extend([running, ended]);
        // A worker that is coming, and leaves at once.
        (queue.workers, queue.starting, queue.coming, queue.closed) = (1, 1, 1, true);
    }
    pool.start(0, Arc::default());
    let kept: Vec<_> = pool.queue.lock().leaving.iter().map(|handle| handle.thread().id()).collect();
    assert!(kept.contains(&running_id) && !kept.contains(&ended_id));
    drop(hold);
    assert!(pool.join(None));
}
