//! How a client handles answers, valid or not.

use std::sync::Arc;
use std::sync::mpsc::channel;

use concurrent_futures::{Backend as _, Error, Executor, Future, Part, TaskOptions, task};
use concurrent_futures_celery::CeleryExecutor;
use concurrent_futures_conformance::support::soon;
use futures_lite::future::{block_on, poll_once};
use serde_json::json;

use crate::Peers;
use crate::support::{Answer, Called, Scripted, same, same_number, unique};

crate::tests! {
    the_first_answer_counts,
    a_task_that_is_tried_again_goes_on,
    what_cannot_be_read_ends_its_task_alone,
    a_message_that_is_too_large_ends_its_task_alone,
    submit_waits_for_room,
    async_code_waits_for_room_and_for_the_end,
    a_task_waits_for_others_without_a_worker,
    what_no_worker_takes_is_cancelled_by_a_shutdown,
    functions_that_have_no_name_are_refused,
    names_that_the_broker_cannot_take_are_refused,
    who_waits_for_workers_learns_that_the_executor_is_over,
    what_has_begun_is_running_until_its_answer_comes,
}

#[task(name = "answers.parse")]
fn parse(text: String) -> Result<u8, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn start(peers: &Peers, answers: impl FnMut(&Called) -> Vec<Answer> + Send + 'static) -> (CeleryExecutor, Scripted) {
    let queue = unique("answers");
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).max_message_size(10_000).build().unwrap();
    (cluster, Scripted::start(&peers.url, &queue, answers))
}

fn the_first_answer_counts(peers: &Peers) {
    let answers = |called: &Called| {
        let other = Called { id: "00000000-0000-4000-8000-000000000000".into(), ..called.clone() };
        vec![
            other.success(0),
            called.success(1),
            called.success(2),
            called.answer("FAILURE", &json!({"exc_type": "E"})),
        ]
    };
    let (cluster, _worker) = start(peers, answers);
    for _ in 0..10 {
        assert_eq!(same_number(&cluster, 7).result().unwrap(), 1);
    }
}

fn a_task_that_is_tried_again_goes_on(peers: &Peers) {
    let answers = |called: &Called| {
        let retry = json!({"exc_type": "Retry", "exc_message": ["in 1s"]});
        vec![called.answer("STARTED", &json!({})), called.answer("RETRY", &retry), called.success(1)]
    };
    let (cluster, _worker) = start(peers, answers);
    assert_eq!(same_number(&cluster, 7).result().unwrap(), 1);
}

fn what_cannot_be_read_ends_its_task_alone(peers: &Peers) {
    let answers = |called: &Called| {
        let text = |content_type: &str, body: String| {
            vec![Answer { content_type: content_type.into(), body: body.into_bytes() }]
        };
        match called.args[0].as_u64() {
            Some(0) => text("application/json", "{".into()),
            Some(1) => text("application/x-python-serialize", "pickled".into()),
            Some(2) => text("application/json", "[".repeat(5_000)),
            Some(3) => vec![called.success("text")],
            Some(4) => vec![called.answer("FAILURE", &json!("no exception"))],
            _ => vec![called.success(5)],
        }
    };
    let (cluster, _worker) = start(peers, answers);
    for n in 0..5 {
        let error = same_number(&cluster, n).result().unwrap_err();
        assert!(matches!(&error, Error::Decode(decode) if decode.part() == Part::Result), "{n}: {error:?}");
        assert!(n != 1 || error.to_string().contains("set `result_serializer` to json"), "{error}");
    }
    assert_eq!(same_number(&cluster, 5).result().unwrap(), 5);
}

fn a_message_that_is_too_large_ends_its_task_alone(peers: &Peers) {
    let (cluster, _worker) = start(peers, |called| match called.args[0].as_str() {
        Some("long") => vec![called.success("x".repeat(20_000))],
        _ => vec![called.success("short")],
    });
    let named = cluster.with(TaskOptions::new().name("same"));
    for text in ["long".to_owned(), "x".repeat(20_000)] {
        let error = named.submit(|text: String| text, text).result().unwrap_err();
        assert!(matches!(&error, Error::TooLarge(large) if large.limit() == 10_000), "{error:?}");
    }
    assert_eq!(named.submit(|text: String| text, "".into()).result().unwrap(), "short");
}

fn submit_waits_for_room(peers: &Peers) {
    let queue = unique("room");
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).max_pending(2).build().unwrap();
    let cluster = Arc::new(cluster);
    let (first, _second) = (same_number(&*cluster, 0), same_number(&*cluster, 1));
    let refused = same_number(&cluster.with(TaskOptions::new().refuse_when_full()), 2).result().unwrap_err();
    assert!(matches!(&refused, Error::Full(full) if full.limit() == 2), "{refused:?}");
    // A callback runs where answers are taken, and must not wait for room.
    let (send, inside) = channel();
    let for_callback = Arc::clone(&cluster);
    first.add_done_callback(move |_| {
        let futures: Vec<_> = (10..15).map(|n| same_number(&*for_callback, n)).collect();
        send.send(futures).unwrap();
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| same_number(&*cluster, 3).result());
        let _worker = Scripted::start(&peers.url, &queue, same);
        assert_eq!(waiting.join().unwrap().unwrap(), 3);
        for (n, future) in (10..).zip(soon(&inside)) {
            assert_eq!(future.result().unwrap(), n);
        }
    });
}

fn async_code_waits_for_room_and_for_the_end(peers: &Peers) {
    let queue = unique("async");
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).max_pending(1).build().unwrap();
    let named = cluster.with(TaskOptions::new().name("same"));
    let first = same_number(&cluster, 0);
    let mut second = named.submit_async(|n: u64| n, 1);
    block_on(async {
        assert!(poll_once(&mut second).await.is_none(), "there is no room");
        let _worker = Scripted::start(&peers.url, &queue, same);
        assert_eq!(second.await.await.unwrap(), 1);
        assert_eq!(first.await.unwrap(), 0);
        cluster.shutdown_async().await;
    });
    assert!(matches!(same_number(&cluster, 2).result(), Err(Error::ShutDown)));
}

fn a_task_waits_for_others_without_a_worker(peers: &Peers) {
    // The worker has one slot. If the last task occupied it while it waits, no task would ever be done.
    let (cluster, _worker) = start(peers, |called| {
        let sum: u64 = called.args.as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).sum();
        vec![called.success(sum + 1)]
    });
    let named = cluster.with(TaskOptions::new().name("sum"));
    let sum = named.submit_after((same_number(&cluster, 1), same_number(&cluster, 2)), |(a, b): (u64, u64)| a + b);
    assert_eq!(named.submit_after(sum, |n: u64| n).result().unwrap(), 7);
}

fn what_no_worker_takes_is_cancelled_by_a_shutdown(peers: &Peers) {
    let cluster = CeleryExecutor::builder(&peers.url).queue(&unique("nobody")).in_flight(2).build().unwrap();
    let futures: Vec<_> = (0..5).map(|n| same_number(&cluster, n)).collect();
    cluster.shutdown_now();
    assert!(futures.iter().all(Future::is_cancelled));
    assert!(cluster.join(None) && futures.into_iter().all(|future| matches!(future.result(), Err(Error::Cancelled))));
}

fn functions_that_have_no_name_are_refused(peers: &Peers) {
    let (cluster, _worker) = start(peers, |called| vec![called.success(7)]);
    let error = cluster.submit(|n: u8| n, 1).result().unwrap_err();
    assert!(matches!(&error, Error::Encode(encode) if encode.part() == Part::Function), "{error:?}");
    assert!(error.to_string().contains("put `#[task]` on it"), "{error}");
    let error = cluster.submit(parse, "7".into()).result().unwrap_err();
    assert!(error.to_string().contains("use `try_submit`"), "{error}");
    assert_eq!(cluster.try_submit(parse, "7".into()).result().unwrap(), 7);
}

fn names_that_the_broker_cannot_take_are_refused(peers: &Peers) {
    let (cluster, _worker) = start(peers, |called| vec![called.success(7)]);
    for queue in ["", &"x".repeat(256)] {
        let error = same_number(&cluster.on(queue), 7).result().unwrap_err();
        assert!(error.to_string().starts_with("queue must be a name of 1 to 255 bytes"), "{error:?}");
    }
    let error = cluster.call::<_, u64>(&"x".repeat(200_000), 7_u64).result().unwrap_err();
    assert!(matches!(&error, Error::Encode(encode) if encode.part() == Part::Function), "{error:?}");
    // What the caller calls a task is a label, and is cut.
    let label = cluster.with(TaskOptions::new().name(&*"x".repeat(200_000)));
    assert_eq!(label.try_submit(parse, "7".into()).result().unwrap(), 7);
    assert_eq!(same_number(&cluster, 7).result().unwrap(), 7);
}

fn who_waits_for_workers_learns_that_the_executor_is_over(peers: &Peers) {
    let cluster = CeleryExecutor::builder(&peers.url).queue(&unique("nobody")).build().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cluster.wait_for_workers(1, std::time::Duration::MAX));
        cluster.shutdown();
        assert_eq!(waiting.join().unwrap(), 0);
    });
    assert_eq!(cluster.wait_for_workers(1, std::time::Duration::MAX), 0);
}

fn what_has_begun_is_running_until_its_answer_comes(peers: &Peers) {
    let (begin, begun) = channel::<()>();
    let (cluster, worker) = start(peers, move |called| match called.args[0].as_u64() {
        Some(0) => vec![called.answer("STARTED", &json!({"hostname": "w@test", "pid": 7}))],
        // This message and its answer come after those of the first task.
        _ => {
            soon(&begun);
            vec![called.success(true)]
        }
    });
    let running = same_number(&cluster, 0);
    let second = cluster.with(TaskOptions::new().name("same")).submit(|_: u64| false, 1);
    begin.send(()).unwrap();
    assert!(second.result().unwrap());
    assert!(running.is_running() && !running.cancel());
    assert_eq!(cluster.stats().running, 1);
    drop(worker);
    assert!(running.abort() && running.is_cancelled());
    let stats = cluster.stats();
    assert_eq!((stats.running, stats.pending, stats.completed, stats.failed), (0, 0, 1, 0));
}
