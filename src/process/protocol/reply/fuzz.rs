//! Random errors.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::fuzz::{Damage, bytes, cases, damage};

/// More than the causes of an error and its own levels.
const MOST: usize = 70;

/// Checks that the bytes make an error that can be shown with all its causes, sent on, and dropped.
fn look_at(bytes: &[u8]) {
    let error = from_bytes(bytes);
    assert!(!format!("{error} {error:?}").is_empty());
    let mut source = error.source();
    for _ in 0..MOST {
        source = source.and_then(StdError::source);
    }
    assert!(source.is_none(), "the chain of sources is longer than a worker sends");
    to_bytes(&error);
}

fn error() -> impl Strategy<Value = Error> {
    let part = prop::sample::select(vec![Part::Argument, Part::Result, Part::Function, Part::Context]);
    prop_oneof![
        any::<(String, Option<String>, Option<String>, Option<String>, Option<String>)>().prop_map(|texts| {
            let boxed = |text: Option<String>| text.map(String::into_boxed_str);
            Error::Panicked(Panicked::new(Panic {
                message: texts.0.into(),
                location: boxed(texts.1),
                worker: boxed(texts.2),
                task: boxed(texts.3),
                backtrace: boxed(texts.4),
                payload: Mutex::new(None),
            }))
        }),
        (any::<String>(), prop::collection::vec(any::<String>(), 1..5)).prop_map(|(name, chain)| {
            Error::Failed(Failed::named(Crossed::from_chain(chain).expect("a link at least"), name.into()))
        }),
        (part.clone(), any::<String>()).prop_map(|(part, message)| Error::Encode(Encode::new(part, message))),
        (part, any::<String>()).prop_map(|(part, message)| Error::Decode(Decode::new(part, message))),
        any::<(u64, u64)>().prop_map(|(size, limit)| Error::TooLarge(TooLarge::new(size, limit))),
        Just(Error::Cancelled),
        Just(Error::ShutDown),
        Just(Error::Abandoned),
        any::<(Duration, Option<String>)>()
            .prop_map(|(limit, name)| Error::TimeLimit(TimeLimit::new(limit)).named(name.as_deref())),
        any::<DeathParts>().prop_map(|(worker, pid, exit, function, hint, name)| {
            let died = WorkerDied::new(worker, exit_from_parts(exit), function).with_hint(hint.unwrap_or_default());
            Error::WorkerDied(pid.into_iter().fold(died, WorkerDied::with_pid)).named(name.as_deref())
        }),
        prop::collection::vec(any::<String>(), 1..5)
            .prop_map(|chain| Error::Broken(Broken::new(Crossed::from_chain(chain).expect("a link at least")))),
        any::<u32>().prop_map(|limit| Error::Full(Full::new(limit as usize))),
        any::<(u32, u32, u32)>().prop_map(|(unfinished, total, after)| {
            let after = Duration::from_millis(after.into());
            Error::Timeout(Timeout::new(unfinished as usize, total as usize, after))
        }),
        any::<[String; 3]>().prop_map(|[parameter, requirement, value]| {
            Error::Build(BuildError::from_texts(parameter, requirement, value))
        }),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_an_error(kind in 0..17_u8, bytes in bytes(400)) {
        look_at(&bytes);
        look_at(&[&[kind], &bytes[..]].concat());
    }

    #[test]
    fn an_error_is_read_as_it_was_written(error in error(), damage in prop::collection::vec(damage(), 1..4)) {
        let bytes = to_bytes(&error);
        let back = from_bytes(&bytes);
        prop_assert_eq!((back.variant(), back.to_string()), (error.variant(), error.to_string()));
        prop_assert_eq!(to_bytes(&back), &bytes[..]);
        look_at(&damage.iter().fold(bytes, |bytes: Vec<u8>, damage: &Damage| damage.done_to(bytes)));
    }
}

/// Each cause is inside the one before: dropping this many would overflow a thread's stack.
#[test]
fn an_endless_chain_of_causes_is_cut_off() {
    let chain = vec![String::new(); 1_000_000];
    look_at(&put(FAILED, &("name", chain)));
}
