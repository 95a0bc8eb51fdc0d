//! A `Vec<u8>` that is a whole argument, result or context is written and read like a [`Bytes`].
//!
//! serde passes the elements of a `Vec` one by one, even if they are bytes. In postcard's format, both types are a length
//! and the bytes, so a `Bytes` can stand in for the `Vec`: it is copied as a whole, or goes through shared memory. Only
//! the type of the whole value is known here, so a `Vec<u8>` inside another type is written as serde does it.
#![forbid(unsafe_code)]

use std::any::{Any, TypeId};

use crate::bytes::{AsBytes, Bytes};

/// Returns the value as bytes, if it is a `Vec<u8>`.
pub(super) fn as_bytes<T: 'static>(value: &T) -> Option<AsBytes<'_>> {
    (value as &dyn Any).downcast_ref::<Vec<u8>>().map(|bytes| AsBytes(bytes))
}

/// Returns `true` if a `T` is a `Vec<u8>`.
pub(super) fn is_byte_vec<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>()
}

/// Converts into a `T`, for which [`is_byte_vec`] returns `true`. Copies the bytes only if they were read in place.
///
/// # Panics
///
/// For any other `T`.
pub(super) fn from_bytes<T: 'static>(bytes: Bytes) -> T {
    let mut value = None::<T>;
    let place: &mut dyn Any = &mut value;
    if let Some(place) = place.downcast_mut() {
        *place = Some(bytes.into_vec());
    }
    value.expect("a `T` is a `Vec<u8>`")
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::codec::{decode, encode_onto};
    use crate::error::{Error, Part};

    fn written<T: Serialize + 'static>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_onto(Part::Argument, value, &mut bytes).unwrap();
        bytes
    }

    #[track_caller]
    fn assert_written_as_serde_does<T: Serialize + DeserializeOwned + Debug + PartialEq + Send + 'static>(value: &T) {
        let written = written(value);
        assert_eq!(written, postcard::to_stdvec(value).unwrap());
        assert_eq!(&decode::<T>(Part::Argument, &written).unwrap(), value);
    }

    #[test]
    fn bytes_and_what_looks_like_them_are_written_as_serde_does() {
        for length in [0, 1, 2, 127, 128, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_written_as_serde_does(&bytes.iter().map(|byte| *byte as i8).collect::<Vec<_>>());
            assert_written_as_serde_does(&bytes.iter().map(|byte| byte % 2 == 0).collect::<Vec<_>>());
            assert_written_as_serde_does(&vec![bytes.clone(), Vec::new(), bytes.clone()]);
            assert_written_as_serde_does(&Some((bytes.clone(), 7_u8)));
            assert_written_as_serde_does(&bytes.clone().into_boxed_slice());
            assert_written_as_serde_does(&Box::new(bytes.clone()));
            assert_written_as_serde_does(&bytes);
        }
    }

    #[test]
    fn bytes_that_are_not_all_there_or_too_many_are_an_error() {
        let whole = written(&vec![7_u8; 300]);
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        for bytes in cut.chain([[&whole[..], &[7]].concat(), longest.into(), vec![0xff; 20]]) {
            for outcome in
                [decode::<Vec<u8>>(Part::Argument, &bytes), decode(Part::Argument, &bytes).map(|boxed: Box<_>| *boxed)]
            {
                assert!(matches!(outcome, Err(Error::Decode(error)) if !error.message().is_empty()));
            }
        }
    }
}
