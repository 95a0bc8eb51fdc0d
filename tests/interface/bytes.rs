//! `Bytes`: by itself, in serde's hands, on executors of this process, and across to others.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use concurrent_futures::{Backend, Bytes, Executor, InlineExecutor, ThreadPoolExecutor};
use serde::Deserialize as _;
use serde::de::value::{SeqDeserializer, StrDeserializer, U8Deserializer};

use crate::support::{Held, LONG, within};

#[cfg(automatic)]
mod across;
#[cfg(automatic)]
mod faults;
#[cfg(automatic)]
mod memory;

fn same(bytes: Bytes) -> Bytes {
    bytes
}

#[test]
fn a_vec_is_wrapped_and_unwrapped_without_a_copy() {
    let vec = vec![1, 2, 3];
    let place = vec.as_ptr();
    let bytes = Bytes::from(vec);
    assert_eq!(bytes.as_ptr(), place);
    let vec = bytes.into_vec();
    assert_eq!((vec.as_ptr(), &*vec), (place, &[1, 2, 3][..]));
    let vec = Vec::from(Bytes::from(vec));
    assert_eq!(vec.as_ptr(), place);
}

#[test]
fn clones_share_memory_until_one_is_converted() {
    let bytes = Bytes::from(vec![1, 2, 3]);
    let clone = bytes.clone();
    assert_eq!(clone.as_ptr(), bytes.as_ptr());
    let vec = clone.into_vec();
    assert_ne!(vec.as_ptr(), bytes.as_ptr());
    assert_eq!(vec, *bytes);
    let place = bytes.as_ptr();
    let vec = bytes.into_vec();
    assert_eq!(vec.as_ptr(), place, "the last one has them for itself");
}

#[test]
fn bytes_are_made_compared_and_looked_up_like_slices() {
    let bytes: Bytes = (1..=3).collect();
    assert_eq!(bytes, Bytes::from(&[1, 2, 3][..]));
    assert_ne!(bytes, Bytes::from(vec![1, 2]));
    assert!(bytes == [1, 2, 3][..] && bytes != [1, 2, 4][..]);
    assert_eq!((bytes.len(), bytes[1], bytes.as_ref()), (3, 2, &[1, 2, 3][..]));
    assert!(Bytes::default().is_empty());
    assert!(Bytes::from([1, 2, 3]) == bytes && [1, 2, 3][..] == bytes);
    assert!(bytes < Bytes::from([1, 3]) && bytes > Bytes::from([1, 2]));
    assert!((&bytes).into_iter().eq(&[1, 2, 3]) && bytes.clone().into_iter().eq([1, 2, 3]));
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(&bytes), hasher.hash_one(&bytes[..]));
    let named = HashMap::from([(bytes, "one")]);
    assert_eq!(named.get(&[1, 2, 3][..]), Some(&"one"));
}

#[test]
fn the_text_of_bytes_is_always_short() {
    assert_eq!(format!("{:?}", Bytes::from(vec![1, 2])), "Bytes([1, 2])");
    let (few, many) = (format!("{:?}", Bytes::from(vec![7; 16])), format!("{:?}", Bytes::from(vec![7; 5000])));
    assert!(few.starts_with("Bytes([7, 7") && few.ends_with("7])"), "{few}");
    assert!(many.starts_with("Bytes(5000 bytes, [7, 7") && many.ends_with("]..)") && many.len() < 100, "{many}");
}

#[test]
fn serde_writes_bytes_as_a_byte_string() {
    let encoded = postcard::to_stdvec(&Bytes::from(vec![7, 8, 9])).unwrap();
    assert_eq!(encoded, [3, 7, 8, 9]);
    assert!(postcard::from_bytes::<Bytes>(&encoded).unwrap() == [7, 8, 9][..]);
    // As a sequence, and as text.
    type Said = serde::de::value::Error;
    assert!(postcard::from_bytes::<Bytes>(&postcard::to_stdvec("abc").unwrap()).unwrap() == b"abc"[..]);
    let sequence = SeqDeserializer::<_, Said>::new([7_u8, 8].into_iter());
    assert!(Bytes::deserialize(sequence).is_ok_and(|bytes| bytes == [7, 8][..]));
    assert!(Bytes::deserialize(StrDeserializer::<Said>::new("abc")).is_ok_and(|bytes| bytes == b"abc"[..]));
    assert!(postcard::from_bytes::<Bytes>(&encoded[..2]).is_err());
    let error = Bytes::deserialize(U8Deserializer::<Said>::new(7)).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: integer `7`, expected bytes");
}

#[test]
fn a_custom_executor_gets_bytes_in_the_encoding() {
    let held = Held::default();
    let future = held.submit(same, Bytes::from(vec![7; 300]));
    let job = held.take(0);
    let encoded = job.encode().unwrap();
    assert_eq!(encoded.argument(), postcard::to_stdvec(&vec![7_u8; 300]).unwrap());
    job.complete(Ok(encoded.argument()));
    assert!(future.result().unwrap() == [7; 300][..]);
}

#[test]
fn threads_copy_no_bytes() {
    within(LONG, || {
        let executors: [&dyn Backend; 2] = [&InlineExecutor, &ThreadPoolExecutor::new(1)];
        for executor in executors {
            let bytes = Bytes::from(vec![7; 5 << 20]);
            let place = bytes.as_ptr();
            assert_eq!(executor.submit(same, bytes).result().unwrap().as_ptr(), place);
        }
    });
}
