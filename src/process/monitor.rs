//! [`WorkerMonitor`]: the thread that looks after one worker. It spawns the worker, reads its replies, keeps its time,
//! and reaps it.
//!
//! What it knows and decides is [`MonitorState`], which is pure: the thread here reports events to it, and performs the
//! actions that it returns. The thread sleeps in one `poll` on three descriptors ([`io`]). It shares the reading of
//! short answers with threads that wait for them, see [`ReadRight`](super::shm::table::ReadRight). It runs what
//! completing a future runs (reading the result, callbacks, drops), all of it as a callback, so a slow callback delays
//! this worker and no other. New tasks are sent before that.
#![forbid(unsafe_code)]

mod early_end;
pub(super) mod event;
mod io;
mod reap;
mod replies;
mod reply;
mod start;
pub(super) mod state;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::child::OomCounter;
use super::connection::Connection;
use super::pool::Pool;
use super::protocol::reader::Reader;
use super::shm::segments::PeerSegments;
use super::shm::table;
use crate::bytes::OutOfBand;
use crate::error::Exit;
use crate::process::worker_id::WorkerId;
use crate::task::owner;
use crate::unwind;
use event::Action;
use reply::Reply;
use state::MonitorState;

/// How long a worker may take to say hello and, without an initializer, to be ready. Shorter in the crate's own tests,
/// where some workers never do.
pub(super) const HELLO: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });

type Event<'a> = event::Event<'a, Arc<Connection>, Reply>;

pub(super) fn run(pool: &Arc<Pool>, id: WorkerId) {
    owner::enter(Arc::clone(pool) as _);
    // Whatever happens, nothing may wait for this worker for ever.
    struct Forget<'a>(&'a Pool, WorkerId);
    impl Drop for Forget<'_> {
        fn drop(&mut self) {
            self.0.keep_pause(self.1);
            self.0.forget(self.1);
        }
    }
    let _forget = Forget(pool, id);
    // User code that runs here (a callback, a `Drop`, a `Serialize`, a `Deserialize`, a waker, a logger) must not wait for a task:
    // this thread may be the one that has to read its answer.
    owner::in_callback(|| match WorkerMonitor::spawn(pool, id) {
        Ok(mut monitor) => monitor.look_after(),
        Err(error) => pool.not_started(id, &error),
    });
}

struct WorkerMonitor<'a> {
    pool: &'a Arc<Pool>,
    id: WorkerId,
    connection: Arc<Connection>,
    state: MonitorState,
    reader: Reader,
    /// Set if something is left in the write queue.
    unsent: bool,
    /// Set once the worker's end of the connection is closed.
    hung_up: bool,
    /// Set if it cannot be killed, and does not end.
    is_given_up: bool,
    /// How it ended, once known.
    exit: Exit,
    oom: OomCounter,
    /// The segments of the worker.
    known: Arc<PeerSegments>,
    out_of_band: Arc<dyn OutOfBand>,
    /// How many segments of the worker were copied out.
    collected: u64,
    actions: VecDeque<Action<Reply>>,
    replies: Vec<Reply>,
    /// The memory for the bodies of short replies.
    reply_bytes: Vec<u8>,
}

impl WorkerMonitor<'_> {
    fn look_after(&mut self) {
        let connection = Arc::clone(&self.connection);
        let Some(child) = connection.child() else { return };
        loop {
            let woken = self.sleep(child);
            if woken.by_exit {
                break;
            }
            if woken.by_bell && self.connection.end_contexts() {
                self.pool.trim_segments();
            }
            if woken.by_bell || woken.is_writable {
                self.unsent = self.connection.flush();
            }
            if woken.by_bell || woken.by_reply {
                // A waiter may have left replies in the mailbox.
                self.parse_or_kill();
            }
            if woken.is_readable {
                self.receive();
            }
            // After every round of reading: a worker that sends without a pause has no more time than others.
            if let Some((due, _)) = self.state.alarm()
                && due <= Instant::now()
            {
                self.on(Event::TimePassed { clock: table::now() }, &[]);
                if self.is_given_up {
                    break;
                }
            }
            if woken.by_bell {
                self.on(Event::Woken, &[]);
            }
        }
        self.reap(child);
    }

    /// Passes the event to the state, and performs the actions that follow. `buffer` contains the bodies of replies.
    fn on(&mut self, event: Event<'_>, buffer: &[u8]) {
        let mut next = Some(event);
        loop {
            if let Some(event) = next.take() {
                let (state, actions) = (&mut self.state, &mut self.actions);
                self.pool.decide(|scheduler, now| state.on(event, scheduler, now, actions));
            }
            let Some(action) = self.actions.pop_front() else { break };
            next = self.perform(action, buffer);
        }
    }

    /// Performs an action. Returns the event that results from it, if any.
    fn perform(&mut self, action: Action<Reply>, buffer: &[u8]) -> Option<Event<'static>> {
        match action {
            Action::Send(orders) => {
                self.unsent = self.connection.send(orders);
            }
            Action::SayNoMore => self.connection.say_no_more(),
            Action::Kill => {
                self.connection.signal(Signal::KILL);
                return self.connection.signal_error().map(|_| Event::CannotBeKilled);
            }
            Action::GiveUp => self.is_given_up = true,
            Action::Deliver(remote, reply) => return self.deliver(remote, reply, buffer),
            Action::Expire(remote, limit) => remote.expire(limit),
            Action::Refuse(unstarted, reason) => {
                self.pool.refuse(unstarted, reason.as_ref());
            }
            Action::Judge(lost) => {
                let error = self.judge(&lost);
                return Some(Event::Judged(lost.remote, error));
            }
            Action::EndQueued(queued, error) => self.pool.end_queued(queued, &error),
            Action::Fail(remote, error) => remote.fail(&error),
            Action::BreakDown(error) => self.pool.break_down(&error),
            Action::Warn(text) => unwind::catch_and_log("the program's logger", || log::warn!("{text}")),
        }
        None
    }
}
