//! [`Orders`]: the control commands that are broadcast to all workers.
#![forbid(unsafe_code)]

use serde_json::{Value, json};
use uuid::Uuid;

use super::link::{Link, Lost};
use super::session::Session;

/// The control commands that the link is to broadcast.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Messages whose tasks must not be started any more.
    pub(crate) revoked: Vec<Uuid>,
    /// Messages whose tasks are to be ended even if they run.
    pub(crate) terminated: Vec<Uuid>,
    /// Questions that every worker answers.
    pub(crate) questions: Vec<Question>,
}

/// A question to all workers. Their answers have its ticket.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) ticket: Uuid,
}

impl Orders {
    pub(crate) fn is_empty(&self) -> bool {
        self.revoked.is_empty() && self.terminated.is_empty() && self.questions.is_empty()
    }
}

impl Link {
    /// Broadcasts commands as they come.
    pub(super) async fn order(&self, session: &Session) -> Result<(), Lost> {
        loop {
            let orders =
                self.shared.until(|state| (!state.orders.is_empty()).then(|| std::mem::take(&mut state.orders))).await;
            for order in self.texts(orders) {
                match session.broadcast(&order).await {
                    Ok(()) => {}
                    Err(error) if session.is_connected() => {
                        log::warn!(
                            "the broker at {} refuses control commands to workers: {error}",
                            self.broker.address()
                        );
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn texts(&self, orders: Orders) -> Vec<Value> {
        let order = |method: &str, arguments: Value, reply: Value| {
            let mut order = json!({
                "method": method, "arguments": arguments, "destination": null, "pattern": null, "matcher": null,
            });
            if let (Some(order), Value::Object(reply)) = (order.as_object_mut(), reply) {
                order.extend(reply);
            }
            order
        };
        let revoke = |ids: Vec<Uuid>, terminate: bool| {
            let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
            let arguments = json!({"task_id": ids, "terminate": terminate, "signal": "SIGKILL"});
            (!ids.is_empty()).then(|| order("revoke", arguments, json!(null)))
        };
        let ask = |question: Question| {
            // The default exchange, which has no name, routes a message to the queue that its routing key names.
            let reply = json!({
                "ticket": question.ticket.to_string(),
                "reply_to": {"exchange": "", "routing_key": &*self.shared.reply_to},
            });
            order(question.method, json!({}), reply)
        };
        let revoked = [revoke(orders.revoked, false), revoke(orders.terminated, true)];
        revoked.into_iter().flatten().chain(orders.questions.into_iter().map(ask)).collect()
    }
}
