//! Tasks that a worker of this crate runs for clients in Python and in Rust.

use std::fs::File;
use std::num::ParseIntError;

use concurrent_futures::{Error, Executor, Future, TaskOptions, task};
use serde::{Deserialize, Serialize};

use crate::Peers;
use crate::support::{Door, Python, Rust, client, run};

crate::tests! {
    python_calls_tasks_in_rust,
    python_revokes_and_limits_tasks_in_rust,
    celery_inspects_and_controls_a_worker_in_rust,
    celery_hears_the_events_of_a_worker_in_rust,
    flower_shows_a_worker_in_rust_and_its_tasks,
    chains_and_groups_go_through_both_languages,
    a_worker_that_is_killed_costs_its_task,
    a_task_is_run_again_as_often_as_its_client_says,
    a_warm_stop_finishes_what_runs,
}

#[task(name = "tests.sum_to")]
pub(crate) fn sum_to(n: u64) -> u64 {
    (1..=n).sum()
}

#[task(name = "tests.product")]
fn product((a, b): (i64, i64)) -> i64 {
    a * b
}

#[task(name = "tests.parse")]
fn parse(text: String) -> Result<u64, ParseIntError> {
    text.parse()
}

#[task(name = "tests.length")]
fn length(text: String) -> usize {
    text.len()
}

#[task(name = "tests.nothing")]
fn nothing(_: ()) {}

#[derive(Serialize, Deserialize)]
struct Resize {
    path: String,
    width: u32,
}

#[task(name = "tests.resize")]
fn resize(resize: Resize) -> String {
    format!("{} to {}", resize.path, resize.width)
}

#[task(name = "tests.panic")]
fn panic(text: String) -> u8 {
    panic!("{text}")
}

#[task(name = "tests.crash")]
fn crash(_: u8) -> u8 {
    std::process::abort()
}

#[task(name = "tests.nan")]
fn nan(_: u8) -> f64 {
    f64::NAN
}

/// Comes to a door, and never ends.
#[task(name = "tests.hang")]
pub(crate) fn hang(door: String) -> u8 {
    File::options().write(true).open(door).expect("a door");
    loop {
        std::thread::park();
    }
}

/// Comes to the door `begun`, and ends when the door `go` is opened.
#[task(name = "tests.hold")]
pub(crate) fn hold((begun, go): (String, String)) -> u8 {
    File::options().write(true).open(begun).expect("a door");
    File::open(go).expect("a door");
    7
}

/// Submits [`hold`]. Returns the future and the doors `begun` and `go`.
pub(crate) fn submit_held(executor: &impl Executor) -> (Future<u8>, Door, Door) {
    let (begun, go) = (Door::new(), Door::new());
    let held = executor.submit(hold, (begun.path().unwrap(), go.path().unwrap()));
    (held, begun, go)
}

/// Aborts the process if the file does not exist yet, and creates the file.
#[task(name = "tests.die_once")]
fn die_once(path: String) -> u8 {
    if File::create_new(path).is_ok() {
        std::process::abort()
    }
    7
}

fn python_calls_tasks_in_rust(peers: &Peers) {
    let worker = Rust::start(&peers.url, 2, true);
    run(&peers.url, "client.py", &[("QUEUE", &worker.queue)]);
}

fn python_revokes_and_limits_tasks_in_rust(peers: &Peers) {
    let worker = Rust::start(&peers.url, 1, true);
    let door = Door::new();
    run(&peers.url, "revoke.py", &[("QUEUE", &worker.queue), ("DOOR", &door.path().unwrap())]);
}

fn celery_inspects_and_controls_a_worker_in_rust(peers: &Peers) {
    let mut worker = Rust::start(&peers.url, 2, true);
    let (begun, go) = (Door::new(), Door::new());
    let environment = [
        ("QUEUE", &*worker.queue),
        ("NAME", &worker.name),
        ("BEGUN", &begun.path().unwrap()),
        ("GO", &go.path().unwrap()),
    ];
    run(&peers.url, "control.py", &environment);
    assert!(worker.wait().success(), "it was told to shut down");
}

fn celery_hears_the_events_of_a_worker_in_rust(peers: &Peers) {
    let worker = Rust::start(&peers.url, 2, true);
    run(&peers.url, "events.py", &[("QUEUE", &worker.queue), ("NAME", &worker.name)]);
}

fn flower_shows_a_worker_in_rust_and_its_tasks(peers: &Peers) {
    let worker = Rust::start(&peers.url, 2, true);
    run(&peers.url, "flower.py", &[("QUEUE", &worker.queue), ("NAME", &worker.name)]);
}

fn chains_and_groups_go_through_both_languages(peers: &Peers) {
    let worker = Rust::start(&peers.url, 2, false);
    let python = Python::start(&peers.url, 1).expect("Python's Celery");
    run(&peers.url, "chains.py", &[("QUEUE", &worker.queue), ("PYTHON", &python.queue)]);
}

fn a_worker_that_is_killed_costs_its_task(peers: &Peers) {
    let mut worker = Rust::start(&peers.url, 1, false);
    let cluster = client(&peers.url, &worker.queue);
    let door = Door::new();
    let future = cluster.submit(hang, door.path().unwrap());
    let after = cluster.submit(sum_to, 4);
    door.wait();
    worker.kill();
    let _next = Rust::start_on(&worker.queue, &peers.url, 1, false);
    let died = future.result().unwrap_err();
    assert!(matches!(&died, Error::WorkerDied(died) if died.function() == Some("tests.hang")), "{died:?}");
    assert_eq!(after.result().unwrap(), 10, "it had not started, so it is run");
}

fn a_task_is_run_again_as_often_as_its_client_says(peers: &Peers) {
    let mut worker = Rust::start(&peers.url, 1, false);
    let cluster = client(&peers.url, &worker.queue);
    let file = std::env::temp_dir().join(format!("die-once-{}", std::process::id()));
    let again = cluster.with(TaskOptions::new().retries(2)).submit(die_once, file.to_str().unwrap().into());
    worker.wait();
    let mut next = Rust::start_on(&worker.queue, &peers.url, 1, false);
    assert_eq!(again.result().unwrap(), 7);
    std::fs::remove_file(file).unwrap();
    // A task that kills each worker may kill two, because it has one retry. Then it ends.
    let poison = cluster.with(TaskOptions::new().retries(1)).submit(crash, 1);
    next.wait();
    let mut next = Rust::start_on(&worker.queue, &peers.url, 1, false);
    next.wait();
    let _last = Rust::start_on(&worker.queue, &peers.url, 1, false);
    assert!(matches!(poison.result(), Err(Error::WorkerDied(_))));
    assert_eq!(cluster.submit(sum_to, 3).result().unwrap(), 6);
}

fn a_warm_stop_finishes_what_runs(peers: &Peers) {
    let mut worker = Rust::start(&peers.url, 1, true);
    let cluster = client(&peers.url, &worker.queue);
    let (future, begun, go) = submit_held(&cluster);
    let after = cluster.submit(sum_to, 4);
    begun.wait();
    run(&peers.url, "shutdown.py", &[("NAME", &worker.name)]);
    go.open();
    assert_eq!(future.result().unwrap(), 7);
    assert!(worker.wait().success());
    assert!(!after.is_done(), "it takes nothing more");
    let _next = Rust::start_on(&worker.queue, &peers.url, 1, true);
    assert_eq!(after.result().unwrap(), 10);
}
