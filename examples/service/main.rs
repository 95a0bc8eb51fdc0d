//! A web service in front of code that may crash, run for ever or use up the memory: each request is a task on a
//! worker process.
//!
//! `cargo run --release --example service` listens on port 8000, and Ctrl-C ends it after the requests that it has.
//!
//! | request | answer |
//! |---|---|
//! | `/sum/1000000` | 200 and the sum |
//! | `/sum/many` | 422: the task failed |
//! | `/crash`, `/hog` | 500: the worker process died, and why |
//! | `/spin` | 504: the task ran for longer than its time limit, and its worker was killed |
//! | any, while the queue is full | 503: try again later |
//! | any that the client gives up | none: the task is aborted |
#![cfg_attr(not(processes), allow(unused))]

#[cfg(processes)]
mod routes;
#[cfg(all(test, processes))]
mod tests;
mod work;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(processes)]
use std::sync::Arc;

use clap::Parser;

/// Serves sums from worker processes.
#[derive(Debug, Parser)]
#[command(name = "service")]
struct Arguments {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// How many worker processes there may be [default: one a cpu]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

#[cfg(not(processes))]
fn main() {
    eprintln!("there are no worker processes on this system");
}

#[cfg(processes)]
fn main() -> Result<(), Box<dyn Error>> {
    // The first line, for the systems where worker processes do not start by themselves: they go no further.
    concurrent_futures::init();
    let arguments = Arguments::parse();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    ctrlc::set_handler(move || drop(stop.take()))?;
    let workers = arguments.workers.unwrap_or_else(num_cpus);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
        println!("listening on http://{}", listener.local_addr()?);
        routes::serve(listener, Arc::new(routes::pool(workers)?), async {
            // Ends when the sender is dropped.
            let _ = stopped.await;
        })
        .await?;
        println!("every request was answered, and no worker is left");
        Ok(())
    })
}

fn num_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
