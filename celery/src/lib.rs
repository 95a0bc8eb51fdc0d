//! Runs the tasks of [`concurrent_futures`] on Celery workers.
mod answer;
mod args;
mod broker;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod eager;
mod failure;
mod json;
mod keywords;
mod message;
mod topology;
mod worker;

pub use broker::ConnectError;
pub use client::{CeleryBuilder, CeleryExecutor, OnQueue, WorkerInfo};
pub use eager::Eager;
pub use keywords::Keywords;
pub use worker::{Stopper, Worker, WorkerBuilder};
