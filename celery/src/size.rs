//! How large a message may be.
#![forbid(unsafe_code)]

use concurrent_futures::{Error, TooLarge};

/// How many bytes a message may have, unless a builder says otherwise.
pub(crate) const MAX_SIZE: usize = 64 << 20;

/// Returns an error if a message, or what makes up most of one, has more than `most` bytes.
pub(crate) fn check_size(size: usize, most: usize) -> Result<(), Error> {
    match size > most {
        true => Err(Error::TooLarge(TooLarge::new(size as u64, most as u64))),
        false => Ok(()),
    }
}
