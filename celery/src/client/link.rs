//! [`Link`]: the thread that has the connection to the broker.
//!
//! As long as a connection lasts, several loops run on this thread, and each waits for one thing: a message to publish,
//! a confirmation, an answer, a control command to workers, a deadline, an event. The first loop that fails ends all of
//! them. Then the window takes back the messages that the broker has not confirmed, the link connects again, and the
//! loops begin again. Answers are acknowledged after they have been taken, so none is lost with a connection.
//!
//! | lost | what happens |
//! |---|---|
//! | before the broker has confirmed a message | it is published again with the same id; a worker may get it twice |
//! | after that | the broker keeps the message, and the answer |
//! | together with the queue for answers | what the broker had confirmed ends with `Broken`: its answer may be lost |
//! | because the broker refuses a message | the largest one that it has not confirmed ends with an error |
//! | for longer than `broker_timeout` | every future ends with `Broken`, and the executor refuses what comes |
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use concurrent_futures::{Broken, Encode, Error, Part};
use futures_lite::FutureExt as _;
use lapin::message::Delivery;
use serde_json::Value;

use super::publishing::Unconfirmed;
use super::session::Session;
use super::shared::Shared;
use crate::broker::{Broker, ConnectError, is_too_large, wait};
use crate::pauses::Pauses;

/// How long the end of an executor waits until the broker has the control commands to workers.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection is over.
pub(super) struct Lost {
    cause: String,
    /// The broker has refused a message because it is too large.
    is_refusal: bool,
}

impl Lost {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), is_refusal: false }
    }
}

impl From<lapin::Error> for Lost {
    fn from(error: lapin::Error) -> Self {
        Self { cause: error.to_string(), is_refusal: is_too_large(&error) }
    }
}

pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) broker: Broker,
    /// The control commands to the workers, until the broker has confirmed them.
    pub(super) telling: RefCell<VecDeque<Value>>,
}

impl Link {
    /// Connects in the calling thread, so that the builder of the executor gets the error.
    pub(super) fn connect(shared: Arc<Shared>, broker: Broker) -> Result<(Self, Session), ConnectError> {
        let session = wait(Session::open(&broker, &shared.reply_to, &shared.settings.queue, &Cell::default()))?;
        Ok((Self { shared, broker, telling: RefCell::default() }, session))
    }

    /// Serves until the executor is closed and no tasks are left, or until it is broken.
    pub(super) fn run(self, session: Session) {
        let served = catch_unwind(AssertUnwindSafe(|| wait(self.serve(session))));
        let broken = served.unwrap_or_else(|_| Err("the thread of its connection panicked".into()));
        if let Err(cause) = broken {
            log::error!("the executor at {} is broken: {cause}", self.broker.address());
            self.shared.fail_all(cause);
        }
        self.shared.end();
    }

    async fn serve(&self, mut session: Session) -> Result<(), String> {
        loop {
            let Err(Lost { cause, is_refusal }) = self.session(&session).await else {
                session.close().await;
                return Ok(());
            };
            drop(session);
            if is_refusal && let Some(id) = self.shared.look(|state| state.window.largest_sent()) {
                self.shared.answered(
                    id,
                    Err(Error::Encode(Encode::new(Part::Argument, format!("the broker refuses it: {cause}")))),
                );
            }
            self.shared.change(|state| state.window.disconnected());
            log::warn!("the connection to {} is lost, and made anew: {cause}", self.broker.address());
            let lacked_replies = Cell::new(false);
            session = match self.reconnect(&lacked_replies).await? {
                Some(session) => session,
                None => return Ok(()),
            };
            if lacked_replies.get() {
                let cause = "the broker has lost the queue for answers: whether the task was run is not known";
                for id in self.shared.look(|state| state.window.confirmed_ids()) {
                    self.shared.answered(id, Err(Error::Broken(Broken::new(cause))));
                }
            }
        }
    }

    /// Connects again. Returns `None` if no tasks are left.
    async fn reconnect(&self, lacked_replies: &Cell<bool>) -> Result<Option<Session>, String> {
        let timeout = self.shared.settings.broker_timeout;
        let refusal = RefCell::new(format!("the broker at {} is silent", self.broker.address()));
        let connects = async {
            let pauses = Pauses::new();
            loop {
                let queue = &self.shared.settings.queue;
                match Session::open(&self.broker, &self.shared.reply_to, queue, lacked_replies).await {
                    Ok(session) => return Ok(Some(session)),
                    Err(error) => {
                        log::debug!("no connection yet: {error}");
                        refusal.replace(error.to_string());
                    }
                }
                Timer::after(pauses.next()).await;
            }
        };
        let gives_up = async {
            Timer::after(timeout).await;
            Err(refusal.take())
        };
        let is_over = async {
            self.shared.until(|state| state.is_over().then_some(())).await;
            Ok(None)
        };
        connects.or(is_over).or(gives_up).await
    }

    /// Runs the loops of a connection. Returns when no tasks are left, or with an error when the connection is lost.
    async fn session(&self, session: &Session) -> Result<(), Lost> {
        let (unconfirmed, pauses) = (Unconfirmed::default(), Pauses::new());
        // The time until which nothing is published, after the broker did not take a message.
        let paused = Cell::new(None);
        // The answers that are to be acknowledged.
        let taken = Cell::new(None);
        let is_over = async {
            self.shared.until(|state| state.is_over().then_some(())).await;
            let are_told =
                self.shared.until(|state| (self.telling.borrow().is_empty() && state.orders.is_empty()).then_some(()));
            // The broker may take nothing, because it is short of memory.
            let gives_up = async {
                Timer::after(FAREWELL).await;
            };
            are_told.or(gives_up).await;
            Ok(())
        };
        self.receive(session, &taken)
            .or(self.acknowledge(session, &taken))
            .or(self.confirm(session, &unconfirmed, &pauses, &paused))
            .or(self.publish(session, &unconfirmed, &paused))
            .or(self.order(session))
            .or(self.watch())
            .or(self.listen(session))
            .or(is_over)
            .await
    }
}

/// Returns the next message of a consumer, unless the consumer has ended.
pub(super) fn next(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, Lost> {
    match delivery {
        Some(delivery) => Ok(delivery?),
        None => Err(Lost::new("the broker has ended a queue that is read")),
    }
}
