//! The queue: its order, its bound, its numbers.

use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use concurrent_futures::{
    Backend, Error, Executor, Future, Outcome, ReturnWhen, TaskOptions, ThreadPoolExecutor, wait,
};

use super::support::*;

fn bounded(max_workers: usize, max_pending: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::builder().max_workers(max_workers).max_pending(max_pending).build().unwrap())
}

/// An executor of one worker that is busy, with a queue of one that is full, and a thread that wants to submit.
struct FullQueue {
    threads: Arc<ThreadPoolExecutor>,
    gate: Gate,
    running: Future<()>,
    pending: Option<Future<u32>>,
    submitter: JoinHandle<Outcome<u32>>,
    submitted: Receiver<()>,
}

fn full() -> FullQueue {
    let (threads, gate) = (bounded(1, 1), Gate::default());
    let running = occupy_at(&threads, &gate);
    let pending = threads.spawn(|| 1);
    let ((about_to, wait_for_it), (submitting, submitted)) = (channel(), channel());
    let executor = Arc::clone(&threads);
    let submitter = thread::spawn(move || {
        about_to.send(()).unwrap();
        let future = executor.spawn(|| 2);
        submitting.send(()).unwrap();
        future.result()
    });
    soon(&wait_for_it);
    // Only more of a chance that the submitter is asleep by now: nothing below depends on it.
    (0..100).for_each(|_| thread::yield_now());
    assert!(submitted.try_recv().is_err(), "submit did not wait for room");
    assert_eq!(threads.stats().pending, 1);
    FullQueue { threads, gate, running, pending: Some(pending), submitter, submitted }
}

#[test]
fn a_start_makes_room() {
    within(LONG, || {
        let full = full();
        full.gate.open();
        soon(&full.submitted);
        assert_eq!(full.submitter.join().unwrap().unwrap(), 2);
        assert_eq!(full.pending.unwrap().result().unwrap(), 1);
        full.running.result().unwrap();
    });
}

#[test]
fn a_cancelled_task_makes_room_at_once() {
    within(LONG, || {
        let full = full();
        assert!(full.pending.unwrap().cancel());
        soon(&full.submitted);
        assert!(full.running.is_running());
        assert_eq!(full.threads.stats().pending, 1);
        full.gate.open();
        assert_eq!(full.submitter.join().unwrap().unwrap(), 2);
    });
}

#[test]
fn cancel_pending_makes_room() {
    within(LONG, || {
        let full = full();
        assert_eq!(full.threads.cancel_pending(), 1);
        soon(&full.submitted);
        full.gate.open();
        assert_eq!(full.submitter.join().unwrap().unwrap(), 2);
        assert!(full.pending.unwrap().is_cancelled());
    });
}

#[test]
fn a_claimed_task_makes_room_at_once() {
    within(LONG, || {
        let (threads, gate) = (bounded(1, 1), Gate::default());
        let ((hand_over, handed_over), (started, wait_for_start)) = (channel::<Future<()>>(), channel());
        let waiting = threads.spawn(move || {
            started.send(()).unwrap();
            handed_over.recv_timeout(LONG).unwrap().result()
        });
        soon(&wait_for_start);
        let (claimed, (running, runs)) = (gate.clone(), channel());
        let pending = threads.spawn(move || {
            running.send(()).unwrap();
            claimed.pass();
        });
        hand_over.send(pending).unwrap();
        soon(&runs);
        // The claimed task runs, its waiter below it: the queue has room, or this would hang.
        let next = threads.spawn(|| 3);
        assert_eq!(threads.stats().pending, 1);
        gate.open();
        assert_eq!(next.result().unwrap(), 3);
        waiting.result().unwrap().unwrap();
    });
}

#[test]
fn shutdown_refuses_blocked_submitters() {
    within(LONG, || {
        let full = full();
        full.threads.close();
        assert!(matches!(full.submitter.join().unwrap(), Err(Error::ShutDown)));
        full.gate.open();
        assert_eq!(full.pending.unwrap().result().unwrap(), 1);
    });
}

#[test]
fn the_bound_of_the_queue_holds_for_every_submitter() {
    within(LONG, || {
        const LIMIT: usize = 3;
        let threads = bounded(2, LIMIT);
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let threads = Arc::clone(&threads);
                thread::spawn(move || {
                    let most = (0..500).map(|_| {
                        let executor = Arc::clone(&threads);
                        threads.spawn(move || executor.stats().pending).result().unwrap()
                    });
                    most.max().unwrap()
                })
            })
            .collect();
        for submitter in submitters {
            assert!(submitter.join().unwrap() <= LIMIT);
        }
        let flood = Arc::clone(&threads);
        let most = flood.map(move |_| threads.stats().pending, 0..2000).map(Result::unwrap).max();
        assert!(most.unwrap() <= LIMIT);
        assert_eq!(flood.stats().pending, 0);
    });
}

#[test]
fn a_thread_of_the_executor_never_waits_for_room() {
    within(LONG, || {
        let threads = bounded(1, 1);
        let own = Arc::clone(&threads);
        let sum = threads.spawn(move || {
            let futures: Vec<_> = (0..50).map(|n| own.submit(|n: u32| n, n)).collect();
            assert_eq!(own.stats().pending, 50);
            futures.into_iter().map(|future| future.result().unwrap()).sum::<u32>()
        });
        assert_eq!(sum.result().unwrap(), (0..50).sum::<u32>());
    });
}

#[test]
fn a_callback_on_a_worker_never_waits_for_room() {
    within(LONG, || {
        let (threads, gate) = (bounded(1, 1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let (own, (report, reported)) = (Arc::clone(&threads), channel());
        busy.add_done_callback(move |_| {
            let futures: Vec<_> = (0..5).map(|n| own.submit(|n: u32| n, n)).collect();
            report.send(futures).unwrap();
        });
        let queued = threads.spawn(|| ());
        gate.open();
        for (n, future) in (0..).zip(soon(&reported)) {
            assert_eq!(future.result().unwrap(), n);
        }
        queued.result().unwrap();
    });
}

#[test]
fn a_full_queue_refuses_a_task_with_that_option() {
    within(LONG, || {
        let (threads, gate, drops) = (bounded(1, 2), Gate::default(), Drops::default());
        let busy = occupy_at(&threads, &gate);
        let pending = [threads.spawn(|| 1), threads.spawn(|| 2)];
        let refusing = threads.with(TaskOptions::new().refuse_when_full());
        let token = drops.token();
        let refused = refusing.spawn(move || drop(token));
        assert!(refused.is_done());
        assert_eq!(drops.alive(), 0);
        match refused.result() {
            Err(Error::Full(full)) => assert_eq!(full.limit(), 2),
            other => panic!("not full: {other:?}"),
        }
        let plain = Executor::submit(&refusing, |n: u32| n, 1);
        assert!(matches!(plain.error(), Some(Error::Full(_))));
        assert!(pending[1].cancel());
        let accepted = refusing.spawn(|| 3);
        gate.open();
        assert_eq!(accepted.result().unwrap(), 3);
        let _ = wait(pending, None, ReturnWhen::AllCompleted);
        busy.result().unwrap();
    });
}

#[test]
fn refused_tasks_are_not_counted_as_failed() {
    within(LONG, || {
        let (threads, gate) = (bounded(1, 1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let pending = threads.spawn(|| 1);
        let refused = threads.with(TaskOptions::new().refuse_when_full()).spawn(|| 2);
        assert!(matches!(refused.result(), Err(Error::Full(_))));
        gate.open();
        busy.result().unwrap();
        pending.result().unwrap();
        threads.shutdown();
        assert!(matches!(threads.spawn(|| 3).result(), Err(Error::ShutDown)));
        assert_eq!((threads.stats().completed, threads.stats().failed), (2, 0));
    });
}

#[test]
fn stats_count_claimed_tasks_once() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let own = Arc::clone(&threads);
        let inside = threads.spawn(move || {
            let (good, bad) = (own.spawn(|| 1), own.spawn(|| panic!("claimed and failed")));
            let before = own.stats();
            assert!(good.result().is_ok() && bad.result().is_err());
            (before, own.stats())
        });
        let (before, after) = inside.result().unwrap();
        assert_eq!((before.pending, before.running, before.workers), (2, 1, 1));
        assert_eq!((after.pending, after.running, after.completed, after.failed), (0, 1, 1, 1));
        threads.shutdown();
        assert_eq!((threads.stats().completed, threads.stats().failed), (2, 1));
    });
}

#[test]
fn cancelled_tasks_in_the_queue_are_not_counted_again() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let gate = Gate::default();
        let busy = occupy_at(&threads, &gate);
        let cancelled: Vec<_> = (0..3).map(|_| threads.spawn(|| ())).collect();
        assert!(cancelled.iter().all(Future::cancel));
        assert_eq!(threads.stats().pending, 0);
        // Behind them in the queue: the worker has gone over them when this one has run.
        let behind = threads.spawn(|| ());
        gate.open();
        busy.result().unwrap();
        behind.result().unwrap();
        let again = Gate::default();
        let busy = occupy_at(&threads, &again);
        let pending = threads.spawn(|| ());
        assert_eq!(threads.stats().pending, 1);
        again.open();
        busy.result().unwrap();
        pending.result().unwrap();
    });
}

#[test]
fn stats_count_the_items_of_a_map_while_its_last_one_runs() {
    within(LONG, || {
        let (threads, gate, (reached, last)) = (ThreadPoolExecutor::new(1), Gate::default(), channel());
        let hold = gate.clone();
        let map = threads.try_map(
            move |n: u32| match n {
                63 => {
                    reached.send(()).unwrap();
                    hold.pass();
                    Ok(n)
                }
                n if n % 2 == 0 => Ok(n),
                _ => Err("odd"),
            },
            0..64,
        );
        soon(&last);
        let stats = threads.stats();
        assert_eq!((stats.completed, stats.failed, stats.pending, stats.running), (32, 31, 0, 1));
        gate.open();
        assert_eq!(map.filter(Result::is_ok).count(), 33);
    });
}

#[test]
fn cancel_pending_forgets_no_item_that_has_ended() {
    within(LONG, || {
        let (threads, gate, (reached, middle)) = (ThreadPoolExecutor::new(1), Gate::default(), channel());
        let hold = gate.clone();
        let work = move |n: u32| {
            if n == 32 {
                reached.send(()).unwrap();
                hold.pass();
            }
        };
        let map = threads.map(work, 0..64);
        soon(&middle);
        assert_eq!(threads.cancel_pending(), 31);
        assert_eq!((threads.stats().completed, threads.stats().pending), (32, 0));
        gate.open();
        assert_eq!(map.filter(Result::is_ok).count(), 33);
    });
}

#[test]
fn cancel_pending_cancels_the_items_of_every_map() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let maps = [threads.map(|n: u32| n, 0..10), threads.map(|n: u32| n, 0..20), threads.map(|n: u32| n, 0..30)];
        assert_eq!(threads.stats().pending, 60);
        assert_eq!(threads.cancel_pending(), 60);
        assert_eq!(threads.stats().pending, 0);
        gate.open();
        for map in maps {
            assert!(map.into_iter().all(|outcome| matches!(outcome, Err(Error::Cancelled))));
        }
        busy.result().unwrap();
    });
}

#[test]
fn aborted_tasks_count_neither_as_completed_nor_as_failed() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let running = occupy_at(&threads, &gate);
        assert!(running.abort());
        assert_eq!(threads.stats().running, 1);
        gate.open();
        threads.shutdown();
        assert_eq!((threads.stats().completed, threads.stats().failed), (0, 0));
    });
}

#[test]
fn cancel_pending_cancels_and_counts_tasks_that_have_not_started() {
    within(LONG, || {
        let (threads, gate, drops) = (ThreadPoolExecutor::new(1), Gate::default(), Drops::default());
        assert_eq!(threads.cancel_pending(), 0);
        let running = occupy_at(&threads, &gate);
        let pending: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                threads.spawn(move || drop(token))
            })
            .collect();
        assert!(pending[3].cancel());
        assert_eq!(threads.cancel_pending(), 9);
        assert_eq!(threads.cancel_pending(), 0);
        assert_eq!(drops.alive(), 0);
        assert!(pending.iter().all(Future::is_cancelled));
        assert_eq!(threads.stats().pending, 0);
        // The executor goes on.
        let later = threads.spawn(|| 5);
        gate.open();
        running.result().unwrap();
        assert_eq!(later.result().unwrap(), 5);
    });
}

#[test]
fn a_million_cancelled_tasks_leave_the_queue() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        // Every task that is kept somewhere keeps its name.
        let name: Arc<str> = "counted".into();
        let mut most = 0;
        for _ in 0..1_000_000 {
            let future = threads.with(TaskOptions::new().name(Arc::clone(&name))).spawn(|| ());
            assert!(future.cancel());
            drop(future);
            most = most.max(Arc::strong_count(&name));
        }
        assert!(most < 1000, "{most} tasks were there at a time");
        gate.open();
        busy.result().unwrap();
    });
}

#[test]
fn many_tasks_cancelled_while_queued_leave_the_queue() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let name: Arc<str> = "counted".into();
        let named = || threads.with(TaskOptions::new().name(Arc::clone(&name)));
        let futures: Vec<_> = (0..10_000).map(|n| named().spawn(move || n)).collect();
        for future in &futures[..9_990] {
            assert!(future.cancel());
        }
        let kept = futures.into_iter().skip(9_990).collect::<Vec<_>>();
        assert!(Arc::strong_count(&name) < 1000, "{}", Arc::strong_count(&name));
        assert_eq!(threads.stats().pending, 10);
        gate.open();
        let kept: Vec<_> = kept.into_iter().map(|future| future.result().unwrap()).collect();
        assert!(kept.into_iter().eq(9_990..10_000));
        busy.result().unwrap();
    });
}

#[test]
fn eight_threads_may_submit_at_the_same_time() {
    within(LONG, || {
        for threads in [Arc::new(ThreadPoolExecutor::new(3)), bounded(3, 4)] {
            let barrier = Arc::new(Barrier::new(8));
            let submitters: Vec<_> = (0..8_u64)
                .map(|from| {
                    let (threads, barrier) = (Arc::clone(&threads), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        let futures: Vec<_> = (0..1000).map(|n| threads.submit(move |n| from * n, n)).collect();
                        futures.into_iter().map(|future| future.result().unwrap()).sum::<u64>()
                    })
                })
                .collect();
            let sums: u64 = submitters.into_iter().map(|submitter| submitter.join().unwrap()).sum();
            assert_eq!(sums, (0..8).sum::<u64>() * (0..1000).sum::<u64>());
            assert_eq!(threads.stats().pending, 0);
            threads.shutdown();
            assert_eq!(threads.stats().completed, 8000);
        }
    });
}

#[test]
fn a_free_worker_takes_a_map_before_later_tasks() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let gates = [Gate::default(), Gate::default()];
        let busy: Vec<_> = gates.iter().map(|gate| occupy_at(&threads, gate)).collect();
        let order = Arc::new(Mutex::new(Vec::new()));
        let (begun, wait_for_it) = channel();
        let (noted, first_may_end) = (Arc::clone(&order), Gate::default());
        let gate = first_may_end.clone();
        let item = move |n: u32| {
            // Counted first: a thread that learns of the start lets other tasks begin.
            noted.lock().unwrap().push(n);
            begun.send(()).unwrap();
            if n == 0 {
                gate.pass();
            }
        };
        let map = threads.map(item, 0..3);
        let noted = Arc::clone(&order);
        let later = threads.spawn(move || noted.lock().unwrap().push(100));
        gates[0].open();
        // One worker is in the first item, and has called for another one.
        soon(&wait_for_it);
        gates[1].open();
        later.result().unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 100]);
        first_may_end.open();
        map.for_each(Result::unwrap);
        busy.into_iter().for_each(|task| task.result().unwrap());
    });
}

/// Items that were pulled before the task run before it, and those that were pulled later run after it.
#[test]
fn a_task_that_is_submitted_between_the_items_of_a_map_runs_between_them() {
    const TASK: u32 = u32::MAX;
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (order, all_are_pulled) = (Arc::new(Mutex::new(Vec::new())), Gate::default());
        let (noted, gate) = (Arc::clone(&order), all_are_pulled.clone());
        let (begun, wait_for_it) = channel();
        let item = move |n: u32| {
            if n == 0 {
                begun.send(()).unwrap();
                gate.pass();
            }
            noted.lock().unwrap().push(n);
        };
        let mut between = None;
        let input = (0..1000).inspect(|n| {
            if *n == 500 {
                // The only worker stays in the first item until all are pulled, so it takes nothing from the queue meanwhile.
                soon(&wait_for_it);
                let noted = Arc::clone(&order);
                between = Some(threads.spawn(move || noted.lock().unwrap().push(TASK)));
            }
        });
        let map = threads.map(item, input);
        all_are_pulled.open();
        map.for_each(Result::unwrap);
        between.unwrap().result().unwrap();
        let expected = (0..500).chain([TASK]).chain(500..1000);
        assert!(expected.eq(order.lock().unwrap().iter().copied()), "{order:?}");
    });
}

/// How far a map has come.
#[derive(Default)]
struct Progress {
    pulled: usize,
    done: usize,
    /// Its input is to end.
    is_over: bool,
}

/// Has input pulled until it is to end, and no further ahead of the items than so many.
#[derive(Clone, Default)]
struct Pace(Arc<(Mutex<Progress>, Condvar)>);

impl Pace {
    const AHEAD: usize = 500;

    fn change<R>(&self, change: impl FnOnce(&mut Progress) -> R) -> R {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        changed
    }

    fn wait_while(&self, waits: impl Fn(&Progress) -> bool) {
        let progress = self.0.0.lock().unwrap();
        let (_progress, waited) = self.0.1.wait_timeout_while(progress, LONG, |now| waits(now)).unwrap();
        assert!(!waited.timed_out(), "it hangs");
    }

    fn done(&self) -> usize {
        self.0.0.lock().unwrap().done
    }

    fn input(&self) -> impl Iterator<Item = ()> + use<> {
        let pace = self.clone();
        std::iter::from_fn(move || {
            pace.wait_while(|now| !now.is_over && now.pulled - now.done > Self::AHEAD);
            pace.change(|now| {
                now.pulled += 1;
                (!now.is_over).then_some(())
            })
        })
    }
}

#[test]
fn a_map_with_endless_input_lets_other_tasks_run() {
    for workers in [1, 2] {
        within(LONG, move || {
            let (threads, pace) = (ThreadPoolExecutor::new(workers), Pace::default());
            thread::scope(|scope| {
                let mapping = scope.spawn(|| {
                    let items = pace.clone();
                    threads.map(move |()| items.change(|now| now.done += 1), pace.input()).count()
                });
                pace.wait_while(|now| now.done < Pace::AHEAD);
                for _ in 0..50 {
                    let before = pace.done();
                    let is_done = threads.spawn(|| ()).wait_timeout(LONG / 4);
                    let items = pace.done() - before;
                    if !is_done {
                        pace.change(|now| now.is_over = true);
                    }
                    assert!(is_done, "the task waited while {items} items ran");
                }
                pace.change(|now| now.is_over = true);
                assert!(mapping.join().unwrap() > Pace::AHEAD);
            });
        });
    }
}

/// Each task needs its neighbour to run at the same time, however long the queue is.
#[test]
fn neighbours_in_a_long_queue_meet() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let gate = Gate::default();
        let running = occupy_at(&threads, &gate);
        let pairs: Vec<_> = (0..2000)
            .map(|n| {
                // A channel without room: a send returns once its value was received.
                let (send, receive) = sync_channel(0);
                let sender = threads.spawn(move || send.send(n).unwrap());
                (sender, threads.spawn(move || receive.recv().unwrap()))
            })
            .collect();
        gate.open();
        for (n, (sender, receiver)) in pairs.into_iter().enumerate() {
            sender.result().unwrap();
            assert_eq!(receiver.result().unwrap(), n);
        }
        running.result().unwrap();
    });
}
