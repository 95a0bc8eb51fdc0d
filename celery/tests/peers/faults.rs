//! Faults between the client and the broker.

use std::sync::mpsc::channel;
use std::time::Duration;

use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor, as_completed};
use concurrent_futures_celery::{CeleryExecutor, ConnectError, Stopper, Worker};
use concurrent_futures_conformance::support::soon;
use lapin::types::AMQPValue;

use crate::Peers;
use crate::rust_worker::{submit_held, sum_to};
use crate::support::{Broker, Door, Proxy, Python, Raw, Rust, Scripted, client, same, same_number, unique};

crate::tests! {
    a_broker_that_cannot_be_used_is_named_without_its_password,
    a_queue_with_settings_of_its_own_is_used_as_it_is,
    a_full_queue_holds_tasks_back,
    a_task_that_is_not_to_wait_is_refused_by_a_full_queue,
    a_queue_that_was_deleted_is_declared_again,
    a_restarted_broker_loses_nothing,
    what_ends_in_python_without_a_broker_is_told_later,
    a_result_of_python_is_sent_until_the_broker_has_it,
    a_cut_connection_loses_nothing,
    a_message_that_the_broker_refuses_ends_alone,
    a_connection_that_stays_cut_breaks_the_executor,
    a_connection_that_is_silent_for_a_while_loses_nothing,
    a_connection_that_stays_silent_breaks_the_executor,
    without_a_broker_everything_ends_as_broken,
    an_executor_that_was_closed_without_a_broker_ends,
    an_executor_ends_while_the_broker_is_short_of_memory,
    a_worker_stops_while_the_broker_is_short_of_memory,
    an_abort_is_told_though_the_executor_ends_at_once,
    orders_are_told_after_the_broker_has_lost_their_exchange,
}

fn a_broker_that_cannot_be_used_is_named_without_its_password(peers: &Peers) {
    let url = |login: &str, vhost: &str| peers.url.replace("guest:guest", login) + vhost;
    for url in [url("guest:secret", ""), url("nobody:secret", ""), url("guest:guest", "/no.such.vhost")] {
        let error = CeleryExecutor::connect(&url).unwrap_err();
        assert!(matches!(error, ConnectError::Broker { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("127.0.0.1") && !text.contains("secret") && !text.contains("guest:guest"), "{text}");
    }
    let error = CeleryExecutor::connect("amqp://me:secret@127.0.0.1:9").unwrap_err();
    assert!(error.to_string().starts_with("the broker at amqp://me@127.0.0.1:9 cannot be reached"), "{error}");
}

fn a_queue_with_settings_of_its_own_is_used_as_it_is(peers: &Peers) {
    let queue = unique("own");
    let raw = Raw::connect(&peers.url);
    raw.declare(&queue, false, &[("x-max-length", AMQPValue::LongInt(1000))]);
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).build().unwrap();
    let _worker = Scripted::start(&peers.url, &queue, same);
    assert_eq!(same_number(&cluster, 7).result().unwrap(), 7);
    let other = unique("other");
    raw.declare(&other, false, &[]);
    let _other_worker = Scripted::start(&peers.url, &other, |called| vec![called.success(0)]);
    assert_eq!(same_number(&cluster.on(&other), 7).result().unwrap(), 0);
}

/// Declares a queue that has no room for more than one message.
fn narrow(raw: &Raw) -> String {
    let queue = unique("narrow");
    let overflow = AMQPValue::LongString("reject-publish".into());
    raw.declare(&queue, true, &[("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", overflow)]);
    queue
}

fn a_full_queue_holds_tasks_back(peers: &Peers) {
    let queue = narrow(&Raw::connect(&peers.url));
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).build().unwrap();
    let futures: Vec<_> = (0..20).map(|n| same_number(&cluster, n)).collect();
    let _worker = Scripted::start(&peers.url, &queue, same);
    for (n, future) in (0..).zip(futures) {
        assert_eq!(future.result().unwrap(), n);
    }
}

fn a_task_that_is_not_to_wait_is_refused_by_a_full_queue(peers: &Peers) {
    let queue = narrow(&Raw::connect(&peers.url));
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).build().unwrap();
    let hasty = cluster.with(TaskOptions::new().refuse_when_full());
    let futures: Vec<_> = (0..20).map(|n| same_number(&hasty, n)).collect();
    // The queue may take a few more than its limit.
    let mut completed = as_completed(futures);
    let refused: Vec<_> = completed.by_ref().take(10).collect();
    assert!(refused.into_iter().all(|future| matches!(future.result(), Err(Error::Full(_)))));
    let _worker = Scripted::start(&peers.url, &queue, same);
    assert!(completed.all(|future| matches!(future.result(), Ok(_) | Err(Error::Full(_)))));
}

fn a_queue_that_was_deleted_is_declared_again(peers: &Peers) {
    let queue = unique("deleted");
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).build().unwrap();
    let raw = Raw::connect(&peers.url);
    let delete = raw.channel.queue_delete(queue.as_str().into(), Default::default());
    futures_lite::future::block_on(delete).unwrap();
    let future = same_number(&cluster, 7);
    // The worker can only read a queue that exists.
    let worker = std::thread::spawn({
        let url = peers.url.clone();
        move || {
            let _declared = CeleryExecutor::builder(&url).queue(&queue).build().unwrap();
            Scripted::start(&url, &queue, same)
        }
    });
    assert_eq!(future.result().unwrap(), 7);
    drop(worker.join().unwrap());
}

fn a_restarted_broker_loses_nothing(_: &Peers) {
    let broker = Broker::start("restarted").unwrap();
    let python = Python::start(&broker.url, 2).unwrap();
    let cluster = CeleryExecutor::builder(&broker.url).queue(&python.queue).build().unwrap();
    let (send, receive) = channel();
    let futures: Vec<_> = (0..1000_i64)
        .map(|n| {
            let future = cluster.call::<_, i64>("tasks.add", (n, 1));
            let send = send.clone();
            future.add_done_callback(move |_| send.send(()).unwrap_or_default());
            future
        })
        .collect();
    (0..100).for_each(|_| soon(&receive));
    broker.stop();
    broker.start_again();
    for (n, future) in (0..).zip(futures) {
        assert_eq!(future.result().unwrap(), n + 1);
    }
}

fn what_ends_in_python_without_a_broker_is_told_later(_: &Peers) {
    let broker = Broker::start("later").unwrap();
    let python = Python::start(&broker.url, 1).unwrap();
    let cluster = CeleryExecutor::builder(&broker.url).queue(&python.queue).build().unwrap();
    let (begun, go) = (Door::new(), Door::new());
    let held = cluster.call::<_, i64>("tasks.hold", (begun.path(), go.path()));
    begun.wait();
    broker.stop();
    // The task ends while there is no broker for its result.
    go.open();
    broker.start_again();
    assert_eq!(held.result().unwrap(), 7);
}

fn a_result_of_python_is_sent_until_the_broker_has_it(peers: &Peers) {
    let proxy = Proxy::new(&peers.url);
    let python = Python::start(&proxy.url, 1).unwrap();
    let cluster = CeleryExecutor::builder(&peers.url).queue(&python.queue).build().unwrap();
    let (begun, go) = (Door::new(), Door::new());
    let held = cluster.call::<_, i64>("tasks.hold", (begun.path(), go.path()));
    begun.wait();
    // The newest connection is the one on which Celery has reported the start. It acknowledges the message on another
    // one.
    proxy.lose(true);
    go.open();
    proxy.cut_lossy();
    assert_eq!(held.result().unwrap(), 7);
}

fn a_cut_connection_loses_nothing(peers: &Peers) {
    let (proxy, queue) = (Proxy::new(&peers.url), unique("cut"));
    let cluster = CeleryExecutor::builder(&proxy.url).queue(&queue).build().unwrap();
    let (send, receive) = channel();
    let _worker = Scripted::start(&peers.url, &queue, move |called| {
        send.send(()).unwrap_or_default();
        same(called)
    });
    let futures: Vec<_> = (0..1000).map(|n| same_number(&cluster, n)).collect();
    for _ in 0..5 {
        (0..50).for_each(|_| soon(&receive));
        proxy.cut();
        proxy.mend();
    }
    for (n, future) in (0..).zip(futures) {
        assert_eq!(future.result().unwrap(), n);
    }
}

fn a_message_that_the_broker_refuses_ends_alone(_: &Peers) {
    let broker = Broker::start_with("small", "-rabbit max_message_size 100000").unwrap();
    let queue = unique("small");
    let cluster = CeleryExecutor::builder(&broker.url).queue(&queue).build().unwrap();
    let _worker = Scripted::start(&broker.url, &queue, same);
    let named = cluster.with(TaskOptions::new().name("same"));
    let futures: Vec<_> = (0..10).map(|n| named.submit(|text: String| text, "x".repeat(n * 20_000))).collect();
    for (n, future) in futures.into_iter().enumerate() {
        match future.result() {
            Ok(text) => assert!(text.len() == n * 20_000 && n < 5),
            Err(error) => assert!(n >= 5 && error.to_string().contains("the broker refuses it"), "{n}: {error:?}"),
        }
    }
}

fn a_connection_that_stays_cut_breaks_the_executor(peers: &Peers) {
    let proxy = Proxy::new(&peers.url);
    let timeout = Duration::from_millis(300);
    let cluster = CeleryExecutor::builder(&proxy.url).queue(&unique("cut")).broker_timeout(timeout).build().unwrap();
    let future = same_number(&cluster, 7);
    proxy.cut();
    assert!(matches!(future.result(), Err(Error::Broken(_))));
}

fn a_connection_that_is_silent_for_a_while_loses_nothing(peers: &Peers) {
    let (proxy, queue) = (Proxy::new(&peers.url), unique("silent"));
    let url = format!("{}?heartbeat=1", proxy.url);
    let cluster = CeleryExecutor::builder(&url).queue(&queue).build().unwrap();
    proxy.be_silent();
    let futures: Vec<_> = (0..100).map(|n| same_number(&cluster, n)).collect();
    // By then the connection has counted as lost for long, and the next attempt to connect hangs.
    let outcome = futures.into_iter().next().unwrap().result_timeout(Duration::from_secs(5));
    let first = outcome.expect_err("nothing gets through");
    proxy.mend();
    let _worker = Scripted::start(&peers.url, &queue, same);
    assert_eq!(first.result().unwrap(), 0);
    assert_eq!(same_number(&cluster, 7).result().unwrap(), 7);
}

fn a_connection_that_stays_silent_breaks_the_executor(peers: &Peers) {
    let proxy = Proxy::new(&peers.url);
    let url = format!("{}?heartbeat=1", proxy.url);
    let timeout = Duration::from_millis(300);
    let cluster = CeleryExecutor::builder(&url).queue(&unique("silent")).broker_timeout(timeout).build().unwrap();
    proxy.be_silent();
    let error = same_number(&cluster, 7).result().unwrap_err();
    assert!(matches!(error, Error::Broken(_)) && error.to_string().contains("is silent"), "{error:?}");
}

fn without_a_broker_everything_ends_as_broken(_: &Peers) {
    let broker = Broker::start("lost").unwrap();
    let timeout = Duration::from_millis(300);
    let cluster = CeleryExecutor::builder(&broker.url).in_flight(2).broker_timeout(timeout).build().unwrap();
    let futures: Vec<_> = (0..10).map(|n| same_number(&cluster, n)).collect();
    broker.stop();
    for future in futures {
        let error = future.result().unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("amqp://guest@127.0.0.1") && !text.contains("guest:guest"), "{text}");
    }
    assert!(matches!(same_number(&cluster, 7).result(), Err(Error::Broken(_))));
    cluster.shutdown();
}

fn an_executor_that_was_closed_without_a_broker_ends(_: &Peers) {
    let broker = Broker::start("closed").unwrap();
    let cluster = CeleryExecutor::builder(&broker.url).build().unwrap();
    let future = same_number(&cluster, 7);
    broker.stop();
    assert!(future.abort());
    cluster.shutdown();
}

/// Has a broker take nothing more from connections that publish, or take it again.
fn be_short_of_memory(broker: &Broker, is_short: bool) {
    broker.control(&["set_vm_memory_high_watermark", if is_short { "0.000001" } else { "0.4" }]);
}

fn an_executor_ends_while_the_broker_is_short_of_memory(_: &Peers) {
    let broker = Broker::start("short").unwrap();
    let queue = unique("short");
    let cluster = CeleryExecutor::builder(&broker.url).queue(&queue).build().unwrap();
    let worker = Scripted::start(&broker.url, &queue, same);
    assert_eq!(same_number(&cluster, 7).result().unwrap(), 7);
    be_short_of_memory(&broker, true);
    let (aborted, late) = (same_number(&cluster, 1), same_number(&cluster, 2));
    assert!(aborted.abort());
    assert!(!late.wait_timeout(Duration::from_secs(2)));
    be_short_of_memory(&broker, false);
    assert_eq!(late.result().unwrap(), 2, "it only waits");
    be_short_of_memory(&broker, true);
    let never = same_number(&cluster, 3);
    assert!(!never.wait_timeout(Duration::from_secs(3)));
    assert!(never.abort());
    cluster.shutdown();
    drop(cluster);
    be_short_of_memory(&broker, false);
    drop(worker);
}

fn a_worker_stops_while_the_broker_is_short_of_memory(_: &Peers) {
    let broker = Broker::start("short-worker").unwrap();
    let queue = unique("short");
    let cluster = CeleryExecutor::builder(&broker.url).queue(&queue).build().unwrap();
    for stop in [Stopper::warm, Stopper::cold] {
        let worker = Worker::builder(&broker.url).queues([&queue]).executor(ThreadPoolExecutor::new(1));
        let worker = worker.grace(Duration::from_secs(1)).build().unwrap();
        let stopper = worker.stopper();
        let worker = std::thread::spawn(move || worker.run());
        let (held, begun, go) = submit_held(&cluster);
        begun.wait();
        be_short_of_memory(&broker, true);
        // It tells that it is there every two seconds, and then the broker reads nothing more of its connection.
        assert!(!cluster.submit(sum_to, 4).wait_timeout(Duration::from_secs(5)));
        stop(&stopper);
        worker.join().unwrap().unwrap();
        be_short_of_memory(&broker, false);
        go.open();
        assert!(held.abort());
    }
    cluster.shutdown_now();
}

fn an_abort_is_told_though_the_executor_ends_at_once(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, true);
    let cluster = client(&peers.url, &worker.queue);
    let (held, begun, _go) = submit_held(&cluster);
    begun.wait();
    assert!(held.abort());
    drop(cluster);
    let next = client(&peers.url, &worker.queue);
    let sum = next.submit(sum_to, 4).result_timeout(Duration::from_secs(30));
    assert_eq!(sum.expect("the only process is free again").unwrap(), 10);
}

fn orders_are_told_after_the_broker_has_lost_their_exchange(_: &Peers) {
    let broker = Broker::start("orders").unwrap();
    let cluster = client(&broker.url, &unique("orders"));
    assert_eq!(cluster.wait_for_workers(1, Duration::ZERO), 0);
    assert!(cluster.workers().is_empty());
    let raw = Raw::connect(&broker.url);
    let delete = raw.channel.exchange_delete("celery.pidbox".into(), Default::default());
    futures_lite::future::block_on(delete).unwrap();
    assert!(cluster.workers().is_empty());
    let worker = Rust::start(&broker.url, 1, false);
    let workers = cluster.workers();
    assert_eq!(workers.iter().map(|worker| &worker.name).collect::<Vec<_>>(), [&worker.name]);
}
