//! The points, by topic. Each is written once, against the trait.

use concurrent_futures::Backend;

use crate::need::Need;

/// Makes a list of points: functions with their names and needs. The compiler reports a forgotten function as dead
/// code.
macro_rules! points {
    ($($name:ident $(: $first:ident $(+ $need:ident)*)?),* $(,)?) => {
        &[$($crate::points::Point {
            name: stringify!($name),
            needs: &[$($crate::need::Need::$first, $($crate::need::Need::$need),*)?],
            run: $name,
        }),*]
    };
}

mod callbacks;
mod cancel;
mod chains;
mod completed;
mod contexts;
mod costs;
mod future;
mod hooks;
mod map;
mod map_limits;
mod retry;
mod shutdown;
mod submit;
mod wait;

/// Makes an executor with the given number of workers.
pub(crate) type Make = dyn Fn(usize) -> Box<dyn Backend> + Send + Sync;

/// One thing that an executor promises.
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&Make),
}

/// The points of one file.
pub(crate) type Points = &'static [Point];

/// All points, by file.
pub(crate) const FILES: &[(&str, Points)] = &[
    ("callbacks", callbacks::POINTS),
    ("cancel", cancel::POINTS),
    ("chains", chains::POINTS),
    ("completed", completed::POINTS),
    ("contexts", contexts::POINTS),
    ("costs", costs::POINTS),
    ("future", future::POINTS),
    ("hooks", hooks::POINTS),
    ("map", map::POINTS),
    ("map_limits", map_limits::POINTS),
    ("retry", retry::POINTS),
    ("shutdown", shutdown::POINTS),
    ("submit", submit::POINTS),
    ("wait", wait::POINTS),
];
