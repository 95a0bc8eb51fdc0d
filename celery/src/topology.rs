//! The queues and exchanges of a broker that both sides of Celery use.
//!
//! Others may have declared them before, with settings of their own, and declaring them again with other settings is
//! refused. So whether they are there is asked first, and only what is missing is declared.
#![forbid(unsafe_code)]

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ExchangeKind};

use crate::broker::has_code;

/// The queue of a task that names none, as for Celery's own programs.
pub(crate) const DEFAULT_QUEUE: &str = "celery";

/// Where workers listen to what they are told.
pub(crate) const CONTROL: &str = "celery.pidbox";

/// Where workers tell what they do.
pub(crate) const EVENTS: &str = "celeryev";

/// What AMQP says when there is no such queue or exchange.
const NOT_FOUND: u16 = 404;

/// Declares a durable queue, unless there is one of that name.
pub(crate) async fn ensure_queue(connection: &Connection, queue: &str) -> lapin::Result<()> {
    let declare = async |options| {
        // A refusal closes the channel.
        let channel = connection.create_channel().await?;
        channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        channel.close(200, "".into()).await
    };
    match declare(QueueDeclareOptions { passive: true, ..Default::default() }).await {
        Err(error) if has_code(&error, NOT_FOUND) => {
            declare(QueueDeclareOptions { durable: true, ..Default::default() }).await
        }
        declared => declared,
    }
}

/// Returns `true` if there is a queue of this name.
pub(crate) async fn has_queue(connection: &Connection, queue: &str) -> lapin::Result<bool> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
        Ok(_) => channel.close(200, "".into()).await.map(|()| true),
        Err(error) if has_code(&error, NOT_FOUND) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a channel, and declares an exchange unless there is one of that name.
pub(crate) async fn ensure_exchange(
    connection: &Connection,
    name: &str,
    kind: ExchangeKind,
    durable: bool,
) -> lapin::Result<Channel> {
    let declare = async |options| {
        let channel = connection.create_channel().await?;
        channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default()).await?;
        Ok::<_, lapin::Error>(channel)
    };
    match declare(ExchangeDeclareOptions { passive: true, ..Default::default() }).await {
        Err(error) if has_code(&error, NOT_FOUND) => {
            declare(ExchangeDeclareOptions { durable, ..Default::default() }).await
        }
        declared => declared,
    }
}
