//! Client, broker and workers on machines of their own, between which the network is cut.

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

/// Set for a process of the tests that is to be a client on a machine of its own: the URL, the queue, and two doors.
const CLIENT: [&str; 4] =
    ["CF_TEST_MACHINE_URL", "CF_TEST_MACHINE_QUEUE", "CF_TEST_MACHINE_BEGUN", "CF_TEST_MACHINE_GO"];

/// Which machine has whom, beside the one of the broker.
const HERE: usize = 1;
const THERE: usize = 2;
const ELSEWHERE: usize = 3;

/// Is a client, if this process was started for that. It succeeds if its tasks come to what they should.
pub(crate) fn serve() -> Option<ExitCode> {
    let [url, queue, begun, go] = CLIENT.map(|name| std::env::var(name).ok());
    let cluster = CeleryExecutor::builder(&url?).queue(&queue?).build().expect("a broker");
    match go {
        // It is cut off while they run.
        Some(go) => {
            let held = cluster.submit(hold, (begun?, go));
            let sums = cluster.map(sum_to, 0..300);
            assert_eq!(held.result().unwrap(), 7);
            assert_eq!(sums.map(Result::unwrap).sum::<u64>(), (0..300).map(sum_to).sum::<u64>());
        }
        // The worker is.
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
    let mut client = machines.command(HERE, std::env::current_exe().expect("a path"));
    client.env(CLIENT[0], url(&broker)).env(CLIENT[1], queue).env(CLIENT[2], begun.path().unwrap());
    client.envs(go.map(|go| (CLIENT[3], go.path().unwrap())));
    (broker, Program::start(&mut client).expect("a client"))
}

/// Both sides notice within a few seconds that nothing comes any more.
fn url(broker: &Broker) -> String {
    format!("{}?heartbeat=1", broker.url)
}

fn worker(machines: &Machines, number: usize, broker: &Broker, queue: &str) -> Rust {
    let program = machines.command(number, std::env::current_exe().expect("a path"));
    Rust::by(program, queue, &url(broker), 1, false)
}

fn a_client_that_is_cut_off_for_a_while_loses_nothing(_: &Peers) {
    let machines = Machines::start(THERE).unwrap();
    let (queue, begun, go) = (unique("machines"), Door::new(), Door::new());
    let (broker, mut client) = start(&machines, &queue, &begun, Some(&go));
    let _worker = worker(&machines, THERE, &broker, &queue);
    begun.wait();
    machines.cut(HERE);
    // What it held up is answered meanwhile, as are the tasks that the broker has.
    go.open();
    thread::sleep(Duration::from_secs(5));
    machines.mend(HERE).unwrap();
    assert!(client.wait().success());
}

fn a_machine_that_is_cut_off_costs_what_it_ran(_: &Peers) {
    let machines = Machines::start(ELSEWHERE).unwrap();
    let (queue, begun) = (unique("machines"), Door::new());
    let (broker, mut client) = start(&machines, &queue, &begun, None);
    let _lost = worker(&machines, THERE, &broker, &queue);
    begun.wait();
    let _other = worker(&machines, ELSEWHERE, &broker, &queue);
    machines.cut(THERE);
    assert!(client.wait().success());
}
