//! How the link broadcasts control commands to the workers.
#![forbid(unsafe_code)]

use serde_json::{Value, json};
use uuid::Uuid;

use super::link::{Link, Lost};
use super::orders::{Orders, Question};
use super::session::Session;

impl Link {
    /// Broadcasts control commands to the workers. A command that the broker has not confirmed when the connection is
    /// lost is broadcast again on the next one: no command does harm if it comes twice.
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
