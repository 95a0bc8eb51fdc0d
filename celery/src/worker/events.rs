//! [`Events`]: what a worker publishes for Celery's monitors, such as Flower and `celery events`.
//!
//! A worker sends a heartbeat every two seconds, as Celery's workers do. Clients and monitors treat a worker that has
//! been silent for a while as lost. Events of tasks are published only if the settings or a monitor ask for them.
#![forbid(unsafe_code)]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::outcome::Outcome;
use crate::message::TaskMessage;
use crate::size::shown;

/// How often a worker sends a heartbeat.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);

/// How busy a worker is, as its heartbeats say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) running: usize,
    /// How many tasks the worker has ended.
    pub(super) processed: u64,
}

/// An event that is ready to be published.
/// What monitors are shown in place of arguments and results.
pub(super) const HIDDEN: &str = "(hidden)";

pub(super) struct Event {
    pub(super) routing_key: String,
    pub(super) body: Vec<u8>,
}

/// Writes the events of one worker.
pub(super) struct Events {
    pub(super) hostname: String,
    /// Whether events of tasks are published.
    pub(super) has_tasks: bool,
    /// Whether events show `(hidden)` in place of results.
    hides_results: bool,
    /// Celery's logical clock: counts the events and answers of this worker, so that monitors can put them in order.
    clock: u64,
}

impl Events {
    pub(super) fn new(hostname: &str, has_tasks: bool, hides_results: bool) -> Self {
        Self { hostname: hostname.into(), has_tasks, hides_results, clock: 0 }
    }

    /// Advances the clock.
    pub(super) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn event(&mut self, kind: &str, details: Value) -> Event {
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        event.insert("hostname".into(), self.hostname.clone().into());
        event.insert("utcoffset".into(), 0.into());
        event.insert("pid".into(), std::process::id().into());
        event.insert("clock".into(), self.tick().into());
        event.insert("timestamp".into(), seconds(Timestamp::now()).into());
        if let Value::Object(details) = details {
            event.extend(details);
        }
        Event { routing_key: kind.replace('-', "."), body: Value::Object(event).to_string().into_bytes() }
    }

    /// Returns the event `worker-online`, `worker-heartbeat` or `worker-offline`, as `what` says.
    pub(super) fn worker(&mut self, what: &str, counts: Counts) -> Event {
        let details = json!({
            "freq": HEARTBEAT.as_secs(), "sw_ident": "concurrent-futures", "sw_ver": env!("CARGO_PKG_VERSION"),
            "sw_sys": std::env::consts::OS, "active": counts.running, "processed": counts.processed,
            "loadavg": [0.0, 0.0, 0.0],
        });
        self.event(&format!("worker-{what}"), details)
    }

    pub(super) fn received(&mut self, message: &TaskMessage) -> Option<Event> {
        if !self.has_tasks {
            return None;
        }
        let TaskMessage { task, args_shown, kwargs_shown, root_id, parent_id, retries, eta, expires, .. } = message;
        let details = json!({
            "uuid": message.id, "name": task, "args": args_shown, "kwargs": kwargs_shown, "root_id": root_id,
            "parent_id": parent_id, "retries": retries, "eta": eta, "expires": expires,
        });
        Some(self.event("task-received", details))
    }

    pub(super) fn started(&mut self, id: &str) -> Option<Event> {
        self.has_tasks.then(|| self.event("task-started", json!({ "uuid": id })))
    }

    pub(super) fn ended(&mut self, id: &str, outcome: &Outcome, runtime: Duration) -> Option<Event> {
        if !self.has_tasks {
            return None;
        }
        let (kind, details) = match outcome {
            Outcome::Value(text) => {
                let result = if self.hides_results { HIDDEN.into() } else { shown(text) };
                ("task-succeeded", json!({ "uuid": id, "result": result, "runtime": runtime.as_secs_f64() }))
            }
            Outcome::Failed { failure, trace } => {
                let exception = format!("{}({:?})", failure.exc_type, failure.message());
                ("task-failed", json!({ "uuid": id, "exception": exception, "traceback": trace }))
            }
            Outcome::Revoked { is_expired, .. } => {
                let is_terminated = !runtime.is_zero();
                (
                    "task-revoked",
                    json!({ "uuid": id, "terminated": is_terminated, "signum": null, "expired": is_expired }),
                )
            }
        };
        Some(self.event(kind, details))
    }
}

pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Counts, Event, Events};
    use crate::message::TaskMessage;
    use crate::worker::outcome::Outcome;

    fn read(event: Event) -> (String, Value) {
        (event.routing_key, serde_json::from_slice(&event.body).unwrap())
    }

    #[test]
    fn workers_are_told_of_always_and_tasks_when_somebody_asks() {
        let mut events = Events::new("rust@a", false, false);
        let (key, online) = read(events.worker("online", Counts { running: 1, processed: 2 }));
        assert_eq!(
            (&*key, &online["type"], &online["hostname"]),
            ("worker.online", &json!("worker-online"), &json!("rust@a"))
        );
        assert_eq!((&online["active"], &online["processed"], &online["clock"]), (&json!(1), &json!(2), &json!(1)));
        assert!(events.received(&TaskMessage::default()).is_none() && events.started("1").is_none());
        events.has_tasks = true;
        let (key, started) = read(events.started("1").unwrap());
        assert_eq!((&*key, &started["uuid"], &started["clock"]), ("task.started", &json!("1"), &json!(2)));
    }

    #[test]
    fn a_task_that_was_not_run_is_told_of_as_revoked_or_as_expired() {
        for is_expired in [false, true] {
            let revoked = Events::new("rust@a", true, false).ended("1", &Outcome::revoked(is_expired), Duration::ZERO);
            let (key, told) = read(revoked.unwrap());
            assert_eq!(key, "task.revoked");
            assert_eq!((&told["expired"], &told["terminated"]), (&json!(is_expired), &json!(false)));
        }
    }

    #[test]
    fn a_result_is_shown_unless_it_is_hidden() {
        let told = |hides| {
            let mut events = Events::new("rust@a", true, hides);
            read(events.ended("1", &Outcome::Value("7".into()), Duration::from_secs(2)).unwrap()).1
        };
        assert_eq!((&told(false)["result"], &told(false)["runtime"]), (&json!("7"), &json!(2.0)));
        assert_eq!(told(true)["result"], json!("(hidden)"));
    }
}
