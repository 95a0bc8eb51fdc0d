//! One worker as its pool sees it: the thread that spawns it, reads what it answers, keeps its time, and reaps it.
//!
//! The thread sleeps in one `poll` on three descriptors: the socket, the process, and a bell that others ring. Short answers it shares with
//! threads that wait for them, see [`ReadRight`](super::slots::ReadRight). It runs what completing a future
//! runs (reading the result, callbacks, drops), all of it as a callback, so a slow callback holds up this worker and no other; new tasks are sent before.
#![forbid(unsafe_code)]

mod answers;
mod burial;
mod start;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::child::{Child, OomCounter};
use super::connection::Connection;
use super::pool::Pool;
use super::protocol::reader::Reader;
use super::scheduler::{Dispatch, Expiry, Next};
use super::shm::segments::PeerSegments;
use super::shm::table;
use crate::bytes::OutOfBand;
use crate::error::{Broken, Error};
use crate::process::worker_id::WorkerId;
use crate::task::owner;
use answers::Answer;

/// A process that has not said hello by then is none of ours. What it takes to be set up then is the initializer's. Shorter in the crate's
/// own tests, in which some never say it.
pub(super) const HELLO: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });

/// How long a worker that was told to leave, or that has closed its connection, may take to exit.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(pool: &Arc<Pool>, id: WorkerId) {
    owner::enter(Arc::clone(pool) as _);
    // Whatever happens, nobody is to wait for this worker for ever.
    struct Forget<'a>(&'a Pool, WorkerId);
    impl Drop for Forget<'_> {
        fn drop(&mut self) {
            self.0.forget(self.1);
        }
    }
    let _forget = Forget(pool, id);
    // Whatever it runs of the program's (a callback, a `Drop`, a `Deserialize`, a waker, a logger) must not wait for a task: that one's
    // answer may be for this very thread to read.
    owner::in_callback(|| match Link::spawn(pool, id) {
        Ok(mut link) => link.look_after(),
        Err(error) => pool.not_started(id, &error),
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not said hello.
    Spawned,
    /// It is being set up.
    SettingUp,
    Serving,
    /// It is to exit, or to be killed.
    Ending,
}

struct Link<'a> {
    pool: &'a Arc<Pool>,
    id: WorkerId,
    connection: Arc<Connection>,
    reader: Reader,
    stage: Stage,
    said_hello: bool,
    was_ready: bool,
    /// It gets no more tasks.
    is_dead: bool,
    /// It cannot be killed, and does not end.
    is_given_up: bool,
    /// What is to happen when nothing else does until then.
    alarm: Option<(Instant, Alarm)>,
    /// Is something left in the write queue?
    unsent: bool,
    /// Is there an end to what the worker says, while it lives?
    hung_up: bool,
    /// Why it ended before it was ready, if it said so or was caught at it.
    complaint: Option<Error>,
    /// It said itself that it cannot serve.
    is_unfit: bool,
    oom: OomCounter,
    /// The segments of the worker.
    known: Arc<PeerSegments>,
    out_of_band: Arc<dyn OutOfBand>,
    /// How many of them were copied out.
    collected: u64,
    orders: Vec<Dispatch>,
    answers: Vec<Answer>,
    /// The bodies of letters.
    mail: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    /// The first task's time is up.
    Limit,
    /// It has been idle for as long as it may.
    Idle,
    /// It should have said hello, or exited.
    Kill,
    /// It cannot be killed, and should have ended by itself.
    GiveUp,
}

impl Link<'_> {
    fn look_after(&mut self) {
        let connection = Arc::clone(&self.connection);
        let Some(child) = connection.child() else { return };
        loop {
            let event = self.sleep(child);
            if event.exited {
                break;
            }
            if event.rung || event.writable {
                self.unsent = self.connection.flush();
            }
            if event.rung || event.mail {
                // A waiter may have left mail.
                self.parse_or_kill();
            }
            if event.readable {
                self.receive();
            }
            if event.timed_out {
                self.ring_alarm();
                if self.is_given_up {
                    break;
                }
            }
            if event.rung {
                match self.stage {
                    Stage::Serving => self.serve(),
                    Stage::Spawned | Stage::SettingUp => self.leave_unneeded(),
                    Stage::Ending => {}
                }
            }
        }
        self.reap(child);
    }

    fn sleep(&mut self, child: &Child) -> Event {
        let has_mail = self.connection.right.set_sleeping(self.connection.table.mail());
        let event = self.poll(child, has_mail);
        if event.rung {
            // Before it is looked for what there is: what comes later is rung for again.
            self.connection.hush();
        }
        event
    }

    fn poll(&self, child: &Child, has_mail: bool) -> Event {
        let (listens, sends) = (!self.hung_up, !self.hung_up && self.unsent);
        // One that was hung up would not let anybody sleep, also where nothing is asked of it.
        let or_never = |wanted, descriptor, flags| match wanted {
            true => PollFd::from_borrowed_fd(descriptor, flags),
            false => PollFd::from_borrowed_fd(self.connection.bell(), PollFlags::empty()),
        };
        let mut descriptors = [
            PollFd::from_borrowed_fd(child.ended(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.connection.bell(), PollFlags::IN),
            or_never(listens, self.connection.socket(), PollFlags::IN),
            or_never(sends, self.connection.socket(), PollFlags::OUT),
        ];
        let timeout = match self.alarm {
            _ if has_mail => Some(Timespec::default()),
            alarm => alarm.map(|(then, _)| timespec(then.saturating_duration_since(Instant::now()))),
        };
        let ready = match poll(&mut descriptors, timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Event::default(),
            // No memory in the kernel: nothing is known to have happened.
            Err(_) => return Event { timed_out: true, ..Event::default() },
        };
        let [process, bell, incoming, outgoing] = descriptors.map(|descriptor| descriptor.revents());
        Event {
            exited: !process.is_empty(),
            rung: !bell.is_empty(),
            readable: listens && !incoming.is_empty(),
            mail: has_mail,
            writable: sends && !outgoing.is_empty(),
            timed_out: ready == 0,
        }
    }

    fn kill(&mut self) {
        self.stage = Stage::Ending;
        self.connection.signal(Signal::KILL);
        self.alarm = if self.connection.signal_error().is_some() { self.until_gone() } else { None };
    }

    /// How long the worker may take to end by itself, and what happens then: it is killed, if that is possible.
    fn until_gone(&self) -> Option<(Instant, Alarm)> {
        let alarm = if self.connection.signal_error().is_some() { Alarm::GiveUp } else { Alarm::Kill };
        deadline_in(GRACE).map(|then| (then, alarm))
    }

    /// Lets it go while it is set up, if the pool was closed and has nothing for it.
    fn leave_unneeded(&mut self) {
        if self.pool.decide(|scheduler, _| scheduler.dismiss(self.id)) {
            self.connection.say_no_more();
            self.stage = Stage::Ending;
            self.alarm = self.until_gone();
        }
    }

    fn hang_up(&mut self) {
        // It may be about to exit; if not, it can do nothing any more.
        self.hung_up = true;
        self.alarm = self.until_gone();
        self.stage = Stage::Ending;
    }

    fn complain(&mut self, error: Error) {
        self.complaint.get_or_insert(error);
    }

    /// Looks for what there is to do.
    fn serve(&mut self) {
        let mut orders = std::mem::take(&mut self.orders);
        let next = self.pool.decide(|scheduler, now| scheduler.refill(self.id, false, now, &mut orders));
        self.orders = orders;
        self.proceed(next);
    }

    /// Sends what was decided to be sent, and sets the alarm.
    fn proceed(&mut self, next: Next) {
        if !self.orders.is_empty() {
            self.connection.send(self.orders.drain(..), false);
            self.unsent = self.connection.flush();
        }
        match next {
            Next::Work(deadline) => self.alarm = deadline.map(|then| (then, Alarm::Limit)),
            Next::Wait => self.alarm = None,
            Next::Idle(since) => {
                // Not from now on: that is not when it became idle, nor when this thread last thought so.
                let keep_alive = self.pool.settings.keep_alive;
                self.alarm = keep_alive.and_then(|time| since.checked_add(time)).map(|then| (then, Alarm::Idle));
            }
            Next::Leave => {
                self.connection.say_no_more();
                self.stage = Stage::Ending;
                self.alarm = self.until_gone();
            }
            Next::End => {
                if self.stage == Stage::Serving {
                    self.stage = Stage::Ending;
                    self.alarm = None;
                }
            }
        }
    }

    fn ring_alarm(&mut self) {
        match self.alarm {
            Some((then, _)) if then > Instant::now() => {}
            Some((_, Alarm::Kill)) => {
                if matches!(self.stage, Stage::Spawned | Stage::SettingUp) {
                    let text = format!("a worker process was not ready within {HELLO:?}");
                    self.complain(Error::Broken(Broken::new(text)));
                }
                self.kill();
            }
            Some((_, Alarm::GiveUp)) => self.is_given_up = true,
            Some((_, Alarm::Idle)) => {
                self.alarm = None;
                let keep_alive = self.pool.settings.keep_alive;
                let next = self.pool.decide(|scheduler, now| {
                    // Somebody else may have received what it has answered meanwhile.
                    let idle = now.saturating_duration_since(scheduler.since(self.id, now));
                    let expired = keep_alive.is_some_and(|time| idle >= time);
                    scheduler.refill(self.id, expired, now, &mut self.orders)
                });
                self.proceed(next);
            }
            Some((_, Alarm::Limit)) => {
                match self.pool.decide(|scheduler, now| scheduler.expire(self.id, now, table::now())) {
                    Expiry::Later(then) => self.alarm = then.map(|then| (then, Alarm::Limit)),
                    Expiry::Stopped(remote) => {
                        let limit = remote.limit().unwrap_or_default();
                        // Before callbacks run: its worker has no more to do.
                        self.kill();
                        remote.expire(limit);
                    }
                }
            }
            None => {}
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Event {
    exited: bool,
    rung: bool,
    readable: bool,
    /// There was mail before it slept, so it did not.
    mail: bool,
    writable: bool,
    timed_out: bool,
}

fn deadline_in(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

fn timespec(time: Duration) -> Timespec {
    let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}
