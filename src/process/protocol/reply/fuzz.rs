//! Random bytes in place of errors, and errors that were damaged on the way.
#![forbid(unsafe_code)]

use std::error::Error as StdError;

use proptest::prelude::*;

use super::*;
use crate::fuzz::{Damage, bytes, cases, damage};
use crate::report::{CAUSES, any_report};

/// Checks that the bytes make an error that can be shown with all its causes, sent on, and dropped.
fn look_at(bytes: &[u8]) {
    let error = from_bytes(bytes);
    assert!(!format!("{error} {error:?}").is_empty());
    let mut source = error.source();
    // Its own levels are in front of the causes.
    for _ in 0..CAUSES + 6 {
        source = source.and_then(StdError::source);
    }
    assert!(source.is_none(), "the chain of sources is longer than a worker sends");
    to_bytes(&error);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_an_error(kind in 0..17_u8, bytes in bytes(400)) {
        look_at(&bytes);
        look_at(&[&[kind], &bytes[..]].concat());
    }

    #[test]
    fn an_error_is_read_as_it_was_written(report in any_report(), damage in prop::collection::vec(damage(), 1..4)) {
        let error = report.into_error();
        let bytes = to_bytes(&error);
        let back = from_bytes(&bytes);
        prop_assert_eq!(back.to_string(), error.to_string());
        prop_assert_eq!(to_bytes(&back), &bytes[..]);
        look_at(&damage.iter().fold(bytes, |bytes: Vec<u8>, damage: &Damage| damage.done_to(bytes)));
    }
}

/// Each cause is inside the one before: dropping this many would overflow a thread's stack.
#[test]
fn an_endless_chain_of_causes_is_cut_off() {
    // The second variant: the name of the type, a million empty messages, and no trace.
    let mut bytes = postcard::to_stdvec(&(1_u32, "name", vec![""; 1_000_000])).unwrap();
    bytes.push(0);
    assert!(matches!(from_bytes(&bytes), Error::Failed(_)));
    look_at(&bytes);
}
