//! What workers need from this program: how they [start](entry), and how a [function](call) is found in both processes.

pub(super) mod call;
pub(super) mod entry;
pub(super) mod fork;
pub(super) mod image;
pub(super) mod obstacle;
#[cfg_attr(target_vendor = "apple", path = "program/symbol/none.rs")]
pub(super) mod symbol;
