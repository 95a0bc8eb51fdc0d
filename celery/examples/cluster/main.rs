//! Calculates sums and draws flags on threads, on processes or on a cluster. It also is the worker of that cluster.
//!
//!     cargo run -p concurrent-futures-celery --example cluster               # on processes
//!     cargo run -p concurrent-futures-celery --example cluster -- threads    # on threads
//!     export CELERY_BROKER_URL=amqp://127.0.0.1
//!     cargo run -p concurrent-futures-celery --example cluster -- worker     # a worker of the cluster
//!     cargo run -p concurrent-futures-celery --example cluster               # on the cluster
//!
//! `run.sh` starts a broker, two workers of this program, a worker in Python, and then this.

#[path = "../../../examples/flags/canvas.rs"]
mod canvas;
#[allow(dead_code, reason = "it is part of the example `flags`, which needs more of it")]
#[path = "../../../examples/flags/country.rs"]
mod country;
#[allow(dead_code, reason = "it is part of the example `flags`, which needs more of it")]
#[path = "../../../examples/flags/picture.rs"]
mod picture;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use concurrent_futures::{Backend, Bytes, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, task};
use concurrent_futures_celery::{CeleryExecutor, Worker};
use country::Country;

const WORK: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// The queue of the workers of this program, and that of Python's.
const QUEUES: [&str; 2] = ["rust", "python"];

/// A result, and the worker that has made it.
type Made<T> = (T, String);

/// Adds up numbers.
#[task(name = "sums.sum_to")]
fn sum_to(n: u64) -> Made<u64> {
    ((1..=n).sum(), who())
}

/// Draws the flag of a country as a GIF.
#[task(name = "flags.draw")]
fn draw(country: Country) -> Result<Made<Bytes>, String> {
    let picture = picture::draw(country).ok_or_else(|| format!("nobody knows the flag of {country}"))?;
    Ok((picture.map_err(|error| error.to_string())?.into(), who()))
}

fn who() -> String {
    let worker = task::current().and_then(|task| task.worker_name().map(String::from)).unwrap_or_default();
    format!("{worker} (process {})", std::process::id())
}

/// Runs on any executor. Nothing here depends on which one it is.
fn tour(executor: &dyn Backend) -> Result<(), Box<dyn Error>> {
    for (n, sum) in WORK.into_iter().zip(executor.map(sum_to, WORK)) {
        let (sum, who) = sum?;
        println!("the sum to {n:>8} is {sum:>14}, by {who}");
    }
    let countries = Country::populous();
    let (mut drawn, mut size) = (BTreeMap::<String, Vec<Country>>::new(), 0);
    for (country, flag) in countries.iter().zip(executor.try_map(draw, countries.clone())) {
        let (gif, who) = flag?;
        size += gif.len();
        drawn.entry(who).or_default().push(*country);
    }
    for (who, countries) in drawn {
        let countries: Vec<_> = countries.iter().map(ToString::to_string).collect();
        println!("{:>2} flags by {who}: {}", countries.len(), countries.join(" "));
    }
    println!("{} flags in {size} bytes", countries.len());
    let unknown = "XX".parse::<Country>()?;
    println!("one that there is not: {}", executor.try_submit(draw, unknown).result().unwrap_err());
    Ok(())
}

/// Calls tasks that only the worker in Python has, if there is one.
fn visit_python(cluster: &CeleryExecutor) -> Result<(), Box<dyn Error>> {
    let python = cluster.on(QUEUES[1]);
    if python.wait_for_workers(1, Duration::from_secs(1)) == 0 {
        println!("no worker of Python reads the queue `{}`", QUEUES[1]);
        return Ok(());
    }
    let numbers: Vec<Future<Made<u64>>> = (1..=3_u64).map(|n| python.call("tasks.who", (n,))).collect();
    for number in numbers {
        let (n, who) = number.result()?;
        println!("number {n} was given to {who}");
    }
    let error = python.call::<_, ()>("tasks.fail", ("no such flag".to_owned(),)).result().unwrap_err();
    println!("an exception there is an error here: {error:?}");
    Ok(())
}

fn work() -> Result<(), Box<dyn Error>> {
    let worker = Worker::builder(&std::env::var("CELERY_BROKER_URL")?)
        .queues([QUEUES[0]])
        .executor(ProcessPoolExecutor::new(2))
        .name(&format!("cluster-{}@%h", std::process::id()))
        .build()?;
    let stopper = worker.stopper();
    ctrlc::set_handler(move || stopper.warm())?;
    Ok(worker.run()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    // It is the first line for the systems where worker processes do not start without it.
    concurrent_futures::init();
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("worker") {
        return work();
    }
    if let Ok(url) = std::env::var("CELERY_BROKER_URL") {
        let cluster = CeleryExecutor::builder(&url).queue(QUEUES[0]).build()?;
        println!("{} workers read the queue `{}`", cluster.wait_for_workers(2, Duration::from_secs(10)), QUEUES[0]);
        tour(&cluster)?;
        return visit_python(&cluster);
    }
    match argument.as_deref() {
        Some("threads") => tour(&ThreadPoolExecutor::new(4)),
        _ => tour(&ProcessPoolExecutor::new(4)),
    }
}
