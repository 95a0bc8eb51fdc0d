//! The races of a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor as _, Future, Job, MapOptions, Stats, Submitter, TaskOptions, Waiting, promise,
};

use crate::checker::spawn;
use crate::client::shared::{Settings, Shared};
use crate::link::{Link, Log, Troubles};
use crate::schedules::{below, check, check_often, dawdle};

/// The client without its connection.
#[derive(Clone)]
struct Cluster(Arc<Shared>);

impl Backend for Cluster {
    fn execute(&self, job: Job) {
        self.0.submit(job, &self.0.settings.queue, true);
    }
    fn max_workers(&self) -> usize {
        self.0.settings.in_flight
    }
    fn close(&self) {
        self.0.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.0.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.0.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.0.try_submit(job, &self.0.settings.queue, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        Some(self.0.submitter(&self.0.settings.queue))
    }
}

/// What a model has besides its client.
#[derive(Clone, Default)]
struct Test {
    log: Log,
    /// How many futures were submitted, and how many have said that they are done.
    submitted: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

fn same(n: u32) -> u32 {
    n
}

impl Test {
    fn submit(&self, cluster: &Cluster, number: u32) -> Future<u32> {
        let future = cluster.with(TaskOptions::new().name("same")).submit(same, number);
        self.submitted.fetch_add(1, Ordering::Relaxed);
        let done = Arc::clone(&self.done);
        future.add_done_callback(move |_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        future
    }
}

/// Runs a client and a link. `body` runs beside them; at its end the client is closed.
fn client(in_flight: usize, max_pending: Option<usize>, troubles: Troubles, body: impl FnOnce(&Test, &Cluster)) {
    let settings = Settings {
        queue: "q".into(),
        in_flight,
        max_pending,
        max_message_size: 1000,
        broker_timeout: Duration::from_secs(1),
    };
    let cluster = Cluster(Arc::new(Shared::new(settings).unwrap()));
    let test = Test::default();
    let link = Link::new(Arc::clone(&cluster.0), test.log.clone(), troubles);
    let link = spawn(move || link.run());
    body(&test, &cluster);
    cluster.close();
    assert!(cluster.join(None));
    link.join().unwrap();
    let stats = cluster.stats();
    assert_eq!((stats.pending, stats.running), (0, 0));
    let counts = [&test.submitted, &test.done].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts[0], counts[1], "each future is done once");
}

/// Submits so many numbers from a thread of its own, and wants them back.
fn caller(test: &Test, cluster: &Cluster, numbers: std::ops::Range<u32>) -> shuttle::thread::JoinHandle<()> {
    let (test, cluster) = (test.clone(), cluster.clone());
    spawn(move || {
        let futures: Vec<_> = numbers.map(|number| (number, test.submit(&cluster, number))).collect();
        for (number, future) in futures {
            assert_eq!(future.result().unwrap(), number);
        }
    })
}

/// Submits numbers from two threads, one of them this one, and wants them back.
fn two_callers(test: &Test, cluster: &Cluster) {
    let other = caller(test, cluster, 0..2);
    let futures = [10, 11].map(|number| (number, test.submit(cluster, number)));
    for (number, future) in futures {
        assert_eq!(future.result().unwrap(), number);
    }
    other.join().unwrap();
}

#[test]
fn answers_in_any_order() {
    check(|| {
        client(1 + below(3), None, Troubles { copies: 2, ..Troubles::default() }, |test, cluster| {
            two_callers(test, cluster);
        });
    });
}

/// Two threads cancel one future, while others are submitted and the connection is lost.
#[test]
fn cancel_against_everything() {
    check(|| {
        client(1, None, Troubles { losses: 1, copies: 1, ..Troubles::default() }, |test, cluster| {
            let other = caller(test, cluster, 0..1);
            let future = test.submit(cluster, 7);
            let handle = future.abort_handle();
            let canceller = spawn(move || handle.cancel());
            let cancelled = [future.cancel(), canceller.join().unwrap()];
            if cancelled.contains(&true) {
                test.log.never(7);
            }
            match future.result() {
                Ok(number) => assert!(number == 7 && cancelled == [false; 2]),
                Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
            }
            other.join().unwrap();
        });
    });
}

/// What was cancelled exactly makes room in the window, and is never published.
#[test]
fn cancel_against_submit() {
    check(|| {
        client(1, None, Troubles { refusals: 1, ..Troubles::default() }, |test, cluster| {
            let futures = [0, 1, 2].map(|number| test.submit(cluster, number));
            let handles = futures.each_ref().map(Future::abort_handle);
            let theirs = test.log.clone();
            let canceller = spawn(move || {
                handles.iter().zip(0..).for_each(|(handle, number)| {
                    if number != 1 && handle.cancel() {
                        theirs.never(number);
                    }
                });
            });
            let last = test.submit(cluster, 3);
            canceller.join().unwrap();
            for (future, number) in futures.into_iter().zip(0..).chain([(last, 3)]) {
                match future.result() {
                    Ok(result) => assert_eq!(result, number),
                    Err(error) => assert!(matches!(error, Error::Cancelled) && number % 2 == 0, "{error}"),
                }
            }
        });
    });
}

/// A task that waited for another one comes to the client with its future in the hands of others already.
#[test]
fn cancel_of_what_comes_late() {
    check_often(8, || {
        client(1, None, Troubles::default(), |test, cluster| {
            let (input, waits) = promise();
            let future = cluster.with(TaskOptions::new().name("same")).submit_after(waits, same);
            let completer = spawn(move || input.complete(Ok(7)));
            dawdle();
            let was_cancelled = future.cancel();
            if was_cancelled {
                test.log.never(7);
            }
            assert!(completer.join().unwrap() || was_cancelled);
            match future.result() {
                Ok(number) => assert!(number == 7 && !was_cancelled),
                Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
            }
        });
    });
}

#[test]
fn abort_against_everything() {
    check(|| {
        client(1, None, Troubles { losses: 1, copies: 1, ..Troubles::default() }, |test, cluster| {
            let other = caller(test, cluster, 0..2);
            let future = test.submit(cluster, 7);
            let handle = future.abort_handle();
            let aborter = spawn(move || handle.abort());
            let aborted = [future.abort(), aborter.join().unwrap()];
            match future.result() {
                Ok(number) => assert!(number == 7 && aborted == [false; 2]),
                Err(error) => assert!(matches!(error, Error::Cancelled) && aborted.contains(&true), "{error}"),
            }
            other.join().unwrap();
        });
    });
}

#[test]
fn reconnect_against_everything() {
    check(|| {
        client(1 + below(2), None, Troubles { losses: 2, refusals: 2, copies: 2, breaks: false }, |test, cluster| {
            two_callers(test, cluster);
        });
    });
}

/// Callers block, and polls wait, while two tasks are pending. One of the tasks is cancelled, which makes room, too.
#[test]
fn room_against_everything() {
    check(|| {
        client(1, Some(1), Troubles { losses: 1, ..Troubles::default() }, |test, cluster| {
            let others = [caller(test, cluster, 0..2), caller(test, cluster, 10..12)];
            let future = test.submit(cluster, 7);
            future.cancel();
            match future.result() {
                Ok(number) => assert_eq!(number, 7),
                Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
            }
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    });
}

/// What comes after the close is refused, and what came before is done.
#[test]
fn close_against_everything() {
    check(|| {
        client(1, Some(2), Troubles { losses: 1, ..Troubles::default() }, |test, cluster| {
            let (theirs, their_cluster) = (test.clone(), cluster.clone());
            let other = spawn(move || {
                for number in 0..3 {
                    match theirs.submit(&their_cluster, number).result() {
                        Ok(result) => assert_eq!(result, number),
                        Err(error) => assert!(matches!(error, Error::ShutDown), "{error}"),
                    }
                }
            });
            let future = test.submit(cluster, 7);
            cluster.close();
            assert_eq!(future.result().unwrap(), 7);
            assert!(cluster.join(None));
            other.join().unwrap();
        });
    });
}

/// What was published may still be answered, or is withdrawn.
#[test]
fn shutdown_now_against_everything() {
    check(|| {
        client(1, None, Troubles { losses: 1, copies: 1, ..Troubles::default() }, |test, cluster| {
            let (theirs, their_cluster) = (test.clone(), cluster.clone());
            let other = spawn(move || [0, 1].map(|number| (number, theirs.submit(&their_cluster, number))));
            let futures = [10, 11].map(|number| (number, test.submit(cluster, number)));
            futures[1].1.cancel();
            cluster.shutdown_now();
            for (number, future) in futures.into_iter().chain(other.join().unwrap()) {
                assert!(future.is_done());
                match future.result() {
                    Ok(result) => assert_eq!(result, number),
                    Err(error) => assert!(matches!(error, Error::Cancelled | Error::ShutDown), "{error}"),
                }
            }
        });
    });
}

#[test]
fn broken_against_everything() {
    check(|| {
        client(1, Some(2), Troubles { losses: 1, breaks: true, ..Troubles::default() }, |test, cluster| {
            let (theirs, their_cluster) = (test.clone(), cluster.clone());
            let other = spawn(move || [0, 1].map(|number| (number, theirs.submit(&their_cluster, number))));
            let futures = [10, 11].map(|number| (number, test.submit(cluster, number)));
            let was_cancelled = futures[1].1.cancel();
            for (number, future) in futures.into_iter().chain(other.join().unwrap()) {
                match future.result() {
                    Ok(result) => assert_eq!(result, number),
                    Err(Error::Cancelled) => assert!(number == 11),
                    Err(error) => assert!(matches!(error, Error::Broken(_)) && !(was_cancelled && number == 11)),
                }
            }
        });
    });
}

/// A map whose items go out in chunks, beside a cancelled task and a lost connection.
#[test]
fn chunks() {
    check(|| {
        client(2, None, Troubles { losses: 1, refusals: 1, copies: 1, breaks: false }, |test, cluster| {
            let other = caller(test, cluster, 0..1);
            let named = cluster.with(TaskOptions::new().name("same"));
            let chunked = named.with(MapOptions::new().chunk_size(2));
            let mut items = chunked.map(same, [10, 11, 12]);
            assert_eq!(items.next().unwrap().unwrap(), 10);
            if below(2) == 0 {
                assert_eq!(items.map(Result::unwrap).collect::<Vec<_>>(), [11, 12]);
            }
            other.join().unwrap();
        });
    });
}
