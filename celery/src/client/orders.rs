//! [`Orders`]: what workers are told, by a broadcast to all of them.
#![forbid(unsafe_code)]

use serde_json::{Value, json};
use uuid::Uuid;

use super::link::{Link, Lost};
use super::session::Session;

/// What workers are to be told.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Messages that are not to be started any more.
    pub(crate) revoked: Vec<Uuid>,
    /// Messages whose tasks are to be ended even if they run.
    pub(crate) terminated: Vec<Uuid>,
    /// Questions that every worker answers.
    pub(crate) questions: Vec<Question>,
    /// The link has taken some, and they are not told yet: the connection must not end before.
    is_telling: bool,
}

/// A question to all workers, whose answers have the ticket.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) ticket: Uuid,
}

impl Orders {
    /// Returns `true` if workers have been told everything.
    pub(crate) fn are_told(&self) -> bool {
        !self.is_telling && self.revoked.is_empty() && self.terminated.is_empty() && self.questions.is_empty()
    }

    /// For the link, once it has told what it took before: takes what is to be told next.
    fn take(&mut self) -> Option<Self> {
        self.is_telling = false;
        if self.are_told() {
            return None;
        }
        Some(std::mem::replace(self, Self { is_telling: true, ..Self::default() }))
    }
}

impl Link {
    /// Tells the workers what they are to be told. What the broker has not confirmed when the connection is lost is told on the
    /// next one: nothing of it does harm if it comes twice.
    pub(super) async fn order(&self, session: &Session) -> Result<(), Lost> {
        loop {
            loop {
                let Some(order) = self.telling.borrow().front().cloned() else { break };
                match session.broadcast(&order).await {
                    Ok(()) => {}
                    Err(error) if session.is_connected() => {
                        log::warn!("the broker at {} lets nothing be told to workers: {error}", self.broker.address());
                    }
                    Err(error) => return Err(error.into()),
                }
                self.telling.borrow_mut().pop_front();
            }
            let orders = self.shared.until(|state| state.orders.take()).await;
            self.telling.borrow_mut().extend(self.texts(orders));
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
            // By the exchange without a name, a message goes to the queue that its key names.
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
