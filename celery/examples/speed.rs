//! Measures what a task costs on a broker of this machine, beside a bare message and its answer.
//!
//!     CELERY_BROKER_URL=amqp://127.0.0.1 cargo run --release -p concurrent-futures-celery --example speed
//!
//! The worker runs in this program, on eight threads. Each figure is the best of three runs.

use std::time::{Duration, Instant};

use concurrent_futures::{Bytes, Error, Executor, ThreadPoolExecutor, task};
use concurrent_futures_celery::{CeleryExecutor, Worker};
use futures_lite::StreamExt as _;
use futures_lite::future::block_on;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

/// How many tasks the worker takes at a time. Each slot waits for the broker between two tasks.
const SLOTS: usize = 8;

/// How many tasks a run has.
const ROUND_TRIPS: u32 = 1_000;
const FLOOD: u32 = 10_000;
const LARGE: u32 = 50;

#[task(name = "speed.same")]
fn same(n: u32) -> u32 {
    n
}

#[task(name = "speed.length")]
fn length(bytes: Bytes) -> usize {
    bytes.len()
}

fn best<E>(count: u32, mut run: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        run()?;
        best = best.min(begun.elapsed() / count);
    }
    Ok(best)
}

/// Publishes a message and waits until it comes back, again and again: the least that a round trip could cost.
fn bare(url: &str) -> lapin::Result<Duration> {
    block_on(async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let (send, receive) = (connection.create_channel().await?, connection.create_channel().await?);
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let declare = async || receive.queue_declare("".into(), exclusive, FieldTable::default()).await;
        let (there, back) = (declare().await?.name().clone(), declare().await?.name().clone());
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consume = async |queue| receive.basic_consume(queue, "".into(), options, FieldTable::default()).await;
        let (mut requests, mut answers) = (consume(there.clone()).await?, consume(back.clone()).await?);
        let echo = async {
            while let Some(request) = requests.next().await {
                let data = request?.data;
                send.basic_publish("".into(), back.clone(), Default::default(), &data, BasicProperties::default())
                    .await?;
            }
            lapin::Result::Ok(Duration::ZERO)
        };
        let ask = async {
            let mut best = Duration::MAX;
            for _ in 0..3 {
                let begun = Instant::now();
                for _ in 0..ROUND_TRIPS {
                    let (to, options) = (there.clone(), Default::default());
                    send.basic_publish("".into(), to, options, b"[[1], {}, {}]", BasicProperties::default()).await?;
                    answers.next().await.transpose()?;
                }
                best = best.min(begun.elapsed() / ROUND_TRIPS);
            }
            Ok(best)
        };
        futures_lite::future::or(echo, ask).await
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CELERY_BROKER_URL")?;
    let queue = format!("speed-{}", std::process::id());
    let worker = Worker::builder(&url).queues([&queue]).executor(ThreadPoolExecutor::new(SLOTS)).build()?;
    let stopper = worker.stopper();
    let worker = std::thread::spawn(move || worker.run());
    let cluster = CeleryExecutor::builder(&url).queue(&queue).build()?;
    println!("a bare message and its answer: {:?}", bare(&url)?);
    let round_trip =
        best(ROUND_TRIPS, || (0..ROUND_TRIPS).try_for_each(|n| cluster.submit(same, n).result().map(drop)));
    println!("a task and its result, one after the other: {:?}", round_trip?);
    let flood = best(FLOOD, || {
        let futures: Vec<_> = (0..FLOOD).map(|n| cluster.submit(same, n)).collect();
        futures.into_iter().try_for_each(|future| future.result().map(drop))
    });
    println!("a task of {FLOOD} that are submitted at once: {:?}", flood?);
    let map = best(FLOOD, || cluster.map(same, 0..FLOOD).try_for_each(|outcome| outcome.map(drop)));
    println!("an item of a map of {FLOOD}: {:?}", map?);
    let bytes = Bytes::from(vec![7; 1 << 20]);
    let large = best(LARGE, || -> Result<(), Error> {
        (0..LARGE).try_for_each(|_| cluster.submit(length, bytes.clone()).result().map(drop))
    });
    println!("a task with 1 MiB of bytes: {:?}", large?);
    drop(cluster);
    stopper.warm();
    worker.join().expect("it does not panic")?;
    Ok(())
}
