//! [`Link`]: the thread that has the connection to the broker.
//!
//! As long as a connection lasts, several loops run on this thread, each of which waits for something of its own: a
//! message to publish, a confirmation, an answer, an order for the workers, a deadline, an event. The first that fails
//! ends all of them. Then the window takes back what the broker has not confirmed, a new connection is made, and the
//! loops begin again. Answers are acknowledged after they have been taken, so none is lost with a connection.
//!
//! | lost | what happens |
//! |---|---|
//! | before the broker has confirmed a message | it is published again with the same id; a worker may get it twice |
//! | after that | the broker keeps the message, and the answer |
//! | because the broker refuses a message | the largest one that it has not confirmed ends with an error |
//! | for longer than `broker_timeout` | every future ends with `Broken`, and the executor refuses what comes |
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_io::Timer;
use concurrent_futures::{Broken, Decode, Encode, Error, Full, Part, TimeLimit, TooLarge};
use futures_lite::future::{poll_once, yield_now};
use futures_lite::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Confirmation, ErrorKind, PublisherConfirm};
use serde::Deserialize as _;
use serde_json::json;
use uuid::Uuid;

use super::session::{Session, correlation_id};
use super::shared::{Orders, Question, Shared};
use super::window::{Call, Overdue, Reply};
use crate::answer::{Answer, Started, Status};
use crate::broker::{Broker, ConnectError, wait};
use crate::failure::{FailedTask, Failure};
use crate::message::JSON;

/// How long a worker has to answer after the time limit of a task.
const GRACE: Duration = Duration::from_secs(30);

/// How long to pause when the broker does not take a message, and between attempts to connect: at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What AMQP says when a message is larger than the broker takes.
const PRECONDITION_FAILED: u16 = 406;

/// Why a connection is over.
pub(super) struct Lost {
    cause: String,
    /// The broker has refused a message: all that are too large end this way, however often they are sent.
    is_refusal: bool,
}

impl Lost {
    fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), is_refusal: false }
    }
}

impl From<lapin::Error> for Lost {
    fn from(error: lapin::Error) -> Self {
        let is_refusal =
            matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == PRECONDITION_FAILED);
        Self { cause: error.to_string(), is_refusal }
    }
}

pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    broker: Broker,
}

/// What the broker has not confirmed, in the order of publishing.
type Unconfirmed = RefCell<VecDeque<(Uuid, Arc<Call>, PublisherConfirm)>>;

/// Pauses that grow until something works.
struct Pauses(Cell<Duration>);

impl Pauses {
    fn new() -> Self {
        Self(Cell::new(PAUSE.0))
    }

    fn next(&self) -> Duration {
        self.0.replace((self.0.get() * 2).min(PAUSE.1))
    }
}

impl Link {
    /// Connects, so that whoever builds the executor gets the error.
    pub(super) fn connect(shared: Arc<Shared>, broker: Broker) -> Result<(Self, Session), ConnectError> {
        let session = wait(Session::open(&broker, &shared.reply_to, &shared.settings.queue))?;
        Ok((Self { shared, broker }, session))
    }

    /// Serves until the executor is closed and nothing is left to do, or until it is broken.
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
                self.answered(
                    id,
                    Err(Error::Encode(Encode::new(Part::Argument, format!("the broker refuses it: {cause}")))),
                );
            }
            self.shared.change(|state| state.window.disconnected());
            log::warn!("the connection to {} is lost, and made anew: {cause}", self.broker.address());
            session = match self.reconnect().await? {
                Some(session) => session,
                None => return Ok(()),
            };
        }
    }

    /// Connects again. Returns `None` if nothing is left to do.
    async fn reconnect(&self) -> Result<Option<Session>, String> {
        let timeout = self.shared.settings.broker_timeout;
        let (begun, pauses) = (Instant::now(), Pauses::new());
        let connects = async {
            loop {
                match Session::open(&self.broker, &self.shared.reply_to, &self.shared.settings.queue).await {
                    Ok(session) => return Ok(Some(session)),
                    Err(error) if begun.elapsed() >= timeout => return Err(error.to_string()),
                    Err(error) => log::debug!("no connection yet: {error}"),
                }
                Timer::after(pauses.next().min(timeout.saturating_sub(begun.elapsed()))).await;
            }
        };
        let is_over = async {
            self.shared.until(|state| state.is_over().then_some(())).await;
            Ok(None)
        };
        connects.or(is_over).await
    }

    /// Runs the loops of a connection. Returns when nothing is left to do, or with an error when the connection is lost.
    async fn session(&self, session: &Session) -> Result<(), Lost> {
        let (unconfirmed, pauses) = (Unconfirmed::default(), Pauses::new());
        // Set when the broker did not take a message.
        let paused = Cell::new(None);
        let is_over = async {
            self.shared.until(|state| (state.is_over() && state.orders.is_empty()).then_some(())).await;
            Ok(())
        };
        self.receive(session)
            .or(self.confirm(session, &unconfirmed, &pauses, &paused))
            .or(self.publish(session, &unconfirmed, &paused))
            .or(self.order(session))
            .or(self.watch())
            .or(self.listen(session))
            .or(is_over)
            .await
    }

    /// Publishes what there is room for.
    async fn publish(
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
                    // Has the other loop poll it.
                    yield_now().await;
                }
                Err(error) if session.is_connected() => {
                    self.answered(id, Err(Error::Broken(Broken::new(error))));
                }
                Err(error) => return Err(Lost::new(error.to_string())),
            }
        }
    }

    /// Notes what the broker has taken, and has the rest wait again.
    async fn confirm(
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
                    // Whoever publishes has this polled again.
                    None => Poll::Pending,
                }
            })
            .await?;
            let Some((id, call, _)) = unconfirmed.borrow_mut().pop_front() else { continue };
            match confirmation {
                Confirmation::Ack(None) | Confirmation::NotRequested => {
                    pauses.0.set(PAUSE.0);
                    self.shared.change(|state| state.window.confirmed(id));
                    continue;
                }
                // Its queue is gone, and is declared again.
                Confirmation::Ack(Some(_)) => session.forget_queue(&call.queue),
                // Its queue is full.
                Confirmation::Nack(_) if call.refuse_when_full => {
                    let most = self.shared.settings.max_pending.unwrap_or(usize::MAX);
                    self.answered(id, Err(Error::Full(Full::new(most))));
                    continue;
                }
                Confirmation::Nack(_) => {}
            }
            // What was published before the pause may be refused in it.
            let now = Instant::now();
            if pause_ends <= now {
                pause_ends = now + pauses.next();
                paused.set(Some(pause_ends));
            }
            self.shared.change(|state| state.window.not_taken(id));
        }
    }

    /// Takes answers, and acknowledges as many at a time as are there.
    async fn receive(&self, session: &Session) -> Result<(), Lost> {
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
        if let Some(ticket) =
            delivery.properties.headers().as_ref().and_then(|headers| crate::message::text(headers, "ticket"))
        {
            if let (Ok(ticket), Ok(answer)) = (ticket.parse(), serde_json::from_slice(&delivery.data)) {
                self.shared.change(|state| state.workers.answered(ticket, answer));
            }
            return;
        }
        let unread = |why: String| Err(Error::Decode(Decode::new(Part::Result, why)));
        let kind = delivery.properties.content_type().as_ref().map_or("", |kind| kind.as_str());
        let (size, most) = (delivery.data.len(), self.shared.settings.max_message_size);
        if size > most || kind != JSON {
            let reply = match size > most {
                true => Err(Error::TooLarge(TooLarge::new(size as u64, most as u64))),
                false => unread(format!(
                    "it has the content type {kind:?}, and not {JSON:?}: set `result_serializer` to json"
                )),
            };
            return correlation_id(delivery).into_iter().for_each(|id| self.answered(id, reply.clone()));
        }
        match Answer::read(&delivery.data) {
            Ok(answer) => {
                if let Ok(id) = answer.task_id.parse() {
                    self.take_answer(id, answer);
                }
            }
            Err(error) => {
                let reply = unread(format!("the answer is none of Celery's: {error}"));
                correlation_id(delivery).into_iter().for_each(|id| self.answered(id, reply.clone()));
            }
        }
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
            // It will be run again.
            Status::Retry | Status::Other => {}
        }
    }

    pub(super) fn answered(&self, id: Uuid, reply: Reply) {
        let finished = self.shared.change(|state| state.window.answered(id, reply));
        self.shared.complete(finished);
    }

    /// Tells the workers what they are to be told.
    async fn order(&self, session: &Session) -> Result<(), Lost> {
        loop {
            let orders =
                self.shared.until(|state| (!state.orders.is_empty()).then(|| std::mem::take(&mut state.orders))).await;
            for order in self.texts(orders) {
                match session.broadcast(&order).await {
                    Ok(()) => {}
                    Err(error) if session.is_connected() => {
                        log::warn!("the broker at {} lets nothing be told to workers: {error}", self.broker.address());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn texts(&self, orders: Orders) -> Vec<serde_json::Value> {
        let order = |method: &str, arguments: serde_json::Value, reply: serde_json::Value| {
            let mut order = json!({
                "method": method, "arguments": arguments, "destination": null, "pattern": null, "matcher": null,
            });
            if let (Some(order), serde_json::Value::Object(reply)) = (order.as_object_mut(), reply) {
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

    /// Ends what is overdue.
    async fn watch(&self) -> Result<(), Lost> {
        loop {
            let mut timer: Option<(Instant, Timer)> = None;
            let (id, overdue) = poll_fn(|context| {
                let next = match self.shared.overdue(context.waker()) {
                    Ok(overdue) => return Poll::Ready(overdue),
                    Err(next) => next,
                };
                let Some(next) = next else {
                    timer = None;
                    return Poll::Pending;
                };
                let timer = match &mut timer {
                    Some((at, timer)) if *at == next => timer,
                    other => &mut other.insert((next, Timer::at(next))).1,
                };
                // A timer that has just run out has the thread look again.
                if timer.poll(context).is_ready() {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            })
            .await;
            let Some((call, _)) = self.shared.look(|state| state.window.call(id)) else { continue };
            match overdue {
                Overdue::TimeLimit => {
                    self.shared.change(|state| state.orders.terminated.push(id));
                    self.answered(id, Err(Error::TimeLimit(TimeLimit::new(call.time_limit.unwrap_or_default()))));
                }
                Overdue::Withdrawn => self.answered(id, Err(Error::Cancelled)),
            }
        }
    }
}

/// Returns the next message of a consumer, unless the consumer has ended.
pub(super) fn next(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, Lost> {
    match delivery {
        Some(delivery) => Ok(delivery?),
        None => Err(Lost::new("the broker has ended a queue that is read")),
    }
}
