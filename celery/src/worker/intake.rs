//! How a worker takes a message, and has its executor run what the message calls.
#![forbid(unsafe_code)]

use std::time::Instant;

use concurrent_futures::{Decode, Error, Part, WorkerDied};
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use serde_json::json;

use super::call::Call;
use super::ended::{Ended, answer_properties};
use super::outcome::Outcome;
use super::request::{Hold, Origin, Request, Running, Stage};
use super::service::Service;
use super::session::{About, Session};
use super::verdict::{Circumstances, Verdict, judge};
use super::{Input, Lost, Phase};
use crate::answer::{Answer, Status};
use crate::failure::Failure;
use crate::message::{Body, TaskMessage};
use crate::properties::{correlation_id, reply_to};
use crate::size::check_size;

/// What monitors are shown in place of arguments.
const HIDDEN: &str = "(hidden)";

impl Service {
    /// Takes a message that calls a task.
    pub(super) async fn take(&mut self, session: &mut Session, queue: String, delivery: Delivery) -> Result<(), Lost> {
        let Delivery { delivery_tag: tag, exchange, routing_key, redelivered, properties, data, .. } = delivery;
        let mut message = match TaskMessage::from_properties(&properties) {
            Ok(message) => message,
            Err(malformed) => return self.refuse(session, &properties, tag, &malformed.to_string()).await,
        };
        if self.settings.hides_arguments {
            (message.args_shown, message.kwargs_shown) = (HIDDEN.into(), HIDDEN.into());
        }
        let now = Instant::now();
        if let Some(request) = self.requests.get_mut(&message.id) {
            // It runs here. If it had no tag, the message is the same one; otherwise it is a copy, which its client has
            // published because it did not know whether the broker had the first.
            match request.origin.tag {
                None => request.origin.tag = Some(tag),
                Some(_) => session.ack(tag).await?,
            }
            return Ok(());
        }
        let has_ended = match message.retries_allowed {
            // A client of this crate gives each message an id of its own, so this is the same one, or a copy.
            Some(_) => self.ended.contains(&message.id, now),
            None => redelivered && self.answered.forget(&message.id),
        };
        if has_ended {
            return Ok(session.ack(tag).await?);
        }
        let priority = properties.priority().unwrap_or(0);
        let (exchange, routing_key) = (exchange.to_string(), routing_key.to_string());
        let origin = Origin { tag: Some(tag), queue, exchange, routing_key, is_redelivered: redelivered, priority };
        session.tell(self.events.received(&message)).await?;
        if let Err(error) = check_size(data.len(), self.settings.max_message_size) {
            return self.end(session, Ended::unstarted(message, origin, Outcome::of_error(&error))).await;
        }
        let is_orphan = match message.reply_to.as_deref().filter(|queue| self.gone.contains(queue, now)) {
            // A client whose queue was lost declares it again.
            Some(queue) if session.has_queue(queue).await? => {
                self.gone.forget(queue);
                false
            }
            found => found.is_some(),
        };
        let circumstances = Circumstances {
            now: Timestamp::now(),
            is_revoked: self.revoked.contains(&message.id, now),
            is_orphan,
            is_redelivered: redelivered,
            redeliver: self.settings.redeliver,
        };
        match judge(&message, &circumstances) {
            Verdict::Run => self.start(session, message, origin, &data).await,
            Verdict::Hold(wait) => {
                let stage = Stage::Held { hold: Hold::new(now, wait), properties, body: data };
                self.requests.insert(message.id.clone(), Request { message, origin, stage });
                if self.phase == Phase::Serving {
                    self.adjust_slots(session).await
                } else {
                    self.take_no_more(session).await
                }
            }
            Verdict::PublishAgain => {
                let mut headers = properties.headers().clone().unwrap_or_default();
                let retries = i32::try_from(message.retries).map_or(i32::MAX, |retries| retries.saturating_add(1));
                headers.insert("retries".into(), AMQPValue::LongInt(retries));
                let properties = properties.with_headers(headers);
                match session.deliver(("", &origin.queue), &data, properties).await? {
                    Ok(()) => Ok(session.ack(tag).await?),
                    // It cannot be noted that it is run once more.
                    Err(why) => {
                        let died = WorkerDied::lost("", Some(message.task.clone()));
                        let error = Error::WorkerDied(died.with_hint(format!("it cannot be run again: {why}")));
                        self.end(session, Ended::unstarted(message, origin, Outcome::of_error(&error))).await
                    }
                }
            }
            Verdict::Revoke { is_expired } => {
                self.end(session, Ended::unstarted(message, origin, Outcome::revoked(is_expired))).await
            }
            Verdict::Fail(failure) => {
                let outcome = Outcome::Failed { failure, trace: None };
                self.end(session, Ended::unstarted(message, origin, outcome)).await
            }
            Verdict::Skip => {
                log::debug!("the task {} is left out, because its client is gone", message.id);
                Ok(session.ack(tag).await?)
            }
        }
    }

    /// Answers a message that calls no task, if it says where to. The broker keeps it, if it was told where.
    async fn refuse(
        &mut self,
        session: &mut Session,
        properties: &BasicProperties,
        tag: u64,
        why: &str,
    ) -> Result<(), Lost> {
        log::warn!("the worker {} rejects a message: {why}", self.settings.name);
        if let (Some(queue), Some(id)) = (reply_to(properties), correlation_id(properties)) {
            let failure = Failure::of(&Error::Decode(Decode::new(Part::Argument, why)));
            let message = TaskMessage { id: id.into(), reply_to: Some(queue.into()), ..TaskMessage::default() };
            let outcome = Outcome::Failed { failure, trace: None };
            if let Some((queue, body, properties)) = outcome.answer(&message) {
                session.publish(("", queue), &body, properties, About::Nothing).await?;
            }
        }
        Ok(session.reject(tag).await?)
    }

    /// Has the executor run a task.
    pub(super) async fn start(
        &mut self,
        session: &mut Session,
        message: TaskMessage,
        origin: Origin,
        body: &[u8],
    ) -> Result<(), Lost> {
        let read = |body| {
            let body =
                Body::read(body).map_err(|error| Error::Decode(Decode::new(Part::Argument, error.to_string())))?;
            Ok((Call::read(&message.task, body.arguments())?, body.2))
        };
        let (call, embed) = match read(body) {
            Ok(read) => read,
            Err(error) => return self.end(session, Ended::unstarted(message, origin, Outcome::of_error(&error))).await,
        };
        session.tell(self.events.started(&message.id)).await?;
        if let Some(queue) = message.reply_to.as_deref().filter(|_| !message.ignore_result) {
            let started = json!({"hostname": self.settings.name, "pid": std::process::id()}).to_string();
            let answer = Answer::write(&message.id, Status::Started, &started, None);
            // Only of a client of this crate it is known that a queue which is gone means that nobody waits.
            let about = message.retries_allowed.map_or(About::Nothing, |_| About::Client(queue.to_owned()));
            // News that is of no use after a restart of the broker, so it costs no write to its disk.
            let properties = answer_properties(&message).with_delivery_mode(1);
            session.publish(("", queue), &answer, properties, about).await?;
        }
        let (id, outputs, most) = (message.id.clone(), self.outputs.clone(), self.settings.max_message_size);
        let done = move |outcome| {
            // The channel is closed only when the worker has ended.
            let _ = outputs.try_send(Input::Done(id, outcome));
        };
        let (since, started) = (Instant::now(), Timestamp::now());
        let options = message.options();
        match message.in_span(|| call.submit(&*self.executor, &options, most, done)) {
            Ok(handle) => {
                let running = Running { handle, embed, since, started };
                let request = Request { message, origin, stage: Stage::Running(running) };
                self.requests.insert(request.message.id.clone(), request);
                Ok(())
            }
            Err(error) => self.end(session, Ended::unstarted(message, origin, Outcome::of_error(&error))).await,
        }
    }
}
