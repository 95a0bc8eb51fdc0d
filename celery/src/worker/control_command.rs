//! [`ControlCommand`]: a command of Celery's remote control to workers.
#![forbid(unsafe_code)]

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::message::check_short;

/// A command, as the body of its message has it.
#[derive(Debug, Deserialize)]
pub(super) struct ControlCommand {
    pub(super) method: String,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    /// The workers that it is for. `None` means all workers.
    #[serde(default)]
    destination: Option<Vec<String>>,
    /// A pattern of the names of the workers that it is for. It does not count beside a destination.
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    matcher: Option<String>,
    #[serde(default)]
    pub(super) ticket: Option<String>,
    #[serde(default)]
    pub(super) reply_to: Option<ReplyTo>,
}

/// Where the answer to a command is published.
#[derive(Debug, Deserialize)]
pub(super) struct ReplyTo {
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

impl ControlCommand {
    /// Reads a command.
    ///
    /// # Errors
    ///
    /// A sentence, also if it is to be answered to something that cannot be a queue.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let command: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if let Some(ReplyTo { exchange, routing_key }) = &command.reply_to {
            let short = check_short("exchange", exchange).and(check_short("routing key", routing_key));
            short.map_err(|why| format!("it cannot be answered: {why}"))?;
        }
        Ok(command)
    }

    /// Returns `true` if the command is for the worker of this name.
    pub(super) fn is_for(&self, hostname: &str) -> bool {
        match (&self.destination, &self.pattern) {
            (Some(names), _) if !names.is_empty() => names.iter().any(|name| name == hostname),
            (_, None) => true,
            (_, Some(pattern)) => match self.matcher.as_deref() {
                None | Some("glob") => matches_glob(pattern.as_bytes(), hostname.as_bytes()),
                Some(other) => {
                    log::warn!("a control command with the matcher {other:?} is ignored: only glob is supported");
                    false
                }
            },
        }
    }

    pub(super) fn argument(&self, name: &str) -> &Value {
        self.arguments.as_ref().and_then(|arguments| arguments.get(name)).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.argument(name).as_str()
    }

    /// Returns the texts of an argument that is one text or a list of them.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        match self.argument(name) {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            text => text.as_str().into_iter().collect(),
        }
    }
}

/// Returns `true` if the text matches the pattern, in which `*` stands for any text and `?` for one byte.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = ((0, 0), None);
    // `from` is where to continue if the text does not match what follows the last star.
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                from = Some(at);
                at.0 += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => match from {
                Some((star, start)) => {
                    from = Some((star, start + 1));
                    at = (star + 1, start + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at.0..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ControlCommand, matches_glob};

    fn command(command: &serde_json::Value) -> ControlCommand {
        ControlCommand::read(command.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_command_is_for_all_for_some_or_for_those_of_a_pattern() {
        let all = command(&json!({"method": "ping", "arguments": null, "destination": null, "pattern": null}));
        assert!(all.is_for("rust@a"));
        let some = command(&json!({"method": "ping", "destination": ["rust@b"]}));
        assert!(some.is_for("rust@b") && !some.is_for("rust@a"));
        let pattern = command(&json!({"method": "ping", "pattern": "rust@*", "matcher": "glob"}));
        assert!(pattern.is_for("rust@a") && !pattern.is_for("celery@a"));
        let both = command(&json!({"method": "ping", "destination": ["rust@b"], "pattern": "*", "matcher": "glob"}));
        assert!(both.is_for("rust@b") && !both.is_for("rust@a"), "the destination counts");
        let unknown = command(&json!({"method": "ping", "pattern": ".*", "matcher": "pcre"}));
        assert!(!unknown.is_for("rust@a"));
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*b*c", "axbxbxc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*", "ba", false),
            ("*a", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(matches_glob(pattern.as_bytes(), text.as_bytes()), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn an_argument_is_one_text_or_several() {
        let one = command(&json!({"method": "revoke", "arguments": {"task_id": "1"}}));
        assert_eq!((one.texts("task_id"), one.text("signal")), (vec!["1"], None));
        let two = command(&json!({"method": "revoke", "arguments": {"task_id": ["1", "2"]}}));
        assert_eq!(two.texts("task_id"), ["1", "2"]);
        assert!(ControlCommand::read(b"{}").is_err());
        let far = json!({"method": "ping", "reply_to": {"exchange": "", "routing_key": "x".repeat(256)}});
        assert!(ControlCommand::read(far.to_string().as_bytes()).unwrap_err().contains("has 256 bytes"));
    }
}
