//! [`ItemRunner`]: runs the items of one map.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::range::Collect;

/// Runs the items of one map.
pub(crate) trait ItemRunner<A, R>: Send {
    /// Adds an item, behind all items added before. Returns `false` if the executor refuses it because it was
    /// shut down or is broken, so that it refuses what follows as well. Runs user code.
    fn add(&mut self, item: A) -> bool;
    /// As `add`, for items that are [large](crate::held::is_large). Runs user code.
    fn add_boxed(&mut self, item: Box<A>) -> bool;
    /// Submits what is kept for a range that is not full. Returns `false` as `add` does. Runs user code.
    fn submit_rest(&mut self) -> bool {
        true
    }
    /// Returns the ranges made since the last call, in input order. Every item that was added is in one of them or in
    /// an earlier one.
    fn ranges(&mut self) -> VecDeque<Box<dyn Collect<R>>>;
    /// Cancels the items that have not begun: no more outcomes are wanted. Runs user code.
    fn dismiss(&mut self);
    /// Returns `true` in a forked copy of the process that has the items.
    fn is_lost(&self) -> bool {
        false
    }
}
