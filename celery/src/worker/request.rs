//! [`Request`]: a task that the worker has, from the arrival of its message to its acknowledgement.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
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

/// All requests. What the worker asks between any two things that it does costs the same however many are held.
#[derive(Default)]
pub(super) struct Requests {
    /// By their ids.
    all: HashMap<String, Request>,
    /// The ids of those that are held, by when there is something to do with them.
    held: BTreeSet<(Instant, String)>,
}

impl Requests {
    /// Adds a request, of which there is none with its id.
    pub(super) fn insert(&mut self, request: Request) {
        let id = &request.message.id;
        if let Stage::Held { hold, .. } = &request.stage {
            self.held.insert((hold.until, id.clone()));
        }
        self.all.insert(id.clone(), request);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Request> {
        let request = self.all.remove(id)?;
        if let Stage::Held { hold, .. } = &request.stage {
            self.held.remove(&(hold.until, request.message.id.clone()));
        }
        Some(request)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Request> {
        self.all.get(id)
    }

    /// Returns how a request was delivered, which may be changed.
    pub(super) fn delivery(&mut self, id: &str) -> Option<&mut DeliveryInfo> {
        self.all.get_mut(id).map(|request| &mut request.delivery)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.all.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn running(&self) -> usize {
        self.all.len() - self.held.len()
    }

    /// Returns when there is something to do with one that is held.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.first().map(|(until, _)| *until)
    }

    /// Takes out one with which there is something to do.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Request> {
        self.due().filter(|due| *due <= now)?;
        let (_, id) = self.held.pop_first()?;
        self.all.remove(&id)
    }

    /// Takes out all that are held.
    pub(super) fn take_held(&mut self) -> Vec<Request> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().filter_map(|(_, id)| self.all.remove(&id)).collect()
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Request> {
        self.held.clear();
        std::mem::take(&mut self.all).into_values()
    }

    /// Notes that no message has a tag any more.
    pub(super) fn forget_tags(&mut self) {
        self.all.values_mut().for_each(|request| request.delivery.tag = None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use lapin::BasicProperties;

    use super::{DeliveryInfo, Hold, LONGEST_HOLD, Request, Requests, Stage};
    use crate::message::TaskMessage;

    #[test]
    fn those_that_are_held_leave_in_the_order_of_their_times() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let held = |id: &str, seconds: u32| Request {
            message: TaskMessage { id: id.into(), ..TaskMessage::default() },
            delivery: DeliveryInfo::default(),
            stage: Stage::Held {
                hold: Hold::new(now, second * seconds),
                properties: BasicProperties::default(),
                body: Vec::new(),
            },
        };
        let mut requests = Requests::default();
        for (id, seconds) in [("3", 3), ("1", 1), ("2", 2), ("4", 4)] {
            requests.insert(held(id, seconds));
        }
        assert_eq!((requests.held(), requests.running(), requests.due()), (4, 0, Some(now + second)));
        assert!(requests.remove("1").is_some() && requests.remove("1").is_none());
        let mut due = |at| requests.take_due(at).map(|request| request.message.id);
        assert_eq!(
            (due(now), due(now + 3 * second), due(now + 3 * second)),
            (None, Some("2".into()), Some("3".into()))
        );
        assert_eq!(due(now + 3 * second), None);
        assert_eq!(requests.take_held().len(), 1);
        assert!(requests.is_empty() && requests.due().is_none());
    }

    #[test]
    fn a_message_is_held_for_a_while_at_a_time() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(Hold::new(now, second), Hold { until: now + second, is_all: true });
        for wait in [LONGEST_HOLD + second, Duration::MAX] {
            assert_eq!(Hold::new(now, wait), Hold { until: now + LONGEST_HOLD, is_all: false });
        }
    }
}
