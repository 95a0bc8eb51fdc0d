//! `.await` under any runtime: tokio, smol, and one written by hand.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use concurrent_futures::{
    Error, Executor, Future, InlineExecutor, Outcome, Promise, SharedFuture, ThreadPoolExecutor, promise,
};

use crate::support::{LONG, block_on, logged, occupy, panic_text, within};

/// Counts how often it was woken, and how many of it are left.
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: std::future::Future + Unpin>(future: &mut F, counter: &Arc<Counter>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(counter));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

async fn awaited(executor: &impl Executor) -> Result<u64, Error> {
    executor.submit(|n: u64| (1..=n).sum(), 3).await
}

#[test]
fn under_a_hand_written_runtime() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        assert_eq!(block_on(threads.spawn(|| 7)).unwrap(), 7);
        assert_eq!(block_on(awaited(&threads)).unwrap(), 6);
        assert_eq!(block_on(awaited(&InlineExecutor)).unwrap(), 6);
    });
}

#[test]
fn under_tokio() {
    within(LONG, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let threads = Arc::new(ThreadPoolExecutor::new(2));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let threads = Arc::clone(&threads);
                    tokio::spawn(async move { threads.spawn(move || number).await })
                })
                .collect();
            for (number, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap().unwrap(), number);
            }
            assert_eq!(awaited(&*threads).await.unwrap(), 6);
        });
    });
}

#[test]
fn under_tokio_on_one_thread() {
    within(LONG, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let threads = ThreadPoolExecutor::new(1);
        assert_eq!(runtime.block_on(threads.spawn(|| 1).into_future()).unwrap(), 1);
    });
}

#[test]
fn under_smol() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(2));
        // Of their own: smol's global ones keep threads for good.
        let tasks = smol::LocalExecutor::new();
        smol::future::block_on(tasks.run(async {
            let inner = Arc::clone(&threads);
            let task = tasks.spawn(async move { inner.spawn(|| "smol").await });
            assert_eq!(task.await.unwrap(), "smol");
            assert_eq!(awaited(&*threads).await.unwrap(), 6);
        }));
    });
}

#[test]
fn errors_arrive_as_well() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let panicked = block_on(threads.spawn(|| -> u8 { panic!("awaited") }));
        assert!(matches!(panicked, Err(Error::Panicked(_))));
        let (promise, abandoned) = promise::<u8>();
        drop(promise);
        assert!(matches!(block_on(abandoned), Err(Error::Abandoned)));
    });
}

#[test]
fn a_done_future_is_ready_at_once() {
    let (promise, future) = promise();
    promise.complete(Ok(1));
    let counter = Counter::new();
    assert!(matches!(poll(&mut future.into_future(), &counter), Poll::Ready(Ok(1))));
    assert_eq!((counter.woken(), Arc::strong_count(&counter)), (0, 1));
}

#[test]
fn an_awaiting_task_is_woken_once_when_its_future_is_done() {
    let (promise, future) = promise();
    let counter = Counter::new();
    let mut awaiting = future.into_future();
    assert!(poll(&mut awaiting, &counter).is_pending());
    promise.start();
    assert_eq!(counter.woken(), 0);
    promise.complete(Ok(5));
    assert_eq!(counter.woken(), 1);
    assert_eq!(Arc::strong_count(&counter), 1, "the waker is used up");
    assert!(matches!(poll(&mut awaiting, &counter), Poll::Ready(Ok(5))));
}

#[test]
fn an_awaiting_task_is_woken_after_the_callbacks() {
    let (promise, future) = promise::<u8>();
    let counter = Counter::new();
    let (send, receive) = mpsc::channel();
    let inside = Arc::clone(&counter);
    future.add_done_callback(move |_| send.send(inside.woken()).unwrap());
    let mut awaiting = future.into_future();
    assert!(poll(&mut awaiting, &counter).is_pending());
    promise.complete(Ok(1));
    assert_eq!(receive.try_recv(), Ok(0));
    assert_eq!(counter.woken(), 1);
}

/// A wake that finds the future not done would make the runtime park again, for ever.
#[test]
fn a_woken_task_finds_its_future_done() {
    struct Looks(mpsc::Sender<bool>, SharedFuture<u8>);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.0.send(self.1.is_done()).unwrap();
        }
    }
    let (promise, future) = promise();
    let shared = future.share();
    let (send, receive) = mpsc::channel();
    let waker = Waker::from(Arc::new(Looks(send, shared.clone())));
    let mut awaiting = (&shared).into_future();
    assert!(Pin::new(&mut awaiting).poll(&mut Context::from_waker(&waker)).is_pending());
    promise.complete(Ok(1));
    assert_eq!(receive.try_recv(), Ok(true));
}

#[test]
fn cancel_wakes_an_awaiting_task() {
    let (_promise, future) = promise::<u8>();
    let shared = future.share();
    let counter = Counter::new();
    let mut awaiting = (&shared).into_future();
    assert!(poll(&mut awaiting, &counter).is_pending());
    assert!(shared.cancel());
    assert_eq!(counter.woken(), 1);
    assert!(matches!(poll(&mut awaiting, &counter), Poll::Ready(Err(Error::Cancelled))));
}

#[test]
fn abort_and_abandonment_wake_an_awaiting_task() {
    type End = fn(Promise<u8>, &SharedFuture<u8>);
    let ends: [End; 2] = [|_promise, future| assert!(future.abort()), |promise, _| drop(promise)];
    for end in ends {
        let (promise, future) = promise::<u8>();
        promise.start();
        let shared = future.share();
        let counter = Counter::new();
        let mut awaiting = (&shared).into_future();
        assert!(poll(&mut awaiting, &counter).is_pending());
        end(promise, &shared);
        assert_eq!(counter.woken(), 1);
        assert!(matches!(poll(&mut awaiting, &counter), Poll::Ready(Err(_))));
    }
}

#[test]
fn only_the_last_waker_is_kept_and_woken() {
    let (promise, future) = promise();
    let counters = [Counter::new(), Counter::new(), Counter::new()];
    let mut awaiting = future.into_future();
    for counter in &counters {
        assert!(poll(&mut awaiting, counter).is_pending());
        assert!(poll(&mut awaiting, counter).is_pending());
    }
    assert_eq!(counters.each_ref().map(Arc::strong_count), [1, 1, 2]);
    promise.complete(Ok(1));
    assert_eq!(counters.each_ref().map(|counter| counter.woken()), [0, 0, 1]);
}

#[test]
fn a_dropped_await_removes_its_waker() {
    let (promise, future) = promise::<u8>();
    let counter = Counter::new();
    let mut awaiting = future.into_future();
    assert!(poll(&mut awaiting, &counter).is_pending());
    assert_eq!(Arc::strong_count(&counter), 2);
    drop(awaiting);
    assert_eq!(Arc::strong_count(&counter), 1);
    assert!(promise.complete(Ok(1)), "dropping detaches, it does not cancel");
    assert_eq!(counter.woken(), 0);
}

#[test]
fn an_await_dropped_before_a_poll_detaches_its_task() {
    let (promise, future) = promise();
    drop(future.into_future());
    assert!(promise.complete(Ok(1)));
}

#[test]
fn an_await_dropped_before_the_failure_leaves_the_error_to_the_log() {
    within(LONG, || {
        assert!(logged("awaited by nobody").is_empty());
        let threads = ThreadPoolExecutor::new(1);
        let (opener, _running) = occupy(&threads);
        drop(threads.spawn(|| -> u8 { panic!("awaited by nobody") }).into_future());
        opener.open();
        drop(threads);
        assert_eq!(logged("awaited by nobody").len(), 1);
    });
}

#[test]
fn the_loser_of_a_select_removes_its_waker() {
    within(LONG, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (slow_promise, slow) = promise::<u8>();
        let (fast_promise, fast) = promise::<u8>();
        let slow = slow.share();
        let completer = thread::spawn(move || fast_promise.complete(Ok(2)));
        let won = runtime.block_on(async {
            tokio::select! {
                outcome = &slow => outcome.copied(),
                outcome = fast.into_future() => outcome,
            }
        });
        assert_eq!(won.unwrap(), 2);
        assert!(completer.join().unwrap());
        slow_promise.complete(Ok(1));
        assert_eq!(slow.result().unwrap(), &1);
    });
}

#[test]
fn many_tasks_await_one_shared_future() {
    let (promise, future) = promise();
    let shared = future.share();
    let counters: Vec<_> = (0..5).map(|_| Counter::new()).collect();
    let mut awaits: Vec<_> = counters.iter().map(|_| (&shared).into_future()).collect();
    for (awaiting, counter) in awaits.iter_mut().zip(&counters) {
        assert!(poll(awaiting, counter).is_pending());
    }
    // One of them gives up.
    drop(awaits.remove(2));
    assert_eq!(Arc::strong_count(&counters[2]), 1);
    promise.complete(Ok(String::from("flags")));
    let woken: Vec<_> = counters.iter().map(|counter| counter.woken()).collect();
    assert_eq!(woken, [1, 1, 0, 1, 1]);
    for awaiting in &mut awaits {
        assert!(matches!(poll(awaiting, &counters[0]), Poll::Ready(Ok(text)) if text == "flags"));
    }
    assert!(counters.iter().all(|counter| Arc::strong_count(counter) == 1));
}

#[test]
fn one_waker_for_several_awaits_is_woken_for_each() {
    let (promise, future) = promise();
    let shared = future.share();
    let counter = Counter::new();
    let (mut one, mut two) = ((&shared).into_future(), (&shared).into_future());
    assert!(poll(&mut one, &counter).is_pending());
    assert!(poll(&mut two, &counter).is_pending());
    promise.complete(Ok(1));
    assert_eq!(counter.woken(), 2);
    drop((one, two));
}

#[test]
fn shared_awaits_under_tokio_meet_blocking_readers() {
    within(LONG, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for _ in 0..50 {
            let (promise, future) = promise();
            let shared = future.share();
            let awaits: Vec<_> = (0..3)
                .map(|_| {
                    let shared = shared.clone();
                    runtime.spawn(async move { (&shared).await.copied() })
                })
                .collect();
            let blocked = thread::spawn(move || shared.result().copied());
            promise.complete(Ok(3));
            assert_eq!(blocked.join().unwrap().unwrap(), 3);
            for awaiting in awaits {
                assert_eq!(runtime.block_on(awaiting).unwrap().unwrap(), 3);
            }
        }
    });
}

#[test]
fn a_future_awaited_in_a_task_of_its_executor_runs_there() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let inner: Future<_> = inside.spawn(|| thread::current().id());
            (block_on(inner).unwrap(), thread::current().id())
        });
        let (inner, outer) = outer.result().unwrap();
        assert_eq!(inner, outer);
    });
}

#[test]
fn a_waker_that_panics_does_no_harm() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let (promise, future) = promise();
    let mut awaiting = future.into_future();
    let waker = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut awaiting).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(promise.complete(Ok(1)));
    let outcome: Outcome<i32> = block_on(awaiting);
    assert_eq!(outcome.unwrap(), 1);
}

#[test]
fn a_poll_after_ready_panics() {
    let (promise, future) = promise();
    promise.complete(Ok(1));
    let counter = Counter::new();
    let mut awaiting = future.into_future();
    assert!(poll(&mut awaiting, &counter).is_ready());
    let text = panic_text(|| poll(&mut awaiting, &counter));
    assert!(text.contains("polled after it was ready"), "{text}");
}

#[test]
fn it_can_be_printed() {
    let (_promise, future) = promise::<u8>();
    assert!(format!("{:?}", future.into_future()).contains("state=pending"));
}
