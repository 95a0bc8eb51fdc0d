//! How a worker executes and answers the commands of Celery's remote control.
#![forbid(unsafe_code)]

use std::time::Instant;

use jiff::Timestamp;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};

use super::Lost;
use super::Phase;
use super::control_command::ControlCommand;
use super::events::seconds;
use super::request::{Request, Stage};
use super::service::Service;
use super::session::Session;
use crate::message::check_short;
use crate::properties::json_properties;

impl Service {
    /// Executes a command, if it is for this worker, and answers it.
    pub(super) async fn handle_command(&mut self, session: &mut Session, delivery: &Delivery) -> Result<(), Lost> {
        let command = match ControlCommand::read(&delivery.data) {
            Ok(command) => command,
            Err(error) => {
                log::warn!("a control command that cannot be read is ignored: {error}");
                return Ok(());
            }
        };
        if !command.is_for(&self.settings.name) {
            return Ok(());
        }
        let answer = self.execute(session, &command).await?;
        if let (Some(to), Some(answer)) = (&command.reply_to, answer) {
            let mut body = Map::new();
            body.insert(self.settings.name.clone(), answer);
            let body = Value::Object(body).to_string();
            let mut headers = FieldTable::default();
            headers
                .insert("ticket".into(), AMQPValue::LongString(command.ticket.as_deref().unwrap_or_default().into()));
            let (to, properties) = ((&*to.exchange, &*to.routing_key), json_properties().with_headers(headers));
            if let Err(why) = session.try_deliver(to, body.as_bytes(), properties).await? {
                log::debug!("the command {:?} is not answered: {why}", command.method);
            }
        }
        Ok(())
    }

    /// Executes a command. Returns the answer, if the command has one.
    async fn execute(&mut self, session: &mut Session, command: &ControlCommand) -> Result<Option<Value>, Lost> {
        let ok = |text: String| json!({ "ok": text });
        Ok(Some(match &*command.method {
            "ping" => json!({"ok": "pong"}),
            "active" => self.described(Request::is_running),
            // No task is merely reserved: a task that arrives is started at once, or is held until its time.
            "reserved" => json!([]),
            "scheduled" => self.scheduled(),
            "registered" => json!(names()),
            "stats" => self.stats(),
            "conf" => json!({
                "task_queues": self.settings.queues, "worker_concurrency": self.slots, "accept_content": ["json"],
                "task_acks_late": true, "task_track_started": true,
            }),
            "report" => ok(format!("concurrent-futures-celery {}", env!("CARGO_PKG_VERSION"))),
            "active_queues" => session.queues().map(queue).collect(),
            "revoked" => json!(self.revoked.iter().collect::<Vec<_>>()),
            "query_task" => self.query(&command.texts("ids")),
            "clock" => json!({ "clock": self.events.tick() }),
            "hello" => {
                if command.text("from_node") == Some(&self.settings.name) {
                    return Ok(None);
                }
                let now = seconds(Timestamp::now());
                let revoked: Map<String, Value> = self.revoked.iter().map(|id| (id.into(), now.into())).collect();
                json!({ "revoked": revoked, "clock": self.events.tick() })
            }
            "revoke" | "terminate" => {
                let ids = command.texts("task_id");
                let terminate = command.method == "terminate" || command.argument("terminate") == &Value::Bool(true);
                self.revoke(session, &ids, terminate).await?;
                ok(format!("tasks {} flagged as revoked", ids.join(", ")))
            }
            "shutdown" => {
                // Once this command is carried out.
                self.stopper.warm();
                return Ok(None);
            }
            "enable_events" => {
                self.events.has_tasks = true;
                ok("task events enabled".into())
            }
            "disable_events" => {
                self.events.has_tasks = false;
                ok("task events disabled".into())
            }
            "heartbeat" => {
                session.publish_events([self.events.worker("heartbeat", self.counts())]).await?;
                return Ok(None);
            }
            "add_consumer" => match command.text("queue").filter(|queue| !queue.is_empty()) {
                Some(queue) if check_short("name", queue).is_err() => {
                    json!({"error": "add_consumer needs the name of a queue, which has 255 bytes at most"})
                }
                Some(queue) if self.phase == Phase::Serving => {
                    session.consume(queue).await?;
                    if !self.settings.queues.iter().any(|known| known == queue) {
                        self.settings.queues.push(queue.into());
                    }
                    ok(format!("add consumer {queue}"))
                }
                Some(_) => json!({"error": "the worker is about to end"}),
                None => json!({"error": "add_consumer needs the name of a queue"}),
            },
            "cancel_consumer" => match command.text("queue") {
                Some(queue) => {
                    session.cancel(Some(queue)).await?;
                    self.settings.queues.retain(|known| known != queue);
                    ok(format!("no longer consuming from {queue}"))
                }
                None => json!({"error": "cancel_consumer needs the name of a queue"}),
            },
            other => json!({ "error": format!("a worker of concurrent-futures does not know the command {other:?}") }),
        }))
    }

    fn described(&self, is_wanted: impl Fn(&Request) -> bool) -> Value {
        let wanted = self.requests.iter().filter(|request| is_wanted(request));
        wanted.map(|request| request.describe(&self.settings.name)).collect()
    }

    fn scheduled(&self) -> Value {
        let held = self.requests.iter().filter(|request| !request.is_running());
        let describe = |request: &Request| {
            let description = request.describe(&self.settings.name);
            json!({ "eta": request.message.eta, "priority": request.delivery.priority, "request": description })
        };
        held.map(describe).collect()
    }

    fn query(&self, ids: &[&str]) -> Value {
        let found = ids.iter().filter_map(|id| self.requests.get(id));
        let state = |request: &Request| match request.stage {
            Stage::Running(_) => "active",
            Stage::Held { .. } => "scheduled",
        };
        let describe = |request: &Request| {
            (request.message.id.clone(), json!([state(request), request.describe(&self.settings.name)]))
        };
        Value::Object(found.map(describe).collect())
    }

    fn stats(&mut self) -> Value {
        json!({
            "total": self.totals, "pid": std::process::id(), "clock": self.events.tick().to_string(),
            "uptime": Instant::now().duration_since(self.since).as_secs(),
            "pool": { "implementation": "concurrent-futures", "max-concurrency": self.slots },
            "prefetch_count": self.slots, "broker": { "transport": "amqp" }, "rusage": {},
        })
    }
}

/// Returns the names of all tasks of the program.
fn names() -> Vec<&'static str> {
    concurrent_futures::named::all().map(|all| all.map(|function| function.name()).collect()).unwrap_or_default()
}

fn queue(name: &str) -> Value {
    json!({
        "name": name, "exchange": { "name": "", "type": "direct" }, "routing_key": name, "durable": true,
        "exclusive": false, "auto_delete": false, "no_ack": false,
    })
}
