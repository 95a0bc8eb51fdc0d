//! [`Keywords`]: an argument whose fields are passed by name.
#![forbid(unsafe_code)]

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

use crate::json::KEYWORDS;

/// Passes the fields of a struct, or the entries of a map, as keyword arguments to a task in Python.
///
/// In every other format, and on every other executor, it is the same as its content.
///
/// # Examples
///
/// ```no_run
/// use concurrent_futures_celery::{CeleryExecutor, Keywords};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Resize {
///     path: String,
///     width: u32,
/// }
///
/// let cluster = CeleryExecutor::from_env()?;
/// let order = Resize { path: "flag.png".into(), width: 640 };
/// // In Python: def resize(path, width): ..
/// let resized = cluster.call::<_, String>("img.resize", Keywords(order));
/// println!("{}", resized.result()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keywords<T>(
    /// The struct or map.
    pub T,
);

impl<T: Serialize> Serialize for Keywords<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(KEYWORDS, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keywords<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(KEYWORDS, Content(PhantomData))
    }
}

struct Content<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Content<T> {
    type Value = Keywords<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keyword arguments")
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Keywords<T>, D::Error> {
        T::deserialize(deserializer).map(Keywords)
    }
}
