//! What follows a future: chains, tasks after others, and futures of many. What holds for every executor is in
//! `conformance`.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, MapOptions, State, TaskOptions, ThreadPoolExecutor, all_settled,
    any, as_completed, promise, race, task, try_all, wait,
};

use crate::support::{
    Drops, DropsJobs, LONG, Seen, WakeCounter, block_on, gate, logged, occupy, panic_message, within,
};

#[test]
fn a_panic_in_a_chain_is_the_error_of_the_new_future() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let chained = threads.spawn(|| 1).map(|n: u32| -> u32 { panic!("{n} goes wrong") }).map(|n| n + 1);
        assert_eq!(panic_message(chained.result()), "1 goes wrong");
        let recovered = threads.spawn(|| -> u32 { panic!("oh") }).or_else(|_| -> Result<u32, Error> { panic!("no") });
        assert_eq!(panic_message(recovered.result()), "no");
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn the_function_of_a_chain_must_not_block() {
    within(LONG, || {
        let (_promise, never) = promise::<u8>();
        let (promise, future) = promise::<u8>();
        let chained = future.map(move |_| never.result().is_ok());
        promise.complete(Ok(1));
        assert!(panic_message(chained.result()).contains("callback"));
    });
}

#[test]
fn a_chain_is_a_task_of_its_own() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let before = future.id();
        let chained = future.map(|_| task::current().map(|task| task.id()));
        assert!(promise.start());
        assert_eq!(chained.state(), State::Pending, "until the other one is done");
        let id = chained.id();
        assert_ne!(id, before);
        promise.complete(Ok(1));
        assert_eq!(chained.result().unwrap(), Some(id));
    });
}

#[test]
fn a_chain_that_is_dropped_still_runs() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let (send, receive) = mpsc::channel();
        drop(running.map(move |()| 7).map(move |n| send.send(n).unwrap()));
        opener.open();
        assert_eq!(receive.recv_timeout(LONG), Ok(7));
    });
}

#[test]
fn only_the_last_future_of_a_chain_logs_an_error_that_nobody_looked_at() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let ids = [future.id(), future.id()];
        let chained = future.map(|n| n + 1);
        let last = chained.id();
        let text = format!("a unique text of {last}");
        drop(chained);
        promise.complete(Err(Error::Failed(concurrent_futures::Failed::new(text.clone()))));
        let records = logged(&text);
        assert_eq!(records.len(), 1, "{ids:?}: {records:?}");
        assert!(records[0].1.contains(&last.to_string()), "{records:?}");
    });
}

#[test]
fn cancel_and_errors_drop_the_functions_at_once() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let drops = Drops::default();
        let token = drops.token();
        let chained = future.map(move |_| drop(token));
        let at_callback = drops.clone();
        let seen = Seen::new();
        let see = seen.clone();
        chained.add_done_callback(move |_| see.push(at_callback.count()));
        assert!(chained.cancel());
        assert_eq!(seen.all(), [1]);
        assert!(promise.is_cancelled(), "and what only it needed");

        // A shared input goes on, and keeps nothing.
        let threads = ThreadPoolExecutor::new(1);
        let (_promise, input) = concurrent_futures::promise::<u8>();
        let (shared, drops) = (input.share(), Drops::default());
        let (first, second) = (drops.token(), drops.token());
        let held_back = threads.submit_after(shared.clone(), move |_| drop(first));
        held_back.cancel();
        assert_eq!(drops.count(), 1);
        let (fails, failing) = concurrent_futures::promise::<u8>();
        let held_back = threads.submit_after((shared.clone(), failing), move |_| drop(second));
        fails.complete(Err(Error::Abandoned));
        assert!(matches!(held_back.result(), Err(Error::Abandoned)));
        assert_eq!(drops.count(), 2);
        assert!(!shared.is_done());
    });
}

#[test]
fn a_cancel_leaves_a_running_task_alone_and_an_abort_does_not() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let stop = running.abort_handle();
        let chained = running.map(|()| 1);
        assert!(chained.cancel(), "what follows has not begun");
        assert!(!stop.is_done());
        opener.open();

        let (started, has_started) = mpsc::channel();
        let endless = threads.try_spawn(move || {
            started.send(()).unwrap();
            loop {
                task::check()?;
                thread::yield_now();
            }
            #[allow(unreachable_code)]
            Ok::<(), Error>(())
        });
        let chained = endless.map(|()| 1).map(|n| n + 1);
        has_started.recv().unwrap();
        assert!(chained.abort());
        threads.shutdown();
    });
}

#[test]
fn a_poll_before_does_no_harm() {
    within(LONG, || {
        let (promise, mut future) = promise::<u8>();
        let counter = WakeCounter::new();
        assert!(counter.poll(&mut future).is_pending());
        let chained = future.map(|n| n + 1);
        promise.complete(Ok(1));
        assert_eq!((counter.woken(), block_on(chained).unwrap()), (0, 2));

        let (promise, mut future) = concurrent_futures::promise::<u8>();
        promise.complete(Ok(1));
        assert!(counter.poll(&mut future).is_ready());
        assert!(panic_message(future.map(|n| n + 1).result()).contains("taken before"));
    });
}

#[test]
fn large_values_go_through_chains_on_a_small_stack() {
    within(LONG, || {
        const LENGTH: usize = 100 << 10;
        let threads = ThreadPoolExecutor::builder().max_workers(1).stack_size(2 << 20).build().unwrap();
        let (opener, running) = occupy(&threads);
        let large = threads.spawn(|| [1_u8; LENGTH]);
        let chained = large
            .map(|mut large: [u8; LENGTH]| {
                large[0] = 2;
                large
            })
            .and_then(Ok::<_, Error>)
            .or_else(Err)
            .map(|large: [u8; LENGTH]| large.iter().map(|&byte| u32::from(byte)).sum::<u32>());
        let after = threads.submit_after((threads.spawn(|| [1_u8; LENGTH]), chained), |(large, sum)| (large[7], sum));
        opener.open();
        running.wait();
        assert_eq!(after.result().unwrap(), (1, u32::try_from(LENGTH).unwrap() + 1));
        let captured = [3_u8; LENGTH];
        let small = threads.spawn(|| 1).map(move |n: usize| captured[n]);
        assert_eq!(small.result().unwrap(), 3);
    });
}

#[test]
fn ten_thousand_chained_maps_fit_the_stack() {
    fn chain(future: Future<u32>) -> Future<u32> {
        (0..10_000).fold(future, |future, _| future.map(|n| n + 1))
    }
    within(LONG, || {
        let (start, future) = promise();
        let chained = chain(future);
        assert!(start.complete(Ok(1)));
        assert_eq!(chained.result().unwrap(), 10_001);

        let (start, future) = promise();
        let chained = chain(future);
        assert!(chained.cancel());
        assert!(start.is_cancelled());

        let (start, future) = promise();
        drop(chain(future));
        drop(start);

        let threads = ThreadPoolExecutor::new(2);
        assert_eq!(chain(threads.spawn(|| 1)).result().unwrap(), 10_001);
        let first = threads.spawn(|| 1);
        let last = (0..10_000).fold(first, |future, _| threads.submit_after(future, |n| n + 1));
        assert_eq!(last.result().unwrap(), 10_001);
        // Also in a task that waits for it.
        let threads = Arc::new(threads);
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || chain(inside.spawn(|| 1)).result());
        assert_eq!(outer.result().unwrap().unwrap(), 10_001);
        let (start, future) = promise();
        let last = (0..10_000).fold(future, |future, _| InlineExecutor.submit_after(future, |n: u32| n + 1));
        start.complete(Ok(1));
        assert_eq!(last.result().unwrap(), 10_001);
    });
}

#[test]
fn a_task_that_waits_for_a_chain_runs_what_that_needs() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let here = thread::current().id();
            let chained = inside.spawn(move || thread::current().id() == here).map(|same| (same, 1));
            let pair = (inside.spawn(|| 1), inside.spawn(|| 2).map(|n| n + 1));
            let after = inside.submit_after(pair, move |(a, b)| (a + b, thread::current().id() == here));
            let all = try_all((0..4).map(|n| inside.spawn(move || n)));
            (chained.result(), after.result(), all.result(), block_on(inside.spawn(|| 3).map(|n| n + 1)))
        });
        let (chained, after, all, awaited) = outer.result().unwrap();
        assert_eq!(chained.unwrap(), (true, 1));
        assert_eq!(after.unwrap(), (4, true));
        assert_eq!(all.unwrap(), [0, 1, 2, 3]);
        assert_eq!(awaited.unwrap(), 4);
        assert_eq!(threads.stats().workers, 1, "no spare one was needed");
    });
}

#[test]
fn a_diamond_of_shared_inputs_is_walked_once() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            // 2 to the power of 60 ways lead from the last to the first.
            let first = inside.spawn(|| 1_u64).share();
            let last = (0..60)
                .fold(first, |below, _| inside.submit_after((below.clone(), below), |(a, b)| (a + b) / 2 + 1).share());
            last.result().copied()
        });
        assert_eq!(outer.result().unwrap().unwrap(), 61);
    });
}

#[test]
fn a_held_back_task_enters_a_full_queue_without_a_wait() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        let (opener, _running) = occupy(&threads);
        let pending = threads.spawn(|| 1);
        let ((first, one), (second, other)) = (promise(), promise());
        let held_back = threads.submit_after(one, |n: u32| n + 1);
        let picky = threads.with(TaskOptions::new().refuse_when_full());
        let refused = picky.submit_after(other, |n: u32| n + 1);
        first.complete(Ok(1));
        assert_eq!(threads.stats().pending, 3, "two in the queue, and one that is held back");
        second.complete(Ok(1));
        assert!(matches!(refused.result(), Err(Error::Full(_))));
        opener.open();
        assert_eq!((pending.result().unwrap(), held_back.result().unwrap()), (1, 2));
    });
}

#[test]
fn tasks_after_tasks_of_an_executor_that_shuts_down_still_run() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let (_promise, never) = promise::<()>();
        let after = threads.submit_after(running, |()| 1);
        let after = threads.submit_after(after, |n| n + 1);
        let pending = threads.submit_after(never, |()| 1);
        let closer = thread::spawn(move || drop(threads));
        opener.open();
        assert_eq!(after.result().unwrap(), 2);
        closer.join().unwrap();
        assert!(!pending.is_done(), "nobody has ended its input");
        drop(_promise);
        assert!(matches!(pending.result(), Err(Error::Abandoned)));
    });
}

#[test]
fn a_held_back_task_ends_with_its_executor() {
    within(LONG, || {
        let (start, input) = promise();
        let threads = ThreadPoolExecutor::new(1);
        let held_back = threads.submit_after(input, |n: u32| n + 1);
        threads.detach();
        start.complete(Ok(1));
        assert!(matches!(held_back.result(), Err(Error::ShutDown)));

        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let held_back = threads.submit_after((running, threads.spawn(|| 1)), |(_, n)| n);
        threads.close();
        assert_eq!(threads.cancel_pending(), 2, "with the one that is held back");
        assert!(matches!(held_back.result(), Err(Error::Cancelled)));
        opener.open();
    });
}

#[test]
fn a_closure_of_threads_takes_what_serde_does_not() {
    within(LONG, || {
        struct Opaque(u32);
        let threads = ThreadPoolExecutor::new(2);
        let offset = 3;
        let named = threads.with(TaskOptions::new().name("after"));
        let sum = named.submit_after([threads.spawn(|| Opaque(1)), threads.spawn(|| Opaque(2))], move |[a, b]| {
            assert!(task::current().is_some());
            a.0 + b.0 + offset
        });
        assert_eq!(sum.result().unwrap(), 6);
        let failed = named.try_submit_after(threads.spawn(|| "x"), |text| text.parse::<u8>());
        assert_eq!(failed.result().unwrap_err().to_string(), "invalid digit found in string");
        match named.submit_after(threads.spawn(|| 1), |_| -> u8 { panic!("oh") }).result() {
            Err(Error::Panicked(panicked)) => assert_eq!(panicked.task_name(), Some("after")),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn tasks_after_one_input_go_on_in_the_order_of_submission() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (start, input) = promise();
        let (input, seen) = (input.share(), Seen::new());
        let follow = |n| {
            let see = seen.clone();
            threads.submit_after(input.clone(), move |_: u8| see.push(n))
        };
        let all = try_all((0..50).map(follow));
        start.complete(Ok(1));
        all.result().unwrap();
        assert_eq!(seen.all(), (0..50).collect::<Vec<_>>());
    });
}

#[test]
fn a_panic_of_a_clone_is_the_error_of_the_task() {
    struct NoClone;
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("no clone")
        }
    }
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let shared = threads.spawn(|| NoClone).share();
        assert_eq!(panic_message(threads.submit_after(shared, |_| 1).result()), "no clone");
    });
}

#[test]
fn an_executor_that_panics_or_forgets_abandons_the_task() {
    within(LONG, || {
        let drops_jobs = DropsJobs("too careless");
        assert!(logged("too careless").is_empty());
        let (start, input) = promise();
        let held_back = drops_jobs.submit_after(input, |n: u32| n + 1);
        assert!(start.complete(Ok(1)));
        assert!(matches!(held_back.result(), Err(Error::Abandoned)));
        assert_eq!(logged("too careless").len(), 1);
        let done = drops_jobs.submit_after(InlineExecutor.submit(|n: u32| n, 1), |n: u32| n + 1);
        assert!(matches!(done.result(), Err(Error::Abandoned)));
    });
}

#[test]
fn without_futures_the_answer_is_there_at_once() {
    let none = || Vec::<Future<u8>>::new();
    assert!(try_all(none()).result().unwrap().is_empty());
    assert!(all_settled(none()).result().unwrap().is_empty());
    assert!(matches!(any(none()).result(), Err(Error::Abandoned)));
    assert!(matches!(race(none()).result(), Err(Error::Abandoned)));
}

#[test]
fn futures_of_many_cancel_and_abort_what_they_need() {
    within(LONG, || {
        let pairs = || -> (Vec<_>, Vec<_>) { (0..3).map(|_| promise::<u8>()).unzip() };
        let (promises, futures) = pairs();
        assert!(promises[1].start());
        let all = all_settled(futures);
        assert!(all.cancel());
        let cancelled: Vec<_> = promises.iter().map(|promise| promise.is_cancelled()).collect();
        assert_eq!(cancelled, [true, false, true]);

        let (promises, futures) = pairs();
        assert!(promises[1].start());
        assert!(try_all(futures).abort());
        assert!(promises.iter().all(|promise| promise.is_cancelled()));

        // A cancelled one is as good as one that failed, but not for `all_settled`.
        let (promises, futures) = pairs();
        let stop = futures[1].abort_handle();
        let all = try_all(futures);
        stop.cancel();
        assert!(all.is_cancelled() && promises.iter().all(|promise| promise.is_cancelled()));
        let (promises, futures) = pairs();
        let stop = futures[1].abort_handle();
        let all = all_settled(futures);
        stop.cancel();
        let completed: Vec<_> = promises.into_iter().map(|promise| promise.complete(Ok(1))).collect();
        assert_eq!(completed, [true, false, true]);
        assert!(matches!(all.result().unwrap()[..], [Ok(1), Err(Error::Cancelled), Ok(1)]));

        // Dropped, they go on.
        let (promises, futures) = pairs();
        drop(race(futures));
        assert!(promises.iter().all(|promise| !promise.is_cancelled()));
    });
}

#[test]
fn a_race_is_won_by_the_first_that_is_done() {
    within(LONG, || {
        for winner in 0..3 {
            let (mut promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise()).unzip();
            let race = race(futures);
            assert!(promises.remove(winner).complete(Ok(winner)));
            assert_eq!(race.result().unwrap(), winner);
            assert!(promises.iter().all(|promise| promise.is_cancelled()));
        }
        let (first, one) = promise::<u8>();
        let (second, other) = promise::<u8>();
        let value = any([one, other]);
        second.complete(Err(Error::Abandoned));
        first.complete(Err(Error::ShutDown));
        assert!(matches!(value.result(), Err(Error::ShutDown)), "the first in input order");
    });
}

#[test]
fn what_is_combined_can_be_waited_for_in_every_way() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let all = || try_all([threads.spawn(|| 1), threads.spawn(|| 2)]);
        assert_eq!(block_on(all()).unwrap(), [1, 2]);
        let waited = wait([all(), all()], None, concurrent_futures::ReturnWhen::AllCompleted);
        assert_eq!(waited.done.len(), 2);
        assert_eq!(as_completed([all(), all()]).count(), 2);
        assert_eq!(all().map(|numbers| numbers.len()).share().result().copied().unwrap(), 2);
    });
}

#[test]
fn one_deadline_holds_for_a_whole_iteration() {
    within(LONG, || {
        let (mut promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<u8>()).unzip();
        promises.remove(1).complete(Ok(1));
        let mut completed =
            as_completed(futures.iter().zip(0..).map(|(future, n)| (n, future))).timeout(Duration::ZERO);
        assert_eq!(completed.next().unwrap().unwrap().0, 1, "it was done in time");
        let timeout = completed.next().unwrap().unwrap_err();
        assert!(timeout.to_string().starts_with("2 (of 3) futures unfinished"), "{timeout}");
        assert!(completed.next().is_none());
        let mut rest = completed.into_inner();
        promises.into_iter().for_each(|promise| assert!(promise.complete(Ok(2))));
        assert_eq!(rest.by_ref().count(), 2);

        let soon = Instant::now() + Duration::from_millis(1);
        let (_promise, never) = promise::<u8>();
        let mut completed = as_completed([never]).deadline(soon);
        assert!(completed.next().unwrap().is_err());
        assert!(Instant::now() >= soon);
        assert_eq!((completed.size_hint(), completed.into_unfinished().len()), ((0, Some(0)), 1));
        let done: Vec<_> = as_completed([InlineExecutor.submit(|n: u8| n, 1)]).timeout(Duration::MAX).collect();
        assert!(matches!(&done[..], [Ok(_)]));
        assert_eq!(as_completed(Vec::<Future<u8>>::new()).timeout(Duration::ZERO).count(), 0);
    });
}

#[test]
fn a_check_tells_a_task_to_stop() {
    within(LONG, || {
        assert!(task::check().is_ok(), "outside of every task");
        let threads = ThreadPoolExecutor::new(1);
        let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(5)));
        let (opener, gate) = gate();
        let (send, receive) = mpsc::channel();
        let late = limited.spawn(move || {
            send.send(task::check().is_ok()).unwrap();
            gate.pass();
            send.send(matches!(task::check(), Err(Error::Cancelled))).unwrap();
        });
        assert!(matches!(late.result(), Err(Error::TimeLimit(_))));
        opener.open();
        assert_eq!([receive.recv(), receive.recv()], [Ok(true), Ok(true)]);
    });
}

#[test]
fn try_map_unordered_is_there_wherever_try_map_is() {
    fn check(outcomes: impl Iterator<Item = (usize, Result<u8, Error>)>) {
        let mut outcomes: Vec<_> = outcomes.map(|(position, outcome)| (position, outcome.ok())).collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes, [(0, Some(1)), (1, None), (2, Some(3))]);
    }
    fn parse(text: String) -> Result<u8, std::num::ParseIntError> {
        text.parse()
    }
    within(LONG, || {
        let input = || ["1", "x", "3"].map(String::from);
        let threads = ThreadPoolExecutor::new(2);
        let options = MapOptions::new().buffer_size(2);
        let plain: &dyn Backend = &threads;
        check(plain.try_map_unordered(parse, input()));
        check(plain.with(options.clone()).try_map_unordered(parse, input()));
        let radix = 10;
        check(threads.try_map_unordered(move |text: String| u8::from_str_radix(&text, radix), input()));
        check(threads.with(options).try_map_unordered(move |text: String| u8::from_str_radix(&text, radix), input()));
    });
}

#[cfg(automatic)]
#[test]
fn graphs_of_tasks_run_on_processes() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let threads = ThreadPoolExecutor::new(1);
        let number = |n: u64| processes.submit(|n: u64| n + 1, n);
        // Each worker has one task at a time, and none waits.
        let pid =
            processes.submit_after((number(1), threads.spawn(|| 2)), |(a, b): (u64, u64)| (a + b, std::process::id()));
        let (sum, pid) = pid.result().unwrap();
        assert_eq!(sum, 4);
        assert_ne!(pid, std::process::id());
        let crash = processes.submit(|_: ()| -> u64 { std::process::abort() }, ());
        let after = processes.submit_after((number(1), crash), |(a, b)| a + b).map(|n: u64| n + 1);
        assert!(matches!(after.result(), Err(Error::WorkerDied(_))));
        // Long values come back out of band, and go on in the same way.
        let bytes = processes.submit(|n: usize| concurrent_futures::Bytes::from(vec![7; n]), 1 << 20);
        let length = processes
            .submit_after(bytes.map(|bytes| (bytes, 1)), |(bytes, n): (concurrent_futures::Bytes, usize)| {
                bytes.len() + n
            });
        assert_eq!(length.result().unwrap(), (1 << 20) + 1);
        // A running one is killed.
        let (input, is_running) = (
            processes.submit(
                |_: ()| loop {
                    thread::park()
                },
                (),
            ),
            Instant::now(),
        );
        while !input.is_running() && is_running.elapsed() < LONG {
            thread::yield_now();
        }
        let after = processes.submit_after(input, |(): ()| 1);
        assert!(after.abort());
        processes.shutdown();
    });
}

#[cfg(automatic)]
#[test]
fn a_held_back_task_that_cannot_be_encoded_says_so() {
    #[derive(serde::Deserialize)]
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("unwritable"))
        }
    }
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let (start, input) = promise();
        let held_back = processes.submit_after(input, |_: Unwritable| 1);
        start.complete(Ok(Unwritable));
        let error = held_back.result().unwrap_err();
        assert!(matches!(error, Error::Encode(_)) && error.to_string().contains("unwritable"), "{error}");
    });
}

#[test]
fn tasks_that_are_held_back_are_pending_in_their_pool() {
    fn check(executor: &dyn Backend) {
        let (start, input) = promise::<u32>();
        let input = input.share();
        let after = |function: fn(u32) -> u32| executor.submit_after(input.clone(), function);
        let (kept, dropped) = (after(|n| n + 1), after(|n| n + 2));
        assert_eq!(executor.stats().pending, 2);
        assert!(dropped.cancel());
        assert_eq!(executor.stats().pending, 1);
        assert_eq!(executor.cancel_pending(), 1);
        assert!(kept.is_cancelled() && executor.stats().pending == 0);
        let next = after(|n| n + 3);
        assert!(start.complete(Ok(1)));
        assert_eq!(next.result().unwrap(), 4);
        assert_eq!(executor.stats().pending, 0);
        assert_eq!(after(|n| n + 4).result().unwrap(), 5);
    }
    within(LONG, || {
        check(&ThreadPoolExecutor::new(1));
        check(&ThreadPoolExecutor::new(1).with(TaskOptions::new().name("with")));
        #[cfg(automatic)]
        check(&ProcessPoolExecutor::new(1));
    });
}

#[test]
fn a_shutdown_that_cancels_leaves_no_task_that_is_held_back() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, busy) = occupy(&threads);
        let (_start, never) = promise::<u32>();
        let stop = never.abort_handle();
        let elsewhere = threads.submit_after(never, |n| n);
        let queued = threads.spawn(|| 1);
        let after_queued = threads.submit_after(queued, |n: u32| n);
        let after_running = threads.submit_after(busy, |()| 2);
        threads.close();
        assert_eq!(threads.cancel_pending(), 4, "three that are held back, and the one in the queue");
        for future in [&elsewhere, &after_queued, &after_running] {
            assert!(future.is_cancelled());
        }
        assert!(stop.is_done(), "nobody else needed it");
        opener.open();
        threads.shutdown();
    });
}

#[test]
fn a_task_that_was_handed_over_is_not_held_back_any_more() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (promise, input) = promise::<u8>();
        let after = threads.submit_after(input, |n| n);
        let (send, pending) = mpsc::channel();
        let pool = Arc::clone(&threads);
        after.add_done_callback(move |_| send.send(pool.stats().pending).unwrap());
        threads.close();
        // The pool refuses the task inside the hand-over.
        promise.complete(Ok(1));
        assert_eq!(pending.recv().unwrap(), 0);
        assert!(matches!(after.result(), Err(Error::ShutDown)));
    });
}
