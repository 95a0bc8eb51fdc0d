//! Messages and orders that must cost nothing but themselves: the worker that gets one goes on, on the same connection.

use std::time::Duration;

use concurrent_futures::{Executor, Future, task};
use futures_lite::future::block_on;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use serde_json::{Value, json};

use crate::Peers;
use crate::rust_worker::{submit_held, sum_to};
use crate::support::{Broker, Door, Rust, client, unique};
use crate::worker_faults::Publisher;

crate::tests! {
    what_is_too_long_for_amqp_costs_its_message_alone,
    what_cannot_be_called_after_a_task_costs_that_task_alone,
    what_comes_after_a_task_finds_a_queue,
    an_order_that_cannot_be_answered_costs_nothing,
    a_message_is_published_again_to_its_queue,
    a_queue_for_answers_that_is_there_again_is_used_again,
    a_queue_for_answers_that_is_lost_hangs_nobody,
    names_that_are_never_known_are_not_remembered,
    a_result_that_the_broker_refuses_ends_its_task_alone,
}

#[task(name = "poison.repeat")]
fn repeat(count: usize) -> String {
    "x".repeat(count)
}

fn a_result_that_the_broker_refuses_ends_its_task_alone(_: &Peers) {
    let broker = Broker::start_with("small-results", "-rabbit max_message_size 100000").unwrap();
    let worker = Rust::start(&broker.url, 2, false);
    let cluster = client(&broker.url, &worker.queue);
    let futures: Vec<_> = (0..10).map(|n| cluster.submit(repeat, n * 20_000)).collect();
    for (n, future) in futures.into_iter().enumerate() {
        match future.result() {
            Ok(text) => assert!(text.len() == n * 20_000 && n < 5),
            Err(error) => assert!(n >= 5 && error.to_string().contains("the broker refuses it"), "{n}: {error:?}"),
        }
    }
}

/// Runs a worker that has a task of somebody else's, while something is done to it twice, because there is a second one.
/// That it still runs the task, and has its answer taken, shows that its connection was not lost: the second would have
/// answered that the first is lost.
fn unharmed(peers: &Peers, harm: impl Fn(&Rust, &mut Publisher)) {
    let worker = Rust::start(&peers.url, 2, false);
    let cluster = client(&peers.url, &worker.queue);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    let _second = Rust::start_on(&worker.queue, &peers.url, 2, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    (0..2).for_each(|_| harm(&worker, &mut publisher));
    go.open();
    assert_eq!(held.result().unwrap(), 7);
}

fn followed_by(signature: &Value) -> String {
    json!([[3], {}, {"callbacks": [signature]}]).to_string()
}

fn header(properties: BasicProperties, key: &str, value: AMQPValue) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap();
    headers.insert(key.into(), value);
    properties.with_headers(headers)
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Returns the answer that is not about the begin of the task.
fn end(publisher: &mut Publisher) -> Value {
    loop {
        let answer = publisher.answer();
        if answer["status"] != "STARTED" {
            return answer;
        }
    }
}

fn what_is_too_long_for_amqp_costs_its_message_alone(peers: &Peers) {
    unharmed(peers, |worker, publisher| {
        let long = "x".repeat(300);
        for (id, long) in [("1", &long), ("2", &"x".repeat(100_000))] {
            let properties = publisher.properties("tests.sum_to", id);
            publisher.publish(header(properties, "id", text(long)), "[[3], {}, {}]");
            let answer = end(publisher);
            assert_eq!((&answer["task_id"], &answer["status"]), (&json!(id), &json!("FAILURE")), "{answer}");
        }
        // Nothing says where an answer would go.
        let unanswered = BasicProperties::default().with_content_type("application/json".into());
        let unanswered = unanswered.with_reply_to(publisher.replies.as_str().into());
        let headers = header(publisher.properties("tests.sum_to", "x"), "id", text(&long)).headers().clone().unwrap();
        publisher.publish(unanswered.with_headers(headers), "[[3], {}, {}]");
        for (id, options) in [
            ("3", json!({"queue": &long})),
            ("4", json!({"exchange": &long})),
            ("5", json!({"task_id": &long})),
            ("6", json!({"reply_to": &long})),
        ] {
            let next = json!({"task": "tests.sum_to", "options": options});
            publisher.publish(publisher.properties("tests.sum_to", id), &followed_by(&next));
            let answer = end(publisher);
            assert_eq!((&answer["task_id"], &answer["status"]), (&json!(id), &json!("FAILURE")), "{answer}");
        }
        let next = json!({"task": "x".repeat(200_000), "options": {"queue": &worker.queue}});
        publisher.publish(publisher.properties("tests.sum_to", "7"), &followed_by(&next));
        assert_eq!(end(publisher)["status"], "FAILURE");
        publisher.order(&json!({"method": "add_consumer", "arguments": {"queue": &long}}));
        publisher.order(&json!({"method": "ping", "reply_to": {"exchange": "", "routing_key": &long}}));
    });
}

fn what_cannot_be_called_after_a_task_costs_that_task_alone(peers: &Peers) {
    unharmed(peers, |_, publisher| {
        let next = json!({"task": "tests.sum_to", "options": {"exchange": unique("no.such"), "routing_key": "x"}});
        publisher.publish(publisher.properties("tests.sum_to", "1"), &followed_by(&next));
        let answer = end(publisher);
        assert_eq!((&answer["task_id"], &answer["status"]), (&json!("1"), &json!("FAILURE")), "{answer}");
        assert!(answer["result"]["exc_message"][0].as_str().unwrap().contains("no.such"), "{answer}");
    });
}

fn what_comes_after_a_task_finds_a_queue(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    let queue = unique("later");
    let options = json!({"queue": &queue, "task_id": "2", "reply_to": &publisher.replies});
    publisher.publish(
        publisher.properties("tests.sum_to", "1"),
        &followed_by(&json!({"task": "tests.sum_to", "options": options})),
    );
    assert_eq!(end(&mut publisher)["result"], json!(6));
    // Nobody had declared it before.
    let _later = Rust::start_on(&queue, &peers.url, 1, false);
    let answer = end(&mut publisher);
    assert_eq!((&answer["task_id"], &answer["result"]), (&json!("2"), &json!(21)));
}

fn an_order_that_cannot_be_answered_costs_nothing(peers: &Peers) {
    unharmed(peers, |worker, publisher| {
        for exchange in [unique("no.such"), String::new()] {
            let reply_to = json!({"exchange": exchange, "routing_key": unique("nobody")});
            publisher.order(&json!({"method": "ping", "reply_to": reply_to}));
        }
        // Orders are carried out one after the other.
        let reply_to = json!({"exchange": "", "routing_key": publisher.replies});
        let ask = json!({"method": "ping", "destination": [worker.name], "reply_to": reply_to, "ticket": "1"});
        publisher.order(&ask);
        assert_eq!(publisher.answer()[&worker.name]["ok"], "pong");
    });
}

fn a_message_is_published_again_to_its_queue(peers: &Peers) {
    let (queue, exchange) = (unique("bound"), unique("exchange"));
    let mut publisher = Publisher::new(peers, &queue);
    let channel = publisher.raw.channel.clone();
    publisher.raw.declare(&queue, true, &[]);
    block_on(async {
        let options = ExchangeDeclareOptions::default();
        channel
            .exchange_declare(exchange.as_str().into(), ExchangeKind::Fanout, options, FieldTable::default())
            .await?;
        let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.as_str().into(), exchange.as_str().into(), "".into(), bind, none).await
    })
    .unwrap();
    let (begun, go) = (Door::new(), Door::new());
    let body = format!("[[{:?}, {:?}], {{}}, {{}}]", begun.path().unwrap(), go.path().unwrap());
    let properties = header(publisher.properties("tests.hold", "1"), "cf-retries", AMQPValue::LongInt(1));
    publisher.publish_to(&exchange, "", properties, &body);
    let mut lost = Rust::start_on(&queue, &peers.url, 1, false);
    begun.wait();
    // Where the message came from is not there any more.
    block_on(channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default())).unwrap();
    lost.kill();
    let _next = Rust::start_on(&queue, &peers.url, 1, false);
    begun.wait();
    go.open();
    assert_eq!(end(&mut publisher)["result"], json!(7));
}

fn a_queue_for_answers_that_is_there_again_is_used_again(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    let replies = unique("replies");
    let ours = |publisher: &Publisher, id: &str| {
        let properties = publisher.properties("tests.sum_to", id).with_reply_to(replies.as_str().into());
        header(properties, "cf-retries", AMQPValue::LongInt(0))
    };
    // The queue is not there, so nobody waits for the answer.
    publisher.publish(ours(&publisher, "1"), "[[3], {}, {}]");
    publisher.publish(publisher.properties("tests.sum_to", "2"), "[[3], {}, {}]");
    assert_eq!(end(&mut publisher)["task_id"], "2");
    // Now it is: its client was away for long.
    let mut again = Publisher::on(peers, &worker.queue, &replies);
    publisher.publish(ours(&publisher, "3"), "[[3], {}, {}]");
    assert_eq!(end(&mut again)["task_id"], "3");
}

fn a_queue_for_answers_that_is_lost_hangs_nobody(peers: &Peers) {
    let queue = unique("answers");
    let cluster = client(&peers.url, &queue);
    let publisher = Publisher::new(peers, &queue);
    let (send, called) = std::sync::mpsc::channel();
    let scripted = crate::support::Scripted::start(&peers.url, &queue, move |called| {
        let _ = send.send(called.reply_to.clone());
        Vec::new()
    });
    let future: Future<u64> = cluster.submit(sum_to, 3);
    let replies = called.recv().unwrap();
    // It is taken from the queue, and its answer is lost with the queue for answers.
    drop(scripted);
    let delete = publisher.raw.channel.queue_delete(replies.as_str().into(), Default::default());
    block_on(delete).unwrap();
    let error = future.result_timeout(Duration::from_secs(30)).expect("it ends").unwrap_err();
    assert!(error.to_string().contains("answers"), "{error:?}");
    let _worker = Rust::start_on(&queue, &peers.url, 1, false);
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10);
}

fn names_that_are_never_known_are_not_remembered(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, false);
    let mut publisher = Publisher::new(peers, &worker.queue);
    for id in ["1", "2"] {
        publisher.publish(publisher.properties(&unique("tests.unknown"), id), "[[3], {}, {}]");
        assert_eq!(end(&mut publisher)["status"], "FAILURE");
    }
    publisher.publish(publisher.properties("tests.sum_to", "3"), "[[3], {}, {}]");
    assert_eq!(end(&mut publisher)["result"], json!(6));
    let reply_to = json!({"exchange": "", "routing_key": publisher.replies});
    publisher.order(&json!({"method": "stats", "destination": [worker.name], "reply_to": reply_to, "ticket": "1"}));
    assert_eq!(publisher.answer()[&worker.name]["total"], json!({"tests.sum_to": 1}));
}
