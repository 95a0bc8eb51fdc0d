//! [`Session`]: one connection to the broker, with the queues and channels that a client needs.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind, PublisherConfirm};

use super::window::Outgoing;
use crate::broker::{Broker, ConnectError, in_time};
use crate::message::{Body, Embed, TaskMessage};
use crate::properties::{json_properties, origin};
use crate::topology::{CONTROL, EVENTS, ensure_exchange, ensure_queue, has_queue};

/// How long the queue for answers stays when its client is gone, in milliseconds.
const REPLIES_EXPIRE: i32 = 300_000;

pub(super) struct Session {
    broker: Broker,
    connection: Connection,
    /// The channel for tasks. The broker confirms each message that it has taken.
    tasks: Channel,
    /// For answers.
    answers: Channel,
    pub(super) replies: Consumer,
    reply_to: Box<str>,
    /// The queues that are known to exist.
    queues: RefCell<HashSet<Arc<str>>>,
    /// The channel for control commands. `None` until the first one is sent.
    control: RefCell<Option<Channel>>,
}

impl Session {
    /// Connects, and declares the queue for answers and the queue for tasks.
    ///
    /// The queue for answers is durable, so that an answer that a restarted broker has kept still finds it. If it was not there,
    /// it is now, and that is noted, also if something is refused after that.
    pub(super) async fn open(
        broker: &Broker,
        reply_to: &str,
        queue: &Arc<str>,
        lacked_replies: &Cell<bool>,
    ) -> Result<Self, ConnectError> {
        let connection = broker.connect("concurrent-futures client").await?;
        let refused = |what: &str| {
            let what = what.to_owned();
            move |error: lapin::Error| broker.refused(what, &error)
        };
        let tasks = connection.create_channel().await.map_err(refused("a channel"))?;
        tasks.confirm_select(ConfirmSelectOptions::default()).await.map_err(refused("confirmations"))?;
        let had_replies = has_queue(&connection, reply_to).await;
        let had_replies = had_replies.map_err(refused("to look for the queue for answers"))?;
        let answers = connection.create_channel().await.map_err(refused("a channel"))?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongInt(REPLIES_EXPIRE));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        answers
            .queue_declare(reply_to.into(), options, arguments)
            .await
            .map_err(refused(&format!("the queue {reply_to:?} for answers")))?;
        lacked_replies.set(lacked_replies.get() || !had_replies);
        let replies = answers
            .basic_consume(reply_to.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .map_err(refused("to read the queue for answers"))?;
        let session = Self {
            broker: broker.clone(),
            connection,
            tasks,
            answers,
            replies,
            reply_to: reply_to.into(),
            queues: RefCell::default(),
            control: RefCell::default(),
        };
        session.ensure_queue(queue).await?;
        Ok(session)
    }

    /// Declares a queue, unless there is one of that name, whatever its settings.
    pub(super) async fn ensure_queue(&self, queue: &Arc<str>) -> Result<(), ConnectError> {
        if self.queues.borrow().contains(queue) {
            return Ok(());
        }
        let declared = ensure_queue(&self.connection, queue).await;
        declared.map_err(|error| self.broker.refused(format!("the queue {queue:?}"), &error))?;
        self.queues.borrow_mut().insert(Arc::clone(queue));
        Ok(())
    }

    /// Notes that a queue does not exist any more.
    pub(super) fn forget_queue(&self, queue: &str) {
        self.queues.borrow_mut().remove(queue);
    }

    /// Publishes a task to its queue, which was [ensured](Self::ensure_queue). The returned future resolves when the
    /// broker has taken the message or refused it.
    pub(super) async fn publish(&self, outgoing: &Outgoing) -> lapin::Result<PublisherConfirm> {
        let Outgoing { id, call, arguments } = outgoing;
        let message = TaskMessage {
            origin: origin(),
            reply_to: Some(self.reply_to.to_string()),
            ..call.message(id.to_string(), arguments)
        };
        let body = Body::write(arguments, &Embed::default());
        // A mandatory message is returned if the queue does not exist.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.tasks.basic_publish("".into(), (*call.queue).into(), options, &body, message.properties()).await
    }

    /// Acknowledges all answers up to the one with this tag.
    pub(super) async fn acknowledge(&self, tag: u64) -> lapin::Result<()> {
        // The method of a delivery does the same, by way of two more threads of lapin's.
        self.answers.basic_ack(tag, BasicAckOptions { multiple: true }).await
    }

    /// Sends a control command to all workers. Waits until the broker has it.
    pub(super) async fn broadcast(&self, order: &serde_json::Value) -> lapin::Result<()> {
        let body = order.to_string();
        loop {
            let known = self.control.take();
            let is_known = known.is_some();
            let channel = match known {
                Some(channel) => channel,
                None => {
                    let channel = ensure_exchange(&self.connection, CONTROL, ExchangeKind::Fanout, false).await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    channel
                }
            };
            let (options, properties) = (BasicPublishOptions::default(), json_properties());
            let told = channel.basic_publish(CONTROL.into(), "".into(), options, body.as_bytes(), properties).await;
            let told = async { told?.await }.await;
            match told {
                Ok(_) => {
                    self.control.replace(Some(channel));
                    return Ok(());
                }
                // The broker has closed the channel, because the exchange is not there any more.
                Err(_) if is_known && self.is_connected() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Subscribes to the events of workers, until the channel is closed.
    pub(super) async fn events(&self) -> lapin::Result<(Channel, Consumer)> {
        let channel = ensure_exchange(&self.connection, EVENTS, ExchangeKind::Topic, true).await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let name = || queue.name().clone();
        let bind = QueueBindOptions::default();
        channel.queue_bind(name(), EVENTS.into(), "worker.#".into(), bind, FieldTable::default()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let events = channel.basic_consume(name(), "".into(), options, FieldTable::default()).await?;
        Ok((channel, events))
    }

    /// Returns `true` if the connection still works. Some errors close only one channel.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Closes the connection in order. Deletes the queue for answers, so that workers skip the tasks that are left.
    pub(super) async fn close(self) {
        let delete = QueueDeleteOptions::default();
        let ended = in_time(async {
            let channel = self.connection.create_channel().await?;
            channel.queue_delete((*self.reply_to).into(), delete).await?;
            self.connection.close(200, "done".into()).await
        });
        if let Err(error) = ended.await {
            log::debug!("the connection to {} was not closed in order: {error}", self.broker.address());
        }
    }
}
