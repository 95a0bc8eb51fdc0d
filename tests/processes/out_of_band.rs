//! Bytes that go beside an encoding, where a task ends in an unusual way.

use std::sync::mpsc::channel;

use concurrent_futures::{Bytes, Executor, MapOptions, ProcessPoolExecutor};

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
