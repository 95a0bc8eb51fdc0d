//! [`Unit`]: how a figure is shown.

use serde::{Deserialize, Serialize};

/// The unit of the shown figure. The figure itself is in seconds, or for the last three units in bytes or a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    Nanos,
    Micros,
    Millis,
    /// Seconds for this many bytes, shown as a rate.
    BytesIn(u64),
    Bytes,
    Kilobytes,
    Count,
}

impl Unit {
    /// Converts a figure to this unit.
    pub(crate) fn of(self, figure: f64) -> f64 {
        match self {
            Self::Nanos => figure * 1e9,
            Self::Micros => figure * 1e6,
            Self::Millis => figure * 1e3,
            Self::BytesIn(bytes) => bytes as f64 / figure / 1e9,
            Self::Kilobytes => figure / 1e3,
            Self::Bytes | Self::Count => figure,
        }
    }

    /// Returns `true` if more is better.
    pub(crate) fn is_rate(self) -> bool {
        matches!(self, Self::BytesIn(_))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::BytesIn(_) => "GB/s",
            Self::Bytes => "bytes",
            Self::Kilobytes => "kB",
            Self::Count => "",
        }
    }
}
