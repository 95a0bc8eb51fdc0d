//! [`FollowUp`]: a task that is called after another one. [`Signature`]: its description, as Celery's clients write it
//! into messages.
#![forbid(unsafe_code)]

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::args::Written;
use crate::message::{Body, Embed, TaskMessage, check_short};
use crate::properties::origin;
use crate::size::shown;
use crate::topology::DEFAULT_QUEUE;

/// The message of a follow-up task.
#[derive(Debug)]
pub(super) struct FollowUp {
    pub(super) queue: String,
    pub(super) exchange: String,
    pub(super) message: TaskMessage,
    pub(super) body: Vec<u8>,
}

/// Describes a call of a task.
#[derive(Clone, Debug, Deserialize)]
struct Signature {
    task: String,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    kwargs: Map<String, Value>,
    #[serde(default)]
    options: Map<String, Value>,
    /// The task does not get the result of the one before it.
    #[serde(default)]
    immutable: bool,
}

/// Returns the follow-up tasks of a task that has returned `result`, in JSON.
///
/// # Errors
///
/// A sentence that says why one of them cannot be called.
pub(super) fn after_success(embed: &Embed, result: &str, parent: &TaskMessage) -> Result<Vec<FollowUp>, String> {
    let mut messages = Vec::new();
    for callback in embed.callbacks.iter().flatten() {
        expand(callback, result, Vec::new(), parent, &mut messages)?;
    }
    // The steps of a chain are in reverse order: the last one is called next.
    if let Some((next, rest)) = embed.chain.as_deref().and_then(<[Value]>::split_last) {
        expand(next, result, rest.to_vec(), parent, &mut messages)?;
    }
    Ok(messages)
}

/// Returns the follow-up tasks of a task that has failed. Each is called with the id of the failed task, as by a worker
/// in Python that does not have the follow-up task itself.
///
/// # Errors
///
/// As [`after_success`].
pub(super) fn after_failure(embed: &Embed, parent: &TaskMessage) -> Result<Vec<FollowUp>, String> {
    let id = Value::from(&*parent.id).to_string();
    let mut messages = Vec::new();
    for errback in embed.errbacks.iter().flatten() {
        expand(errback, &id, Vec::new(), parent, &mut messages)?;
    }
    Ok(messages)
}

/// Adds the messages for one signature, which may be a group or a chain. `chain` has the steps after it, in reverse
/// order.
fn expand(
    signature: &Value,
    result: &str,
    mut chain: Vec<Value>,
    parent: &TaskMessage,
    messages: &mut Vec<FollowUp>,
) -> Result<(), String> {
    let read = Signature::deserialize(signature);
    let signature = read.map_err(|error| format!("the follow-up of the task is not a signature: {error}"))?;
    let tasks = || signature.kwargs.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default();
    match &*signature.task {
        "celery.group" if chain.is_empty() => {
            tasks().iter().try_for_each(|task| expand(task, result, Vec::new(), parent, messages))
        }
        "celery.chain" => {
            let mut tasks = tasks();
            if tasks.is_empty() {
                return Ok(());
            }
            let first = tasks.remove(0);
            chain.extend(tasks.into_iter().rev());
            expand(&first, result, chain, parent, messages)
        }
        "celery.group" | "celery.chord" => Err(format!(
            "the task is followed by a {}, and the reply queues of Celery do not support chords",
            if signature.task == "celery.chord" { "chord" } else { "group with a task after it" }
        )),
        _ => {
            messages.push(signature.message(result, chain, parent)?);
            Ok(())
        }
    }
}

impl Signature {
    fn message(&self, result: &str, chain: Vec<Value>, parent: &TaskMessage) -> Result<FollowUp, String> {
        let text = |key: &str| self.options.get(key).and_then(Value::as_str).map(String::from);
        let list = |key: &str| match self.options.get(key) {
            Some(Value::Array(list)) => Some(list.clone()),
            Some(Value::Null) | None => None,
            Some(one) => Some(vec![one.clone()]),
        };
        let seconds = |key: &str| {
            let seconds = self.options.get(key).and_then(Value::as_f64)?;
            std::time::Duration::try_from_secs_f64(seconds).ok()
        };
        let mut args = String::from("[");
        if !self.immutable {
            args.push_str(result);
        }
        for argument in &self.args {
            if args.len() > 1 {
                args.push(',');
            }
            args.push_str(&argument.to_string());
        }
        args.push(']');
        // The result is text that was not parsed here, so this checks that it is valid JSON.
        let _: Vec<&RawValue> = serde_json::from_str(&args).map_err(|error| error.to_string())?;
        let written = Written { args, kwargs: Value::Object(self.kwargs.clone()).to_string() };
        let id = text("task_id").unwrap_or_else(|| Uuid::new_v4().to_string());
        let eta = text("eta").or_else(|| {
            let eta = jiff::Timestamp::now().checked_add(seconds("countdown")?).ok()?;
            Some(eta.to_string())
        });
        let message = TaskMessage {
            task: self.task.clone(),
            root_id: Some(parent.root_id.clone().unwrap_or_else(|| parent.id.clone())),
            parent_id: Some(parent.id.clone()),
            group: text("group_id"),
            eta,
            expires: text("expires"),
            time_limit: seconds("time_limit"),
            soft_time_limit: seconds("soft_time_limit"),
            retries_allowed: parent.retries_allowed,
            traceparent: parent.traceparent.clone(),
            origin: origin(),
            ignore_result: self.options.get("ignore_result").and_then(Value::as_bool).unwrap_or(false),
            args_shown: shown(&written.args),
            kwargs_shown: shown(&written.kwargs),
            reply_to: text("reply_to"),
            correlation_id: Some(id.clone()),
            id,
            ..TaskMessage::default()
        };
        let mut rest = list("chain").unwrap_or_default();
        rest.extend(chain);
        let embed = Embed {
            callbacks: list("link"),
            errbacks: list("link_error"),
            chain: (!rest.is_empty()).then_some(rest),
            chord: self.options.get("chord").filter(|chord| !chord.is_null()).cloned(),
        };
        let body = Body::write(&written, &embed);
        // The default exchange, which has no name, routes a message to the queue that its routing key names.
        let queue = text("queue").or_else(|| text("routing_key")).unwrap_or_else(|| DEFAULT_QUEUE.into());
        let exchange = if self.options.contains_key("queue") { None } else { text("exchange") }.unwrap_or_default();
        let sendable = message.check().and(check_short("queue", &queue)).and(check_short("exchange", &exchange));
        sendable.map_err(|why| format!("the task after it cannot be called: {why}"))?;
        Ok(FollowUp { queue, exchange, message, body })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{FollowUp, after_failure, after_success};
    use crate::message::{Body, Embed, TaskMessage};

    fn parent() -> TaskMessage {
        let (root_id, traceparent) = (Some("0".into()), Some("00-1-2-01".into()));
        TaskMessage { id: "1".into(), root_id, traceparent, ..TaskMessage::default() }
    }

    fn args(next: &FollowUp) -> String {
        Body::read(&next.body).unwrap().arguments().args.to_owned()
    }

    fn next(embed: &Embed) -> Result<Vec<FollowUp>, String> {
        after_success(embed, "[7]", &parent())
    }

    #[test]
    fn a_callback_gets_the_result_before_its_own_arguments() {
        let callback = json!({"task": "tasks.add", "args": [2], "kwargs": {}, "options": {"queue": "python"}});
        let immutable = json!({"task": "tasks.add", "args": [2, 3], "options": {"task_id": "9"}, "immutable": true});
        let embed = Embed { callbacks: Some(vec![callback, immutable]), ..Embed::default() };
        let messages = next(&embed).unwrap();
        let [callback, immutable] = &*messages else { panic!("{messages:?}") };
        assert_eq!((&*args(callback), &*callback.queue), ("[[7],2]", "python"));
        assert_eq!((&*args(immutable), &*immutable.queue), ("[2,3]", "celery"));
        assert_eq!(immutable.message.id, "9");
        assert_eq!(callback.message.root_id.as_deref(), Some("0"));
        assert_eq!(callback.message.parent_id.as_deref(), Some("1"));
        assert_eq!(callback.message.traceparent.as_deref(), Some("00-1-2-01"));
    }

    #[test]
    fn the_last_of_a_chain_is_next_and_takes_the_rest_with_it() {
        let step = |name: &str| json!({"task": name, "args": [], "options": {"reply_to": "r"}});
        let embed = Embed { chain: Some(vec![step("third"), step("second")]), ..Embed::default() };
        let messages = next(&embed).unwrap();
        let [second] = &*messages else { panic!("{messages:?}") };
        assert_eq!((&*second.message.task, second.message.reply_to.as_deref()), ("second", Some("r")));
        assert_eq!(Body::read(&second.body).unwrap().2.chain, Some(vec![step("third")]));
    }

    #[test]
    fn groups_and_chains_inside_are_taken_apart() {
        let step = |name: &str| json!({"task": name, "args": []});
        let group = json!({"task": "celery.group", "kwargs": {"tasks": [step("a"), step("b")]}});
        let chain = json!({"task": "celery.chain", "kwargs": {"tasks": [step("c"), step("d")]}});
        let embed = Embed { callbacks: Some(vec![group, chain]), ..Embed::default() };
        let messages = next(&embed).unwrap();
        let names: Vec<_> = messages.iter().map(|next| &*next.message.task).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(Body::read(&messages[2].body).unwrap().2.chain, Some(vec![step("d")]));
        let chord = Embed { callbacks: Some(vec![json!({"task": "celery.chord"})]), ..Embed::default() };
        assert!(next(&chord).unwrap_err().contains("do not support chords"));
    }

    #[test]
    fn who_is_told_of_a_failure_gets_the_id_of_the_task() {
        let embed = Embed { errbacks: Some(vec![json!({"task": "tasks.failed"})]), ..Embed::default() };
        let messages = after_failure(&embed, &parent()).unwrap();
        assert_eq!(args(&messages[0]), "[\"1\"]");
    }

    #[test]
    fn what_is_no_signature_is_said() {
        let embed = Embed { callbacks: Some(vec![Value::from(7)]), ..Embed::default() };
        assert!(next(&embed).unwrap_err().contains("not a signature"));
    }

    #[test]
    fn what_is_too_long_to_be_sent_is_said() {
        let long = "x".repeat(256);
        for options in
            [json!({"queue": &long}), json!({"exchange": &long}), json!({"task_id": &long}), json!({"reply_to": &long})]
        {
            let embed = Embed { callbacks: Some(vec![json!({"task": "a", "options": options})]), ..Embed::default() };
            let said = next(&embed).unwrap_err();
            assert!(said.contains("has 256 bytes, and AMQP has 255 for it"), "{said}");
        }
        let embed = Embed { callbacks: Some(vec![json!({"task": "x".repeat(200_000)})]), ..Embed::default() };
        assert!(next(&embed).unwrap_err().contains("its header has 20000"));
    }
}
