//! Errors: what each variant says and carries, panics and their payloads, and what is logged.

use std::error::Error as StdError;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{
    Broken, Decode, Encode, Error, Executor, Exit, Failed, Full, InlineExecutor, MapOptions, Panicked, Part,
    TaskOptions, ThreadPoolExecutor, TimeLimit, Timeout, TooLarge, WorkerDied, promise,
};

use crate::support::{Drops, LONG, PanicsOnDrop, block_on, logged, occupy, panic_text, within};

fn panicked(error: &Error) -> &Panicked {
    match error {
        Error::Panicked(panicked) => panicked,
        other => panic!("{other:?}"),
    }
}

/// Runs one test of this binary by itself, with more in its environment.
fn run_alone(test: &str, environment: &[(&str, &str)]) {
    let (_, module) = module_path!().split_once("::").expect("a module of this program");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("{module}::{test}"), "--test-threads=1"]).env_remove("RUST_LIB_BACKTRACE");
    let output = child.envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn one_of_each() -> Vec<Error> {
    let threads = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("texts").build().unwrap();
    vec![
        Error::Cancelled,
        threads.spawn(|| -> u8 { panic!("no more flags") }).result().unwrap_err(),
        Error::Failed(Failed::new("the task's own words")),
        Error::TimeLimit(TimeLimit::new(Duration::from_millis(1500))),
        Error::WorkerDied(
            WorkerDied::new("w", Exit::Signal("SIGSEGV".into()), Some("flags::fetch".into())).with_pid(7),
        ),
        Error::WorkerDied(WorkerDied::lost("sums@host", Some("sums.sum_to".into()))),
        Error::WorkerDied(WorkerDied::lost("", None)),
        Error::Broken(Broken::new("no thread can be started")),
        Error::ShutDown,
        Error::Full(Full::new(3)),
        Error::Encode(Encode::new(Part::Argument, "a lock is poisoned")),
        Error::Decode(Decode::new(Part::Result, "2 bytes are left over")),
        Error::Decode(Decode::new(Part::Context, "2 bytes are left over")),
        Error::TooLarge(TooLarge::new(2000, 1000)),
        Error::TooLarge(TooLarge::new(2000, 1000).with_part(Part::Context)),
        Error::Abandoned,
    ]
}

#[test]
fn each_error_says_what_happened() {
    let texts: Vec<_> = one_of_each().iter().map(ToString::to_string).collect();
    let expected = [
        "the task was cancelled",
        "the task panicked at ",
        "the task's own words",
        "the task ran past its time limit of 1.5s",
        "the worker process 7 was ended by SIGSEGV while it ran flags::fetch",
        "the worker sums@host was lost while it ran sums.sum_to",
        "a worker was lost while it ran the task",
        "the executor is broken: no thread can be started",
        "the executor was shut down and accepts no new tasks",
        "the queue is full: `max_pending` is 3",
        "the argument cannot be serialised by the caller: a lock is poisoned",
        "the result cannot be deserialised by the caller: 2 bytes are left over",
        "the context cannot be deserialised by the worker: 2 bytes are left over",
        "a message of 2000 bytes exceeds `max_message_size`, which is 1000 bytes",
        "a context of 2000 bytes exceeds `max_message_size`, which is 1000 bytes",
        "the task was abandoned: nobody is left to complete it",
    ];
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.starts_with(expected), "{text}");
    }
    assert!(texts[1].ends_with(": no more flags"), "{}", texts[1]);
}

#[test]
fn texts_are_one_lower_case_sentence_without_a_stop() {
    for error in one_of_each() {
        let text = error.to_string();
        assert!(text.chars().next().is_some_and(char::is_lowercase), "{text}");
        assert!(!text.ends_with(['.', '!', '\n']) && !text.contains('\n'), "{text}");
    }
}

/// `main` prints this of an error that it returns.
#[test]
fn debug_shows_the_variant_and_the_text() {
    for error in one_of_each() {
        let (debug, text) = (format!("{error:?}"), error.to_string());
        let expected = match error {
            Error::Cancelled => "Cancelled".into(),
            Error::ShutDown => "ShutDown".into(),
            Error::Abandoned => "Abandoned".into(),
            Error::Failed(_) => format!("Failed {{ message: {text:?}, type_name: \"&str\" }}"),
            _ => format!("{}({text:?})", debug.split('(').next().unwrap_or_default()),
        };
        assert_eq!(debug, expected);
    }
    let limit = TimeLimit::new(Duration::from_millis(1500));
    assert_eq!(format!("{limit:?}"), "TimeLimit(\"the task ran past its time limit of 1.5s\")");
    assert_eq!(format!("{:?}", Error::TimeLimit(limit)), "TimeLimit(\"the task ran past its time limit of 1.5s\")");
    let unbuilt = Error::from(ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err());
    assert_eq!(format!("{unbuilt:?}"), "Build(\"max_workers must be at least 1, not 0\")");
}

#[test]
fn debug_of_a_failure_shows_its_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("the flag cannot be read")]
    struct Unreadable(#[source] std::io::Error);
    let error = Error::Failed(Failed::new(Unreadable(std::io::Error::other("the disk is gone"))));
    let text = format!("{error:?}");
    assert!(text.starts_with("Failed { message: \"the flag cannot be read\", type_name: \""), "{text}");
    assert!(text.ends_with("Unreadable\", sources: [\"the disk is gone\"] }"), "{text}");
}

#[test]
fn details_are_there_to_ask_for() {
    assert_eq!(TimeLimit::new(Duration::from_secs(2)).limit(), Duration::from_secs(2));
    assert_eq!(Full::new(3).limit(), 3);
    let large = TooLarge::new(20, 10);
    assert_eq!((large.size(), large.limit()), (20, 10));
    let encode = Encode::new(Part::Argument, "no");
    assert_eq!((encode.part(), encode.message()), (Part::Argument, "no"));
    let decode = Decode::new(Part::Result, "no");
    assert_eq!((decode.part(), decode.message()), (Part::Result, "no"));
    let died = WorkerDied::new("w-1", Exit::Code(3), None);
    assert_eq!((died.worker_name(), died.pid(), died.exit(), died.function()), ("w-1", None, &Exit::Code(3), None));
    assert_eq!(died.to_string(), "the worker w-1 exited with code 3 while it ran the task");
    let died = died.with_pid(9);
    assert_eq!(died.pid(), Some(9));
    assert_eq!(died.to_string(), "the worker process 9 exited with code 3 while it ran the task");
    let broken = Broken::new(std::io::Error::other("out of threads"));
    assert!(broken.cause().downcast_ref::<std::io::Error>().is_some());
}

#[test]
fn a_map_that_times_out_counts_unfinished_items() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, _running) = occupy(&threads);
        let in_no_time = threads.with(MapOptions::new().timeout(Duration::ZERO));
        let Some(Err(Error::Timeout(timeout))) = in_no_time.map(|n: u8| n, 0..4).next() else { panic!("no timeout") };
        assert_eq!((timeout.unfinished(), timeout.total()), (4, 4));
        assert_eq!(Error::Timeout(timeout).to_string(), "4 (of 4) futures unfinished");
        let also_alone: Timeout = timeout;
        assert_eq!(also_alone.to_string(), "4 (of 4) futures unfinished");
    });
}

#[test]
fn a_panic_keeps_its_message_place_and_worker() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("located").build().unwrap();
        let line = line!() + 1;
        let error = threads.spawn(|| -> u8 { panic!("with {} parts", 2) }).result().unwrap_err();
        let panicked = panicked(&error);
        assert_eq!(panicked.message(), "with 2 parts");
        assert_eq!(panicked.worker_name(), Some("located-0"));
        let location = panicked.location().unwrap();
        let column = location.strip_prefix(&format!("{}:{line}:", file!())).expect(location);
        assert!(column.parse::<u32>().is_ok(), "{location}");
        assert_eq!(error.to_string(), format!("the task panicked at {location} on located-0: with 2 parts"));
        let text = format!("{error:?}");
        assert!(["with 2 parts", location, "located-0"].iter().all(|part| text.contains(part)), "{text}");
    });
}

#[test]
fn a_caught_panic_does_not_affect_the_next_panic() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let resume = |payload: fn() -> Box<dyn std::any::Any + Send>| {
            let future = threads.spawn(move || -> u8 {
                let caught = std::panic::catch_unwind(|| panic!("caught by the task"));
                assert!(caught.is_err());
                std::panic::resume_unwind(payload())
            });
            panicked(&future.result().unwrap_err()).clone()
        };
        let text = resume(|| Box::new("resumed"));
        assert_eq!((text.message(), text.location()), ("resumed", None));
        let number = resume(|| Box::new(5));
        assert_eq!((number.message(), number.location()), ("a payload that is no text", None));
    });
}

#[test]
fn a_payload_without_text_has_a_description_and_a_location() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(|| -> u8 { std::panic::panic_any(vec![1, 2]) }).result().unwrap_err();
        assert_eq!(panicked(&error).message(), "a payload that is no text");
        assert!(panicked(&error).location().unwrap().starts_with(file!()));
        assert_eq!(error.into_panic().unwrap().downcast_ref::<Vec<i32>>(), Some(&vec![1, 2]));
    });
}

#[test]
fn the_first_clone_takes_the_payload() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(|| -> u8 { std::panic::panic_any(7_u8) }).result().unwrap_err();
        let clone = error.clone();
        assert_eq!(clone.into_panic().unwrap().downcast_ref::<u8>(), Some(&7));
        let error = error.into_panic().expect_err("it is gone");
        assert!(panicked(&error).location().is_some(), "the other details stay");
    });
}

#[test]
fn other_errors_have_no_payload() {
    assert!(matches!(Error::ShutDown.into_panic(), Err(Error::ShutDown)));
    assert!(matches!(Error::Failed(Failed::new("no")).into_panic(), Err(Error::Failed(_))));
}

#[test]
fn a_payload_is_dropped_with_the_last_clone() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let drops = Drops::default();
        let token = drops.token();
        let error = threads.spawn(move || -> u8 { std::panic::panic_any(token) }).result().unwrap_err();
        let clone = error.clone();
        drop(error);
        assert_eq!(drops.count(), 0);
        drop(clone);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_payload_whose_drop_panics_does_no_harm() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(|| -> u8 { std::panic::panic_any(PanicsOnDrop) }).result().unwrap_err();
        drop(error);
        drop(threads.spawn(|| -> u8 { std::panic::panic_any(PanicsOnDrop) }));
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn a_panic_inline_has_the_caller_for_a_worker() {
    let error = InlineExecutor.submit(|n: u8| -> u8 { panic!("inline {n}") }, 1).result().unwrap_err();
    assert_eq!(panicked(&error).message(), "inline 1");
    assert_eq!(panicked(&error).worker_name(), std::thread::current().name());
}

#[test]
fn a_backtrace_follows_the_environment() {
    within(LONG, || {
        let enabled =
            std::env::var("RUST_LIB_BACKTRACE").or(std::env::var("RUST_BACKTRACE")).is_ok_and(|set| set != "0");
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(|| -> u8 { panic!("with a trace") }).result().unwrap_err();
        assert_eq!(panicked(&error).backtrace().is_some(), enabled);
    });
}

#[test]
fn a_backtrace_is_kept_when_it_is_enabled_only() {
    run_alone("a_backtrace_follows_the_environment", &[("RUST_BACKTRACE", "1")]);
    run_alone("a_backtrace_follows_the_environment", &[("RUST_BACKTRACE", "0")]);
}

const OTHER_HOOK: &str = "CONCURRENT_FUTURES_TEST_OTHER_HOOK";

#[test]
fn another_hook_means_no_location() {
    within(LONG, || {
        if std::env::var_os(OTHER_HOOK).is_none() {
            return run_alone("another_hook_means_no_location", &[(OTHER_HOOK, "1")]);
        }
        let threads = ThreadPoolExecutor::new(1);
        threads.spawn(|| ()).result().unwrap();
        std::panic::set_hook(Box::new(|_| ()));
        let error = threads.spawn(|| -> u8 { panic!("unhooked") }).result().unwrap_err();
        assert_eq!((panicked(&error).message(), panicked(&error).location()), ("unhooked", None));
    });
}

const FIRST: &str = "CONCURRENT_FUTURES_TEST_FIRST";

/// A thread that panics must not chain a hook: that would end the process.
#[test]
fn the_first_executor_may_be_made_while_its_thread_panics() {
    within(LONG, || {
        if std::env::var_os(FIRST).is_none() {
            let this = "the_first_executor_may_be_made_while_its_thread_panics";
            return run_alone(this, &[(FIRST, "1")]);
        }
        struct Cleanup;
        impl Drop for Cleanup {
            fn drop(&mut self) {
                assert_eq!(ThreadPoolExecutor::new(1).spawn(|| 1).result().unwrap(), 1);
            }
        }
        let text = panic_text(|| {
            let _cleanup = Cleanup;
            panic!("on the way out");
        });
        assert_eq!(text, "on the way out");
        let error = ThreadPoolExecutor::new(1).spawn(|| -> u8 { panic!("later") }).result().unwrap_err();
        assert!(panicked(&error).location().is_some(), "the second one has chained it");
    });
}

#[derive(Debug, thiserror::Error)]
#[error("the download of {country} failed")]
struct Download {
    country: &'static str,
    source: std::io::Error,
}

fn download(country: &'static str) -> Result<u8, Download> {
    Err(Download { country, source: std::io::Error::other("the line is dead") })
}

#[test]
fn a_failed_task_shows_its_own_error() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.try_spawn(|| download("BR")).result().unwrap_err();
        assert_eq!(error.to_string(), "the download of BR failed");
        let source = error.source().expect("the cause of the task's error");
        assert_eq!(source.to_string(), "the line is dead");
        assert!(source.source().is_none());
        assert_eq!(error.downcast_ref::<Download>().unwrap().country, "BR");
        assert!(error.downcast_ref::<std::io::Error>().is_none());
        assert!(Error::ShutDown.downcast_ref::<Download>().is_none());
        let clone = error.clone();
        assert!(std::ptr::eq(clone.downcast_ref::<Download>().unwrap(), error.downcast_ref::<Download>().unwrap()));
    });
}

#[test]
fn a_failed_task_may_return_text_or_a_box() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let text = threads.try_spawn(|| Err::<u8, _>("as text")).result().unwrap_err();
        assert_eq!(text.to_string(), "as text");
        let boxed = threads.try_spawn(|| -> Result<u8, concurrent_futures::BoxError> { Ok("x".parse()?) });
        assert!(boxed.result().unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
    });
}

#[test]
fn a_failure_without_a_handle_is_logged() {
    within(LONG, || {
        assert!(logged("unseen-2").is_empty());
        let threads = ThreadPoolExecutor::new(1);
        let (opener, _running) = occupy(&threads);
        let named = |name: &str| threads.with(TaskOptions::new().name(name)).try_spawn(|| Err::<u8, _>("too bad"));
        drop(named("unseen-2a"));
        named("unseen-2b").detach();
        opener.open();
        drop(threads);
        assert_eq!((logged("unseen-2a").len(), logged("unseen-2b").len()), (1, 1));
    });
}

#[test]
fn an_abandoned_task_without_a_handle_is_logged_by_its_id() {
    logged("");
    let (promise, future) = promise::<u8>();
    let id = format!("task {} ", future.id());
    drop(future);
    drop(promise);
    assert_eq!(logged(&id).len(), 1);
}

#[test]
fn an_error_that_was_read_is_not_logged() {
    within(LONG, || {
        assert!(logged("seen-by").is_empty());
        let threads = ThreadPoolExecutor::new(1);
        let fail = |name: &str| threads.with(TaskOptions::new().name(name)).try_spawn(|| Err::<u8, _>("seen"));
        drop(fail("seen-by result").result());
        let future = fail("seen-by error");
        drop(future.error());
        drop(future);
        let (opener, _running) = occupy(&threads);
        let future = fail("seen-by callback");
        future.add_done_callback(|_| ());
        drop(future);
        opener.open();
        let future = fail("seen-by late callback");
        future.wait();
        future.add_done_callback(|_| ());
        drop(future);
        drop(block_on(fail("seen-by await")));
        let future = fail("seen-by try_result");
        future.wait();
        drop(future.try_result());
        drop(threads);
        assert_eq!(logged("seen-by"), []);
    });
}

#[test]
fn a_value_and_a_cancellation_are_not_logged() {
    within(LONG, || {
        assert!(logged("quiet-").is_empty());
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let with = |name: &str| threads.with(TaskOptions::new().name(name));
        with("quiet-value").spawn(|| 1).detach();
        let cancelled = with("quiet-cancelled").spawn(|| 1);
        cancelled.cancel();
        drop(cancelled);
        running.abort();
        drop(running);
        opener.open();
        drop(threads);
        assert_eq!(logged("quiet-"), []);
    });
}

#[test]
fn an_error_whose_text_panics_does_no_harm() {
    within(LONG, || {
        #[derive(Debug)]
        struct PanicsInDisplay;
        impl std::fmt::Display for PanicsInDisplay {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("no words")
            }
        }
        impl StdError for PanicsInDisplay {}
        let threads = ThreadPoolExecutor::new(1);
        threads.try_spawn(|| Err::<u8, _>(PanicsInDisplay)).detach();
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn clones_share_their_details() {
    within(LONG, || {
        let payload = Arc::new(());
        let inside = Arc::clone(&payload);
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(move || -> u8 { std::panic::panic_any(inside) }).result().unwrap_err();
        let clones: Vec<_> = (0..10).map(|_| error.clone()).collect();
        assert_eq!(Arc::strong_count(&payload), 2);
        drop((error, clones));
        assert_eq!(Arc::strong_count(&payload), 1);
    });
}

/// As the `main` of a program that has one kind of error.
#[test]
fn an_executor_that_cannot_be_built_is_an_error_too() {
    fn main() -> Result<(), Error> {
        let threads = ThreadPoolExecutor::builder().max_workers(0).build()?;
        threads.spawn(|| ()).result()
    }
    let error = main().unwrap_err();
    assert_eq!(error.to_string(), "max_workers must be at least 1, not 0");
    assert!(matches!(error, Error::Build(refused) if refused.parameter() == "max_workers"));
}
