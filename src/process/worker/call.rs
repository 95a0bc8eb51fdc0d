//! A call of a function of the program, in a worker.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::bytes::OutOfBand;
use crate::error::{Decode, Error, Part};
use crate::fork::generation;
use crate::process::program::call::FunctionAddress;
use crate::process::program::fork;
use crate::task::encoded::Written;
use crate::task::shared_context::ReceivedContext;

/// Calls a function of the program. If the call returns in a forked copy of the worker, the copy exits here: the pool
/// does not know it, and it would run and answer the worker's tasks as well.
pub(super) fn call(
    enter: u64,
    function: u64,
    context: Option<&ReceivedContext>,
    argument: &[u8],
    reply: &mut Vec<u8>,
    out_of_band: &Arc<dyn OutOfBand>,
) -> Written {
    // The copy of a process that a bare `clone` makes is not noticed, because a system call takes longer than many items.
    let worker = generation();
    let made = FunctionAddress::make(enter, function, context, argument, reply, out_of_band);
    if generation() != worker {
        fork::exit_at_once(0);
    }
    made.unwrap_or_else(|| {
        let message = "there is no such function in the program of the worker";
        Err(Error::Decode(Decode::new(Part::Function, message)))
    })
}
