//! [`Request`]: a task that the worker has, from the arrival of its message to its acknowledgement.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use concurrent_futures::named::Handle;
use jiff::Timestamp;
use lapin::BasicProperties;
use serde_json::{Value, json};

use super::events::seconds;
use crate::message::{Embed, TaskMessage};

/// How a message was delivered.
#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryInfo {
    /// The tag by which the message is acknowledged. `None` once the connection that delivered it is lost: the broker
    /// then delivers the message again, to this worker or another one.
    pub(super) tag: Option<u64>,
    /// From which it was read, whatever exchange has put it there.
    pub(super) queue: String,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) is_redelivered: bool,
    pub(super) priority: u8,
}

pub(super) struct Request {
    pub(super) message: TaskMessage,
    pub(super) delivery: DeliveryInfo,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// The time of the task has not come. The message is kept, to be read then or to be published again.
    Held {
        hold: Hold,
        properties: BasicProperties,
        body: Vec<u8>,
    },
    Running(Running),
}

/// How long a message may be held. RabbitMQ ends the connection of a worker that does not acknowledge one for half an hour.
const LONGEST_HOLD: Duration = Duration::from_secs(10 * 60);

/// How long a message is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// When there is something to do with it.
    pub(super) until: Instant,
    /// Its time has come then. Otherwise, it is published anew, and held anew.
    pub(super) is_all: bool,
}

impl Hold {
    pub(super) fn new(now: Instant, wait: Duration) -> Self {
        Self { until: now + wait.min(LONGEST_HOLD), is_all: wait <= LONGEST_HOLD }
    }
}

pub(super) struct Running {
    pub(super) handle: Box<dyn Handle>,
    /// The follow-up tasks.
    pub(super) embed: Embed,
    pub(super) since: Instant,
    pub(super) started: Timestamp,
}

impl Request {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running(_))
    }

    /// Describes the request as Celery's tools show it.
    pub(super) fn describe(&self, hostname: &str) -> Value {
        let TaskMessage { id, task, args_shown, kwargs_shown, .. } = &self.message;
        let started = match &self.stage {
            Stage::Running(running) => Some(seconds(running.started)),
            Stage::Held { .. } => None,
        };
        json!({
            "id": id, "name": task, "args": args_shown, "kwargs": kwargs_shown, "type": task, "hostname": hostname,
            "time_start": started, "acknowledged": false,
            "delivery_info": {
                "exchange": self.delivery.exchange, "routing_key": self.delivery.routing_key,
                "priority": self.delivery.priority, "redelivered": self.delivery.is_redelivered,
            },
            "worker_pid": std::process::id(),
        })
    }
}

/// All requests, by their ids.
pub(super) type Requests = HashMap<String, Request>;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Hold, LONGEST_HOLD};

    #[test]
    fn a_message_is_held_for_a_while_at_a_time() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(Hold::new(now, second), Hold { until: now + second, is_all: true });
        for wait in [LONGEST_HOLD + second, Duration::MAX] {
            assert_eq!(Hold::new(now, wait), Hold { until: now + LONGEST_HOLD, is_all: false });
        }
    }
}
