//! [`Scripted`]: a worker whose answers a test chooses.

use std::collections::VecDeque;
use std::thread::JoinHandle;

use concurrent_futures::{Executor, Future, TaskOptions};
use futures_lite::StreamExt as _;
use futures_lite::future::block_on;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::Value;

/// A message that calls a task.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) id: String,
    pub(crate) reply_to: String,
    pub(crate) headers: FieldTable,
    pub(crate) args: Value,
}

impl Called {
    /// Returns an answer of Celery's.
    pub(crate) fn answer(&self, status: &str, result: &Value) -> Answer {
        let body = serde_json::json!({"task_id": self.id, "status": status, "result": result, "traceback": null});
        Answer { content_type: "application/json".into(), body: body.to_string().into_bytes() }
    }

    /// Returns the answer that the task has returned a value.
    pub(crate) fn success(&self, result: impl Into<Value>) -> Answer {
        self.answer("SUCCESS", &result.into())
    }
}

pub(crate) struct Answer {
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// Answers that a task has returned its argument.
pub(crate) fn same(called: &Called) -> Vec<Answer> {
    vec![called.success(called.args[0].clone())]
}

/// Calls the task `same` of a scripted worker with a number.
pub(crate) fn same_number(executor: &impl Executor, n: u64) -> Future<u64> {
    executor.with(TaskOptions::new().name("same")).submit(|n: u64| n, n)
}

/// A connection to the broker, for what the crate does not offer.
pub(crate) struct Raw {
    pub(crate) connection: Connection,
    pub(crate) channel: Channel,
}

impl Raw {
    pub(crate) fn connect(url: &str) -> Self {
        block_on(async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a broker");
            let channel = connection.create_channel().await.expect("a channel");
            Self { connection, channel }
        })
    }

    /// Declares a queue, with arguments that are texts or numbers.
    pub(crate) fn declare(&self, queue: &str, durable: bool, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        for (key, value) in arguments {
            table.insert((*key).into(), value.clone());
        }
        let options = QueueDeclareOptions { durable, ..QueueDeclareOptions::default() };
        block_on(self.channel.queue_declare(queue.into(), options, table)).expect("a queue");
    }
}

/// A worker with one slot. Dropping it ends the worker.
pub(crate) struct Scripted {
    raw: Raw,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Starts a worker that sends what `answers` returns, and then acknowledges the message.
    pub(crate) fn start(
        url: &str,
        queue: &str,
        mut answers: impl FnMut(&Called) -> Vec<Answer> + Send + 'static,
    ) -> Self {
        let raw = Raw::connect(url);
        let channel = raw.channel.clone();
        let mut messages = block_on(async {
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
        })
        .expect("a queue to read");
        let serve = move || {
            while let Some(Ok(message)) = block_on(messages.next()) {
                let headers = message.properties.headers().clone().unwrap_or_default();
                let text = |text: &Option<lapin::types::ShortString>| {
                    text.as_ref().map(ToString::to_string).unwrap_or_default()
                };
                let mut body: VecDeque<Value> = serde_json::from_slice(&message.data).expect("a body in JSON");
                let called = Called {
                    id: text(message.properties.correlation_id()),
                    reply_to: text(message.properties.reply_to()),
                    headers,
                    args: body.pop_front().expect("arguments"),
                };
                for Answer { content_type, body } in answers(&called) {
                    let properties = BasicProperties::default()
                        .with_content_type(content_type.into())
                        .with_correlation_id(called.id.as_str().into());
                    let (to, options) = (called.reply_to.as_str().into(), BasicPublishOptions::default());
                    // It fails if the test is over.
                    let _ = block_on(channel.basic_publish("".into(), to, options, &body, properties));
                }
                let _ = block_on(message.ack(BasicAckOptions::default()));
            }
        };
        Self { raw, thread: Some(std::thread::spawn(serve)) }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // The consumer ends with the connection, and so does the thread.
        let _ = block_on(self.raw.connection.close(200, "done".into()));
        let ended = self.thread.take().expect("it was started").join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}
