//! The queues and exchanges of a broker that both sides of Celery use.
//!
//! Other programs may have declared them with settings of their own, and the broker refuses to declare them again with
//! other settings. So the functions here first ask whether a queue or exchange exists, and declare it only if it does
//! not.
#![forbid(unsafe_code)]

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ExchangeKind};

use crate::broker::has_code;

/// The queue of a task that names none, as for Celery's own programs.
pub(crate) const DEFAULT_QUEUE: &str = "celery";

/// The exchange for control commands to workers.
pub(crate) const CONTROL: &str = "celery.pidbox";

/// The exchange for events of workers.
pub(crate) const EVENTS: &str = "celeryev";

/// AMQP's reply code for a queue or exchange that does not exist.
const NOT_FOUND: u16 = 404;

/// Declares a durable queue, unless there is one of that name.
pub(crate) async fn ensure_queue(connection: &Connection, queue: &str) -> lapin::Result<()> {
    if has_queue(connection, queue).await? {
        return Ok(());
    }
    // This needs a channel of its own, because the broker has closed the one that asked.
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    channel.close(200, "".into()).await
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
