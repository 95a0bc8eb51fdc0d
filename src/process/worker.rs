//! What a worker process does: it says hello, is set up, and runs one task after the other until no more will come.
//!
//! One thread, which has the name of the worker, runs the [`task_loop`]; [`runner`] lists the others, which step in
//! when it cannot continue. The main thread waits for the parent to end; then the process ends, whatever the other
//! threads are doing.
#![forbid(unsafe_code)]

mod call;
mod contexts;
pub(super) mod exit;
mod handoff;
mod item_replies;
mod items;
pub(super) mod outgoing;
mod runner;
mod task_loop;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::os;
use super::program::fork;
use super::program::image::image;
use super::protocol::frame::{Kind, UNFIT_FOR_NOW, put};
use super::protocol::reply;
use crate::error::{Broken, Error};
use crate::panics;
use exit::{LOST, complain};
use outgoing::send_all;
use task_loop::TaskLoop;

pub(super) fn main(socket: OwnedFd) -> ! {
    panics::install_hook();
    let socket = Arc::new(socket);
    let mut hello = Vec::new();
    put(&mut hello, Kind::Hello, 0, 0, image().build_id());
    send_all(&socket, &hello);
    let begun = TaskLoop::begin(&socket).and_then(|(mut task_loop, setup)| {
        // The descriptor came with the setup, behind the task table.
        let lifeline = task_loop.reader.descriptor().ok();
        runner::start(task_loop, setup)?;
        Ok(lifeline)
    });
    match begun {
        Ok(lifeline) => {
            os::outlive(&socket, lifeline);
            os::end_group();
        }
        Err(error) => {
            let text = format!("a worker process cannot begin: {error}");
            complain(&text);
            let mut unfit = Vec::new();
            put(&mut unfit, Kind::Unfit, UNFIT_FOR_NOW, 0, &reply::to_bytes(&Error::Broken(Broken::new(text))));
            send_all(&socket, &unfit);
        }
    }
    // Ends in the middle of whatever a task is doing: code that runs at a normal exit could wait for the task.
    fork::exit_at_once(LOST)
}
