//! The errors in the replies of a worker, as bytes.
#![forbid(unsafe_code)]

use crate::error::{Broken, Error};
use crate::report::Report;

/// Encodes the error of a task.
pub(in crate::process) fn to_bytes(error: &Error) -> Vec<u8> {
    // Texts and numbers can always be encoded. No bytes would be read as a broken worker.
    postcard::to_stdvec(&Report::of(error)).unwrap_or_default()
}

/// Puts the error together that a worker took apart. The bytes may be anything, if a task has damaged the worker.
pub(in crate::process) fn from_bytes(bytes: &[u8]) -> Error {
    let unreadable = || Error::Broken(Broken::new("a worker process sent an error that cannot be read"));
    postcard::from_bytes(bytes).map_or_else(|_| unreadable(), Report::into_error)
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_an_error() {
        for bytes in [&[][..], &[0], &[1, 0, 255], &[2, 9, 0], &[77, 1], &[4, 255]] {
            assert!(matches!(from_bytes(bytes), Error::Broken(_)), "{bytes:?}");
        }
    }
}
