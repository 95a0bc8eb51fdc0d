//! To worker processes and back: every byte arrives, and stays what it is.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, mpsc};
use std::thread;

use concurrent_futures::{Bytes, Executor, MapOptions, ProcessPoolExecutor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::same;
use crate::support::{Held, LONG, within};

const MIB: usize = 1 << 20;

/// Bytes that tell a shift, a swap and a mixture: no two seeds, and no two lengths, have the same.
pub(super) fn made((seed, length): (u64, usize)) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.into()
}

pub(super) fn checksum(bytes: Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn bytes_of_every_length_cross_both_ways() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        for length in [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3] {
            let bytes = made((1, length));
            assert_eq!(
                processes.submit(checksum, bytes.clone()).result().unwrap(),
                checksum(bytes.clone()),
                "{length}"
            );
            assert!(processes.submit(made, (1, length)).result().unwrap() == bytes, "{length}");
            assert!(processes.submit(same, bytes.clone()).result().unwrap() == bytes, "{length}");
        }
    });
}

#[test]
fn many_bytes_cross_in_one_argument_and_one_result() {
    fn reversed(mut all: Vec<Bytes>) -> Vec<Bytes> {
        all.reverse();
        all
    }
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        for (count, length) in [(300, 10), (20, MIB)] {
            let all: Vec<_> = (0..count).map(|seed| made((seed, length))).collect();
            let back = processes.submit(reversed, all.clone()).result().unwrap();
            assert!(back.into_iter().rev().eq(all), "{count} of {length}");
        }
    });
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    One(Bytes),
    Named { first: Bytes, number: u64, rest: Vec<Option<Bytes>> },
    Map(BTreeMap<String, (Bytes, u8)>),
}

#[test]
fn bytes_may_be_anywhere_in_a_value() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        for length in [3, MIB + 5] {
            let one = |seed| made((seed, length));
            let shapes = vec![
                Shape::Empty,
                Shape::One(one(1)),
                Shape::Named { first: one(2), number: 7, rest: vec![None, Some(one(3)), Some(made((4, 2))), None] },
                Shape::Map(BTreeMap::from([("a".into(), (one(5), 1)), ("b".into(), (made((6, 0)), 2))])),
            ];
            let back = processes.submit(|shapes: Vec<Shape>| shapes, shapes.clone()).result().unwrap();
            assert!(back == shapes, "{length}");
        }
    });
}

#[test]
fn tasks_of_all_sizes_from_several_threads_do_not_mix() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(3);
        thread::scope(|scope| {
            for thread in 0..4 {
                let processes = &processes;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    let tasks: Vec<_> = (0..50).map(|_| (random.u64(..), random.usize(..3 * MIB))).collect();
                    for few in tasks.chunks(10) {
                        let sent: Vec<_> = few.iter().map(|task| processes.submit(same, made(*task))).collect();
                        for (task, future) in few.iter().zip(sent) {
                            assert!(future.result().unwrap() == made(*task), "{task:?}");
                        }
                    }
                });
            }
        });
    });
}

static KEPT: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

#[test]
fn bytes_kept_by_a_task_do_not_change() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let keep = |bytes: Bytes| KEPT.lock().unwrap().push(bytes);
        let look = |_: ()| KEPT.lock().unwrap().iter().cloned().map(checksum).collect::<Vec<_>>();
        for seed in 0..3 {
            processes.submit(keep, made((seed, 2 * MIB))).result().unwrap();
            for other in 0..10 {
                processes.submit(checksum, made((100 + other, 2 * MIB))).result().unwrap();
            }
        }
        // Of one that also came back.
        let keep_and_return = |bytes: Bytes| {
            KEPT.lock().unwrap().push(bytes.clone());
            bytes
        };
        processes.submit(keep_and_return, made((3, 2 * MIB))).result().unwrap();
        let chunks = processes.with(MapOptions::new().chunk_size(2));
        chunks.map(keep, (4..6).map(|seed| made((seed, 2 * MIB)))).for_each(Result::unwrap);
        for other in 0..20 {
            processes.submit(same, made((200 + other, 2 * MIB))).result().unwrap();
        }
        let expected: Vec<_> = (0..6).map(|seed| checksum(made((seed, 2 * MIB)))).collect();
        assert_eq!(processes.submit(look, ()).result().unwrap(), expected);
    });
}

type Asked = mpsc::Sender<mpsc::Sender<u64>>;

static THREAD: Mutex<Option<Asked>> = Mutex::new(None);

#[test]
fn bytes_kept_by_a_thread_of_a_task_do_not_change() {
    fn keep(bytes: Bytes) {
        let (asked, asks) = mpsc::channel::<mpsc::Sender<u64>>();
        *THREAD.lock().unwrap() = Some(asked);
        thread::spawn(move || {
            let answer = asks.recv().unwrap();
            answer.send(checksum(bytes)).unwrap();
        });
    }
    fn ask(_: ()) -> u64 {
        let asked = THREAD.lock().unwrap().take().unwrap();
        let (answer, answered) = mpsc::channel();
        asked.send(answer).unwrap();
        answered.recv().unwrap()
    }
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        processes.submit(keep, made((1, 2 * MIB))).result().unwrap();
        for other in 0..20 {
            processes.submit(checksum, made((100 + other, 2 * MIB))).result().unwrap();
        }
        assert_eq!(processes.submit(ask, ()).result().unwrap(), checksum(made((1, 2 * MIB))));
    });
}

#[test]
fn chunks_of_a_map_may_contain_bytes() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let chunks = processes.with(MapOptions::new().chunk_size(7));
        let lengths = [0, 1, 1000, 70_000, MIB - 1, MIB, MIB + 1];
        let tasks = || (0..30).map(|seed| (seed, lengths[seed as usize % lengths.len()]));
        for ((seed, length), outcome) in tasks().zip(chunks.map(same, tasks().map(made))) {
            assert!(outcome.unwrap() == made((seed, length)), "{seed}");
        }
    });
}

#[test]
fn an_initializer_may_take_bytes() {
    within(LONG, || {
        for length in [5, 2 * MIB] {
            let builder = ProcessPoolExecutor::builder().max_workers(1);
            let set_up = builder.initializer(|bytes: Bytes| KEPT.lock().unwrap().push(bytes), made((9, length)));
            let processes = set_up.build().unwrap();
            let look = |_: ()| checksum(KEPT.lock().unwrap()[0].clone());
            assert_eq!(processes.submit(look, ()).result().unwrap(), checksum(made((9, length))));
        }
    });
}

/// A callback runs while a result of another process is taken in, and is no part of it.
#[test]
fn bytes_can_be_encoded_in_a_callback() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let future = processes.submit(same, made((1, MIB)));
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |outcome| {
            let held = Held::default();
            let bytes = Bytes::from(&outcome.as_ref().unwrap()[..100]);
            let other = held.submit(same, bytes.clone());
            let job = held.take(0);
            let encoded = job.encode().unwrap().into_argument();
            let plain = encoded == postcard::to_stdvec(&bytes[..]).unwrap();
            job.complete(Ok(&encoded));
            send.send((plain, other.result().is_ok_and(|back| back == bytes))).unwrap();
        });
        future.result().unwrap();
        assert_eq!(receive.recv().unwrap(), (true, true));
    });
}

/// Is encoded by itself, and stays encoded until its bytes are wanted.
struct Sealed(Vec<u8>);

impl Sealed {
    fn new(length: usize) -> Self {
        Self(vec![7; length])
    }
    fn open(self) -> Bytes {
        postcard::from_bytes(&self.0).unwrap()
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sealed = postcard::to_stdvec(&Bytes::from(&self.0[..])).map_err(serde::ser::Error::custom)?;
        Bytes::from(sealed).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Bytes::deserialize(deserializer)?.into_vec()))
    }
}

fn length_of(sealed: Sealed) -> usize {
    let bytes = sealed.open();
    assert!(bytes.iter().all(|byte| *byte == 7));
    bytes.len()
}

#[test]
fn a_value_may_encode_bytes_with_another_serialiser() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        for length in [0, 10, 300_000, 3_000_000] {
            assert_eq!(processes.submit(length_of, Sealed::new(length)).result().unwrap(), length);
        }
    });
}
