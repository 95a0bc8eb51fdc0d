//! What a model needs of a frame.
#![forbid(unsafe_code)]

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    /// There is none here, but a waiter asks.
    Fault,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) kind: Kind,
    pub(super) segments: u8,
}
