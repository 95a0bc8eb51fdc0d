//! Tests of a worker whose `main` is [`concurrent_futures_celery::cli::worker`].

use std::io::Read as _;
use std::process::{Command, Stdio};

use concurrent_futures::{Error, Executor};

use crate::Peers;
use crate::rust_worker::{hang, submit_held, sum_to};
use crate::support::{Door, Program, READY, client, unique};

crate::tests! {
    it_lists_tasks,
    a_signal_stops_it_when_its_tasks_have_ended,
    a_second_signal_stops_it_at_once,
    it_says_why_it_cannot_run,
}

/// The environment variable that makes a process of the tests a worker whose `main` is `cli::worker`.
pub(crate) const IS_WORKER: &str = "CF_TEST_COMMAND_LINE";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.env(IS_WORKER, "1").env_remove("CELERY_BROKER_URL").args(arguments).stdin(Stdio::null());
    command
}

/// Starts a worker of one slot, and returns when it takes tasks.
fn start(peers: &Peers, queue: &str) -> Program {
    let name = format!("{}@%h", unique("cli"));
    let mut command = command(&["--broker", &peers.url, "-Q", queue, "-c", "1", "-n", &name]);
    let mut worker = Program::start(command.stderr(Stdio::piped())).expect("a worker");
    assert!(worker.has_said(READY, |_| ()), "the worker has ended before it was ready");
    worker
}

fn it_lists_tasks(_: &Peers) {
    let output = command(&["--list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().any(|line| line == "tests.sum_to"), "{text}");
}

fn a_signal_stops_it_when_its_tasks_have_ended(peers: &Peers) {
    let queue = unique("cli");
    let mut worker = start(peers, &queue);
    let cluster = client(&peers.url, &queue);
    assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10);
    let (held, begun, go) = submit_held(&cluster);
    begun.wait();
    worker.signal("-TERM");
    go.open();
    assert_eq!(held.result().unwrap(), 7);
    assert!(worker.wait().success());
}

fn a_second_signal_stops_it_at_once(peers: &Peers) {
    let queue = unique("cli");
    let mut worker = start(peers, &queue);
    let cluster = client(&peers.url, &queue);
    let door = Door::new();
    let hanging = cluster.submit(hang, door.path().unwrap());
    door.wait();
    worker.signal("-INT");
    worker.signal("-TERM");
    assert!(worker.wait().success());
    let mut next = start(peers, &queue);
    assert!(matches!(hanging.result(), Err(Error::WorkerDied(_))));
    next.signal("-TERM");
    assert!(next.wait().success());
}

fn it_says_why_it_cannot_run(_: &Peers) {
    for (arguments, said) in [
        (&[][..], "error: the variable CELERY_BROKER_URL is not set"),
        (&["--broker", "amqp://me:secret@127.0.0.1:9"], "error: the broker at amqp://me@127.0.0.1:9 cannot be reached"),
        (&["--broker", "amqp://h", "-n", "sums"], "error: name must be of the form `name@host`"),
        (&["-c", "0"], "error: invalid value '0' for '--concurrency"),
    ] {
        let mut child = command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(!child.wait().unwrap().success() && text.contains(said), "{arguments:?}: {text}");
    }
}
