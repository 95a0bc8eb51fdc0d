//! Submitting and shutting down in async code: neither blocks.

use std::sync::Arc;
use std::task::Poll;

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, Submitting, TaskOptions, ThreadPoolExecutor, With,
};

use crate::support::{Door, Forwarding, LONG, WakeCounter, block_on, logged, occupy_at_door, within};

/// Runs the test on pools of one worker whose queues have room for one task, also behind a wrapper.
fn on_bounded_pools(test: fn(&dyn Backend)) {
    let threads = || ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
    within(LONG, move || {
        test(&threads());
        test(&Forwarding(threads()));
        let behind: Box<dyn Backend> = Box::new(threads());
        test(&behind.with(TaskOptions::new().name("named")) as &With<'_, _>);
    });
    #[cfg(automatic)]
    within(LONG, move || {
        let processes = || ProcessPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        test(&processes());
        test(&Forwarding(processes()));
    });
}

fn double(n: u32) -> u32 {
    2 * n
}

/// Returns the futures of a running and of a pending task: the queue is full.
fn fill(executor: &dyn Backend, door: &Door) -> (Future<u32>, Future<u32>) {
    (occupy_at_door(executor, door), executor.submit(double, 1))
}

#[test]
fn a_submission_waits_for_room_and_is_woken_once_when_there_is_some() {
    on_bounded_pools(|executor| {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (_running, pending) = fill(executor, &door);
        let mut submitting = executor.submit_async(double, 2);
        assert!(counter.poll(&mut submitting).is_pending());
        assert!(counter.poll(&mut submitting).is_pending());
        assert_eq!((counter.woken(), executor.stats().pending), (0, 1));
        assert!(pending.cancel());
        assert_eq!(counter.woken(), 1);
        let Poll::Ready(future) = counter.poll(&mut submitting) else { panic!("there is room") };
        assert_eq!(executor.stats().pending, 1);
        door.open();
        assert_eq!(future.result().unwrap(), 4);
    });
}

#[test]
fn submissions_get_room_in_the_order_in_which_they_began_to_wait() {
    on_bounded_pools(|executor| {
        let door = Door::new();
        let (_running, pending) = fill(executor, &door);
        let mut waiting: Vec<_> = (0..3).map(|n| (WakeCounter::new(), executor.submit_async(double, n))).collect();
        for (counter, submitting) in &mut waiting {
            assert!(counter.poll(submitting).is_pending());
        }
        let mut freed = pending;
        for at in 0..3 {
            assert!(freed.cancel());
            let woken: Vec<_> = waiting.iter().map(|(counter, _)| counter.woken()).collect();
            assert_eq!(woken, (0..3).map(|other| usize::from(other <= at)).collect::<Vec<_>>());
            let (counter, submitting) = &mut waiting[at];
            let Poll::Ready(future) = counter.poll(submitting) else { panic!("there is room") };
            freed = future;
        }
        door.open();
    });
}

#[test]
fn a_submission_that_was_woken_and_is_dropped_passes_its_room_on() {
    on_bounded_pools(|executor| {
        let door = Door::new();
        let (_running, pending) = fill(executor, &door);
        let (first, second) = (WakeCounter::new(), WakeCounter::new());
        let (mut dropped, mut kept) = (executor.submit_async(double, 1), executor.submit_async(double, 2));
        assert!(first.poll(&mut dropped).is_pending() && second.poll(&mut kept).is_pending());
        assert!(pending.cancel());
        assert_eq!((first.woken(), second.woken()), (1, 0));
        drop(dropped);
        assert_eq!(second.woken(), 1);
        let Poll::Ready(future) = second.poll(&mut kept) else { panic!("there is room") };
        door.open();
        assert_eq!(future.result().unwrap(), 4);
    });
}

#[test]
fn a_submission_that_is_dropped_while_it_waits_leaves_nothing() {
    on_bounded_pools(|executor| {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (_running, pending) = fill(executor, &door);
        let _ = logged("");
        let named = executor.with(TaskOptions::new().name("dropped before it was submitted"));
        let mut submitting = named.submit_async(double, 1);
        assert!(counter.poll(&mut submitting).is_pending());
        drop(submitting);
        drop(named.submit_async(double, 1));
        assert_eq!(Arc::strong_count(&counter), 1);
        assert!(logged("dropped before it was submitted").is_empty(), "it was cancelled, which is no error");
        door.open();
        assert_eq!(pending.result().unwrap(), 2);
        let mut later = executor.submit_async(double, 3);
        while counter.poll(&mut later).is_pending() {
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_close_wakes_submissions_which_are_refused() {
    on_bounded_pools(|executor| {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (_running, pending) = fill(executor, &door);
        let mut submitting = executor.submit_async(double, 1);
        assert!(counter.poll(&mut submitting).is_pending());
        executor.close();
        assert_eq!(counter.woken(), 1);
        let Poll::Ready(future) = counter.poll(&mut submitting) else { panic!("it does not wait any more") };
        assert!(matches!(future.result(), Err(Error::ShutDown)));
        door.open();
        assert_eq!(pending.result().unwrap(), 2);
    });
}

#[test]
fn a_submission_that_refuses_to_wait_is_refused() {
    on_bounded_pools(|executor| {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (_running, _pending) = fill(executor, &door);
        let hasty = executor.with(TaskOptions::new().refuse_when_full());
        let Poll::Ready(future) = counter.poll(&mut hasty.submit_async(double, 1)) else { panic!("it does not wait") };
        assert!(matches!(future.result(), Err(Error::Full(_))));
        door.open();
    });
}

#[test]
fn closures_wait_for_room_too() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (_running, pending) = fill(&threads, &door);
        let named = threads.with(TaskOptions::new().name("named"));
        let text = String::from("captured");
        let mut submitting: Submitting<'_, ThreadPoolExecutor, usize> =
            named.submit_async(move |n: usize| text.len() + n, 1);
        let mut panics = named.try_submit_async(|()| -> Result<(), Error> { panic!("named") }, ());
        assert!(counter.poll(&mut submitting).is_pending() && counter.poll(&mut panics).is_pending());
        door.open();
        assert_eq!(block_on(submitting).result().unwrap(), 9);
        let Err(Error::Panicked(panicked)) = block_on(panics).result() else { panic!("it panics") };
        assert_eq!(panicked.task_name(), Some("named"));
        assert_eq!(pending.result().unwrap(), 2);
    });
}

#[test]
fn a_shutdown_waits_for_the_workers_and_is_woken_when_they_have_ended() {
    on_bounded_pools(|executor| {
        let (door, counter) = (Door::new(), WakeCounter::new());
        let (running, pending) = fill(executor, &door);
        let mut end = executor.shutdown_async();
        assert!(counter.poll(&mut end).is_pending());
        assert!(matches!(executor.submit(double, 1).result(), Err(Error::ShutDown)));
        door.open();
        block_on(end);
        assert!(running.is_done() && pending.is_done());
        assert!(executor.join(Some(std::time::Duration::ZERO)));
    });
}

#[test]
fn an_executor_that_only_blocks_submits_and_shuts_down_all_the_same() {
    within(LONG, || {
        let inline = InlineExecutor::new();
        let future = block_on(inline.submit_async(double, 1));
        assert!(future.is_done());
        block_on(inline.shutdown_async());
        assert!(matches!(
            block_on(inline.try_submit_async(|n: u8| Ok::<u8, Error>(n), 1)).result(),
            Err(Error::ShutDown)
        ));
    });
}
