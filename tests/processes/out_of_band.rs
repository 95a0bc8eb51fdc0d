//! Bytes that go beside an encoding, where a task ends in an unusual way.

use std::sync::mpsc::channel;

use concurrent_futures::{Bytes, Error, Executor, MapOptions, ProcessPoolExecutor};

use super::support::{LONG, died};
use crate::support::within;

#[test]
fn results_left_by_a_dead_worker_are_read() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let answer = |n: u8| if n == 5 { std::process::exit(7) } else { Bytes::from(vec![n; 5]) };
        let outcomes: Vec<_> = processes.with(MapOptions::new().chunk_size(6)).map(answer, 0..6).collect();
        for (n, outcome) in (0..6).zip(outcomes) {
            if n == 5 {
                died(outcome);
            } else {
                assert_eq!(&*outcome.unwrap(), [n; 5]);
            }
        }
    });
}

#[test]
fn a_vec_of_bytes_is_itself_an_argument_a_result_a_context_or_an_item() {
    fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }
    let both: fn(&Vec<u8>, Vec<u8>) -> Vec<u8> = |context, bytes| [&context[..], &bytes].concat();
    within(LONG, move || {
        let processes = ProcessPoolExecutor::new(2);
        let of_length = |length: usize| (0..length).map(|n| (n * n % 251) as u8).collect::<Vec<u8>>();
        for length in [0, 1, 1000, 300 << 10, 3 << 20] {
            let bytes = of_length(length);
            assert!(processes.submit(reversed, bytes.clone()).result().unwrap() == reversed(bytes.clone()));
            let bound = processes.with_context(bytes.clone());
            assert!(bound.submit(both, bytes.clone()).result().unwrap() == both(&bytes, bytes.clone()));
            let expected = |outcomes: Vec<Result<Vec<u8>, Error>>| {
                for (n, outcome) in outcomes.into_iter().enumerate() {
                    assert!(outcome.unwrap() == reversed(of_length(length + n)));
                }
            };
            let items = || (0..5).map(|n| of_length(length + n));
            expected(processes.map(reversed, items()).collect());
            expected(processes.with(MapOptions::new().chunk_size(2)).map(reversed, items()).collect());
        }
    });
}

#[test]
fn a_vec_of_bytes_in_a_box_arrives_as_it_was() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        for length in [0, 300 << 10] {
            let boxed = Box::new(vec![7_u8; length]);
            let bound = processes.with_context(boxed.clone());
            let is_as_sent = bound.submit(|context, boxed| **context == *boxed, boxed.clone());
            assert!(is_as_sent.result().unwrap(), "{length}");
            assert_eq!(processes.submit(|boxed: Box<_>| boxed, boxed.clone()).result().unwrap(), boxed);
        }
    });
}

#[test]
fn bytes_can_be_encoded_in_a_callback() {
    within(LONG, || {
        let bytes = || Bytes::from(vec![7, 8]);
        let usual = postcard::to_stdvec(&bytes()).unwrap();
        let processes = ProcessPoolExecutor::new(1);
        let (sender, receiver) = channel();
        processes.submit(|n: u64| n, 1).add_done_callback({
            let sender = sender.clone();
            move |_| sender.send(postcard::to_stdvec(&bytes()).unwrap()).unwrap()
        });
        assert_eq!(receiver.recv().unwrap(), usual);
        for _ in processes.with(MapOptions::new().chunk_size(2)).map(|n: u64| n, 0..4) {}
    });
}

/// The number of bytes that a message may have, beyond that from which bytes go beside it.
const MOST: u64 = 400 << 10;

#[test]
fn bytes_that_are_too_long_cost_their_item_of_a_chunk_and_no_other() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).max_message_size(MOST).build().unwrap();
        let chunked = processes.with(MapOptions::new().chunk_size(5));
        let lengths = [2, 500 << 10, 300 << 10, 300 << 10, 3];
        let items = lengths.map(|length| Bytes::from(vec![7; length]));
        let outcomes: Vec<_> =
            chunked.map(|bytes: Bytes| bytes.iter().filter(|byte| **byte == 7).count(), items).collect();
        for (length, outcome) in lengths.into_iter().zip(outcomes) {
            match outcome {
                Ok(count) => assert!(count == length && count as u64 <= MOST),
                Err(Error::TooLarge(error)) => assert!(length as u64 > MOST && error.size() >= length as u64),
                Err(error) => panic!("{length}: {error}"),
            }
        }
    });
}

#[test]
fn an_item_with_several_bytes_is_as_long_as_a_task_with_them() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).max_message_size(MOST).build().unwrap();
        let both = || [Bytes::from(vec![7; 300 << 10]), Bytes::from(vec![8; 300 << 10])];
        let sum = |[one, other]: [Bytes; 2]| one.len() + other.len();
        let Err(Error::TooLarge(alone)) = processes.submit(sum, both()).result() else { panic!("it is too long") };
        let short = [Bytes::default(), Bytes::from(vec![8; 300 << 10])];
        let chunked = processes.with(MapOptions::new().chunk_size(2));
        let outcomes: Vec<_> = chunked.map(sum, [both(), short]).collect();
        match &outcomes[..] {
            [Err(Error::TooLarge(error)), Ok(length)] => {
                assert_eq!((error.size(), *length), (alone.size(), 300 << 10));
            }
            other => panic!("{other:?}"),
        }
    });
}
