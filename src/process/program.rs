//! This program, as its workers need it: how they [start](entry), and how both sides find a [function](call).

pub(super) mod call;
pub(super) mod entry;
pub(super) mod fork;
pub(super) mod image;
pub(super) mod obstacle;
#[cfg_attr(target_vendor = "apple", path = "program/symbol/none.rs")]
mod symbol;
