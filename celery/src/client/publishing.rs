//! How the link publishes tasks, and handles the confirmations of the broker.
//!
//! Two loops share the messages that are not confirmed. One publishes, and pauses after the broker has not taken a
//! message. The other handles the confirmations in the order of publishing.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use async_io::Timer;
use concurrent_futures::{Broken, Error};
use futures_lite::future::yield_now;
use lapin::{Confirmation, PublisherConfirm};
use uuid::Uuid;

use super::link::{Link, Lost};
use super::session::Session;
use super::window::Call;
use crate::args::Written;
use crate::message::TaskMessage;
use crate::pauses::Pauses;
use crate::size::shown;

/// The messages that the broker has not confirmed, in the order of publishing.
pub(super) type Unconfirmed = RefCell<VecDeque<(Uuid, Arc<Call>, PublisherConfirm)>>;

impl Call {
    /// Makes the message of one call, but for who sends it and where the answer goes.
    pub(crate) fn message(&self, id: String, arguments: &Written) -> TaskMessage {
        TaskMessage {
            task: self.task.to_string(),
            shadow: self.shadow.as_deref().map(str::to_owned),
            root_id: Some(id.clone()),
            retries_allowed: Some(self.retries),
            time_limit: self.time_limit,
            traceparent: self.traceparent.as_deref().map(str::to_owned),
            args_shown: shown(&arguments.args),
            kwargs_shown: shown(&arguments.kwargs),
            id,
            ..TaskMessage::default()
        }
    }
}

impl Link {
    /// Publishes messages as long as fewer than `in_flight` are out.
    pub(super) async fn publish(
        &self,
        session: &Session,
        unconfirmed: &Unconfirmed,
        paused: &Cell<Option<Instant>>,
    ) -> Result<(), Lost> {
        loop {
            if let Some(until) = paused.take() {
                Timer::at(until).await;
            }
            let outgoing = self.shared.until(|state| state.window.next()).await;
            let (id, call) = (outgoing.id, &outgoing.call);
            match session.ensure_queue(&call.queue).await {
                Ok(()) => {
                    let confirm = session.publish(&outgoing).await?;
                    unconfirmed.borrow_mut().push_back((id, Arc::clone(call), confirm));
                    // The other loop polls the confirmation, so that it is woken when it arrives.
                    yield_now().await;
                }
                Err(error) if session.is_connected() => {
                    self.shared.answered(id, Err(Error::Broken(Broken::new(error))));
                }
                Err(error) => return Err(Lost::new(error.to_string())),
            }
        }
    }

    /// Notes which messages the broker has taken. The others wait in the window again.
    pub(super) async fn confirm(
        &self,
        session: &Session,
        unconfirmed: &Unconfirmed,
        pauses: &Pauses,
        paused: &Cell<Option<Instant>>,
    ) -> Result<(), Lost> {
        let mut pause_ends = Instant::now();
        loop {
            let confirmation = poll_fn(|context| {
                let mut unconfirmed = unconfirmed.borrow_mut();
                match unconfirmed.front_mut() {
                    Some((.., confirm)) => Pin::new(confirm).poll(context),
                    // The loop that publishes makes this loop be polled again.
                    None => Poll::Pending,
                }
            })
            .await?;
            let Some((id, call, _)) = unconfirmed.borrow_mut().pop_front() else { continue };
            match confirmation {
                Confirmation::Ack(None) | Confirmation::NotRequested => {
                    pauses.reset();
                    self.shared.change(|state| state.window.confirmed(id));
                    continue;
                }
                // The broker has returned the message, because its queue is gone. The queue is declared again.
                Confirmation::Ack(Some(_)) => session.forget_queue(&call.queue),
                // The queue is full, and the task is not to wait.
                Confirmation::Nack(_) if call.refuse_when_full => {
                    self.shared.answered(id, Err(self.shared.settings.full()));
                    continue;
                }
                Confirmation::Nack(_) => {}
            }
            // During a pause, messages that were published before it may be refused. They do not prolong it.
            let now = Instant::now();
            if pause_ends <= now {
                pause_ends = now + pauses.next();
                paused.set(Some(pause_ends));
            }
            self.shared.change(|state| state.window.not_taken(id));
        }
    }
}
