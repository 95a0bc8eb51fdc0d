//! [`TaskMessage`]: a message that calls a task, by version 2 of Celery's message protocol. [`Body`]: its arguments.
//!
//! The headers of the message identify the task and say how to run it. The body has the arguments: `[args, kwargs,
//! embed]` in JSON. Headers of this crate begin with `cf-`; Python ignores them.
#![forbid(unsafe_code)]

use std::time::Duration;

use concurrent_futures::{Decode, Error, Part};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::{Arguments, Written};
use crate::properties::{JSON, content_type, correlation_id, json_properties, reply_to, text};
use crate::size::LONGEST;

/// The header that says how often a task may be run again when its worker is lost, for the worker that gets the message
/// then.
const RETRIES: &str = "cf-retries";

/// The place of the task in a trace, as OpenTelemetry's instrumentation of Celery writes it.
const TRACEPARENT: &str = "traceparent";

/// How many bytes the texts in the headers of a message may have, which are all sent in one frame of 128 KiB: the broker ends
/// the connection beyond it.
const HEADERS: usize = 64 << 10;

/// The headers and properties of a message that calls a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TaskMessage {
    pub(crate) id: String,
    /// The name of the task.
    pub(crate) task: String,
    /// The name that the client gives the task in logs and errors.
    pub(crate) shadow: Option<String>,
    pub(crate) root_id: Option<String>,
    pub(crate) parent_id: Option<String>,
    pub(crate) group: Option<String>,
    /// How often the task has been run before.
    pub(crate) retries: u32,
    /// How often it may be run again when its worker is lost. Only this crate sets it.
    pub(crate) retries_allowed: Option<u32>,
    /// When to run it, in ISO 8601.
    pub(crate) eta: Option<String>,
    /// When not to run it any more, in ISO 8601.
    pub(crate) expires: Option<String>,
    /// The time after which the task is ended.
    pub(crate) time_limit: Option<Duration>,
    /// The time after which Python raises an exception in the task. Rust ignores it.
    pub(crate) soft_time_limit: Option<Duration>,
    /// The span that its spans are children of, in the form of the W3C's recommendation "Trace Context".
    pub(crate) traceparent: Option<String>,
    /// The program that published the message.
    pub(crate) origin: String,
    pub(crate) ignore_result: bool,
    /// The arguments as logs and monitors show them.
    pub(crate) args_shown: String,
    pub(crate) kwargs_shown: String,
    /// The queue for answers.
    pub(crate) reply_to: Option<String>,
    pub(crate) correlation_id: Option<String>,
}

impl TaskMessage {
    pub(crate) fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        let mut put = |key: &str, value: AMQPValue| {
            headers.insert(key.into(), value);
        };
        put("lang", long_string("rust"));
        put("task", long_string(&self.task));
        put("id", long_string(&self.id));
        put("shadow", optional(self.shadow.as_deref()));
        put("root_id", optional(self.root_id.as_deref()));
        put("parent_id", optional(self.parent_id.as_deref()));
        put("group", optional(self.group.as_deref()));
        put("retries", AMQPValue::LongInt(self.retries.try_into().unwrap_or(i32::MAX)));
        if let Some(allowed) = self.retries_allowed {
            put(RETRIES, AMQPValue::LongInt(allowed.try_into().unwrap_or(i32::MAX)));
        }
        put("eta", optional(self.eta.as_deref()));
        put("expires", optional(self.expires.as_deref()));
        let limits = [self.time_limit, self.soft_time_limit]
            .map(|limit| limit.map_or(AMQPValue::Void, |limit| AMQPValue::Double(limit.as_secs_f64())));
        put("timelimit", AMQPValue::FieldArray(limits.to_vec().into()));
        put("argsrepr", long_string(&self.args_shown));
        put("kwargsrepr", long_string(&self.kwargs_shown));
        put("origin", long_string(&self.origin));
        if let Some(traceparent) = &self.traceparent {
            put(TRACEPARENT, long_string(traceparent));
        }
        put("ignore_result", AMQPValue::Boolean(self.ignore_result));
        // Delivery mode 2 makes the broker keep the message over a restart.
        let mut properties = json_properties().with_headers(headers).with_delivery_mode(2).with_priority(0);
        properties = properties.with_correlation_id(self.correlation_id.as_deref().unwrap_or(&self.id).into());
        match &self.reply_to {
            Some(queue) => properties.with_reply_to(queue.as_str().into()),
            None => properties,
        }
    }

    /// Returns an error if the message has a text that AMQP cannot carry.
    pub(crate) fn check(&self) -> Result<(), TooLong> {
        check_short("id", &self.id)?;
        check_short("correlation id", self.correlation_id.as_deref().unwrap_or_default())?;
        check_short("queue for answers", self.reply_to.as_deref().unwrap_or_default())?;
        let Self { shadow, root_id, parent_id, group, eta, expires, .. } = self;
        let texts = [shadow, root_id, parent_id, group, eta, expires].into_iter().flatten();
        match self.task.len() + texts.map(String::len).sum::<usize>() {
            0..=HEADERS => Ok(()),
            bytes => Err(TooLong { what: "header", bytes, most: HEADERS }),
        }
    }

    /// Reads a message of version 2 of the protocol. Ignores headers that it does not know.
    pub(crate) fn from_properties(properties: &BasicProperties) -> Result<Self, Malformed> {
        let kind = content_type(properties);
        if kind != JSON {
            return Err(Malformed::ContentType(kind.to_owned()));
        }
        let Some(headers) = properties.headers() else { return Err(Malformed::Protocol) };
        let text = |key| text(headers, key);
        let (Some(id), Some(task)) = (text("id"), text("task")) else { return Err(Malformed::Protocol) };
        // The answer has it among its properties.
        check_short("id", &id)?;
        let limits = match headers.inner().get("timelimit") {
            Some(AMQPValue::FieldArray(limits)) => limits.as_slice(),
            _ => &[],
        };
        let count = |key| headers.inner().get(key).and_then(whole);
        Ok(Self {
            id,
            task,
            shadow: text("shadow"),
            root_id: text("root_id"),
            parent_id: text("parent_id"),
            group: text("group"),
            retries: count("retries").unwrap_or(0),
            retries_allowed: count(RETRIES),
            eta: text("eta"),
            expires: text("expires"),
            time_limit: limits.first().and_then(seconds),
            soft_time_limit: limits.get(1).and_then(seconds),
            traceparent: text(TRACEPARENT),
            origin: text("origin").unwrap_or_default(),
            ignore_result: matches!(headers.inner().get("ignore_result"), Some(AMQPValue::Boolean(true))),
            args_shown: text("argsrepr").unwrap_or_default(),
            kwargs_shown: text("kwargsrepr").unwrap_or_default(),
            reply_to: reply_to(properties).map(str::to_owned),
            correlation_id: correlation_id(properties).map(str::to_owned),
        })
    }
}

/// Why a message calls no task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the message has the content type {0:?}, and only {JSON:?} is read: set `task_serializer` to json")]
    ContentType(String),
    #[error("the message has no task and id in its headers: only version 2 of Celery's message protocol is read")]
    Protocol,
    #[error("the message cannot be answered: {0}")]
    TooLong(#[from] TooLong),
    #[error("the body of the message is not `[args, kwargs, embed]` in JSON: {0}")]
    Body(String),
}

/// The client gets it as the error of its argument.
impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Decode(Decode::new(Part::Argument, malformed.to_string()))
    }
}

/// What is too long for AMQP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {what} has {bytes} bytes, and AMQP has {most} for it")]
pub(crate) struct TooLong {
    what: &'static str,
    bytes: usize,
    most: usize,
}

/// Returns an error if a text is too long to be an id, or the name of a queue or of an exchange.
pub(crate) fn check_short(what: &'static str, text: &str) -> Result<(), TooLong> {
    match text.len() {
        0..=LONGEST => Ok(()),
        bytes => Err(TooLong { what, bytes, most: LONGEST }),
    }
}

fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn optional(text: Option<&str>) -> AMQPValue {
    text.map_or(AMQPValue::Void, long_string)
}

/// Returns an integer of any of AMQP's types. A negative one counts as 0.
fn whole(value: &AMQPValue) -> Option<u32> {
    let number = match *value {
        AMQPValue::ShortShortInt(n) => n.into(),
        AMQPValue::ShortShortUInt(n) => n.into(),
        AMQPValue::ShortInt(n) => n.into(),
        AMQPValue::ShortUInt(n) => n.into(),
        AMQPValue::LongInt(n) => n.into(),
        AMQPValue::LongUInt(n) => n.into(),
        AMQPValue::LongLongInt(n) => n,
        _ => return None,
    };
    Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

/// Returns a time limit, which Python writes as an integer if it is a whole number of seconds. Returns `None` for no
/// limit.
fn seconds(value: &AMQPValue) -> Option<Duration> {
    let seconds = match *value {
        AMQPValue::Double(seconds) => seconds,
        AMQPValue::Float(seconds) => seconds.into(),
        _ => whole(value)?.into(),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
}

/// The body of a message that calls a task.
#[derive(Debug, Deserialize)]
pub(crate) struct Body<'a>(#[serde(borrow)] &'a RawValue, #[serde(borrow)] &'a RawValue, pub(crate) Embed);

/// The follow-up tasks of a task, as signatures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Embed {
    #[serde(default)]
    pub(crate) callbacks: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) errbacks: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) chain: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) chord: Option<Value>,
}

impl<'a> Body<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(body).map_err(|error| Malformed::Body(error.to_string()))
    }

    pub(crate) fn arguments(&self) -> Arguments<'a> {
        Arguments { args: self.0.get(), kwargs: self.1.get() }
    }

    /// Writes the body of a message.
    pub(crate) fn write(arguments: &Written, embed: &Embed) -> Vec<u8> {
        let embed = serde_json::to_string(embed).unwrap_or_else(|_| "{}".into());
        format!("[{}, {}, {embed}]", arguments.args, arguments.kwargs).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lapin::types::{AMQPValue, FieldTable};

    use super::{Body, Embed, Malformed, TaskMessage};
    use crate::args::Written;
    use crate::properties::json_properties;
    use crate::size::shown;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = TaskMessage {
            id: "1".into(),
            task: "sums.sum_to".into(),
            shadow: Some("the sum".into()),
            root_id: Some("0".into()),
            retries: 1,
            retries_allowed: Some(2),
            time_limit: Some(Duration::from_millis(1500)),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
            origin: "7@host".into(),
            args_shown: "[3]".into(),
            kwargs_shown: "{}".into(),
            reply_to: Some("replies".into()),
            correlation_id: Some("1".into()),
            ..TaskMessage::default()
        };
        assert_eq!(TaskMessage::from_properties(&message.properties()), Ok(message));
    }

    /// As OpenTelemetry's instrumentation of Celery for Python has it.
    #[test]
    fn the_place_in_a_trace_is_a_header_of_its_own() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let header = |message: &TaskMessage| {
            let properties = message.properties();
            properties.headers().as_ref().unwrap().inner().get("traceparent").cloned()
        };
        let traced = TaskMessage { traceparent: Some(traceparent.into()), ..TaskMessage::default() };
        assert_eq!(header(&traced), Some(AMQPValue::LongString(traceparent.into())));
        assert_eq!(header(&TaskMessage::default()), None);
    }

    #[test]
    fn numbers_of_every_width_are_limits() {
        for (value, limit) in [
            (AMQPValue::ShortShortInt(3), Some(Duration::from_secs(3))),
            (AMQPValue::LongLongInt(3), Some(Duration::from_secs(3))),
            (AMQPValue::Double(0.5), Some(Duration::from_millis(500))),
            (AMQPValue::LongInt(-1), None),
            (AMQPValue::Double(f64::NAN), None),
            (AMQPValue::Void, None),
        ] {
            assert_eq!(super::seconds(&value), limit, "{value:?}");
        }
    }

    #[test]
    fn a_message_that_calls_no_task_says_why() {
        let pickled = json_properties().with_content_type("application/x-python-serialize".into());
        let said = TaskMessage::from_properties(&pickled).unwrap_err().to_string();
        assert!(said.contains("application/x-python-serialize") && said.contains("task_serializer"), "{said}");
        let mut headers = FieldTable::default();
        headers.insert("id".into(), AMQPValue::LongString("1".into()));
        let unnamed = json_properties().with_headers(headers);
        assert_eq!(TaskMessage::from_properties(&unnamed), Err(Malformed::Protocol));
        assert_eq!(TaskMessage::from_properties(&json_properties()), Err(Malformed::Protocol));
        assert!(matches!(Body::read(b"{}"), Err(Malformed::Body(_))));
        assert!(matches!(Body::read(b"\xff"), Err(Malformed::Body(_))));
        assert!(matches!(Body::read("[".repeat(100_000).as_bytes()), Err(Malformed::Body(_))));
    }

    #[test]
    fn what_is_too_long_for_amqp_is_named() {
        let message = |id: usize, task: usize| TaskMessage {
            id: "i".repeat(id),
            task: "t".repeat(task),
            ..TaskMessage::default()
        };
        assert_eq!(message(255, 1000).check(), Ok(()));
        let said = message(256, 1).check().unwrap_err().to_string();
        assert_eq!(said, "its id has 256 bytes, and AMQP has 255 for it");
        let said = message(1, 100_000).check().unwrap_err().to_string();
        assert_eq!(said, "its header has 100000 bytes, and AMQP has 65536 for it");
        let properties = message(1, 1).properties();
        let mut headers = properties.headers().clone().unwrap();
        headers.insert("id".into(), AMQPValue::LongString("i".repeat(256).into()));
        let read = TaskMessage::from_properties(&properties.with_headers(headers));
        assert!(matches!(read, Err(Malformed::TooLong(_))), "{read:?}");
    }

    #[test]
    fn a_body_has_arguments_and_what_comes_after() {
        let arguments = Written { args: "[1]".into(), kwargs: "{}".into() };
        let body = Body::write(&arguments, &Embed::default());
        let read = Body::read(&body).unwrap();
        assert_eq!((read.arguments().args, read.arguments().kwargs), ("[1]", "{}"));
        assert_eq!(read.2, Embed::default());
    }

    #[test]
    fn long_arguments_are_cut_between_characters() {
        assert_eq!(shown("[1]"), "[1]");
        assert_eq!(shown(&"ä".repeat(2000)), format!("{}...", "ä".repeat(1024)));
    }
}
