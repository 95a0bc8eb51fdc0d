//! Nothing is left behind: threads, tasks and what they hold, whatever was done to an executor.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, ReturnWhen, TaskOptions, ThreadPoolExecutor, as_completed, task, wait,
};
use fastrand::Rng;

use super::support::*;

/// One executor and the books on everything that is done with it.
struct World {
    threads: ThreadPoolExecutor,
    objects: Drops,
    submitted: Arc<AtomicUsize>,
    completed: Arc<AtomicUsize>,
}

type Handle = Future<Token>;

impl World {
    /// Submits a task of some kind, whose end is counted.
    fn submit(self: &Arc<Self>, rng: &mut Rng, depth: u32) -> Handle {
        let (world, captured, result) = (Arc::clone(self), self.objects.token(), self.objects.token());
        let (kind, seed) = (rng.u32(0..12), rng.u64(..));
        let body = move || {
            let _captured = captured;
            match kind {
                0 => resume_unwind(Box::new("a task panics")),
                1 => return Err(format!("a task fails: {seed}")),
                2 => thread::yield_now(),
                3 => drop(task::current().map(|context| context.is_aborted())),
                4 => {
                    let count = AtomicUsize::new(0);
                    world.threads.scope(|scope| {
                        for _ in 0..3 {
                            scope.spawn(|| count.fetch_add(1, Ordering::SeqCst)).detach();
                        }
                    });
                }
                5..8 if depth > 0 => world.act(&mut Rng::with_seed(seed), depth - 1),
                _ => {}
            }
            Ok(result)
        };
        self.submitted.fetch_add(1, Ordering::SeqCst);
        let options = match rng.u32(0..6) {
            0 => TaskOptions::new().time_limit(Duration::from_micros(rng.u64(1..200))),
            1 => TaskOptions::new().time_limit(LONG),
            2 => TaskOptions::new().refuse_when_full(),
            _ => TaskOptions::new(),
        };
        let future = self.threads.with(options).try_spawn(body);
        let (completed, held) = (Arc::clone(&self.completed), self.objects.token());
        let next = (depth > 0 && rng.u32(0..10) == 0).then(|| (Arc::clone(self), rng.u64(..)));
        future.add_done_callback(move |_| {
            if let Some((world, seed)) = next {
                world.submit(&mut Rng::with_seed(seed), 0).detach();
            }
            drop(held);
            completed.fetch_add(1, Ordering::SeqCst);
        });
        future
    }

    /// Does some things with some tasks, and waits for none but its own.
    fn act(self: &Arc<Self>, rng: &mut Rng, depth: u32) {
        let mut kept: Vec<Handle> = Vec::new();
        for _ in 0..rng.usize(1..6) {
            let future = self.submit(rng, depth);
            match rng.u32(0..14) {
                0 => future.detach(),
                1 => drop(future.result()),
                2 => _ = future.cancel(),
                3 => _ = future.abort(),
                4 => drop(future.result_timeout(LONG)),
                5 => drop(future.result_timeout(Duration::from_micros(rng.u64(0..100)))),
                6 => drop(block_on(future.into_future())),
                7 => drop(future.error()),
                8 => {
                    future.cancel();
                    assert!(!matches!(future.result(), Err(Error::Abandoned)));
                }
                9 => assert!(future.wait_timeout(LONG)),
                _ => kept.push(future),
            }
        }
        let modes = [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted, ReturnWhen::FirstError];
        let mode = modes[rng.usize(0..3)];
        match rng.u32(0..6) {
            0 => {
                let all = kept.len();
                assert_eq!(as_completed(kept).count(), all);
            }
            1 => drop(as_completed(kept).next()),
            2 => drop(wait(kept, None, mode)),
            3 => drop(wait(kept, LONG, mode)),
            4 => drop(wait(&kept, Duration::from_micros(50), mode)),
            _ => kept.retain(Future::abort),
        }
    }
}

/// Lets several threads do as they like with an executor, ends it in some way, and looks at what is left.
fn stress(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let objects = Drops::default();
    let (mut builder, prefix, ended) = observed_in(&objects, rng.usize(1..4));
    if rng.bool() {
        builder = builder.max_pending(rng.usize(1..5));
    }
    if rng.bool() {
        builder = builder.keep_alive(Duration::from_micros(rng.u64(1..1000)));
    }
    let world = Arc::new(World {
        threads: builder.build().unwrap(),
        objects: objects.clone(),
        submitted: Arc::default(),
        completed: Arc::default(),
    });
    let (submitted, completed) = (Arc::clone(&world.submitted), Arc::clone(&world.completed));
    let actors: Vec<_> = (0..3)
        .map(|_| {
            let (world, mut rng) = (Arc::clone(&world), rng.fork());
            thread::spawn(move || (0..rng.u32(1..20)).for_each(|_| world.act(&mut rng, 2)))
        })
        .collect();
    if rng.bool() {
        // In the middle of it.
        match rng.u32(0..3) {
            0 => world.threads.shutdown(),
            1 => world.threads.shutdown_now(),
            _ => _ = world.threads.cancel_pending(),
        }
    }
    for actor in actors {
        actor.join().unwrap();
    }
    // The last handle ends it, on this thread or in a task that still runs.
    drop(world);
    assert_nothing_left(&prefix, &ended);
    let (submitted, completed) = (submitted.load(Ordering::SeqCst), completed.load(Ordering::SeqCst));
    assert_eq!((completed, objects.alive()), (submitted, 0), "seed {seed}");
}

#[test]
fn executors_used_at_random_leave_nothing_behind() {
    let first = std::env::var("STRESS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + 150 {
        within(LONG, move || stress(seed));
    }
}

#[test]
fn executors_come_and_go() {
    within(LONG, || {
        let drops = Drops::default();
        let mut executors = Vec::new();
        for round in 0..1000 {
            let (builder, prefix, ended) = observed_in(&drops, 1 + round % 3);
            let threads = builder.build().unwrap();
            executors.push((prefix, ended));
            let futures: Vec<_> = (0..round % 5)
                .map(|_| {
                    let token = drops.token();
                    threads.spawn(move || token)
                })
                .collect();
            match round % 4 {
                0 => drop(threads),
                1 => threads.shutdown(),
                2 => threads.shutdown_now(),
                _ => threads.detach(),
            }
            drop(futures);
        }
        for (prefix, ended) in executors {
            assert_nothing_left(&prefix, &ended);
        }
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_sleeping_worker_holds_no_value_of_its_last_task() {
    within(LONG, || {
        let (threads, drops) = (ThreadPoolExecutor::new(1), Drops::default());
        let name: Arc<str> = "the last task".into();
        let token = drops.token();
        let future = threads.with(TaskOptions::new().name(Arc::clone(&name))).spawn(move || token);
        drop(future.result().unwrap());
        assert_eq!(drops.alive(), 0);
        // The next task of the same worker starts when the one before is gone.
        let count = threads.spawn(move || Arc::strong_count(&name)).result().unwrap();
        assert_eq!(count, 1);
    });
}

#[test]
fn a_handle_holds_its_outcome_and_not_its_executor() {
    within(LONG, || {
        let drops = Drops::default();
        let (builder, ..) = observed_in(&drops, 1);
        let threads = builder.build().unwrap();
        let done = threads.spawn(|| 1);
        let (gate, cancelled) = (Gate::default(), Drops::default());
        let busy = occupy_at(&threads, &gate);
        let token = cancelled.token();
        let pending = threads.spawn(move || drop(token));
        assert!(pending.cancel());
        gate.open();
        drop(threads);
        assert_eq!((drops.alive(), cancelled.alive()), (0, 0));
        assert_eq!(done.result().unwrap(), 1);
        assert!(busy.result().is_ok() && pending.result().is_err());
    });
}
