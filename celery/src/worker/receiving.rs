//! How a worker receives a message, and submits its task to the executor.
#![forbid(unsafe_code)]

use std::time::Instant;

use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::AMQPValue;

use super::decision::{Conditions, Decision, decide};
use super::ended::{Ended, answer_properties};
use super::events::HIDDEN;
use super::invocation::Invocation;
use super::outcome::Outcome;
use super::request::{DeliveryInfo, Hold, Request, Running, Stage};
use super::service::Service;
use super::session::{Published, Session};
use super::{Input, Lost, Phase};
use crate::answer::{Answer, Started, Status};
use crate::failure::{FailedTask, Failure, lost};
use crate::message::{Body, Malformed, TaskMessage};
use crate::properties::{correlation_id, reply_to};
use crate::size::check_size;

impl Service {
    /// Receives a message that calls a task, and does what [`decide`] says.
    pub(super) async fn receive(
        &mut self,
        session: &mut Session,
        queue: String,
        delivery: Delivery,
    ) -> Result<(), Lost> {
        let Delivery { delivery_tag: tag, exchange, routing_key, redelivered, properties, data, .. } = delivery;
        let mut message = match TaskMessage::from_properties(&properties) {
            Ok(message) => message,
            Err(malformed) => return self.reject(session, &properties, tag, malformed).await,
        };
        if self.settings.hides_arguments {
            (message.args_shown, message.kwargs_shown) = (HIDDEN.into(), HIDDEN.into());
        }
        let now = Instant::now();
        if let Some(delivery) = self.requests.delivery(&message.id) {
            // The task runs here. If it had no tag, this is its message, delivered again. Otherwise it is a copy, which
            // the client has published because it did not know whether the broker had the first one.
            match delivery.tag {
                None => delivery.tag = Some(tag),
                Some(_) => session.ack(tag).await?,
            }
            return Ok(());
        }
        let has_ended = match message.retries_allowed {
            // A client of this crate gives each message an id of its own, so this is the same message, or a copy of it.
            Some(_) => self.ended.contains(&message.id, now),
            None => redelivered && self.answered.forget(&message.id),
        };
        if has_ended {
            return Ok(session.ack(tag).await?);
        }
        let priority = properties.priority().unwrap_or(0);
        let (exchange, routing_key) = (exchange.to_string(), routing_key.to_string());
        let delivery =
            DeliveryInfo { tag: Some(tag), queue, exchange, routing_key, is_redelivered: redelivered, priority };
        session.publish_events(self.events.received(&message)).await?;
        if let Err(error) = check_size(data.len(), self.settings.max_message_size) {
            return self.end(session, Ended::unstarted(message, delivery, Outcome::of_error(&error))).await;
        }
        let is_client_gone = match message.reply_to.as_deref().filter(|queue| self.gone_clients.contains(queue, now)) {
            // A client whose queue was lost declares it again.
            Some(queue) if session.has_queue(queue).await? => {
                self.gone_clients.forget(queue);
                false
            }
            found => found.is_some(),
        };
        let conditions = Conditions {
            now: Timestamp::now(),
            is_revoked: self.revoked.contains(&message.id, now),
            is_client_gone,
            is_redelivered: redelivered,
            redeliver: self.settings.redeliver,
        };
        match decide(&message, &conditions) {
            Decision::Run => self.start(session, message, delivery, &data).await,
            Decision::Hold(wait) => {
                let stage = Stage::Held { hold: Hold::new(now, wait), properties, body: data };
                self.requests.insert(Request { message, delivery, stage });
                if self.phase == Phase::Serving {
                    self.adjust_slots(session).await
                } else {
                    self.stop_receiving(session).await
                }
            }
            Decision::PublishAgain => {
                let mut headers = properties.headers().clone().unwrap_or_default();
                let retries = i32::try_from(message.retries).map_or(i32::MAX, |retries| retries.saturating_add(1));
                headers.insert("retries".into(), AMQPValue::LongInt(retries));
                let properties = properties.with_headers(headers);
                match session.deliver(("", &delivery.queue), &data, properties).await? {
                    Ok(()) => Ok(session.ack(tag).await?),
                    // It cannot be noted that it is run once more.
                    Err(why) => {
                        let task = FailedTask { name: &message.task, ..FailedTask::default() };
                        let error = lost(&task, &format!("it cannot be run again: {why}"));
                        self.end(session, Ended::unstarted(message, delivery, Outcome::of_error(&error))).await
                    }
                }
            }
            Decision::Revoke { is_expired } => {
                self.end(session, Ended::unstarted(message, delivery, Outcome::revoked(is_expired))).await
            }
            Decision::Fail(failure) => {
                let outcome = Outcome::Failed { failure, trace: None };
                self.end(session, Ended::unstarted(message, delivery, outcome)).await
            }
            Decision::Skip => {
                log::debug!("the task {} is skipped, because its client is gone", message.id);
                Ok(session.ack(tag).await?)
            }
        }
    }

    /// Answers a message that calls no task, if it names a queue for answers, and rejects it. The broker keeps it if
    /// the queue has a dead-letter exchange.
    async fn reject(
        &mut self,
        session: &mut Session,
        properties: &BasicProperties,
        tag: u64,
        malformed: Malformed,
    ) -> Result<(), Lost> {
        log::warn!("the worker {} rejects a message: {malformed}", self.settings.name);
        if let (Some(queue), Some(id)) = (reply_to(properties), correlation_id(properties)) {
            let failure = Failure::of(&malformed.into());
            let message = TaskMessage { id: id.into(), reply_to: Some(queue.into()), ..TaskMessage::default() };
            let outcome = Outcome::Failed { failure, trace: None };
            if let Some((queue, body, properties)) = outcome.answer(&message) {
                session.publish(("", queue), &body, properties, Published::Other).await?;
            }
        }
        Ok(session.reject(tag).await?)
    }

    /// Submits a task to the executor.
    pub(super) async fn start(
        &mut self,
        session: &mut Session,
        message: TaskMessage,
        delivery: DeliveryInfo,
        body: &[u8],
    ) -> Result<(), Lost> {
        let read = |body| {
            let body = Body::read(body)?;
            Ok((Invocation::read(&message.task, body.arguments())?, body.2))
        };
        let (call, embed) = match read(body) {
            Ok(read) => read,
            Err(error) => {
                return self.end(session, Ended::unstarted(message, delivery, Outcome::of_error(&error))).await;
            }
        };
        session.publish_events(self.events.started(&message.id)).await?;
        if let Some(queue) = message.reply_to.as_deref().filter(|_| !message.ignore_result) {
            let started = Started { hostname: self.settings.name.clone(), pid: std::process::id() };
            let started = serde_json::to_string(&started).unwrap_or_else(|_| "null".into());
            let answer = Answer::write(&message.id, Status::Started, &started, None);
            // A client of this crate keeps its queue for answers as long as it lives. Other clients may not.
            let published = message.retries_allowed.map_or(Published::Other, |_| Published::Started(queue.to_owned()));
            // News that is of no use after a restart of the broker, so it costs no write to its disk.
            let properties = answer_properties(&message).with_delivery_mode(1);
            session.publish(("", queue), &answer, properties, published).await?;
        }
        let (id, input_sender, max_size) =
            (message.id.clone(), self.input_sender.clone(), self.settings.max_message_size);
        let done = move |outcome| {
            // Sending fails only after the worker has ended, when nobody needs the outcome.
            let _ = input_sender.try_send(Input::Done(id, outcome));
        };
        let (since, started) = (Instant::now(), Timestamp::now());
        let options = message.options();
        match message.in_span(|| call.submit(&*self.executor, &options, max_size, done)) {
            Ok(handle) => {
                let running = Running { handle, embed, since, started };
                self.requests.insert(Request { message, delivery, stage: Stage::Running(running) });
                Ok(())
            }
            Err(error) => self.end(session, Ended::unstarted(message, delivery, Outcome::of_error(&error))).await,
        }
    }
}
