//! One worker as its pool sees it: the thread that spawns it, reads what it answers, keeps its time, and reaps it.
//!
//! The thread sleeps in one `poll` on three descriptors: the socket, the process, and a bell that others ring. It runs what completing a future
//! runs (reading the result, callbacks), so a slow callback holds up this worker and no other; new tasks are sent before.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::Signal;

use super::child::{Child, OomCounter};
use super::flight::Flight;
use super::frame::{self, Header, ItemsHead, Kind, Reader};
use super::image::{image, program};
use super::pool::Pool;
use super::segments::{Known, Mapping};
use super::supervisor::{Answered, Death, Expiry, LinkId, Next, Order, Victim};
use super::wire::Wire;
use super::worker::Setup;
use super::{entry, reply, slots};
use crate::bytes::Carrier;
use crate::error::{Broken, Error, Exit, WorkerDied};
use crate::{host, panics};

/// A process that has not said hello by then is none of ours. What it takes to be set up then is the initializer's.
const HELLO: Duration = Duration::from_secs(60);

/// So often an answer is looked for without a `poll`, which alone hears of everything else.
const LOOKS_IN_A_ROW: u32 = 16;

/// How long a worker that was told to leave, or that has closed its connection, may take to exit.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(pool: &Arc<Pool>, id: LinkId) {
    host::adopt(Arc::clone(pool) as _);
    // Whatever happens, nobody is to wait for this worker for ever.
    struct Forget<'a>(&'a Pool, LinkId);
    impl Drop for Forget<'_> {
        fn drop(&mut self) {
            self.0.forget(self.1);
        }
    }
    let _forget = Forget(pool, id);
    match Link::spawn(pool, id) {
        Ok(mut link) => link.look_after(),
        Err(error) => pool.not_started(id, &error),
    }
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
    id: LinkId,
    wire: Arc<Wire>,
    reader: Reader,
    stage: Stage,
    /// How far it came on its own.
    stage_reached: Stage,
    was_ready: bool,
    /// What is to happen when nothing else does until then.
    alarm: Option<(Instant, Alarm)>,
    /// Is something left in the outbox?
    unsent: bool,
    /// Is there an end to what the worker says, while it lives?
    hung_up: bool,
    /// Why it ended before it was ready, if it said so or was caught at it.
    complaint: Option<Error>,
    oom: OomCounter,
    /// The segments of the worker.
    known: Arc<Known>,
    carrier: Arc<dyn Carrier>,
    /// How many of them were copied out.
    collected: u64,
    /// How often the worker has sent something, when it was last looked at.
    heard: u64,
    /// How often it was looked at without a `poll`.
    looked: u32,
    orders: Vec<Order>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    /// The first task's time is up.
    Limit,
    /// It has been idle for as long as it may.
    Idle,
    /// It should have said hello, or exited.
    Kill,
}

/// A frame that is the end of a task, or a part of it.
struct Answer {
    header: Header,
    body: Range<usize>,
    items: Option<ItemsHead>,
    /// Whose it is.
    flight: Option<Arc<Flight>>,
}

impl<'a> Link<'a> {
    fn spawn(pool: &'a Arc<Pool>, id: LinkId) -> io::Result<Self> {
        let settings = &pool.settings;
        let initializer = settings.initializer.as_ref();
        let initializer = initializer.map(|parcel| (parcel.call.enter, parcel.call.function, parcel.argument.clone()));
        let setup: Setup = (pool.worker_name(id), settings.max_frame, settings.memory_limit, initializer);
        let setup = postcard::to_stdvec(&setup).map_err(|_| frame::broken("a setup that cannot be written"))?;
        let mut bytes = Vec::new();
        frame::put(&mut bytes, Kind::Setup, 0, 0, &setup);
        let (wire, theirs) = Wire::new(bytes)?;
        let wire = Arc::new(wire);
        let mut command = Command::new(program());
        command.stdin(Stdio::from(theirs)).process_group(0);
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        command.envs(settings.environment.iter().map(|(key, value)| (key, value)));
        if let Some(directory) = &settings.current_dir {
            command.current_dir(directory);
        }
        entry::announce(&mut command);
        let oom = OomCounter::read();
        wire.set_child(Child::spawn(&mut command)?);
        // Its copy of the worker's end goes with it.
        drop(command);
        pool.decide(|supervisor, _| supervisor.attach(id, Arc::clone(&wire)));
        let unsent = wire.flush();
        let known = Arc::<Known>::default();
        Ok(Self {
            pool,
            id,
            wire,
            reader: Reader::new(settings.max_frame.saturating_add(frame::OVERHEAD).max(1 << 16)),
            stage: Stage::Spawned,
            stage_reached: Stage::Spawned,
            was_ready: false,
            alarm: deadline_in(HELLO).map(|then| (then, Alarm::Kill)),
            unsent,
            hung_up: false,
            complaint: None,
            oom,
            carrier: Arc::clone(&known) as _,
            known,
            collected: 0,
            heard: 0,
            looked: 0,
            orders: Vec::new(),
            answers: Vec::new(),
        })
    }

    fn look_after(&mut self) {
        let wire = Arc::clone(&self.wire);
        let Some(child) = wire.child() else { return };
        loop {
            let event = self.sleep(child);
            if event.exited {
                break;
            }
            if event.rung {
                self.wire.hush();
            }
            if event.rung || event.writable {
                self.unsent = self.wire.flush();
            }
            if event.readable {
                self.receive();
            }
            if event.timed_out {
                self.ring_alarm();
            }
            if event.rung {
                match self.stage {
                    Stage::Serving => self.serve(),
                    Stage::Spawned | Stage::SettingUp => self.leave_unneeded(),
                    Stage::Ending => {}
                }
            }
        }
        self.bury(child);
    }

    fn sleep(&mut self, child: &Child) -> Event {
        if self.stage == Stage::Serving && self.looked < LOOKS_IN_A_ROW && self.look() {
            self.looked += 1;
            return Event { readable: true, ..Event::default() };
        }
        self.looked = 0;
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, !self.hung_up);
        wanted.set(PollFlags::OUT, self.unsent && !self.hung_up);
        let socket = self.wire.socket();
        let mut descriptors = [
            PollFd::from_borrowed_fd(child.ended(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wire.bell(), PollFlags::IN),
            PollFd::from_borrowed_fd(socket, wanted),
        ];
        // A socket that was hung up would not let anybody sleep.
        let count = if self.hung_up { 2 } else { 3 };
        let timeout = self.alarm.map(|(then, _)| timespec(then.saturating_duration_since(Instant::now())));
        let ready = match poll(&mut descriptors[..count], timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Event::default(),
            // No memory in the kernel: nothing is known to have happened.
            Err(_) => return Event { timed_out: true, ..Event::default() },
        };
        self.heard = self.wire.slots.answers();
        let [process, bell, socket] = descriptors.map(|descriptor| descriptor.revents());
        Event {
            exited: !process.is_empty(),
            rung: !bell.is_empty(),
            writable: self.unsent && !self.hung_up && socket.contains(PollFlags::OUT),
            readable: !self.hung_up && socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            timed_out: ready == 0,
        }
    }

    /// Looks for an answer for a while. Is there one?
    fn look(&mut self) -> bool {
        for _ in 0..slots::LOOKS {
            let answers = self.wire.slots.answers();
            if std::mem::replace(&mut self.heard, answers) != answers {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    fn kill(&mut self) {
        self.stage = Stage::Ending;
        self.alarm = None;
        self.wire.signal(Signal::KILL);
    }

    /// Lets it go while it is set up, if the pool was closed and has nothing for it.
    fn leave_unneeded(&mut self) {
        if self.pool.decide(|supervisor, _| supervisor.dismiss(self.id)) {
            self.wire.say_no_more();
            self.stage = Stage::Ending;
            self.alarm = deadline_in(GRACE).map(|then| (then, Alarm::Kill));
        }
    }

    fn hang_up(&mut self) {
        // It may be about to exit; if not, it can do nothing any more.
        self.hung_up = true;
        self.alarm = deadline_in(GRACE).map(|then| (then, Alarm::Kill));
        self.stage = Stage::Ending;
    }

    /// Reads once, and takes what that completed.
    fn receive(&mut self) {
        match self.reader.fill(self.wire.socket(), RecvFlags::DONTWAIT) {
            Ok(0) => self.hang_up(),
            Ok(_) => {
                if let Err(error) = self.parse() {
                    // A task has damaged its worker: there is no telling what it would send next.
                    self.complain(Error::Broken(Broken::new(format!("a worker process sent {error}"))));
                    self.kill();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.hang_up(),
        }
    }

    fn complain(&mut self, error: Error) {
        self.complaint.get_or_insert(error);
    }

    fn parse(&mut self) -> io::Result<()> {
        while let Some((header, body)) = self.reader.next()? {
            match (self.stage, header.kind) {
                (Stage::Spawned, Kind::Hello) => {
                    if self.reader.body(body) != image().build_id() {
                        return Err(frame::broken("the hello of another build of the program"));
                    }
                    self.stage = Stage::SettingUp;
                    self.stage_reached = Stage::SettingUp;
                    if self.pool.settings.initializer.is_some() {
                        // That may take as long as it likes.
                        self.alarm = None;
                    }
                }
                (Stage::SettingUp, Kind::Ready) => {
                    let (wire, slots) = (Arc::clone(&self.wire), Arc::clone(&self.wire.slots));
                    self.stage = Stage::Serving;
                    self.was_ready = true;
                    let mut orders = std::mem::take(&mut self.orders);
                    // In one decision: in between, another worker would be started for the task that this one is for.
                    let next = self.pool.decide(|supervisor, now| {
                        supervisor.ready(self.id, wire, slots);
                        supervisor.refill(self.id, false, now, &mut orders)
                    });
                    self.orders = orders;
                    self.proceed(next);
                    if self.pool.settings.max_tasks_per_worker.is_some() {
                        // One that waited for its replacement may leave.
                        self.pool.ring_all();
                    }
                }
                (Stage::SettingUp, Kind::Unfit) => {
                    let error = reply::from_bytes(self.reader.body(body));
                    self.complain(error);
                    self.stage = Stage::Ending;
                    self.alarm = deadline_in(GRACE).map(|then| (then, Alarm::Kill));
                }
                // Too late: it is to leave.
                (Stage::Ending, Kind::Hello | Kind::Ready | Kind::Unfit) => {}
                (Stage::Serving | Stage::Ending, Kind::Segment) => {
                    let memory = self.reader.descriptor()?;
                    let number = u32::try_from(header.sequence).map_err(|_| frame::broken("a segment of no number"))?;
                    self.known.add(number, Mapping::of_peer(memory)?);
                }
                (Stage::Serving | Stage::Ending, Kind::Forget) => {
                    self.known.forget(u32::try_from(header.sequence).unwrap_or(u32::MAX));
                }
                (Stage::Serving | Stage::Ending, Kind::Value | Kind::Fault | Kind::Items) => {
                    self.answered(header, body)?;
                }
                (stage, kind) => return Err(frame::broken(&format!("a frame of kind {kind:?} while {stage:?}"))),
            }
        }
        self.settle();
        Ok(())
    }

    fn answered(&mut self, header: Header, body: Range<usize>) -> io::Result<()> {
        let items = match header.kind {
            Kind::Items => {
                let head = ItemsHead::parse(self.reader.body(body.clone()));
                Some(head.ok_or_else(|| frame::broken("replies that are cut off"))?.0)
            }
            _ => None,
        };
        self.answers.push(Answer { header, body, items, flight: None });
        Ok(())
    }

    /// Takes the answered tasks from the worker, gives it new ones, and then completes the answered.
    fn settle(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        let mut orders = std::mem::take(&mut self.orders);
        let next = self.pool.decide(|supervisor, now| {
            let since = supervisor.since(self.id, now);
            let mut ended = 0;
            for answer in &mut answers {
                let Header { slot, sequence, .. } = answer.header;
                let last = answer.items.is_none_or(|head| head.last);
                answer.flight = supervisor.settle(self.id, Answered { slot, sequence, last }, now);
                ended += u32::from(last);
            }
            supervisor.observe(self.id, ended, now.saturating_duration_since(since));
            supervisor.refill(self.id, false, now, &mut orders)
        });
        self.orders = orders;
        if matches!(self.alarm, Some((_, Alarm::Idle))) {
            // If it is idle now, then from now on.
            self.alarm = None;
        }
        self.proceed(next);
        for answer in answers.drain(..) {
            self.deliver(answer);
        }
        self.answers = answers;
    }

    fn deliver(&mut self, answer: Answer) {
        let Answer { header, body, items, flight } = answer;
        // There is none if it is an answer to a task that the worker does not have.
        if let Some(flight) = flight {
            if header.kept {
                flight.kept.store(true, Ordering::Relaxed);
            }
            let carries = !flight.leases.is_empty();
            self.complete(flight, header, items, body);
            if carries {
                self.pool.trim_segments();
            }
        }
        if header.segments > 0 {
            self.collected += u64::from(header.segments);
            self.wire.slots.collect(self.collected);
        }
    }

    fn complete(&self, flight: Arc<Flight>, header: Header, items: Option<ItemsHead>, body: Range<usize>) {
        let body = self.reader.body(body);
        match (items, &flight.items) {
            (None, None) => flight.complete(header.kind, body, &self.carrier),
            (Some(head), Some(_)) if flight.note(head.first, head.count, &body[ItemsHead::LENGTH..]) => {
                if !head.last {
                    return;
                }
                // What is missing was taken back.
                flight.fail(&Error::Cancelled);
            }
            _ => flight.fail(&Error::Broken(Broken::new("a worker process sent a reply that cannot be read"))),
        }
        self.pool.count(&flight);
    }

    /// Looks for what there is to do.
    fn serve(&mut self) {
        let mut orders = std::mem::take(&mut self.orders);
        let next = self.pool.decide(|supervisor, now| supervisor.refill(self.id, false, now, &mut orders));
        self.orders = orders;
        self.proceed(next);
    }

    /// Sends what was decided to be sent, and sets the alarm.
    fn proceed(&mut self, next: Next) {
        if !self.orders.is_empty() {
            self.wire.send(self.orders.drain(..), false);
            self.unsent = self.wire.flush();
        }
        match next {
            Next::Work(deadline) => self.alarm = deadline.map(|then| (then, Alarm::Limit)),
            Next::Idle => {
                if !matches!(self.alarm, Some((_, Alarm::Idle))) {
                    let keep_alive = self.pool.settings.keep_alive;
                    self.alarm = keep_alive.and_then(deadline_in).map(|then| (then, Alarm::Idle));
                }
            }
            Next::Leave => {
                self.wire.say_no_more();
                self.stage = Stage::Ending;
                self.alarm = deadline_in(GRACE).map(|then| (then, Alarm::Kill));
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
            Some((_, Alarm::Idle)) => {
                let next = self.pool.decide(|supervisor, now| supervisor.refill(self.id, true, now, &mut self.orders));
                self.proceed(next);
            }
            Some((_, Alarm::Limit)) => {
                match self.pool.decide(|supervisor, now| supervisor.expire(self.id, now, slots::now())) {
                    Expiry::Later(then) => self.alarm = then.map(|then| (then, Alarm::Limit)),
                    Expiry::Stopped(flight) => {
                        let limit = flight.limit().unwrap_or_default();
                        flight.expire(limit);
                        self.pool.count(&flight);
                        self.kill();
                    }
                }
            }
            None => {}
        }
    }

    /// The process has ended: its last words, then its exit status, then its tasks.
    fn bury(&mut self, child: &Child) {
        // Nobody of its group is to go on writing while we read.
        child.signal(Signal::KILL);
        while let Ok(1..) = self.reader.fill(self.wire.socket(), RecvFlags::DONTWAIT) {
            if self.parse().is_err() {
                break;
            }
        }
        let exit = child.reap();
        self.wire.close();
        let Death { victim, orphans, refusal, expected, is_the_end } =
            self.pool.decide(|supervisor, now| supervisor.died(self.id, now));
        self.pool.refuse(orphans, refusal.as_ref());
        if let Some(victim) = victim {
            self.mourn(child, &exit, victim);
        }
        if !self.was_ready && !expected {
            self.report(&exit, is_the_end);
        }
    }

    /// Ends the task that the worker died of, or lets it be run again.
    fn mourn(&self, child: &Child, exit: &Exit, victim: Victim) {
        let Victim { flight, slot, sequence } = victim;
        if flight.items.is_some()
            && let Some((first, count, replies)) = self.wire.slots.read_journal(sequence)
        {
            // A journal that a task has written over is as good as none.
            flight.note(first, count, &replies);
        }
        let is_done = flight.items.is_some() && !flight.has_begun(self.wire.slots.begun(slot));
        if !is_done {
            let died = WorkerDied::new(child.pid(), exit.clone(), Some(flight.call.name().into_owned()));
            let died = match self.hint(exit) {
                Some(hint) => died.with_hint(hint),
                None => died,
            };
            let error = Error::WorkerDied(died);
            if flight.may_retry() {
                flight.retry(error);
                return self.requeue(flight);
            }
            if flight.items.is_none() {
                flight.fail(&error);
                return self.pool.count(&flight);
            }
            flight.note_error(error);
        }
        if flight.has_more() {
            return self.requeue(flight);
        }
        flight.fail(&Error::Cancelled);
        self.pool.count(&flight);
    }

    fn requeue(&self, flight: Arc<Flight>) {
        let refused = self.pool.decide(|supervisor, _| supervisor.requeue_or_refuse(&flight));
        if let Some(error) = refused {
            flight.fail(&error);
            self.pool.count(&flight);
        }
    }

    fn hint(&self, exit: &Exit) -> Option<String> {
        if let Some(complaint) = &self.complaint {
            return Some(complaint.to_string());
        }
        let killed = *exit == Exit::Signal("SIGKILL".into());
        (killed && OomCounter::read().rose_since(self.oom)).then(|| "probably by the system for want of memory".into())
    }

    /// Tells the pool of a worker that never was ready.
    fn report(&self, exit: &Exit, is_the_end: bool) {
        let initializer = self.pool.settings.initializer.is_some();
        let said_hello = self.stage_reached == Stage::SettingUp;
        let cause = match &self.complaint {
            Some(Error::Panicked(panic)) => {
                let location = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
                let worker = panic.worker_name().unwrap_or("a worker");
                format!("the initializer of {worker} panicked{location}: {}", panic.message())
            }
            Some(Error::Broken(broken)) => broken.cause().to_string(),
            Some(other) => format!("the initializer failed: {other}"),
            None if said_hello && initializer => format!("the initializer ended its worker process, which {exit}"),
            None if said_hello => format!("a worker process {exit} while it was set up"),
            None if cfg!(all(target_os = "linux", feature = "auto-entry")) => {
                format!("a worker process {exit} before it said hello")
            }
            None => format!(
                "a worker process {exit} before it said hello; is `concurrent_futures::init()` the first line of `main`?"
            ),
        };
        let fatal = said_hello && (initializer || self.complaint.is_some());
        if fatal || is_the_end {
            self.pool.break_down(&Error::Broken(Broken::new(cause)));
        } else {
            panics::shield("the program's logger", || log::warn!("{cause}"));
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Event {
    exited: bool,
    rung: bool,
    readable: bool,
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
