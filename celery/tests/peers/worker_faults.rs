//! Faults of a worker of this crate, of its messages, of its broker and of its clients.

use std::fs::File;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor, task};
use concurrent_futures_celery::{ConnectError, Stopper, Worker};
use futures_lite::StreamExt as _;
use futures_lite::future::block_on;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Consumer};
use serde_json::{Value, json};

use crate::Peers;
use crate::rust_worker::{submit_held, sum_to};
use crate::support::{Broker, Door, Proxy, Raw, Rust, Scripted, client, same, same_number, unique};

crate::tests! {
    a_cold_stop_gives_up_what_runs,
    a_warm_stop_becomes_a_cold_one,
    a_worker_that_waits_for_tasks_stops,
    a_worker_that_is_frozen_costs_what_it_ran,
    a_worker_outlives_its_broker,
    an_outcome_waits_for_the_broker,
    a_task_whose_client_is_gone_is_given_up,
    a_message_that_calls_no_task_is_answered,
    a_copy_of_a_message_is_not_run,
    a_copy_that_comes_after_the_end_is_not_run,
    a_task_is_run_once_though_its_client_sends_it_twice,
    a_broker_that_refuses_a_worker_is_named,
    a_quorum_queue_has_a_limit_of_its_own,
}

/// Never ends.
#[task(name = "tests.park")]
fn park(_: ()) {
    loop {
        thread::park();
    }
}

#[task(name = "tests.touch")]
fn touch(path: String) {
    File::create_new(path).expect("a new file");
}

/// Runs a worker in this process, and calls a function while it serves. Returns once the worker has ended.
fn serve(peers: &Peers, queues: &[&str], grace: Option<Duration>, meanwhile: impl FnOnce(Stopper)) {
    let builder = Worker::builder(&peers.url).queues(queues.iter().copied()).executor(ThreadPoolExecutor::new(1));
    let worker = grace.into_iter().fold(builder, |builder, grace| builder.grace(grace)).build().unwrap();
    let stopper = worker.stopper();
    let worker = thread::spawn(move || worker.run());
    meanwhile(stopper);
    worker.join().unwrap().unwrap();
}

fn a_cold_stop_gives_up_what_runs(peers: &Peers) {
    let queue = unique("cold");
    let cluster = client(&peers.url, &queue);
    let (held, begun, go) = submit_held(&cluster);
    let after = cluster.submit(sum_to, 4);
    serve(peers, &[&queue], None, |stopper| {
        begun.wait();
        stopper.cold();
    });
    let _next = Rust::start_on(&queue, &peers.url, 1, false);
    assert!(matches!(held.result(), Err(Error::WorkerDied(_))), "it had begun");
    assert_eq!(after.result().unwrap(), 10);
    // The aborted task still runs, on a thread that nobody waits for.
    go.open();
}

fn a_warm_stop_becomes_a_cold_one(peers: &Peers) {
    let queue = unique("grace");
    let cluster = client(&peers.url, &queue);
    let (held, begun, go) = submit_held(&cluster);
    serve(peers, &[&queue], Some(Duration::from_millis(1)), |stopper| {
        begun.wait();
        stopper.warm();
    });
    let _next = Rust::start_on(&queue, &peers.url, 1, false);
    assert!(matches!(held.result(), Err(Error::WorkerDied(_))));
    go.open();
    let retried = cluster.with(TaskOptions::new().retries(1));
    let (held, begun, go) = submit_held(&retried);
    begun.wait();
    go.open();
    assert_eq!(held.result().unwrap(), 7);
}

fn a_worker_that_waits_for_tasks_stops(peers: &Peers) {
    let queue = unique("idle");
    let cluster = client(&peers.url, &queue);
    serve(peers, &[&queue], None, |stopper| {
        assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10);
        stopper.warm();
        stopper.warm();
    });
}

fn a_worker_that_is_frozen_costs_what_it_ran(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let cluster = client(&peers.url, &worker.queue);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    // The client hears a heartbeat of the worker meanwhile. There is one every two seconds.
    assert_eq!(cluster.wait_for_workers(2, Duration::from_secs(5)), 1);
    worker.signal("-STOP");
    // The client hears no more heartbeats, and ends the task.
    assert!(matches!(held.result(), Err(Error::WorkerDied(_))));
    worker.signal("-CONT");
    go.open();
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10, "it goes on, and what it says late does not matter");
}

fn a_worker_outlives_its_broker(_: &Peers) {
    let broker = Broker::start("restart-worker").expect("RabbitMQ");
    let worker = Rust::start(&broker.url, 1, false);
    let cluster = client(&broker.url, &worker.queue);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    broker.stop();
    broker.start_again();
    // The message of the running task is delivered again, and the worker knows it.
    let after = cluster.submit(sum_to, 4);
    go.open();
    assert_eq!(held.result().unwrap(), 7, "it was run once, by the worker that had it");
    assert_eq!(after.result().unwrap(), 10);
}

fn an_outcome_waits_for_the_broker(_: &Peers) {
    let broker = Broker::start("outcome-worker").expect("RabbitMQ");
    let worker = Rust::start(&broker.url, 1, false);
    let cluster = client(&broker.url, &worker.queue);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    broker.stop();
    go.open();
    broker.start_again();
    assert_eq!(held.result().unwrap(), 7);
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10, "its message is not run again");
}

/// Publishes a message, and listens to the answers.
pub(crate) struct Publisher {
    pub(crate) raw: Raw,
    queue: String,
    pub(crate) replies: String,
    answers: Consumer,
}

impl Publisher {
    pub(crate) fn new(peers: &Peers, queue: &str) -> Self {
        Self::on(peers, queue, &unique("replies"))
    }

    /// With a queue for answers.
    pub(crate) fn on(peers: &Peers, queue: &str, replies: &str) -> Self {
        let (raw, replies) = (Raw::connect(&peers.url), replies.to_owned());
        raw.declare(&replies, false, &[]);
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let answers = raw.channel.basic_consume(replies.as_str().into(), "".into(), options, FieldTable::default());
        let answers = block_on(answers).expect("answers");
        Self { raw, queue: queue.into(), replies, answers }
    }

    /// Returns the properties of a message that calls a task.
    pub(crate) fn properties(&self, task: &str, id: &str) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (key, value) in [("task", task), ("id", id)] {
            headers.insert(key.into(), AMQPValue::LongString(value.into()));
        }
        BasicProperties::default()
            .with_content_type("application/json".into())
            .with_headers(headers)
            .with_correlation_id(id.into())
            .with_reply_to(self.replies.as_str().into())
    }

    pub(crate) fn publish(&self, properties: BasicProperties, body: &str) {
        self.publish_to("", &self.queue, properties, body);
    }

    /// Tells all workers something.
    pub(crate) fn order(&self, order: &Value) {
        let properties = BasicProperties::default().with_content_type("application/json".into());
        self.publish_to("celery.pidbox", "", properties, &order.to_string());
    }

    pub(crate) fn publish_to(&self, exchange: &str, key: &str, properties: BasicProperties, body: &str) {
        let options = BasicPublishOptions::default();
        let published =
            self.raw.channel.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties);
        block_on(async { published.await?.await }).expect("a broker");
    }

    /// Waits for the next answer.
    pub(crate) fn answer(&mut self) -> Value {
        let delivery = block_on(self.answers.next()).expect("an answer").expect("a broker");
        serde_json::from_slice(&delivery.data).expect("an answer in JSON")
    }

    #[track_caller]
    fn assert_failure(&mut self, id: &str, exception: &str, said: &str) {
        let answer = self.answer();
        assert_eq!((&answer["task_id"], &answer["status"]), (&json!(id), &json!("FAILURE")), "{answer}");
        assert_eq!(answer["result"]["exc_type"], exception);
        assert!(answer["result"]["exc_message"][0].as_str().unwrap().contains(said), "{answer}");
    }
}

fn a_task_whose_client_is_gone_is_given_up(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, true);
    let publisher = Publisher::new(peers, &worker.queue);
    let path = std::env::temp_dir().join(unique("touched"));
    // The header marks a client of this crate, of which a missing queue for answers means that it is gone.
    let orphan = |task: &str, id: &str| {
        let properties = publisher.properties(task, id).with_reply_to("no.such.queue".into());
        let mut headers = properties.headers().clone().unwrap();
        headers.insert("cf-retries".into(), AMQPValue::LongInt(0));
        properties.with_headers(headers)
    };
    publisher.publish(orphan("tests.park", "1"), "[[], {}, {}]");
    publisher.publish(orphan("tests.touch", "2"), &format!("[[{:?}], {{}}, {{}}]", path.to_str().unwrap()));
    let cluster = client(&peers.url, &worker.queue);
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10, "its slot is free again");
    assert!(!path.exists(), "the second was not run");
}

fn a_message_that_calls_no_task_is_answered(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    let pickled = publisher.properties("tests.sum_to", "1").with_content_type("application/x-python-serialize".into());
    publisher.publish(pickled, "pickled");
    publisher.assert_failure("1", "TypeError", "set `task_serializer` to json");
    let old = publisher.properties("tests.sum_to", "2").with_headers(FieldTable::default());
    publisher.publish(old, r#"{"task": "tests.sum_to", "id": "2", "args": [3]}"#);
    publisher.assert_failure("2", "TypeError", "only version 2 of Celery's message protocol is read");
    publisher.publish(publisher.properties("tests.no_such_task", "3"), "[[3], {}, {}]");
    publisher.assert_failure("3", "NotRegistered", "no task named \"tests.no_such_task\"");
    let deep = format!("[[{}{}], {{}}, {{}}]", "[".repeat(100_000), "]".repeat(100_000));
    for (id, body, said) in [
        ("9", &*deep, "invalid type: sequence"),
        ("4", "no JSON", "the body of the message is not"),
        ("5", "{}", "the body of the message is not"),
        ("6", "[[3], {}, {}", "the body of the message is not"),
        ("7", r#"[["x"], {}, {}]"#, "invalid type: string"),
        ("8", "[[1, 2], {}, {}]", "2 positional arguments for a function of one"),
    ] {
        publisher.publish(publisher.properties("tests.sum_to", id), body);
        let mut answer = publisher.answer();
        if answer["status"] == "STARTED" {
            answer = publisher.answer();
        }
        assert_eq!((&answer["task_id"], &answer["status"]), (&json!(id), &json!("FAILURE")), "{answer}");
        assert!(answer["result"]["exc_message"][0].as_str().unwrap().contains(said), "{answer}");
    }
    assert_eq!(client(&peers.url, &worker.queue).submit(sum_to, 4).result().unwrap(), 10, "nothing is in its way");
}

fn a_copy_of_a_message_is_not_run(peers: &Peers) {
    let worker = Rust::start(&peers.url, 2, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    let (begun, go) = (Door::new(), Door::new());
    let body = format!("[[{:?}, {:?}], {{}}, {{}}]", begun.path().unwrap(), go.path().unwrap());
    publisher.publish(publisher.properties("tests.hold", "1"), &body);
    begun.wait();
    publisher.publish(publisher.properties("tests.hold", "1"), &body);
    // When this task is answered, the worker has handled the copy.
    publisher.publish(publisher.properties("tests.sum_to", "2"), "[[3], {}, {}]");
    let seen: Vec<_> = (0..3).map(|_| publisher.answer()).collect();
    assert!(seen.iter().any(|answer| answer["result"] == json!(6)), "{seen:?}");
    go.open();
    let answer = publisher.answer();
    assert_eq!((&answer["task_id"], &answer["result"]), (&json!("1"), &json!(7)));
}

fn a_copy_that_comes_after_the_end_is_not_run(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    let path = std::env::temp_dir().join(unique("copied"));
    let body = format!("[[{:?}], {{}}, {{}}]", path.to_str().unwrap());
    let properties = |publisher: &Publisher| {
        let properties = publisher.properties("tests.touch", "1");
        let mut headers = properties.headers().clone().unwrap();
        headers.insert("cf-retries".into(), AMQPValue::LongInt(0));
        properties.with_headers(headers)
    };
    // A client publishes a message again after a restart of the broker, if it does not know that the broker had it.
    publisher.publish(properties(&publisher), &body);
    publisher.publish(properties(&publisher), &body);
    publisher.publish(publisher.properties("tests.sum_to", "2"), "[[3], {}, {}]");
    let answers: Vec<_> = std::iter::from_fn(|| Some(publisher.answer())).take(4).collect();
    let told: Vec<_> = answers.iter().map(|answer| (&answer["task_id"], &answer["status"])).collect();
    let (first, second) = (json!("1"), json!("2"));
    let (started, success) = (json!("STARTED"), json!("SUCCESS"));
    assert_eq!(told, [(&first, &started), (&first, &success), (&second, &started), (&second, &success)]);
    std::fs::remove_file(path).unwrap();
}

fn a_task_is_run_once_though_its_client_sends_it_twice(peers: &Peers) {
    let (proxy, worker) = (Proxy::new(&peers.url), Rust::start(&peers.url, 1, false));
    let other = unique("other");
    let cluster = client(&proxy.url, &worker.queue);
    Raw::connect(&peers.url).declare(&other, true, &[]);
    let _answers = Scripted::start(&peers.url, &other, same);
    // The client does not hear that the broker has the message.
    proxy.lose(false);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    proxy.cut_lossy();
    // The client is connected again, and has published what was submitted before this task.
    assert_eq!(same_number(&cluster.on(&other), 7).result().unwrap(), 7);
    go.open();
    assert_eq!(held.result().unwrap(), 7);
    // The only slot is free, so the copy does not run.
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10);
}

fn a_broker_that_refuses_a_worker_is_named(peers: &Peers) {
    let wrong = Worker::builder(&peers.url.replace("guest:guest", "guest:secret")).build().unwrap();
    let error = wrong.run().unwrap_err();
    assert!(matches!(error, ConnectError::Broker { .. }) && !error.to_string().contains("secret"), "{error}");
    // An exclusive queue can be used only by the connection that has declared it.
    let raw = Raw::connect(&peers.url);
    let queue = unique("exclusive");
    let options = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
    block_on(raw.channel.queue_declare(queue.as_str().into(), options, FieldTable::default())).unwrap();
    let error = Worker::builder(&peers.url).queues([&queue]).build().unwrap().run().unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(&queue), "{error}");
}

fn a_quorum_queue_has_a_limit_of_its_own(peers: &Peers) {
    let (queue, other) = (unique("quorum"), unique("classic"));
    let kind = AMQPValue::LongString("quorum".into());
    Raw::connect(&peers.url).declare(&queue, true, &[("x-queue-type", kind)]);
    let cluster = client(&peers.url, &queue);
    serve(peers, &[&queue, &other], None, |stopper| {
        let sums: Vec<u64> = cluster.map(sum_to, [1, 2, 3]).collect::<Result<_, _>>().unwrap();
        assert_eq!(sums, [1, 3, 6]);
        assert_eq!(cluster.on(&other).submit(sum_to, 4).result().unwrap(), 10);
        stopper.warm();
    });
}
