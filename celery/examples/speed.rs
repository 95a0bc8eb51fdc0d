//! Measures what a task costs on a broker of this machine, beside a bare message and its answer.
//!
//!     CELERY_BROKER_URL=amqp://127.0.0.1 cargo run --release -p concurrent-futures-celery --example speed
//!
//! The worker runs in this program, on eight threads. Bare messages and tasks take turns, and the ratio is the median of
//! those of all turns; the other times are the best of three runs.

use std::time::{Duration, Instant};

use concurrent_futures::{Bytes, Error, Executor, ThreadPoolExecutor, task};
use concurrent_futures_celery::{CeleryExecutor, Worker};
use futures_lite::StreamExt as _;
use futures_lite::future::{block_on, or};
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

/// How many tasks the worker takes at a time. Each slot waits for the broker between two tasks.
const SLOTS: usize = 8;

/// How many round trips a round has, and how many rounds there are.
const ROUND_TRIPS: u32 = 100;
const ROUNDS: u32 = 30;

/// How many tasks a run has.
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
        best = best.min(time(count, &mut run)?);
    }
    Ok(best)
}

/// A connection with a queue to somebody who sends back what comes, and a queue from there.
struct Bare {
    _connection: Connection,
    send: Channel,
    there: ShortString,
    back: ShortString,
    requests: Consumer,
    answers: Consumer,
}

impl Bare {
    async fn connect(url: &str) -> lapin::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let (send, receive) = (connection.create_channel().await?, connection.create_channel().await?);
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let declare = async || receive.queue_declare("".into(), exclusive, FieldTable::default()).await;
        let (there, back) = (declare().await?.name().clone(), declare().await?.name().clone());
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consume = async |queue| receive.basic_consume(queue, "".into(), options, FieldTable::default()).await;
        let (requests, answers) = (consume(there.clone()).await?, consume(back.clone()).await?);
        Ok(Self { _connection: connection, send, there, back, requests, answers })
    }

    /// Publishes messages and waits each time until it comes back: the least that a round trip could cost.
    async fn round_trips(&mut self, count: u32) -> lapin::Result<()> {
        let Self { send, there, back, requests, answers, .. } = self;
        let echo = async {
            while let Some(request) = requests.next().await {
                let (to, options, properties) = (back.clone(), Default::default(), BasicProperties::default());
                send.basic_publish("".into(), to, options, &request?.data, properties).await?;
            }
            Ok(())
        };
        let ask = async {
            for _ in 0..count {
                let (to, options, properties) = (there.clone(), Default::default(), BasicProperties::default());
                send.basic_publish("".into(), to, options, b"[[1], {}, {}]", properties).await?;
                answers.next().await.transpose()?;
            }
            Ok(())
        };
        or(echo, ask).await
    }
}

/// Returns the time for each of `count`.
fn time<E>(count: u32, run: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed() / count)
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    values[values.len() / 2]
}

/// Times bare messages and tasks in turn, so that both meet the same noise.
fn round_trips(url: &str, cluster: &CeleryExecutor) -> Result<(), Box<dyn std::error::Error>> {
    let mut bare = block_on(Bare::connect(url))?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let bare = time(ROUND_TRIPS, || block_on(bare.round_trips(ROUND_TRIPS)))?;
        let task = time(ROUND_TRIPS, || (0..ROUND_TRIPS).try_for_each(|n| cluster.submit(same, n).result().map(drop)))?;
        rounds.push((bare, task));
    }
    let times = |which: fn(&(Duration, Duration)) -> Duration| {
        let times: Vec<_> = rounds.iter().map(which).collect();
        format!("{:?} (best {:?})", median(times.clone()), times.into_iter().min().unwrap_or_default())
    };
    println!("a bare message and its answer: {}", times(|round| round.0));
    println!("a task and its result, one after the other: {}", times(|round| round.1));
    let ratios = rounds.iter().map(|(bare, task)| task.as_secs_f64() / bare.as_secs_f64()).collect();
    println!("the second by the first: {:.2}", median(ratios));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CELERY_BROKER_URL")?;
    let queue = format!("speed-{}", std::process::id());
    let worker = Worker::builder(&url).queues([&queue]).executor(ThreadPoolExecutor::new(SLOTS)).build()?;
    let stopper = worker.stopper();
    let worker = std::thread::spawn(move || worker.run());
    let cluster = CeleryExecutor::builder(&url).queue(&queue).build()?;
    round_trips(&url, &cluster)?;
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
