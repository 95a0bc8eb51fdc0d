//! [`ItemRunner`]: how the items of one map come to be run.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::range::Collect;

/// Runs the items of one map.
pub(crate) trait ItemRunner<A, R>: Send {
    /// Takes an item, which is behind all before it. Runs user code.
    fn add(&mut self, item: A);
    /// As `add`, for items that are [large](crate::held::is_large). Runs user code.
    fn add_boxed(&mut self, item: Box<A>);
    /// Returns the ranges that were made, in input order. Every item that was added is in one of them or in an earlier
    /// one.
    fn ranges(&mut self) -> VecDeque<Box<dyn Collect<R>>>;
    /// Cancels what has not begun: nobody wants more. Runs user code.
    fn dismiss(&mut self);
    /// Returns `true` if this is a forked copy of the process that has the items.
    fn is_lost(&self) -> bool {
        false
    }
}
