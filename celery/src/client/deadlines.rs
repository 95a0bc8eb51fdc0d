//! How the link ends tasks that are overdue.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use async_io::Timer;
use concurrent_futures::{Error, TimeLimit};
use futures_lite::FutureExt as _;

use super::link::{Link, Lost};
use super::window::Overdue;

impl Link {
    /// Waits for deadlines, and ends the tasks that are overdue.
    pub(super) async fn watch(&self) -> Result<(), Lost> {
        loop {
            let mut timer: Option<(Instant, Timer)> = None;
            let (id, overdue) = poll_fn(|context| {
                let next = match self.shared.overdue(context.waker()) {
                    Ok(overdue) => return Poll::Ready(overdue),
                    Err(next) => next,
                };
                let Some(next) = next else {
                    timer = None;
                    return Poll::Pending;
                };
                let timer = match &mut timer {
                    Some((at, timer)) if *at == next => timer,
                    other => &mut other.insert((next, Timer::at(next))).1,
                };
                // The timer has just expired, so what it was set for is overdue: this future is to be polled again.
                if timer.poll(context).is_ready() {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            })
            .await;
            let Some((call, _)) = self.shared.look(|state| state.window.call(id)) else { continue };
            match overdue {
                Overdue::TimeLimit => {
                    self.shared.change(|state| state.orders.terminated.push(id));
                    self.shared
                        .answered(id, Err(Error::TimeLimit(TimeLimit::new(call.time_limit.unwrap_or_default()))));
                }
                Overdue::Withdrawn => self.shared.answered(id, Err(Error::Cancelled)),
            }
        }
    }
}
