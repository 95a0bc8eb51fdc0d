//! Contexts beyond what holds for every executor: in a job, and on threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use concurrent_futures::{Error, Executor, MapOptions, TaskOptions, ThreadPoolExecutor};
use serde::de::DeserializeOwned;

use crate::support::{Held, LONG, block_on, within};

fn scale(factor: &u32, n: u32) -> u32 {
    factor * n
}

fn try_scale(factor: &u32, n: u32) -> Result<u32, String> {
    n.checked_mul(*factor).ok_or_else(|| "too much".into())
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).unwrap()
}

#[test]
fn an_encoded_job_has_the_context_beside_each_argument() {
    let held = Held::default();
    let context = held.with_context(1000_u32);
    let (future, tried) = (context.submit(scale, 7), context.try_submit(try_scale, 8));
    let (job, fallible) = (held.take(0), held.take(0));
    assert_eq!(decoded::<(u32, u32)>(job.encode().unwrap().argument()), (1000, 7));
    assert_eq!(decoded::<(u32, u32)>(fallible.encode().unwrap().argument()), (1000, 8));
    assert!(!job.is_fallible() && fallible.is_fallible());
    job.complete(Ok(&[9]));
    fallible.run();
    assert_eq!((future.result().unwrap(), tried.result().unwrap()), (9, 8000));
    let mut map = context.with(MapOptions::new().chunk_size(3)).map(scale, [1, 2, 3]);
    let job = held.take(0);
    let encoded = job.encode().unwrap();
    assert_eq!(encoded.items(), Some(3));
    assert_eq!(decoded::<Vec<(u32, u32)>>(encoded.argument()), [(1000, 1), (1000, 2), (1000, 3)]);
    job.run();
    assert_eq!(map.next().unwrap().unwrap(), 1000);
}

#[test]
fn a_large_argument_has_the_context_beside_it() {
    /// More than is moved about without a box.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Row([[u64; 30]; 20]);
    fn at(position: &(usize, usize), row: Row) -> u64 {
        row.0[position.0][position.1]
    }
    let mut row = [[0; 30]; 20];
    row[3][4] = 7;
    let held = Held::default();
    let context = held.with_context((3_usize, 4_usize));
    let future = context.submit(at, Row(row));
    let job = held.take(0);
    let ((first, second), sent): ((usize, usize), Row) = decoded(job.encode().unwrap().argument());
    assert_eq!((first, second, sent.0[3][4]), (3, 4, 7));
    job.run();
    assert_eq!(future.result().unwrap(), 7);
    #[cfg(automatic)]
    {
        let processes = concurrent_futures::ProcessPoolExecutor::new(1);
        let context = processes.with_context((3_usize, 4_usize));
        assert_eq!(context.submit(at, Row(row)).result().unwrap(), 7);
        assert!(context.map(at, [Row(row), Row(row)]).all(|outcome| outcome.unwrap() == 7));
    }
}

#[cfg(feature = "remote")]
#[concurrent_futures::task(name = "contexts.label")]
fn label(unit: &String, n: u8) -> String {
    format!("{n} {unit}")
}

#[cfg(feature = "remote")]
#[test]
fn a_shown_job_has_the_context_beside_each_argument() {
    let held = Held::default();
    let chunks = held.with_context("unit".to_owned()).with(MapOptions::new().chunk_size(2));
    let mut map = chunks.map(|unit, n: u8| format!("{n} {unit}"), [1, 2]);
    let (job, mut texts) = (held.take(0), Vec::new());
    job.show(|argument| texts.push(serde_json::to_string(argument).unwrap())).unwrap();
    assert_eq!(texts, [r#"["unit",1]"#, r#"["unit",2]"#]);
    job.run();
    assert_eq!(map.next().unwrap().unwrap(), "1 unit");
    let _pending = held.with_context("unit".to_owned()).submit(label, 1);
    let job = held.take(0);
    assert_eq!(job.function_name(), Some("contexts.label"));
    // Another program finds the function by its name, and gets the pair.
    let function = concurrent_futures::named::get("contexts.label").unwrap();
    let (send, label) = std::sync::mpsc::channel();
    let mut pair = <dyn concurrent_futures::erased_serde::Deserializer<'_>>::erase(serde_json::json!(["unit", 1]));
    let done = move |outcome: Result<&dyn concurrent_futures::erased_serde::Serialize, &Error>| {
        send.send(serde_json::to_value(outcome.unwrap()).unwrap()).unwrap();
    };
    function.submit(&concurrent_futures::InlineExecutor, TaskOptions::new(), &mut pair, done).unwrap();
    assert_eq!(label.recv().unwrap(), "1 unit");
}

#[test]
fn threads_take_closures_that_capture_and_contexts_unknown_to_serde() {
    within(LONG, || {
        struct Opaque(Mutex<Vec<u32>>);
        let threads = ThreadPoolExecutor::new(2);
        let offset = Arc::new(10);
        let note = || {
            let offset = Arc::clone(&offset);
            move |log: &Opaque, n: u32| {
                log.0.lock().unwrap().push(n);
                n + *offset
            }
        };
        let try_note = || {
            let note = note();
            move |log: &Opaque, n: u32| if n == 0 { Err("zero") } else { Ok(note(log, n)) }
        };
        let context = threads.with_context(Opaque(Mutex::default())).with(TaskOptions::new().name("twins"));
        let maps = context.with(MapOptions::new().buffer_size(2));
        assert_eq!(context.submit(note(), 1).result().unwrap(), 11);
        assert!(context.try_submit(try_note(), 0).result().is_err());
        assert_eq!(context.bind(note())(2).result().unwrap(), 12);
        let inputs = [context.submit(note(), 3), context.submit(note(), 4)];
        let sum = |_: &Opaque, [one, other]: [u32; 2]| one + other;
        assert_eq!(context.submit_after(inputs, sum).result().unwrap(), 27);
        let failed = context.try_submit_after(context.submit(note(), 5), |_, n| Err::<(), _>(format!("{n}")));
        assert_eq!(failed.result().unwrap_err().to_string(), "15");
        assert_eq!(block_on(async { context.submit_async(note(), 6).await.await }).unwrap(), 16);
        assert_eq!(block_on(async { context.try_submit_async(try_note(), 7).await.await }).unwrap(), 17);
        assert_eq!(context.spawn(|log| log.0.lock().unwrap().len()).result().unwrap(), 7);
        let empty = |log: &Opaque| log.0.lock().unwrap().pop().ok_or("empty");
        assert_eq!(context.try_spawn(empty).result().unwrap(), 7);
        macro_rules! maps {
            ($context:ident) => {
                assert_eq!($context.map(note(), 0..3).map(Result::unwrap).sum::<u32>(), 33);
                assert_eq!($context.try_map(try_note(), 0..3).filter(Result::is_ok).count(), 2);
                assert_eq!($context.map_unordered(note(), 0..3).map(|(_, one)| one.unwrap()).sum::<u32>(), 33);
                assert_eq!($context.try_map_unordered(try_note(), 0..3).filter(|(_, one)| one.is_ok()).count(), 2);
            };
        }
        maps!(context);
        maps!(maps);
    });
}

#[test]
fn attempts_on_threads_share_closures_that_capture_and_contexts_unknown_to_serde() {
    within(LONG, || {
        /// Counts the calls until they succeed.
        struct Opaque(AtomicUsize);
        let threads = ThreadPoolExecutor::new(2);
        let retry = TaskOptions::new().retries(2).retry_if(|error| matches!(error, Error::Failed(_)));
        let offset = Arc::new(10);
        let add = || {
            let offset = Arc::clone(&offset);
            move |_: &Opaque, n: u32| n + *offset
        };
        let third_add = || {
            let add = add();
            move |calls: &Opaque, n: u32| match calls.0.fetch_add(1, Ordering::Relaxed) % 3 {
                2 => Ok(add(calls, n)),
                _ => Err("not yet"),
            }
        };
        let context = threads.with(retry).with_context(Opaque(AtomicUsize::new(0)));
        assert_eq!(context.submit(add(), 1).result().unwrap(), 11);
        assert_eq!(context.bind(add())(2).result().unwrap(), 12);
        assert_eq!(context.try_submit(third_add(), 3).result().unwrap(), 13);
        let third = third_add();
        assert_eq!(context.try_spawn(move |calls| third(calls, 4)).result().unwrap(), 14);
        assert_eq!(context.spawn(|calls| calls.0.load(Ordering::Relaxed)).result().unwrap(), 6);
        let one_at_a_time = context.with(MapOptions::new().buffer_size(1));
        assert_eq!(context.map(add(), 0..3).map(Result::unwrap).sum::<u32>(), 33);
        assert_eq!(context.map_unordered(add(), 0..3).map(|(_, sum)| sum.unwrap()).sum::<u32>(), 33);
        assert_eq!(one_at_a_time.try_map(third_add(), 0..3).map(Result::unwrap).sum::<u32>(), 33);
        assert_eq!(one_at_a_time.try_map_unordered(third_add(), 0..3).map(|(_, sum)| sum.unwrap()).sum::<u32>(), 33);
    });
}

#[test]
fn what_runs_again_drops_the_context_after_the_last_attempt() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let retry = TaskOptions::new().retries(1).retry_if(|_| true);
        let context = Arc::new(());
        let persistent = threads.with_context(Arc::clone(&context)).with(retry);
        let task = persistent.try_submit(|_: &Arc<()>, _: u8| Err::<(), _>("never"), 0);
        drop(persistent);
        task.wait();
        drop(task);
        // The worker may still hold what it ran.
        threads.shutdown();
        assert_eq!(Arc::strong_count(&context), 1);
    });
}

#[test]
fn threads_share_a_context_and_do_not_encode_it() {
    #[derive(serde::Deserialize)]
    struct Unwritable(AtomicUsize);
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("it is not to be written")
        }
    }
    fn count(calls: &Unwritable, _: u8) -> usize {
        calls.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    fn total(executor: &impl Executor) -> Result<usize, Error> {
        let context = executor.with_context(Unwritable(AtomicUsize::new(0)));
        context.map(count, 0..50).collect::<Result<Vec<_>, _>>()?;
        context.with(MapOptions::new().chunk_size(7)).map(count, 0..49).collect::<Result<Vec<_>, _>>()?;
        context.submit(count, 0).result()
    }
    within(LONG, || assert_eq!(total(&ThreadPoolExecutor::new(2)).unwrap(), 100));
}
