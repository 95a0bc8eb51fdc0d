//! How large a message may be, and the texts in it.
#![forbid(unsafe_code)]

use concurrent_futures::{Error, TooLarge};

/// How many bytes a message may have, unless a builder says otherwise.
pub(crate) const MAX_SIZE: usize = 64 << 20;

/// How many bytes AMQP has for the id of a message, and for the name of a queue or of an exchange. lapin panics beyond it.
pub(crate) const LONGEST: usize = 255;

/// How many characters of the arguments are shown in logs and monitors.
const SHOWN: usize = 1024;

/// Returns an error if a message, or what makes up most of one, has more than `most` bytes.
pub(crate) fn check_size(size: usize, most: usize) -> Result<(), Error> {
    match size > most {
        true => Err(Error::TooLarge(TooLarge::new(size as u64, most as u64))),
        false => Ok(()),
    }
}

/// Cuts arguments to what logs and monitors show.
pub(crate) fn shown(arguments: &str) -> String {
    match arguments.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &arguments[..end]),
        None => arguments.to_owned(),
    }
}
