//! Tests that messages of several versions of Celery, recorded byte for byte, are read correctly.
//! `tests/messages/record.py` records them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use concurrent_futures::{Error, Part};
use lapin::BasicProperties;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Started, Status};
use crate::failure::{FailedTask, Failure};
use crate::message::{Body, TaskMessage};

const RECORDS: [&str; 4] = [
    include_str!("../tests/messages/celery-5.4.0.json"),
    include_str!("../tests/messages/celery-5.5.3.json"),
    include_str!("../tests/messages/celery-5.6.0.json"),
    include_str!("../tests/messages/celery-5.7.0.json"),
];

#[derive(Deserialize)]
struct Record {
    celery: String,
    tasks: BTreeMap<String, Sent>,
    answers: BTreeMap<String, Sent>,
}

#[derive(Deserialize)]
struct Sent {
    properties: String,
    body: String,
    #[serde(default)]
    expected: BTreeMap<String, Value>,
}

impl Sent {
    fn properties(&self) -> BasicProperties {
        let bytes = STANDARD.decode(&self.properties).unwrap();
        let (rest, properties) = lapin::protocol::basic::parse_properties(&*bytes).unwrap();
        assert!(rest.is_empty());
        properties
    }
}

fn each(check: impl Fn(&Record)) {
    for record in RECORDS {
        check(&serde_json::from_str(record).unwrap());
    }
}

#[test]
fn messages_that_call_tasks() {
    each(|record| {
        for (name, sent) in &record.tasks {
            let what = format!("{name} of {}", record.celery);
            let message = TaskMessage::from_properties(&sent.properties()).unwrap();
            let body = Body::read(sent.body.as_bytes()).unwrap();
            assert_eq!((&*message.id, &*message.task), ("id-1", "tasks.add"), "{what}");
            assert_eq!((message.root_id.as_deref(), &*message.origin), (Some("id-0"), "1@golden"), "{what}");
            let embed = &body.2;
            for (key, expected) in &sent.expected {
                let text = |text: &Option<String>| Value::from(text.clone());
                let seconds = |limit: Option<std::time::Duration>| Value::from(limit.map(|limit| limit.as_secs_f64()));
                let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                let length = |list: &Option<Vec<Value>>| Value::from(list.as_ref().map(Vec::len));
                let (read, expected) = match &**key {
                    "args" => (json(body.arguments().args), json(expected.as_str().unwrap())),
                    "kwargs" => (json(body.arguments().kwargs), json(expected.as_str().unwrap())),
                    "time_limit" => (seconds(message.time_limit), expected.clone()),
                    "soft_time_limit" => (seconds(message.soft_time_limit), expected.clone()),
                    "eta" => (text(&message.eta), expected.clone()),
                    "expires" => (text(&message.expires), expected.clone()),
                    "group" => (text(&message.group), expected.clone()),
                    "shadow" => (text(&message.shadow), expected.clone()),
                    "reply_to" => (text(&message.reply_to), expected.clone()),
                    "retries" => (message.retries.into(), expected.clone()),
                    "ignore_result" => (message.ignore_result.into(), expected.clone()),
                    "chain" => (length(&embed.chain), expected.clone()),
                    "callbacks" => (length(&embed.callbacks), expected.clone()),
                    other => panic!("{other} is not compared"),
                };
                assert_eq!(read, expected, "{key} of {what}");
            }
        }
    });
}

#[test]
fn answers() {
    let task = FailedTask { name: "tasks.no", ..FailedTask::default() };
    each(|record| {
        let read = |name: &str| Answer::read(record.answers[name].body.as_bytes()).unwrap();
        let failure = |name: &str| {
            let answer = read(name);
            assert_eq!(answer.status, Status::Failure, "{name}");
            Failure::deserialize(answer.result()).unwrap().into_error(answer.traceback, &task)
        };
        let started = read("started");
        assert_eq!(started.status, Status::Started);
        let who = Started { hostname: "celery@golden".into(), pid: 7 };
        assert_eq!(Started::deserialize(started.result()).unwrap(), who);
        let success = read("success");
        assert_eq!(success.status, Status::Success);
        type Result = (u8, String, Option<u8>, concurrent_futures::Bytes);
        let value = Result::deserialize(success.result()).unwrap();
        assert_eq!(value, (1, "a".into(), None, vec![0, 255].into()));
        for (name, message, type_name) in
            [("failure", "no such flag, 7", "NoSuchFlag"), ("builtin failure", "no such flag", "ValueError")]
        {
            let Error::Failed(failed) = failure(name) else { panic!("{name}") };
            assert_eq!((failed.to_string().as_str(), failed.type_name()), (message, type_name));
            assert_eq!(failed.trace(), Some("Traceback (most recent call last):"));
        }
        assert!(matches!(failure("not registered"), Error::Decode(decode) if decode.part() == Part::Function));
        assert!(matches!(failure("time limit"), Error::TimeLimit(_)));
        assert!(matches!(failure("worker lost"), Error::WorkerDied(_)));
        assert_eq!((read("revoked").status, read("retry").status), (Status::Revoked, Status::Retry));
    });
}
