//! [`Request`]: a task that the worker has, from the arrival of its message to its acknowledgement.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::Instant;

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
        until: Instant,
        properties: BasicProperties,
        body: Vec<u8>,
    },
    Running(Running),
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
