//! Time limits and aborts: the future is done at once, the worker when the function returns.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, MapOptions, Outcome, State, TaskOptions, ThreadPoolExecutor, task,
};

use super::support::*;
use crate::support::Forwarding;

/// A task past its limit that goes on until the gate opens, and what its context says.
fn overdue(
    threads: &ThreadPoolExecutor,
    limit: Duration,
    gate: &Gate,
) -> (Future<Token>, Receiver<task::TaskContext>, Drops) {
    let (drops, gate, (started, wait_for_start)) = (Drops::default(), gate.clone(), channel());
    let result = drops.token();
    let future = threads.with(TaskOptions::new().time_limit(limit)).spawn(move || {
        let _ = started.send(task::current().unwrap());
        gate.pass();
        result
    });
    (future, wait_for_start, drops)
}

#[test]
fn a_task_past_its_limit_is_done_at_once_and_its_worker_stays_busy() {
    within(LONG, || {
        let (threads, gate, limit) = (ThreadPoolExecutor::new(1), Gate::default(), Duration::from_millis(10));
        let (late, context, drops) = overdue(&threads, limit, &gate);
        let (report, reported) = channel();
        late.add_done_callback(move |outcome| report.send(outcome.as_ref().err().cloned()).unwrap());
        match late.error() {
            Some(ref error @ Error::TimeLimit(ref details)) => {
                assert_eq!(details.limit(), limit);
                assert!(error.to_string().contains("10ms"), "{error}");
            }
            other => panic!("in time: {other:?}"),
        }
        assert!(matches!(soon(&reported), Some(Error::TimeLimit(_))));
        assert_eq!(late.state(), State::Finished);
        let context = soon(&context);
        assert!(context.is_aborted());
        assert_eq!(context.id(), late.id());
        // The function has not returned: its worker is busy, what it holds is alive.
        assert_eq!((threads.stats().running, drops.alive()), (1, 1));
        let next = threads.spawn(|| ());
        assert_eq!(next.state(), State::Pending);
        assert!(!late.abort() && !late.cancel());
        gate.open();
        next.result().unwrap();
        assert_eq!(drops.alive(), 0);
        assert!(matches!(late.result(), Err(Error::TimeLimit(_))));
        assert!(reported.recv().is_err(), "called back twice");
        threads.shutdown();
        assert_eq!((threads.stats().completed, threads.stats().failed), (1, 1));
    });
}

#[test]
fn a_limit_counts_from_the_start() {
    within(LONG, || {
        let (threads, gate, limit) = (ThreadPoolExecutor::new(1), Gate::default(), Duration::from_millis(10));
        let busy = occupy_at(&threads, &gate);
        let (queued, context, _) = overdue(&threads, limit, &gate);
        // Five times the limit passes, as another executor's clock says.
        let (other, (late, ..)) = {
            let other = ThreadPoolExecutor::new(1);
            let late = overdue(&other, 5 * limit, &gate);
            (other, late)
        };
        assert!(matches!(late.error(), Some(Error::TimeLimit(_))));
        assert_eq!(queued.state(), State::Pending);
        gate.open();
        soon(&context);
        busy.result().unwrap();
        other.shutdown();
    });
}

#[test]
fn a_limit_holds_when_another_worker_has_left() {
    within(LONG, || {
        let (initializer, ended) = thread_ends();
        let builder = ThreadPoolExecutor::builder().max_workers(2).keep_alive(Duration::from_millis(1));
        let (threads, gate) = (builder.initializer(initializer).build().unwrap(), Gate::default());
        let (late, context, _census) = overdue(&threads, Duration::from_millis(300), &gate);
        soon(&context);
        threads.spawn(|| ()).result().unwrap();
        soon(&ended);
        assert!(matches!(late.result(), Err(Error::TimeLimit(_))));
        gate.open();
    });
}

#[test]
fn each_task_has_its_own_limit() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(4), Gate::default());
        let limits = [30, 10, 20, 3_600_000].map(Duration::from_millis);
        let mut tasks: Vec<_> = limits.iter().map(|&limit| overdue(&threads, limit, &gate).0).collect();
        let patient = tasks.pop().unwrap();
        for (limit, late) in limits.into_iter().zip(tasks) {
            match late.result() {
                Err(Error::TimeLimit(details)) => assert_eq!(details.limit(), limit),
                other => panic!("in time: {:?}", other.err()),
            }
        }
        assert!(patient.is_running());
        gate.open();
        assert!(patient.result().is_ok());
        let endless = threads.with(TaskOptions::new().time_limit(Duration::MAX));
        assert_eq!(endless.spawn(|| 1).result().unwrap(), 1);
    });
}

/// Says when its drop or its wake begins, and takes until the gate opens.
struct Slow(Sender<()>, Gate);

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
        self.1.pass();
    }
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        // Its drop is.
    }
}

#[test]
fn callbacks_of_an_expired_task_delay_no_other_limit() {
    within(LONG, || {
        let (threads, hold, gate) = (ThreadPoolExecutor::new(5), Gate::default(), Gate::default());
        let (begins, has_begun) = channel();
        let slow = || Slow(begins.clone(), hold.clone());
        let late = || overdue(&threads, Duration::from_millis(10), &gate).0;
        // None of them starts before all has been added to it.
        let begin = Gate::default();
        let busy: Vec<_> = (0..5).map(|_| occupy_at(&threads, &begin)).collect();
        let (called, dropped, awaited) = (late(), late(), late());
        let (calls, drops) = (slow(), slow());
        called.add_done_callback(move |_| drop(calls));
        dropped.add_done_callback(move |_| drop(drops));
        dropped.detach();
        let mut awaiting = Box::pin(awaited.into_future());
        let waker = Waker::from(Arc::new(slow()));
        assert!(std::future::Future::poll(awaiting.as_mut(), &mut Context::from_waker(&waker)).is_pending());
        // The task's is the last.
        drop(waker);
        begin.open();
        for _ in 0..3 {
            soon(&has_begun);
        }
        for _ in 0..2 {
            assert!(matches!(late().result(), Err(Error::TimeLimit(_))));
        }
        assert!(!called.is_done(), "it is being told of its end");
        hold.open();
        assert!(matches!(called.result(), Err(Error::TimeLimit(_))));
        gate.open();
        busy.into_iter().for_each(|busy| busy.result().unwrap());
    });
}

#[test]
fn callbacks_of_an_expired_task_end_before_their_executor() {
    within(LONG, || {
        let (threads, gate, calls) = (Arc::new(ThreadPoolExecutor::new(1)), Gate::default(), channel());
        let begin = Gate::default();
        let busy = occupy_at(&threads, &begin);
        let late = overdue(&threads, Duration::from_millis(10), &gate).0;
        let own = Arc::clone(&threads);
        let pass = gate.clone();
        late.add_done_callback(move |_| {
            // It is one of its threads: it does not wait for itself, nor for what it has submitted.
            assert!(!own.join(None));
            let blocked = own.spawn(move || pass.pass());
            let waits = panic::catch_unwind(panic::AssertUnwindSafe(|| blocked.wait()));
            calls.0.send(waits.is_err()).unwrap();
        });
        begin.open();
        busy.result().unwrap();
        assert!(matches!(late.result(), Err(Error::TimeLimit(_))));
        gate.open();
        Arc::into_inner(threads).expect("the callback is gone").shutdown();
        assert!(calls.1.try_recv().unwrap(), "a callback must not wait");
    });
}

#[test]
fn a_limit_holds_for_each_item_of_a_map() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(3), Gate::default());
        let limited = threads
            .with(TaskOptions::new().time_limit(Duration::from_millis(20)))
            .with(MapOptions::new().chunk_size(3));
        let hold = gate.clone();
        let wait_if = move |late: bool| {
            if late {
                hold.pass()
            }
        };
        let outcomes: Vec<_> = limited.map(wait_if, [true, true]).collect();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::TimeLimit(_)))));
        gate.open();
    });
}

#[test]
fn a_spare_worker_does_not_outlive_a_waiter_past_its_limit() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (own, gate) = (Arc::clone(&threads), Gate::default());
        let hold = gate.clone();
        let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(10)));
        let late = limited.spawn(move || own.spawn(move || hold.pass()).result());
        assert!(matches!(late.error(), Some(Error::TimeLimit(_))));
        gate.open();
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
        threads.shutdown();
        assert_eq!((threads.stats().workers, threads.stats().completed), (0, 2));
    });
}

#[test]
fn abort_cancels_a_pending_task() {
    within(LONG, || {
        let (threads, gate, drops) = (ThreadPoolExecutor::new(1), Gate::default(), Drops::default());
        let busy = occupy_at(&threads, &gate);
        let token = drops.token();
        let pending = threads.spawn(move || drop(token));
        assert!(pending.abort() && pending.abort() && pending.cancel());
        assert_eq!((pending.state(), drops.alive(), threads.stats().pending), (State::Cancelled, 0, 0));
        gate.open();
        busy.result().unwrap();
    });
}

#[test]
fn abort_of_a_running_task_returns_at_once_and_its_worker_stays_busy() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let (running, context, drops) = overdue(&threads, LONG, &gate);
        let context = soon(&context);
        assert!(!context.is_aborted());
        assert!(!running.cancel());
        let (report, reported) = channel();
        running.add_done_callback(move |_| report.send(thread::current().id()).unwrap());
        assert!(running.abort());
        assert!(context.is_aborted());
        // Callbacks ran here, and before abort returned.
        assert_eq!(reported.try_recv().unwrap(), thread::current().id());
        assert_eq!(running.state(), State::Cancelled);
        assert!(running.abort() && running.cancel());
        assert_eq!((threads.stats().running, drops.alive()), (1, 1));
        let next = threads.spawn(|| ());
        assert_eq!(next.state(), State::Pending);
        gate.open();
        next.result().unwrap();
        assert_eq!(drops.alive(), 0);
        assert!(matches!(running.result(), Err(Error::Cancelled)));
    });
}

#[test]
fn abort_of_a_done_task_changes_nothing() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let done = threads.spawn(|| 4);
        done.wait();
        assert!(!done.abort() && !done.cancel());
        assert_eq!(done.result().unwrap(), 4);
    });
}

#[test]
fn a_claimed_task_can_be_aborted_under_its_waiter() {
    within(LONG, || {
        let (threads, gate, (hand_over, handed_over)) =
            (Arc::new(ThreadPoolExecutor::new(1)), Gate::default(), channel());
        let (own, hold) = (Arc::clone(&threads), gate.clone());
        let outer = threads.spawn(move || {
            let (started, wait_for_start) = (hand_over.clone(), gate.clone());
            let inner = own.spawn(move || {
                started.send(None).unwrap();
                wait_for_start.pass();
                task::current().unwrap().is_aborted()
            });
            let inner = inner.share();
            hand_over.send(Some(inner.clone())).unwrap();
            (inner.result().copied(), task::current().unwrap().is_aborted())
        });
        let inner = soon(&handed_over).expect("the inner future");
        assert!(soon(&handed_over).is_none());
        assert!(inner.abort());
        hold.open();
        let (inner, outer_aborted) = outer.result().unwrap();
        assert!(matches!(inner, Err(Error::Cancelled)));
        assert!(!outer_aborted);
    });
}

#[test]
fn abort_and_the_end_of_a_task_agree() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let (calls, drops) = (Arc::new(AtomicUsize::new(0)), Drops::default());
        const ROUNDS: usize = 3000;
        for round in 0..ROUNDS {
            let token = drops.token();
            let limited = TaskOptions::new().time_limit(Duration::from_nanos(1 + (round as u64 % 7) * 2000));
            let future =
                if round % 2 == 0 { threads.spawn(move || token) } else { threads.with(limited).spawn(move || token) };
            let count = Arc::clone(&calls);
            future.add_done_callback(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            if round % 3 == 0 {
                thread::yield_now();
            }
            let aborted = future.abort();
            let outcome = future.result();
            assert_eq!(aborted, matches!(outcome, Err(Error::Cancelled)));
            assert!(matches!(outcome, Ok(_) | Err(Error::Cancelled | Error::TimeLimit(_))));
        }
        threads.shutdown();
        assert_eq!((calls.load(Ordering::SeqCst), drops.alive()), (ROUNDS, 0));
    });
}

#[test]
fn many_may_abort_and_cancel_the_same_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let (barrier, calls) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
        for round in 1..=200 {
            let future = Arc::new(threads.spawn(thread::yield_now));
            let count = Arc::clone(&calls);
            future.add_done_callback(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            let others: Vec<_> = [Future::abort, Future::cancel]
                .into_iter()
                .map(|end: fn(&Future<()>) -> bool| {
                    let (future, barrier) = (Arc::clone(&future), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        end(&future)
                    })
                })
                .collect();
            barrier.wait();
            let ended: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
            future.wait();
            assert_eq!(ended.contains(&true), future.is_cancelled());
            assert_eq!(calls.load(Ordering::SeqCst), round);
        }
    });
}

#[test]
fn the_limit_of_a_pool_holds_for_every_kind_of_task() {
    const LIMIT: Duration = Duration::from_millis(30);
    fn held(gate: &Gate) -> impl Fn() + Clone + Send + Sync + 'static {
        let gate = gate.clone();
        move || gate.pass()
    }
    #[track_caller]
    fn is_limited<T: std::fmt::Debug>(outcome: Outcome<T>, limit: Duration) {
        match outcome {
            Err(Error::TimeLimit(late)) => assert_eq!(late.limit(), limit),
            other => panic!("not late: {other:?}"),
        }
    }
    fn spin(_: u8) {
        while !task::current().is_some_and(|task| task.is_aborted()) {
            thread::yield_now();
        }
    }
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(20).time_limit(LIMIT).build().unwrap();
        let gate = Gate::default();
        let hold = held(&gate);
        is_limited(threads.spawn(hold.clone()).result(), LIMIT);
        let (again, item) = (hold.clone(), hold.clone());
        is_limited(threads.submit(move |()| again(), ()).result(), LIMIT);
        threads.map(move |_| item(), 0..3).for_each(|outcome| is_limited(outcome, LIMIT));
        let item = hold.clone();
        let chunks = threads.with(MapOptions::new().chunk_size(3));
        chunks.map_unordered(move |_| item(), 0..3).for_each(|(_, outcome)| is_limited(outcome, LIMIT));
        let borrowed = &gate;
        threads.scope(|scope| {
            is_limited(scope.spawn(|| borrowed.pass()).result(), LIMIT);
            borrowed.open();
        });
        // The sooner one, whosever it is.
        let sooner = threads.with(TaskOptions::new().time_limit(LIMIT / 2));
        is_limited(Executor::submit(&sooner, spin, 0).result(), LIMIT / 2);
        is_limited(Executor::submit(&threads.with(TaskOptions::new().time_limit(LONG)), spin, 0).result(), LIMIT);
        let around = Forwarding(threads);
        is_limited(around.submit(spin, 0).result(), LIMIT);
        around.map(spin, [0, 0]).for_each(|outcome| is_limited(outcome, LIMIT));
        assert_eq!(around.submit(|n: u8| n + 1, 1).result().unwrap(), 2);
    });
}

/// What waits for a task with a limit does not run it, so that a worker has to be there for it.
#[test]
fn tasks_of_a_pool_with_a_limit_may_wait_for_each_other() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(1).time_limit(LONG).build().unwrap());
        let inside = Arc::clone(&threads);
        let sum = threads.spawn(move || {
            let one = inside.spawn(|| 1).result().unwrap();
            let more: u32 = inside.map(|n: u32| n, [2, 3]).map(Result::unwrap).sum();
            one + more + inside.scope(|scope| scope.spawn(|| 4).result()).unwrap()
        });
        assert_eq!(sum.result().unwrap(), 10);
    });
}

#[test]
fn a_limit_of_zero_is_refused() {
    let error = ThreadPoolExecutor::builder().time_limit(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.to_string(), "time_limit must be longer than zero, not 0ns");
}
