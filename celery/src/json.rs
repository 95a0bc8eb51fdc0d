//! JSON as Celery writes and reads it: [`write()`] and [`Text`].
//!
//! What Python would not read back as it was written is an error and not something else: NaN, infinities, keys of maps
//! that are no text, more levels than a reader takes. Bytes, which JSON lacks, have kombu's form:
//! `{"__type__": "base64", "__value__": ".."}`.
#![forbid(unsafe_code)]

mod reader;
mod writer;

use concurrent_futures::erased_serde::{Deserializer, Serialize};
use concurrent_futures::{Encode, Error, Job, Part, Reply};

pub(crate) use reader::Text;
pub(crate) use writer::{KEYWORDS, Shape, write};

/// How deeply values may be nested. It is what readers take: serde_json has this limit, and Python a higher one.
pub(crate) const DEEPEST: usize = 120;

/// The keys of the objects that stand for what JSON lacks.
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
