//! How the link receives the answers of workers.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use concurrent_futures::{Decode, Error, Part};
use futures_lite::StreamExt as _;
use futures_lite::future::poll_once;
use lapin::message::Delivery;
use serde::Deserialize as _;
use uuid::Uuid;

use super::link::{Link, Lost, next};
use super::session::Session;
use crate::answer::{Answer, Started, Status};
use crate::failure::{FailedTask, Failure};
use crate::properties::{JSON, content_type, correlation_id, text};
use crate::size::check_size;

impl Link {
    /// Takes answers as they arrive, and notes in `taken` up to which one. The next answer does not wait until that is
    /// acknowledged.
    pub(super) async fn receive(&self, session: &Session, taken: &Cell<Option<u64>>) -> Result<(), Lost> {
        let mut replies = session.replies.clone();
        loop {
            let mut delivery = next(replies.next().await)?;
            self.take(&delivery);
            while let Some(more) = poll_once(replies.next()).await {
                delivery = next(more)?;
                self.take(&delivery);
            }
            taken.set(Some(delivery.delivery_tag));
        }
    }

    /// Acknowledges what was taken, as much at a time as there is.
    pub(super) async fn acknowledge(&self, session: &Session, taken: &Cell<Option<u64>>) -> Result<(), Lost> {
        loop {
            // This is polled whenever the loop that takes answers has been.
            let tag = poll_fn(|_| taken.take().map_or(Poll::Pending, Poll::Ready)).await;
            session.acknowledge(tag).await?;
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
                    self.shared.answered(id, Err(error));
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
                self.shared.started(id, who);
            }
            Status::Success => self.shared.answered(id, Ok(result.0.to_owned())),
            Status::Revoked => self.shared.answered(id, Err(Error::Cancelled)),
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
                self.shared.answered(id, Err(error));
            }
            // A task that is retried will be answered again, and the other states end no task.
            Status::Retry | Status::Other => {}
        }
    }
}
