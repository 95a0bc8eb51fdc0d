//! Tests with the client, the broker and the workers on machines of their own, between which the network is cut.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor};
use concurrent_futures_celery::CeleryExecutor;

use crate::Peers;
use crate::rust_worker::{hang, hold, sum_to};
use crate::support::{Broker, Door, Machines, Program, Rust, unique};

crate::tests! {
    a_client_that_is_cut_off_for_a_while_loses_nothing,
    a_machine_that_is_cut_off_costs_what_it_ran,
}

/// The environment variables that make a process of the tests a client on a machine of its own: the URL, the queue, and
/// the doors of the task.
const CLIENT: [&str; 4] =
    ["CF_TEST_MACHINE_URL", "CF_TEST_MACHINE_QUEUE", "CF_TEST_MACHINE_BEGUN", "CF_TEST_MACHINE_GO"];

/// The numbers of the machines. That of the broker has the number 0.
const CLIENT_MACHINE: usize = 1;
const WORKER_MACHINE: usize = 2;
const SPARE_MACHINE: usize = 3;

/// Runs as a client, if this process was started as one. It panics if a task has the wrong outcome.
pub(crate) fn serve() -> Option<ExitCode> {
    let [url, queue, begun, go] = CLIENT.map(|name| std::env::var(name).ok());
    let cluster = CeleryExecutor::builder(&url?).queue(&queue?).build().expect("a broker");
    match go {
        // The client is cut off while these tasks run.
        Some(go) => {
            let held = cluster.submit(hold, (begun?, go));
            let sums = cluster.map(sum_to, 0..300);
            assert_eq!(held.result().unwrap(), 7);
            assert_eq!(sums.map(Result::unwrap).sum::<u64>(), (0..300).map(sum_to).sum::<u64>());
        }
        // The worker is cut off while its task runs.
        None => {
            let lost = cluster.submit(hang, begun?).result().unwrap_err();
            assert!(matches!(&lost, Error::WorkerDied(_)), "{lost:?}");
            assert_eq!(cluster.submit(sum_to, 4).result().unwrap(), 10);
        }
    }
    Some(ExitCode::SUCCESS)
}

/// Starts the broker and a client.
fn start(machines: &Machines, queue: &str, begun: &Door, go: Option<&Door>) -> (Broker, Program) {
    let broker = Broker::start_on(machines, "machines").expect("RabbitMQ");
    let mut client = machines.command(CLIENT_MACHINE, std::env::current_exe().expect("a path"));
    client.env(CLIENT[0], url(&broker)).env(CLIENT[1], queue).env(CLIENT[2], begun.path().unwrap());
    client.envs(go.map(|go| (CLIENT[3], go.path().unwrap())));
    (broker, Program::start(&mut client).expect("a client"))
}

/// Returns the URL with a heartbeat so short that both sides notice a cut within a few seconds.
fn url(broker: &Broker) -> String {
    format!("{}?heartbeat=1", broker.url)
}

fn worker(machines: &Machines, number: usize, broker: &Broker, queue: &str) -> Rust {
    let program = machines.command(number, std::env::current_exe().expect("a path"));
    Rust::start_by(program, queue, &url(broker), 1, false)
}

fn a_client_that_is_cut_off_for_a_while_loses_nothing(_: &Peers) {
    let machines = Machines::start(WORKER_MACHINE).unwrap();
    let (queue, begun, go) = (unique("machines"), Door::new(), Door::new());
    let (broker, mut client) = start(&machines, &queue, &begun, Some(&go));
    let _worker = worker(&machines, WORKER_MACHINE, &broker, &queue);
    begun.wait();
    machines.cut(CLIENT_MACHINE);
    // Meanwhile the worker answers this task and those that the broker has.
    go.open();
    thread::sleep(Duration::from_secs(5));
    machines.mend(CLIENT_MACHINE).unwrap();
    assert!(client.wait().success());
}

fn a_machine_that_is_cut_off_costs_what_it_ran(_: &Peers) {
    let machines = Machines::start(SPARE_MACHINE).unwrap();
    let (queue, begun) = (unique("machines"), Door::new());
    let (broker, mut client) = start(&machines, &queue, &begun, None);
    let _lost = worker(&machines, WORKER_MACHINE, &broker, &queue);
    begun.wait();
    let _other = worker(&machines, SPARE_MACHINE, &broker, &queue);
    machines.cut(WORKER_MACHINE);
    assert!(client.wait().success());
}
