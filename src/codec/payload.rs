//! [`Payload`]: what can be an argument or a result everywhere.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Marks what can be an argument or a result of every executor: whatever serde can carry to another process.
///
/// A struct or enum derives it: `#[derive(Serialize, Deserialize)]`. The format is not self-describing, so
/// `#[serde(untagged)]`, `tag`, `flatten`, `skip_serializing` and types like `serde_json::Value` do not come through;
/// they end the task with [`Error::Encode`](crate::Error::Encode) or [`Error::Decode`](crate::Error::Decode).
///
/// Each level of a recursive type needs some stack. A value is deserialised on the current stack or, if that is too
/// small, on another thread, with a stack of 8 MiB (16 MiB in a debug build): enough for tens of thousands of levels of
/// a small type, or thousands of levels of 1 KiB. It is serialised on the stack of the submitting thread or of the
/// worker, of which on systems other than Linux only 256 KiB are used on threads that the program has started. If the
/// stack does not suffice, the task ends with one of the same two errors, and the text says so. Dropping a value needs
/// stack too: a type that may be nested very deeply should implement `Drop` iteratively.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be carried to another process",
    note = "derive serde's `Serialize` and `Deserialize` for it, or use the methods of `ThreadPoolExecutor` itself, which take any type"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}
