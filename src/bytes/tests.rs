//! Bytes that cross out of band, and the channels of a thread.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use serde::Serialize;

#[cfg(feature = "process")]
use super::channel::keep;
use super::encoding::MARK;
use super::*;
use crate::codec::{decode, decode_boxed_caught, encode, encode_onto};
use crate::error::Part;
use crate::sync::Mutex;

struct Nobody;

impl OutOfBand for Nobody {
    fn put(&self, _: &[u8]) -> Option<u32> {
        None
    }
    fn put_back(&self, _: &[u32]) {}
    fn get(&self, _: u32, _: u64) -> Option<Bytes> {
        None
    }
}

/// A type may panic while it is encoded, and so may a callback.
#[test]
fn a_panic_restores_the_out_of_band_of_its_thread() {
    let nobody: Arc<dyn OutOfBand> = Arc::new(Nobody);
    let boom = || -> () { resume_unwind(Box::new(())) };
    with_out_of_band(&nobody, || {
        assert!(catch_unwind(|| apart(boom)).is_err());
        assert!(out_of_band().is_some());
    });
    assert!(catch_unwind(AssertUnwindSafe(|| with_out_of_band(&nobody, boom))).is_err());
    assert!(out_of_band().is_none());
}

/// Stores everything, and counts what is put back.
#[derive(Default)]
struct Store(Mutex<Vec<Vec<u8>>>, Mutex<Vec<u32>>);

impl OutOfBand for Store {
    fn put(&self, bytes: &[u8]) -> Option<u32> {
        let mut stored = self.0.lock();
        stored.push(bytes.to_vec());
        u32::try_from(stored.len() - 1).ok()
    }
    fn put_back(&self, numbers: &[u32]) {
        self.1.lock().extend(numbers);
    }
    fn get(&self, number: u32, length: u64) -> Option<Bytes> {
        let stored = self.0.lock();
        stored.get(number as usize).filter(|bytes| bytes.len() as u64 == length).map(|bytes| bytes[..].into())
    }
}

#[test]
#[cfg(feature = "process")]
fn a_kept_channel_is_in_use_only_where_it_was_lent() {
    let [kept, other] = [Arc::<Store>::default(), Arc::<Store>::default()];
    let channels: [Arc<dyn OutOfBand>; 2] = [Arc::clone(&kept) as _, Arc::clone(&other) as _];
    let put = || drop(written(&vec![7_u8; 9]));
    let count = || (kept.0.lock().len(), other.0.lock().len(), stored());
    let on_its_thread = || {
        keep(Arc::clone(&channels[0]));
        put();
        assert_eq!(count(), (0, 0, 0));
        let ((), taken) = with_out_of_band(&channels[0], || {
            put();
            apart(put);
            assert_eq!(count(), (1, 0, 1));
            let ((), taken) = with_out_of_band(&channels[1], put);
            assert_eq!((count(), taken), ((1, 1, 1), vec![0]));
            let ((), taken) = with_out_of_band(&channels[0], put);
            assert_eq!((count(), taken), ((2, 1, 1), vec![1]));
            apart(|| assert_eq!(with_out_of_band(&channels[0], put).1, [2]));
            put();
        });
        assert_eq!((count(), taken), ((4, 1, 0), vec![0, 3]));
        put();
        assert_eq!(count(), (4, 1, 0));
        assert!(out_of_band().is_none());
        for channel in [&channels[0], &channels[1]] {
            let put_and_panic = || -> () {
                put();
                resume_unwind(Box::new(()))
            };
            assert!(catch_unwind(AssertUnwindSafe(|| with_out_of_band(channel, put_and_panic))).is_err());
        }
        assert_eq!((&*kept.1.lock(), &*other.1.lock()), (&vec![4], &vec![1]), "what a panic has lost is put back");
        assert!(with_out_of_band(&channels[0], || ()).1.is_empty());
    };
    std::thread::scope(|scope| scope.spawn(on_its_thread).join().unwrap());
}

fn across(out_of_band: &Arc<dyn OutOfBand>, bytes: &Bytes) -> Bytes {
    let across = || decode::<Bytes>(Part::Result, &encode(Part::Result, bytes).unwrap()).unwrap();
    with_out_of_band(out_of_band, across).0
}

#[test]
fn bytes_that_look_like_a_reference_are_not_one() {
    let channels: [Arc<dyn OutOfBand>; 2] = [Arc::new(Nobody), Arc::<Store>::default()];
    for channel in channels {
        for end in [&[][..], &[0; 12], &MARK, b"abc"] {
            let bytes = Bytes::from([&MARK, end].concat());
            assert_eq!(across(&channel, &bytes), bytes);
            // serde writes those in a box, so nothing marks them, and they are read in the same way.
            let boxed = Box::new(bytes.into_vec());
            let read = || decode::<Box<Vec<u8>>>(Part::Result, &written(&boxed));
            assert!(with_out_of_band(&channel, read).0.is_ok_and(|read| read == boxed), "{end:?}");
        }
    }
}

fn written<T: Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_onto(Part::Result, value, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_vec_that_is_the_whole_value_goes_out_of_band_like_bytes() {
    let store = Arc::<Store>::default();
    let channels: [Arc<dyn OutOfBand>; 2] = [Arc::new(Nobody), Arc::clone(&store) as _];
    for channel in channels {
        for bytes in [&[][..], &[0], &MARK, &[&MARK[..], &[0; 12]].concat(), &[&MARK[..], &MARK].concat()] {
            let bytes = bytes.to_vec();
            let written = || written(&bytes);
            let across = || {
                let (one, other) = (decode::<Vec<u8>>(Part::Result, &written()), written());
                (one.unwrap(), *decode_boxed_caught(Part::Result, &other).unwrap())
            };
            assert_eq!(with_out_of_band(&channel, across).0, (bytes.clone(), bytes));
        }
    }
    assert_eq!(store.0.lock().len(), 10);
    let channel: Arc<dyn OutOfBand> = Arc::clone(&store) as _;
    with_out_of_band(&channel, || written(&vec![vec![7_u8]; 2]));
    assert_eq!(store.0.lock().len(), 10, "inside of another type, it is written as serde does it");
}

#[test]
fn only_the_serialiser_of_this_crate_sends_bytes_out_of_band() {
    let store = Arc::<Store>::default();
    let channel: Arc<dyn OutOfBand> = Arc::clone(&store) as _;
    let bytes = Bytes::from([7; 9]);
    let (plain, taken) = with_out_of_band(&channel, || postcard::to_stdvec(&bytes).unwrap());
    assert_eq!((plain, taken), (postcard::to_stdvec(&bytes).unwrap(), Vec::new()));
    assert!(store.0.lock().is_empty());
    assert_eq!(across(&channel, &bytes), bytes);
    assert_eq!(store.0.lock().len(), 1);
}

#[test]
fn a_reference_to_nothing_is_an_error() {
    let channel: Arc<dyn OutOfBand> = Arc::new(Nobody);
    for reference in [&MARK[..], &[&MARK[..], &[0; 12]].concat(), &[&MARK[..], &[0; 3]].concat()] {
        let bytes = postcard::to_stdvec(&Bytes::from(reference)).unwrap();
        let read = with_out_of_band(&channel, || decode::<Bytes>(Part::Result, &bytes)).0;
        assert!(read.unwrap_err().to_string().contains("are not there"));
    }
}
