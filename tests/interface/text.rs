//! What futures look like when they are printed.

use std::collections::HashMap;
use std::time::Duration;

use concurrent_futures::{Broken, Encode, Error, Full, Part, ThreadPoolExecutor, promise};

use crate::support::{LONG, occupy, within};

/// The text with its address replaced by `0x..`, after a look at the address.
fn masked(text: &str) -> String {
    let (before, rest) = text.split_once("0x").expect("an address");
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    assert!(digits > 4, "{text}");
    format!("{before}0x..{}", &rest[digits..])
}

#[track_caller]
fn assert_text(future: &(impl std::fmt::Debug + std::fmt::Display), expected: &str) {
    assert_eq!(masked(&format!("{future:?}")), expected);
    assert_eq!(future.to_string(), format!("{future:?}"));
}

#[test]
fn aborted() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, future) = occupy(&threads);
        future.abort();
        assert_text(&future, "<Future at 0x.. state=cancelled>");
    });
}

#[test]
fn types_lose_their_paths_and_keep_their_arguments() {
    fn returned<T: Send + 'static>(value: T, name: &str) {
        let (promise, future) = promise();
        promise.complete(Ok(value));
        assert_text(&future, &format!("<Future at 0x.. state=finished returned {name}>"));
    }
    returned(Vec::<u8>::new(), "Vec<u8>");
    returned(String::new(), "String");
    returned("text", "&str");
    returned(Duration::ZERO, "Duration");
    returned(Some((1_u8, String::new())), "Option<(u8, String)>");
    returned(HashMap::<String, Vec<Option<Duration>>>::new(), "HashMap<String, Vec<Option<Duration>>>");
    returned([Duration::ZERO; 3], "[Duration; 3]");
    returned(Box::new(|| ()) as Box<dyn Fn() + Send>, "Box<dyn Fn() + Send>");
    returned(Ok::<(), Error>(()), "Result<(), Error>");
}

#[test]
fn errors_are_named_by_their_variant() {
    fn raised(error: Error, variant: &str) {
        let (promise, future) = promise::<u8>();
        promise.complete(Err(error));
        assert_text(&future, &format!("<Future at 0x.. state=finished raised {variant}>"));
        assert!(future.error().is_some());
    }
    raised(Error::Abandoned, "Abandoned");
    raised(Error::ShutDown, "ShutDown");
    raised(Error::Full(Full::new(1)), "Full");
    raised(Error::Broken(Broken::new("no thread")), "Broken");
    raised(Error::Encode(Encode::new(Part::Argument, "no")), "Encode");
}

#[test]
fn shared_futures_show_the_type_of_their_value() {
    let (promise, future) = promise();
    let shared = future.share();
    assert_text(&shared, "<SharedFuture at 0x.. state=pending>");
    promise.complete(Ok(vec![1_u8]));
    assert_text(&shared, "<SharedFuture at 0x.. state=finished returned Vec<u8>>");
    assert_eq!(shared.result().unwrap(), &[1]);
    assert_text(&shared.clone(), "<SharedFuture at 0x.. state=finished returned Vec<u8>>");
}

#[test]
fn a_shared_error_keeps_its_name_after_a_read() {
    let (promise, future) = promise::<u8>();
    let shared = future.share();
    promise.complete(Err(Error::Abandoned));
    assert!(shared.result().is_err());
    assert_text(&shared, "<SharedFuture at 0x.. state=finished raised Abandoned>");
}

#[test]
fn the_address_of_a_future_is_constant_and_unique() {
    let (promise, future) = promise();
    let (_other_promise, other) = concurrent_futures::promise::<u8>();
    let address = |text: String| text.split(' ').nth(2).map(String::from);
    let before = address(future.to_string());
    assert_ne!(before, address(other.to_string()));
    promise.complete(Ok(1_u8));
    assert_eq!(address(future.to_string()), before);
    assert_eq!(address(future.share().to_string()), before);
}

#[test]
fn promises_and_contexts_can_be_printed() {
    within(LONG, || {
        let (promise, _future) = promise::<u8>();
        assert_eq!(masked(&format!("{promise:?}")), "<Promise at 0x.. state=pending>");
        let threads = ThreadPoolExecutor::new(1);
        let context = threads.spawn(|| format!("{:?}", concurrent_futures::task::current())).result().unwrap();
        assert!(context.contains("TaskContext"), "{context}");
    });
}

#[test]
fn executors_and_their_builders_can_be_printed() {
    within(LONG, || {
        let builder = format!("{:?}", ThreadPoolExecutor::builder().max_workers(3).thread_name_prefix("typist"));
        assert!(
            builder.contains("ThreadPoolBuilder") && builder.contains('3') && builder.contains("typist"),
            "{builder}"
        );
        let threads = ThreadPoolExecutor::new(3);
        let (opener, _held) = occupy(&threads);
        let executor = format!("{threads:?}");
        assert!(executor.contains("ThreadPoolExecutor") && executor.contains("max_workers: 3"), "{executor}");
        assert!(executor.contains("running: 1"), "{executor}");
        opener.open();
        let scope = threads.scope(|scope| format!("{scope:?}"));
        assert!(scope.contains("Scope"), "{scope}");
        let shared = promise::<u8>().1.share();
        let awaiting = format!("{:?}", (&shared).into_future());
        assert!(awaiting.contains("AwaitingShared") && awaiting.contains("state=finished"), "{awaiting}");
    });
}
