//! JSON as Celery writes and reads it: [`write()`] and [`Text`].
//!
//! A value that Python would not read as it was written is an error: NaN, infinities, keys of maps that are neither
//! text nor numbers, more levels than a reader accepts. Bytes, which JSON lacks, have kombu's form: `{"__type__":
//! "base64", "__value__": ".."}`.
#![forbid(unsafe_code)]

mod reader;
mod writer;

use concurrent_futures::erased_serde::{Deserializer, Serialize};
use concurrent_futures::{Encode, Error, Job, Part, Reply};

pub(crate) use reader::Text;
pub(crate) use writer::{KEYWORDS, Shape, write};

/// How deeply values may be nested. Readers accept no more: serde_json has a limit of 128 levels, some of which the
/// message needs itself, and Python has a higher one.
pub(crate) const DEEPEST: usize = 120;

/// The keys of the objects by which kombu represents what JSON lacks.
const TYPE: &str = "__type__";
const VALUE: &str = "__value__";
/// Bytes as base64; kombu writes this for bytes that are no UTF-8.
const BASE64: &str = "base64";
/// Bytes as text; kombu writes this for bytes that are UTF-8.
const BYTES: &str = "bytes";

/// Writes what a task has returned.
pub(crate) fn write_result(value: &dyn Serialize) -> Result<String, Error> {
    let written = write(value).map(|(text, _)| text);
    written.map_err(|error| Error::Encode(Encode::new(Part::Result, error.to_string())))
}

/// Completes a job with the replies to its messages, each of which is a result in JSON or an error.
pub(crate) fn complete(job: Job, replies: &[Result<String, Error>]) {
    job.read(replies.iter().map(|reply| -> Reply<'_> {
        let text = reply.as_ref().map_err(Error::clone)?;
        Ok(Box::new(<dyn Deserializer<'_>>::erase(Text(text))))
    }));
}
