//! Tasks that a worker in Python runs for a client of this crate.

use std::time::Duration;

use concurrent_futures::{Bytes, Error, Executor, Future, MapOptions, Part, TaskOptions, task};
use concurrent_futures_celery::{CeleryExecutor, Keywords};
use concurrent_futures_conformance::support::LONG;

use crate::Peers;
use crate::support::{Broker, Door, Python, client, unique};

crate::tests! {
    values_come_back,
    each_item_of_a_map_has_an_outcome,
    exceptions_are_errors,
    a_running_task_is_aborted,
    what_python_was_told_to_forget_is_cancelled,
    a_time_limit_ends_the_task,
    a_process_that_dies_costs_its_task,
    shutting_down_cancels_what_has_not_started,
    workers_tell_who_they_are,
    a_program_waits_for_workers_that_come,
    a_worker_that_is_lost_costs_what_it_ran,
}

/// The function for `tasks.add` of Python, with the same name.
#[task(name = "tasks.add")]
fn add((a, b): (i64, i64)) -> i64 {
    a + b
}

#[task(name = "no.such.task")]
fn unknown(n: u8) -> u8 {
    n
}

fn start(peers: &Peers) -> (Python, CeleryExecutor) {
    let python = Python::start(&peers.url, 1).expect("Python's Celery");
    let cluster = client(&peers.url, &python.queue);
    (python, cluster)
}

fn values_come_back(peers: &Peers) {
    let (_python, cluster) = start(peers);
    assert_eq!(cluster.submit(add, (2, 3)).result().unwrap(), 5);
    let by_name: Future<i64> = cluster.call("tasks.add", (20, 3));
    assert_eq!(by_name.result().unwrap(), 23);
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Resize {
        path: String,
        width: u32,
    }
    let resize = Resize { path: "a.png".into(), width: 3 };
    assert_eq!(cluster.call::<_, String>("tasks.resize", Keywords(resize)).result().unwrap(), "a.png to 3");
    for data in [b"text".to_vec(), vec![0, 159, 146, 150]] {
        let doubled = cluster.call::<_, Bytes>("tasks.double_bytes", (Bytes::from(data.clone()),)).result().unwrap();
        assert_eq!(doubled.to_vec(), data.repeat(2));
    }
    let named = cluster.with(TaskOptions::new().name("tasks.add")).submit(|pair: (u8, u8)| pair.0, (1, 2));
    assert_eq!(named.result().unwrap(), 3);
}

fn each_item_of_a_map_has_an_outcome(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let sums: Vec<i64> = cluster.map(add, (0..100).map(|n| (n, 1))).collect::<Result<_, _>>().unwrap();
    assert_eq!(sums, (1..=100).collect::<Vec<_>>());
    let chunks = cluster.with(MapOptions::new().chunk_size(3));
    let sums: Vec<i64> = chunks.map(add, (0..10).map(|n| (n, 1))).collect::<Result<_, _>>().unwrap();
    assert_eq!(sums, (1..=10).collect::<Vec<_>>());
}

fn exceptions_are_errors(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let failed = cluster.call::<_, i64>("tasks.fail", ("no such flag".to_owned(),)).result().unwrap_err();
    let Error::Failed(failed) = &failed else { panic!("{failed:?}") };
    assert_eq!((failed.to_string().as_str(), failed.type_name()), ("no such flag", "ValueError"));
    assert!(failed.trace().unwrap().contains("in fail"), "{:?}", failed.trace());
    let unknown = cluster.submit(unknown, 1).result().unwrap_err();
    assert!(matches!(&unknown, Error::Decode(decode) if decode.part() == Part::Function), "{unknown:?}");
    let wrong_arguments = cluster.call::<_, i64>("tasks.add", (1,)).result().unwrap_err();
    assert!(matches!(&wrong_arguments, Error::Failed(failed) if failed.type_name() == "TypeError"));
    let wrong_type = cluster.call::<_, String>("tasks.add", (1, 2)).result().unwrap_err();
    assert!(matches!(&wrong_type, Error::Decode(decode) if decode.part() == Part::Result), "{wrong_type:?}");
}

fn a_running_task_is_aborted(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let door = Door::new();
    let nap = cluster.call::<_, f64>("tasks.nap", (door.path(), 3600.0));
    door.wait();
    assert!(!nap.cancel() && nap.abort() && nap.is_cancelled());
    // The worker has one process, and it is free again.
    assert_eq!(cluster.submit(add, (2, 3)).result().unwrap(), 5);
}

fn what_python_was_told_to_forget_is_cancelled(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let door = Door::new();
    let nap = cluster.call::<_, f64>("tasks.nap", (door.path(), 3600.0));
    door.wait();
    // Python has the messages of some of them, and no process for any.
    let pending: Vec<_> = (0..70).map(|n| cluster.submit(add, (n, 3))).collect();
    let exactly = pending.iter().filter(|future| future.cancel()).count();
    assert!(exactly >= 7, "64 may be published, and one of them runs: {exactly}");
    assert!(nap.abort());
    assert!(pending.into_iter().all(|future| matches!(future.result(), Err(Error::Cancelled))));
}

fn a_time_limit_ends_the_task(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let limit = Duration::from_secs(1);
    let limited = cluster.with(TaskOptions::new().name("tasks.nap").time_limit(limit));
    let late = limited.submit(|(_, seconds): (Option<String>, f64)| seconds, (None, 3600.0)).result().unwrap_err();
    assert!(matches!(&late, Error::TimeLimit(late) if late.limit() == limit), "{late:?}");
}

fn a_process_that_dies_costs_its_task(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let died = cluster.call::<_, i64>("tasks.die", ()).result().unwrap_err();
    assert!(matches!(&died, Error::WorkerDied(_)), "{died:?}");
    assert_eq!(cluster.submit(add, (2, 3)).result().unwrap(), 5);
}

fn shutting_down_cancels_what_has_not_started(peers: &Peers) {
    let (_python, cluster) = start(peers);
    let door = Door::new();
    let nap = cluster.call::<_, f64>("tasks.nap", (door.path(), 0.5));
    door.wait();
    let pending: Vec<_> = (0..100).map(|n| cluster.submit(add, (n, 0))).collect();
    cluster.shutdown_now();
    assert_eq!(nap.result().unwrap(), 0.5);
    assert!(pending.into_iter().all(|future| matches!(future.result(), Err(Error::Cancelled))));
    assert!(matches!(cluster.submit(add, (2, 3)).result(), Err(Error::ShutDown)));
}

fn workers_tell_who_they_are(peers: &Peers) {
    let (python, cluster) = start(peers);
    let workers = cluster.workers();
    let worker = workers.iter().find(|worker| worker.name == python.name).expect("its answer");
    assert_eq!(worker.slots, Some(1));
    assert!(worker.tasks.iter().any(|task| task == "tasks.add"), "{worker:?}");
}

fn a_program_waits_for_workers_that_come(peers: &Peers) {
    let cluster = client(&peers.url, &unique("awaited"));
    assert_eq!(cluster.wait_for_workers(1, Duration::from_millis(200)), 0);
    let worker = Python::start(&peers.url, 1).unwrap();
    // The first worker exists, and answers the question. The second one appears later.
    let on_queue = cluster.on(&worker.queue);
    assert_eq!(on_queue.wait_for_workers(1, LONG), 1);
    std::thread::scope(|scope| {
        let _second = scope.spawn(|| Python::start_on(&peers.url, 1, &worker.queue).unwrap());
        assert_eq!(on_queue.wait_for_workers(2, LONG), 2);
    });
}

fn a_worker_that_is_lost_costs_what_it_ran(_: &Peers) {
    // This test has a broker of its own, so that its message cannot go to another worker.
    let broker = Broker::start("silent").unwrap();
    let mut python = Python::start(&broker.url, 1).unwrap();
    let cluster = client(&broker.url, &python.queue);
    let door = Door::new();
    let nap = cluster.call::<_, f64>("tasks.nap", (door.path(), 3600.0));
    door.wait();
    // The client hears a heartbeat of the worker meanwhile. There is one every two seconds.
    assert_eq!(cluster.wait_for_workers(2, Duration::from_secs(5)), 1);
    python.kill();
    let died = nap.result().unwrap_err();
    assert!(matches!(&died, Error::WorkerDied(died) if died.worker_name() == python.name), "{died:?}");
}
