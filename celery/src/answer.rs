//! [`Answer`]: a message of a worker about a task, in the form of Celery's reply queues (`rpc://`).
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::Text;

/// The state of a task that an answer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Started,
    Success,
    Failure,
    Revoked,
    /// The task will be run again.
    Retry,
    /// Any other state. None of them ends a task.
    #[serde(other, skip_serializing)]
    Other,
}

/// The body of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<'a> {
    pub(crate) task_id: String,
    pub(crate) status: Status,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) traceback: Option<String>,
}

/// The result of an answer with [`Status::Started`]: the worker that has started the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    #[serde(default)]
    pub(crate) hostname: String,
    #[serde(default)]
    pub(crate) pid: u32,
}

impl<'a> Answer<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Returns the result, or what the answer has in its place.
    pub(crate) fn result(&self) -> Text<'a> {
        Text(self.result.map_or("null", RawValue::get))
    }

    /// Writes the body of an answer. `result` is JSON.
    pub(crate) fn write(task_id: &str, status: Status, result: &str, traceback: Option<&str>) -> Vec<u8> {
        let [task_id, status] = [Value::from(task_id), serde_json::to_value(status).unwrap_or_default()];
        let traceback = Value::from(traceback);
        format!(
            r#"{{"task_id": {task_id}, "status": {status}, "result": {result}, "traceback": {traceback}, "children": []}}"#
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Started, Status};
    use serde::Deserialize as _;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let body = Answer::write("1\"", Status::Success, "[1, 2]", None);
        let answer = Answer::read(&body).unwrap();
        assert_eq!((&*answer.task_id, answer.status, answer.result().0), ("1\"", Status::Success, "[1, 2]"));
        assert_eq!(answer.traceback, None);
        let body = Answer::write("1", Status::Failure, "null", Some("Traceback"));
        assert_eq!(Answer::read(&body).unwrap().traceback.as_deref(), Some("Traceback"));
    }

    #[test]
    fn what_python_sends_is_read() {
        let body =
            br#"{"task_id": "1", "status": "STARTED", "result": {"pid": 7, "hostname": "celery@x"}, "traceback": null,
                        "children": [], "group_index": null}"#;
        let answer = Answer::read(body).unwrap();
        assert_eq!(answer.status, Status::Started);
        let started = Started::deserialize(answer.result()).unwrap();
        assert_eq!(started, Started { hostname: "celery@x".into(), pid: 7 });
        let body = br#"{"task_id": "1", "status": "SOMETHING"}"#;
        let answer = Answer::read(body).unwrap();
        assert_eq!((answer.status, answer.result().0), (Status::Other, "null"));
    }
}
