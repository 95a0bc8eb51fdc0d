//! What only threads have: closures, initializers without arguments, workers that wait for their own pool.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use concurrent_futures::{Backend, Error, Executor, Future, TaskOptions, ThreadPoolExecutor, task};

use crate::Own;
use crate::support::{gate, occupy};

pub(crate) const OWN: Own = list![
    workers_are_named_and_run_the_callbacks,
    an_initializer_runs_once_on_each_thread,
    an_initializer_that_panics_breaks_the_executor,
    zero_workers_are_refused,
    a_full_queue_refuses_if_asked_to,
    a_task_waits_for_tasks_of_its_own_executor,
    two_tasks_that_wait_for_each_others_children_end,
    a_task_submits_while_its_executor_is_closing,
    a_task_may_shut_its_executor_down,
    a_running_task_sees_that_it_is_aborted,
    the_error_is_the_object_that_the_task_returned,
    a_panic_keeps_its_payload,
    a_detached_executor_ends_what_it_has,
    a_closure_takes_its_surroundings_along,
];

fn workers_are_named_and_run_the_callbacks() {
    let threads = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("conform").build().unwrap();
    let (opener, gate) = gate();
    let name = || thread::current().name().map(str::to_owned);
    let task = threads.spawn(move || {
        gate.pass();
        name()
    });
    let (send, receive) = channel();
    task.add_done_callback(move |_| send.send(name()).unwrap());
    opener.open();
    assert_eq!(task.result().unwrap().as_deref(), Some("conform-0"));
    assert_eq!(receive.recv().unwrap().as_deref(), Some("conform-0"));
    let default = ThreadPoolExecutor::new(1).spawn(name).result().unwrap().unwrap();
    assert!(default.starts_with("ThreadPoolExecutor-") && default.ends_with("-0"), "{default}");
}

fn an_initializer_runs_once_on_each_thread() {
    let ran_on = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&ran_on);
    let initializer = move || inside.lock().unwrap().push(thread::current().id());
    let threads = ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap();
    let (opener, gate) = gate();
    let both = [gate.clone(), gate].map(|gate| {
        threads.spawn(move || {
            gate.pass();
            thread::current().id()
        })
    });
    opener.arrived(2);
    opener.open();
    let ids = both.map(|task| task.result().unwrap());
    (0..20).for_each(|n| assert_eq!(threads.submit(|n: i32| n, n).result().unwrap(), n));
    let ran_on = ran_on.lock().unwrap();
    assert!(ran_on.len() == 2 && ids.iter().all(|id| ran_on.contains(id)), "{ran_on:?}");
}

fn an_initializer_that_panics_breaks_the_executor() {
    let (opener, gate) = gate();
    let initializer = move || {
        gate.pass();
        panic!("no database");
    };
    let threads = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
    let queued = [1, 2, 3].map(|n| threads.submit(|n: u8| n, n));
    opener.open();
    let broken = |outcome| match outcome {
        Err(Error::Broken(broken)) => broken.cause().to_string(),
        other => panic!("not broken: {other:?}"),
    };
    for task in queued {
        assert!(broken(task.result()).contains("no database"));
    }
    assert!(broken(threads.submit(|n: u8| n, 4).result()).contains("no database"));
    threads.shutdown();
    assert!(broken(threads.submit(|n: u8| n, 5).result()).contains("no database"), "it says the first reason");
}

fn zero_workers_are_refused() {
    let error = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
    assert_eq!(error.to_string(), "max_workers must be at least 1, not 0");
    assert!(crate::support::panic_text(|| ThreadPoolExecutor::new(0)).contains("max_workers must be at least 1"));
    assert!(ThreadPoolExecutor::default().max_workers() > 1);
}

fn a_full_queue_refuses_if_asked_to() {
    let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(2).build().unwrap();
    let (_opener, _running) = occupy(&threads);
    let refusing = threads.with(TaskOptions::new().refuse_when_full());
    let queued = [1, 2].map(|n| refusing.submit(|n: u8| n, n));
    match refusing.submit(|n: u8| n, 3).result() {
        Err(Error::Full(full)) => assert_eq!(full.limit(), 2),
        other => panic!("there is room: {other:?}"),
    }
    assert!(queued[0].cancel(), "it makes room");
    assert!(!refusing.submit(|n: u8| n, 4).is_done());
}

fn a_task_waits_for_tasks_of_its_own_executor() {
    fn fibonacci(threads: &Arc<ThreadPoolExecutor>, n: u32) -> u64 {
        if n < 2 {
            return n.into();
        }
        let inside = Arc::clone(threads);
        let before = threads.spawn(move || fibonacci(&inside, n - 2));
        fibonacci(threads, n - 1) + before.result().unwrap()
    }
    let threads = Arc::new(ThreadPoolExecutor::new(1));
    let inside = Arc::clone(&threads);
    assert_eq!(threads.spawn(move || fibonacci(&inside, 15)).result().unwrap(), 610);
    let inside = Arc::clone(&threads);
    let sums = threads.spawn(move || inside.map(|n: u64| n, 0..10).map(Result::unwrap).sum::<u64>());
    assert_eq!(sums.result().unwrap(), 45);
}

/// The deadlock of Python's own documentation: each of two tasks waits for the future of the other one's work.
fn two_tasks_that_wait_for_each_others_children_end() {
    let threads = Arc::new(ThreadPoolExecutor::new(2));
    let meet = Arc::new(std::sync::Barrier::new(2));
    let parents = [1, 2].map(|n| {
        let (threads, meet) = (Arc::clone(&threads), Arc::clone(&meet));
        let inside = Arc::clone(&threads);
        threads.spawn(move || {
            // Both workers are taken when the children come.
            meet.wait();
            let children: Vec<Future<u64>> = (0..4).map(|child| inside.spawn(move || n * child)).collect();
            children.into_iter().map(|child| child.result().unwrap()).sum::<u64>()
        })
    });
    assert_eq!(parents.map(|parent| parent.result().unwrap()), [6, 12]);
}

fn a_task_submits_while_its_executor_is_closing() {
    let threads = Arc::new(ThreadPoolExecutor::new(1));
    let ((opener, gate), inside) = (gate(), Arc::clone(&threads));
    let parent = threads.spawn(move || {
        gate.pass();
        let child = inside.spawn(|| 7);
        child.result()
    });
    opener.arrived(1);
    threads.close();
    assert!(matches!(threads.spawn(|| 1).result(), Err(Error::ShutDown)), "nobody else may");
    opener.open();
    assert_eq!(parent.result().unwrap().unwrap(), 7);
}

fn a_task_may_shut_its_executor_down() {
    let threads = Arc::new(ThreadPoolExecutor::new(1));
    let inside = Arc::clone(&threads);
    let joined = threads.spawn(move || {
        inside.shutdown();
        inside.join(None)
    });
    assert!(!joined.result().unwrap(), "it does not wait for itself");
    assert!(threads.join(None));
}

fn a_running_task_sees_that_it_is_aborted() {
    let threads = ThreadPoolExecutor::new(1);
    let ((opener, gate), (send, receive)) = (gate(), channel());
    let task = threads.spawn(move || {
        let context = task::current().expect("inside a task");
        gate.pass();
        send.send(context.is_aborted()).unwrap();
    });
    opener.arrived(1);
    assert!(task.abort());
    opener.open();
    assert!(receive.recv().unwrap());
}

fn the_error_is_the_object_that_the_task_returned() {
    let threads = ThreadPoolExecutor::new(1);
    let error = threads.try_spawn(|| "x".parse::<u8>()).result().unwrap_err();
    assert_eq!(error.downcast_ref::<std::num::ParseIntError>(), "x".parse::<u8>().as_ref().err());
}

fn a_panic_keeps_its_payload() {
    let threads = ThreadPoolExecutor::new(1);
    let error = threads.spawn(|| -> u8 { std::panic::panic_any(7_u8) }).result().unwrap_err();
    assert_eq!(error.into_panic().expect("a panic").downcast_ref::<u8>(), Some(&7));
    assert_eq!(threads.spawn(|| 1).result().unwrap(), 1, "its worker lives");
}

fn a_detached_executor_ends_what_it_has() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, running) = occupy(&threads);
    let queued = threads.spawn(|| 7);
    threads.detach();
    assert!(!queued.is_done(), "it was not waited for");
    opener.open();
    running.result().unwrap();
    assert_eq!(queued.result().unwrap(), 7);
}

fn a_closure_takes_its_surroundings_along() {
    let threads = ThreadPoolExecutor::new(1);
    let span = "request 7".to_owned();
    assert_eq!(threads.submit(move |n: u8| format!("{span}: {n}"), 1).result().unwrap(), "request 7: 1");
    let data = [1, 2, 3];
    let sum = threads.scope(|scope| scope.spawn(|| data.iter().sum::<i32>()).result());
    assert_eq!((sum.unwrap(), data.len()), (6, 3));
}
