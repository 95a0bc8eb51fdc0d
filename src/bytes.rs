//! [`Bytes`]: bytes that are sent to another process fast.
//!
//! For every serialiser it is plain bytes. While this crate encodes a call for another process, an *out-of-band
//! [channel]* is set for the thread: it sends long bytes beside the encoding, which then holds a [reference](encoding) to
//! them instead.
#![forbid(unsafe_code)]

mod channel;
mod encoding;
#[cfg(test)]
mod tests;
mod value;

#[cfg(processes)]
pub(crate) use channel::keep;
pub(crate) use channel::{OutOfBand, apart, out_of_band, stored, with, with_out_of_band};
#[cfg(processes)]
pub(crate) use encoding::longer_in_place;
pub(crate) use encoding::{AsBytes, NAME, as_own};
pub use value::Bytes;
