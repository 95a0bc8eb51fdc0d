//! The properties that all messages have: those that this crate writes, and those that it reads.
#![forbid(unsafe_code)]

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

/// The only content type that is accepted.
pub(crate) const JSON: &str = "application/json";

/// Returns the properties that every message in JSON has.
pub(crate) fn json_properties() -> BasicProperties {
    BasicProperties::default().with_content_type(JSON.into()).with_content_encoding("utf-8".into())
}

/// Returns the name of this program in the messages that it publishes.
pub(crate) fn origin() -> String {
    format!("{}@rust", std::process::id())
}

/// Returns a header, if it is a text.
pub(crate) fn text(headers: &FieldTable, key: &str) -> Option<String> {
    match headers.inner().get(key)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Returns the content type of a message, or an empty text if it has none.
pub(crate) fn content_type(properties: &BasicProperties) -> &str {
    properties.content_type().as_ref().map_or("", |kind| kind.as_str())
}

/// Returns the queue for answers to a message.
pub(crate) fn reply_to(properties: &BasicProperties) -> Option<&str> {
    properties.reply_to().as_ref().map(|queue| queue.as_str())
}

/// Returns the correlation id of a message: the id of the task that it is about.
pub(crate) fn correlation_id(properties: &BasicProperties) -> Option<&str> {
    properties.correlation_id().as_ref().map(|id| id.as_str())
}
