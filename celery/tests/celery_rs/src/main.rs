//! A worker and a client of celery-rs, another implementation of Celery's protocol in Rust.
//!
//!     celery-rs-peer worker QUEUE        serves `peer.add` and `peer.fail` until it is killed
//!     celery-rs-peer client QUEUE DOOR   calls the tasks of the tests, and fails if it does not get what they return
//!
//! celery-rs sends results to Redis, and to no queue of RabbitMQ. So this program has a result backend for its worker,
//! which publishes each result, as celery-rs has written it, to the queue that the message of the task names.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use celery::backend::ResultBackend;
use celery::error::{BackendError, TaskError};
use celery::prelude::*;
use celery::protocol::MessageBuilder;
use futures_lite::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio_executor_trait::Tokio as Executor;
use tokio_reactor_trait::Tokio as Reactor;

/// The queues for the results of tasks, by the ids of the tasks.
static REPLY_TO: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Notes the queue for the result of a task. Without one, the result is not published.
fn note(id: &str, reply_to: Option<&String>) {
    if let Some(queue) = reply_to {
        REPLY_TO.lock().unwrap().get_or_insert_default().insert(id.to_owned(), queue.clone());
    }
}

#[celery::task(name = "peer.add", bind = true)]
fn add(task: &Self, a: i64, b: i64) -> TaskResult<i64> {
    note(&task.request.id, task.request.reply_to.as_ref());
    Ok(a + b)
}

#[celery::task(name = "peer.fail", bind = true, max_retries = 0)]
fn fail(task: &Self, text: String) -> TaskResult<i64> {
    note(&task.request.id, task.request.reply_to.as_ref());
    Err(TaskError::ExpectedError(text))
}

/// The signatures of tasks that the worker of the tests has.
#[celery::task(name = "tests.resize")]
fn resize(path: String, width: u32) -> TaskResult<String> {
    unreachable!("{path} {width}: it runs elsewhere")
}

#[celery::task(name = "tests.panic")]
fn panic(text: String) -> TaskResult<u8> {
    unreachable!("{text}: it runs elsewhere")
}

#[celery::task(name = "tests.come")]
fn come(door: String) -> TaskResult<()> {
    unreachable!("{door}: it runs elsewhere")
}

/// A result backend that publishes results to queues.
struct Answers(Channel);

#[async_trait::async_trait]
impl ResultBackend for Answers {
    async fn store_task_meta(&self, meta: TaskMeta) -> Result<(), BackendError> {
        let queue = REPLY_TO.lock().unwrap().get_or_insert_default().get(&meta.task_id).cloned();
        let Some(queue) = queue else { return Ok(()) };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_correlation_id(meta.task_id.as_str().into());
        let body = serde_json::to_vec(&meta)?;
        let options = BasicPublishOptions::default();
        let published = self.0.basic_publish("", &queue, options, &body, properties).await;
        published.map(drop).map_err(|_| BackendError::NotConfigured)
    }
    async fn get_task_meta(&self, _: &str) -> Result<Option<TaskMeta>, BackendError> {
        Err(BackendError::NotConfigured)
    }
    async fn forget(&self, _: &str) -> Result<(), BackendError> {
        Ok(())
    }
}

async fn channel(url: &str) -> lapin::Result<Channel> {
    let properties = ConnectionProperties::default().with_executor(Executor::current()).with_reactor(Reactor);
    Connection::connect(url, properties).await?.create_channel().await
}

async fn worker(url: String, queue: &str) -> Result<(), Box<dyn Error>> {
    let answers = Answers(channel(&url).await?);
    let app: Arc<celery::Celery> = celery::app!(
        broker = AMQPBroker { url },
        tasks = [add, fail],
        task_routes = ["*" => queue],
        result_backend = answers,
    )
    .await?;
    Ok(app.consume_from(&[queue]).await?)
}

/// Calls a task as celery-rs does, but with a queue for its result, and returns that.
async fn call<T: Task>(
    app: &celery::Celery,
    queue: &str,
    (answers, reply_to): (&mut Consumer, &str),
    id: &str,
    parameters: T::Params,
) -> Result<TaskMeta, Box<dyn Error>> {
    let message = MessageBuilder::<T>::new(id.into()).params(parameters).reply_to(reply_to.into()).build()?;
    app.broker.send(&message, queue).await?;
    loop {
        let answer = answers.next().await.ok_or("no more answers")??;
        let meta: TaskMeta = serde_json::from_slice(&answer.data)?;
        assert_eq!(meta.task_id, id);
        if meta.status.is_ready() {
            return Ok(meta);
        }
    }
}

async fn client(url: String, queue: &str, door: String) -> Result<(), Box<dyn Error>> {
    let channel = channel(&url).await?;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare("", exclusive, FieldTable::default()).await?;
    let reply_to = declared.name().as_str();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut answers = channel.basic_consume(reply_to, "", options, FieldTable::default()).await?;
    let app = celery::app!(broker = AMQPBroker { url }, tasks = [], task_routes = ["*" => queue]).await?;

    // This is how users of celery-rs call tasks: the task runs, and there is no answer.
    app.send_task(come::new(door)).await?;

    // The attribute `task` of celery-rs has made these structs.
    let small = resizeParams { path: "a.png".into(), width: 3 };
    let meta = call::<resize>(&app, queue, (&mut answers, reply_to), "1", small).await?;
    assert_eq!((meta.status, meta.result), (TaskState::Success, Some("a.png to 3".into())));
    // celery-rs sends keyword arguments, and the parameter of that function has no name.
    let text = panicParams { text: "no more flags".into() };
    let meta = call::<panic>(&app, queue, (&mut answers, reply_to), "2", text).await?;
    let result = meta.result.ok_or("an exception")?;
    assert_eq!((meta.status, &result["exc_type"]), (TaskState::Failure, &"TypeError".into()));
    Ok(app.close().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CELERY_BROKER_URL")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", queue] => worker(url, queue).await,
        ["client", queue, door] => client(url, queue, (*door).into()).await,
        _ => Err("say: worker QUEUE, or client QUEUE DOOR".into()),
    }
}
