//! Tests with celery-rs, another implementation in Rust, as a worker and as a client.
//!
//! Its program is the package in `tests/celery_rs`, which is built for these tests.

use std::process::{Command, Stdio};

use concurrent_futures::{Error, Executor, TaskOptions, task};
use concurrent_futures_celery::{CeleryExecutor, Keywords};
use serde::{Deserialize, Serialize};

use crate::Peers;
use crate::support::{Door, Program, Rust, celery_rs, unique};

crate::tests! {
    celery_rs_runs_tasks_of_this_crate,
    celery_rs_calls_tasks_of_this_crate,
}

#[derive(Serialize, Deserialize)]
struct Come {
    door: String,
}

/// Comes to a door. The parameter is a struct, because celery-rs sends keyword arguments.
#[task(name = "tests.come")]
fn come(come: Come) {
    std::fs::File::options().write(true).open(come.door).expect("a door");
}

fn celery_rs_runs_tasks_of_this_crate(peers: &Peers) {
    let queue = unique("celery-rs");
    let cluster = CeleryExecutor::builder(&peers.url).queue(&queue).build().unwrap();
    let mut command = Command::new(celery_rs().expect("celery-rs"));
    let _worker = Program::start(command.args(["worker", &queue]).env("CELERY_BROKER_URL", &peers.url)).unwrap();
    let sums: Vec<_> = (0..50).map(|n| cluster.call::<_, i64>("peer.add", (n, 1))).collect();
    for (n, sum) in (1..).zip(sums) {
        assert_eq!(sum.result().unwrap(), n);
    }
    #[derive(Serialize, Deserialize)]
    struct Add {
        a: i64,
        b: i64,
    }
    assert_eq!(cluster.call::<_, i64>("peer.add", Keywords(Add { a: 2, b: 3 })).result().unwrap(), 5);
    let by_name = cluster.with(TaskOptions::new().name("peer.add"));
    assert_eq!(by_name.submit(|(a, b): (i64, i64)| a - b, (4, 5)).result().unwrap(), 9);
    // celery-rs sends a failure as a text, where Celery has an exception.
    let failed = cluster.call::<_, i64>("peer.fail", ("no more flags".to_owned(),)).result().unwrap_err();
    assert!(matches!(failed, Error::Decode(_)), "{failed:?}");
}

fn celery_rs_calls_tasks_of_this_crate(peers: &Peers) {
    let (worker, door) = (Rust::start(&peers.url, 2, true), Door::new());
    let mut command = Command::new(celery_rs().expect("celery-rs"));
    command.args(["client", &worker.queue, &door.path().unwrap()]).env("CELERY_BROKER_URL", &peers.url);
    let output = command.stdin(Stdio::null()).output().expect("a client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The task that the client does not wait for runs, too.
    door.wait();
}
