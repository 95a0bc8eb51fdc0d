//! [`Session`]: one connection to the broker, with the queues and channels that a worker needs.
//!
//! An answer and the acknowledgement of the message that it answers are sent on the same channel in this order, so the
//! broker has the answer before it drops the message. The broker confirms each message that is published. The worker
//! does not block for that, but it keeps an answer until then, and a message that is returned shows that its client is
//! gone.
//!
//! What goes where a message says, and what must not be lost, is [delivered](Session::deliver) instead: on a channel of
//! its own, which the broker may close without harm to the tasks that run, and the worker waits until the broker has it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::Stream as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::AMQPErrorKind;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Consumer, ErrorKind, ExchangeKind, PublisherConfirm};

use super::Lost;
use super::ended::Ended;
use super::events::Event;
use crate::broker::{Broker, ConnectError, has_code, in_time};
use crate::properties::json_properties;
use crate::topology::{CONTROL, EVENTS, ensure_exchange, ensure_queue, has_queue};

/// How long the queue for commands stays when its worker is gone, in milliseconds. Celery has the same value.
const COMMANDS_EXPIRE: i32 = 10_000;

/// AMQP's code for a request that the broker does not support.
const NOT_IMPLEMENTED: u16 = 540;

pub(super) struct Session {
    /// The name of the worker.
    name: String,
    connection: Connection,
    /// The channel for tasks and answers.
    tasks: Channel,
    /// Whether one limit holds for the messages of all queues.
    has_one_limit: bool,
    /// The queues of tasks.
    consumers: Vec<Queue>,
    commands: Consumer,
    events: Channel,
    /// The channel for what is delivered, once something is.
    deliveries: Option<Channel>,
    /// What was published and is not confirmed yet, in the order of publishing.
    confirms: VecDeque<(Published, PublisherConfirm)>,
}

struct Queue {
    name: String,
    tag: String,
    /// The broker was told to deliver no more messages.
    is_cancelled: bool,
    /// `None` once all messages that were delivered are taken.
    messages: Option<Consumer>,
}

/// What was published, as far as its confirmation matters.
pub(super) enum Published {
    /// The news that a task has started, for the client with this queue for answers. If the broker returns it because
    /// the queue does not exist, the client is gone.
    Started(String),
    /// An answer. It is sent again on the next connection if the broker has not confirmed it on this one.
    Answer(Box<Ended>),
    /// Anything else. Nothing depends on its confirmation.
    Other,
}

/// Why a message is in no queue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undelivered {
    #[error("there is no queue for it")]
    NoQueue,
    #[error("its queue is full")]
    Full,
    #[error("the broker refuses it: {0}")]
    Refused(String),
}

/// What a session receives for its worker.
pub(super) enum Incoming {
    /// With the queue from which it comes.
    Task(String, Box<Delivery>),
    Command(Box<Delivery>),
    /// The broker has returned a message, because this queue for answers does not exist.
    Returned(String),
    /// A queue that was cancelled has no more messages.
    Ended,
}

impl Session {
    /// Connects, and begins to read the queues.
    ///
    /// One limit holds for the messages of all queues together, if all of them support such a limit. Quorum queues do
    /// not: then the limit holds for each queue.
    pub(super) async fn open(broker: &Broker, name: &str, queues: &[String], slots: u16) -> Result<Self, ConnectError> {
        let connect = async || broker.connect(&format!("concurrent-futures worker {name}")).await;
        let opened = match Self::on(connect().await?, name, queues, slots, true).await {
            // The broker has closed the connection, so the second attempt needs a new one.
            Err((_, error)) if has_code(&error, NOT_IMPLEMENTED) => {
                Self::on(connect().await?, name, queues, slots, false).await
            }
            opened => opened,
        };
        opened.map_err(|(what, error)| broker.refused(what, &error))
    }

    /// Reads the queues on a connection. The error says what the broker refuses.
    async fn on(
        connection: Connection,
        name: &str,
        queues: &[String],
        slots: u16,
        has_one_limit: bool,
    ) -> Result<Self, (String, lapin::Error)> {
        let refused = |what: &str| {
            let what = what.to_owned();
            move |error: lapin::Error| (what, error)
        };
        let tasks = connection.create_channel().await.map_err(refused("a channel"))?;
        tasks.confirm_select(ConfirmSelectOptions::default()).await.map_err(refused("confirmations"))?;
        let control = ensure_exchange(&connection, CONTROL, ExchangeKind::Fanout, false).await;
        let control = control.map_err(refused(&format!("the exchange {CONTROL:?} for commands to workers")))?;
        let events = ensure_exchange(&connection, EVENTS, ExchangeKind::Topic, true).await;
        let events = events.map_err(refused(&format!("the exchange {EVENTS:?} for events of workers")))?;
        let commands = commands(&control, name).await.map_err(refused("a queue for commands"))?;
        let limit = tasks.basic_qos(slots, BasicQosOptions { global: has_one_limit }).await;
        limit.map_err(refused("a limit of messages"))?;
        let (name, consumers, deliveries, confirms) = (name.to_owned(), Vec::new(), None, VecDeque::new());
        let mut session =
            Self { name, connection, tasks, has_one_limit, consumers, commands, events, deliveries, confirms };
        for queue in queues {
            session.consume(queue).await.map_err(refused(&format!("the queue {queue:?}")))?;
        }
        Ok(session)
    }

    /// Limits how many unacknowledged messages the broker delivers from all queues together. Does nothing if each queue
    /// has a limit of its own.
    pub(super) async fn set_slots(&self, slots: u16) -> lapin::Result<()> {
        if self.has_one_limit {
            self.tasks.basic_qos(slots, BasicQosOptions { global: true }).await?;
        }
        Ok(())
    }

    /// Begins to read a queue, and declares it if it is missing.
    pub(super) async fn consume(&mut self, queue: &str) -> lapin::Result<()> {
        if self.queues().any(|name| name == queue) {
            return Ok(());
        }
        ensure_queue(&self.connection, queue).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let messages = self.tasks.basic_consume(queue.into(), "".into(), options, arguments).await?;
        let (name, tag) = (queue.to_owned(), messages.tag().to_string());
        self.consumers.push(Queue { name, tag, is_cancelled: false, messages: Some(messages) });
        Ok(())
    }

    /// Returns the queues that are read.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        self.consumers.iter().filter(|queue| !queue.is_cancelled).map(|queue| &*queue.name)
    }

    /// Tells the broker to deliver no more messages from a queue, or from any if `queue` is `None`. Those that it has
    /// delivered are still to be taken.
    pub(super) async fn cancel(&mut self, queue: Option<&str>) -> lapin::Result<()> {
        for Queue { name, tag, is_cancelled, .. } in &mut self.consumers {
            if !*is_cancelled && queue.is_none_or(|queue| queue == name) {
                *is_cancelled = true;
                self.tasks.basic_cancel(tag.as_str().into(), BasicCancelOptions::default()).await?;
            }
        }
        Ok(())
    }

    /// Returns `true` if all messages that the broker has delivered are taken, and no more can arrive.
    pub(super) fn is_read(&self) -> bool {
        self.consumers.iter().all(|queue| queue.messages.is_none())
    }

    /// Waits for what comes next.
    pub(super) async fn next(&mut self) -> Result<Incoming, Lost> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        while let Some((_, confirm)) = self.confirms.front_mut() {
            let Poll::Ready(confirmation) = Pin::new(confirm).poll(context) else { break };
            // An error means that the connection is lost. The message stays among those that are not confirmed.
            let confirmation = confirmation?;
            let Some((published, _)) = self.confirms.pop_front() else { break };
            if let (Confirmation::Ack(Some(_)), Published::Started(queue)) = (confirmation, published) {
                return Poll::Ready(Ok(Incoming::Returned(queue)));
            }
        }
        if let Poll::Ready(command) = Pin::new(&mut self.commands).poll_next(context) {
            let ended = || Lost("the broker has ended the queue for commands".into());
            return Poll::Ready(Ok(Incoming::Command(command.ok_or_else(ended)??.into())));
        }
        for Queue { name, is_cancelled, messages, .. } in &mut self.consumers {
            let Some(consumer) = messages else { continue };
            match Pin::new(consumer).poll_next(context) {
                Poll::Pending => {}
                Poll::Ready(Some(delivery)) => {
                    return Poll::Ready(Ok(Incoming::Task(name.clone(), delivery?.into())));
                }
                Poll::Ready(None) if *is_cancelled => {
                    *messages = None;
                    return Poll::Ready(Ok(Incoming::Ended));
                }
                Poll::Ready(None) => {
                    return Poll::Ready(Err(Lost(format!("the broker has ended the queue {name:?}"))));
                }
            }
        }
        Poll::Pending
    }

    /// Publishes a message.
    pub(super) async fn publish(
        &mut self,
        to: (&str, &str),
        body: &[u8],
        properties: BasicProperties,
        published: Published,
    ) -> lapin::Result<()> {
        let confirm = self.send(to, body, properties, matches!(published, Published::Started(_))).await?;
        self.expect(published, confirm);
        Ok(())
    }

    /// Publishes a message. The caller passes its confirmation to [`expect`](Self::expect). If the message is
    /// `mandatory`, the broker returns it if its queue does not exist.
    pub(super) async fn send(
        &self,
        (exchange, routing_key): (&str, &str),
        body: &[u8],
        properties: BasicProperties,
        mandatory: bool,
    ) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        self.tasks.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await
    }

    /// Keeps a confirmation that the broker has not given yet, and what depends on it.
    pub(super) fn expect(&mut self, published: Published, confirm: PublisherConfirm) {
        self.confirms.push_back((published, confirm));
    }

    /// Returns the answers that the broker has not confirmed.
    pub(super) fn into_unconfirmed(self) -> impl Iterator<Item = Ended> {
        self.confirms.into_iter().filter_map(|(published, _)| match published {
            Published::Answer(ended) => Some(*ended),
            Published::Other | Published::Started(_) => None,
        })
    }

    /// Acknowledges a message.
    pub(super) async fn ack(&self, tag: u64) -> lapin::Result<()> {
        self.tasks.basic_ack(tag, BasicAckOptions::default()).await
    }

    /// Rejects a message that calls no task. The broker moves it to the dead-letter exchange of its queue, if there is
    /// one.
    pub(super) async fn reject(&self, tag: u64) -> lapin::Result<()> {
        self.tasks.basic_reject(tag, BasicRejectOptions { requeue: false }).await
    }

    /// Publishes a message that is to be in a queue, and waits until it is. `Err`: a sentence that says why it cannot be.
    ///
    /// A queue that is named without an exchange is declared if it is missing.
    pub(super) async fn deliver(
        &mut self,
        to: (&str, &str),
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<Result<(), String>> {
        let delivered = self.try_deliver(to, body, properties.clone()).await?;
        if delivered == Err(Undelivered::NoQueue) && to.0.is_empty() {
            match ensure_queue(&self.connection, to.1).await {
                Ok(()) => return Ok(self.try_deliver(to, body, properties).await?.map_err(|why| why.to_string())),
                Err(error) if self.is_refusal(&error) => return Ok(Err(error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(delivered.map_err(|why| why.to_string()))
    }

    /// Delivers a message where there is a queue for it.
    pub(super) async fn try_deliver(
        &mut self,
        to: (&str, &str),
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<Result<(), Undelivered>> {
        let confirmation = async {
            let channel = match &self.deliveries {
                Some(channel) => channel,
                None => {
                    let channel = self.connection.create_channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    self.deliveries.insert(channel)
                }
            };
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            channel.basic_publish(to.0.into(), to.1.into(), options, body, properties).await?.await
        };
        match confirmation.await {
            Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(Ok(())),
            Ok(Confirmation::Ack(Some(_))) => Ok(Err(Undelivered::NoQueue)),
            Ok(Confirmation::Nack(_)) => Ok(Err(Undelivered::Full)),
            Err(error) if self.is_refusal(&error) => {
                self.deliveries = None;
                Ok(Err(Undelivered::Refused(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns `true` if the broker has closed a channel, and not the connection.
    fn is_refusal(&self, error: &lapin::Error) -> bool {
        let is_soft =
            matches!(error.kind(), ErrorKind::ProtocolError(error) if matches!(error.kind(), AMQPErrorKind::Soft(_)));
        is_soft && self.connection.status().connected()
    }

    /// Returns `true` if there is a queue for answers.
    pub(super) async fn has_queue(&self, queue: &str) -> lapin::Result<bool> {
        match has_queue(&self.connection, queue).await {
            // It is somebody's own, so it is there.
            Err(error) if self.is_refusal(&error) => Ok(true),
            found => found,
        }
    }

    /// Publishes events for monitors.
    pub(super) async fn publish_events(&self, events: impl IntoIterator<Item = Event>) -> lapin::Result<()> {
        for Event { routing_key, body } in events {
            let mut headers = FieldTable::default();
            headers.insert("hostname".into(), AMQPValue::LongString(self.name.as_str().into()));
            let properties = json_properties().with_headers(headers).with_delivery_mode(1);
            let (routing_key, options) = (routing_key.into(), BasicPublishOptions::default());
            self.events.basic_publish(EVENTS.into(), routing_key, options, &body, properties).await?.await?;
        }
        Ok(())
    }

    /// Closes the connection in order: the broker has received everything that was sent. It delivers messages that were
    /// not acknowledged to other workers.
    pub(super) async fn close(self) {
        if let Err(error) = in_time(self.connection.close(200, "done".into())).await {
            log::debug!("the connection to the broker was not closed in order: {error}");
        }
    }
}

/// Subscribes to the control commands for the worker of this name.
async fn commands(control: &Channel, name: &str) -> lapin::Result<Consumer> {
    let queue = format!("{name}.{CONTROL}");
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(COMMANDS_EXPIRE));
    let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    control.queue_declare(queue.as_str().into(), options, arguments).await?;
    let bind = QueueBindOptions::default();
    control.queue_bind(queue.as_str().into(), CONTROL.into(), "".into(), bind, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    control.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await
}
