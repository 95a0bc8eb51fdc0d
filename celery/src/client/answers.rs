//! How the link receives the answers of workers.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use concurrent_futures::{Decode, Error, Part};
use futures_lite::StreamExt as _;
use futures_lite::future::poll_once;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use serde::Deserialize as _;
use uuid::Uuid;

use super::link::{Link, Lost, next};
use super::session::Session;
use super::window::Reply;
use crate::answer::{Answer, Started, Status};
use crate::failure::{FailedTask, Failure};
use crate::message::check_size;
use crate::properties::{JSON, content_type, correlation_id, text};

/// How long the client waits for an answer after the time limit of a task, before it ends the task itself.
const GRACE: Duration = Duration::from_secs(30);

impl Link {
    /// Takes answers as they arrive, and acknowledges all that have arrived at a time.
    pub(super) async fn receive(&self, session: &Session) -> Result<(), Lost> {
        let mut replies = session.replies.clone();
        loop {
            let mut delivery = next(replies.next().await)?;
            self.take(&delivery);
            while let Some(more) = poll_once(replies.next()).await {
                delivery = next(more)?;
                self.take(&delivery);
            }
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }

    fn take(&self, delivery: &Delivery) {
        let properties = &delivery.properties;
        if let Some(ticket) = properties.headers().as_ref().and_then(|headers| text(headers, "ticket")) {
            if let (Ok(ticket), Ok(answer)) = (ticket.parse(), serde_json::from_slice(&delivery.data)) {
                self.shared.change(|state| state.workers.answered(ticket, answer));
            }
            return;
        }
        match self.read(delivery) {
            Ok(answer) => {
                if let Ok(id) = answer.task_id.parse() {
                    self.take_answer(id, answer);
                }
            }
            Err(error) => {
                // The body cannot be read, but the properties have the id of the task, too.
                if let Some(id) = correlation_id(properties).and_then(|id| id.parse().ok()) {
                    self.answered(id, Err(error));
                }
            }
        }
    }

    /// Reads an answer about a task.
    fn read<'d>(&self, delivery: &'d Delivery) -> Result<Answer<'d>, Error> {
        check_size(delivery.data.len(), self.shared.settings.max_message_size)?;
        let unread = |why: String| Error::Decode(Decode::new(Part::Result, why));
        let kind = content_type(&delivery.properties);
        if kind != JSON {
            return Err(unread(format!(
                "it has the content type {kind:?}, and not {JSON:?}: set `result_serializer` to json"
            )));
        }
        Answer::read(&delivery.data).map_err(|error| unread(format!("the answer is none of Celery's: {error}")))
    }

    fn take_answer(&self, id: Uuid, answer: Answer<'_>) {
        let result = answer.result();
        match answer.status {
            Status::Started => {
                let who = Started::deserialize(result).unwrap_or_default();
                let started = self.shared.change(|state| state.window.started(id, who, Instant::now(), GRACE));
                if let Some((id, job)) = started {
                    self.shared.started(id, job);
                }
            }
            Status::Success => self.answered(id, Ok(result.0.to_owned())),
            Status::Revoked => self.answered(id, Err(Error::Cancelled)),
            Status::Failure => {
                let Some((call, worker)) = self.shared.look(|state| state.window.call(id)) else { return };
                let error = match Failure::deserialize(result) {
                    Ok(failure) => {
                        let (name, time_limit, worker) = (&*call.task, call.time_limit, worker.as_deref());
                        failure.into_error(answer.traceback, &FailedTask { name, time_limit, worker })
                    }
                    Err(error) => {
                        Error::Decode(Decode::new(Part::Result, format!("the answer has no exception: {error}")))
                    }
                };
                self.answered(id, Err(error));
            }
            // A task that is retried will be answered again, and the other states end no task.
            Status::Retry | Status::Other => {}
        }
    }

    pub(super) fn answered(&self, id: Uuid, reply: Reply) {
        let finished = self.shared.change(|state| state.window.answered(id, reply));
        self.shared.complete(finished);
    }
}
