//! [`Service`]: the thread of a worker, and what it knows.
//!
//! One thread has all the state of a worker, so there is no lock. It waits for the first of several things: a message, an
//! order, the outcome of a task, a stop, a time. The executor's threads only write outcomes, and pass them on by a channel.
//!
//! A request is a task that the worker has:
//!
//! | a request is | it leaves by |
//! |---|---|
//! | held, because its time has not come | its time: it runs; a revocation: answer and acknowledgement; a stop, or ten minutes: published anew, and acknowledged |
//! | running | its outcome: what comes after it, then the answer, then the acknowledgement |
//!
//! When the connection is lost, the broker takes all messages for undelivered. Requests that are held are forgotten, and
//! come again. Those that run go on, without a tag; if the broker delivers the message of one again, it has a tag again.
//! Outcomes wait for the next connection, and so do those whose answers the broker had not confirmed. The message of one that
//! was answered without a tag is acknowledged when it comes. So is a copy, which a client of this crate sends if its own
//! connection is lost before it knows that the broker has the message.
//! Should another worker get it first, that one answers that this worker is lost, and clients believe the first answer.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_io::Timer;
use concurrent_futures::{Backend, Executor as _};
use futures_lite::FutureExt as _;
use futures_lite::future::pending;

use super::ended::Ended;
use super::events::{Events, HEARTBEAT, Vitals};
use super::ids::Ids;
use super::request::{Hold, Request, Requests, Stage};
use super::session::{Incoming, Session};
use super::{Input, Lost, Phase, Settings, Stop, Stopper, Worker};
use crate::broker::{Broker, ConnectError, wait};
use crate::pauses::Pauses;

/// How long the broker may keep a worker that gives up. It takes nothing while it is short of memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many revoked tasks are remembered, and how long, as by Celery.
const REVOKED: (usize, Duration) = (50_000, Duration::from_secs(3 * 60 * 60));

/// How many clients that are gone are remembered, and how many tasks whose messages may come again.
const FORGETFUL: (usize, Duration) = (1_000, Duration::from_secs(60 * 60));

/// How many tasks that have ended are remembered. A client whose connection was lost sends its copies as soon as it has a new
/// one.
const ENDED: (usize, Duration) = (10_000, Duration::from_secs(10 * 60));

pub(super) struct Service {
    broker: Broker,
    pub(super) settings: Settings,
    pub(super) executor: Box<dyn Backend>,
    /// How many tasks it runs at a time.
    pub(super) slots: u16,
    pub(super) outputs: Sender<Input>,
    inputs: Receiver<Input>,
    pub(super) stopper: Stopper,
    stops: Receiver<Stop>,
    pub(super) requests: Requests,
    /// What tasks have come to, while it cannot be sent.
    pub(super) unsent: Vec<Ended>,
    pub(super) revoked: Ids,
    /// Answered without an acknowledgement, for clients other than those of this crate.
    pub(super) answered: Ids,
    /// Ended here, for clients of this crate: they may send copies.
    pub(super) ended: Ids,
    /// Queues for answers that are gone.
    pub(super) gone: Ids,
    pub(super) events: Events,
    /// How often each task was ended.
    pub(super) totals: BTreeMap<String, u64>,
    pub(super) since: Instant,
    /// When the next heartbeat is due.
    heartbeat: Instant,
    pub(super) phase: Phase,
}

/// What a worker does next.
enum Next {
    Incoming(Incoming),
    Input(Input),
    Time,
}

impl Service {
    pub(super) fn new(worker: Worker) -> Self {
        let stopper = worker.stopper();
        let Worker { broker, settings, executor, inputs: (outputs, inputs), stops: (_, stops) } = worker;
        let now = Instant::now();
        Self {
            broker,
            slots: u16::try_from(executor.max_workers()).unwrap_or(u16::MAX).max(1),
            executor,
            outputs,
            inputs,
            stopper,
            stops,
            requests: Requests::new(),
            unsent: Vec::new(),
            revoked: Ids::new(REVOKED.0, REVOKED.1),
            answered: Ids::new(FORGETFUL.0, FORGETFUL.1),
            ended: Ids::new(ENDED.0, ENDED.1),
            gone: Ids::new(FORGETFUL.0, FORGETFUL.1),
            events: Events::new(&settings.name, settings.tells_events, settings.hides_arguments),
            totals: BTreeMap::new(),
            since: now,
            heartbeat: now,
            phase: Phase::Serving,
            settings,
        }
    }

    pub(super) fn run(mut self) -> Result<(), ConnectError> {
        let kept = has_to_end(self.stops.clone(), self.settings.grace);
        let served = wait(async { Some(self.connect_and_serve().await) }.or(async {
            kept.await;
            None
        }));
        let served = served.unwrap_or_else(|| {
            log::warn!("the broker at {} keeps the worker {}, which ends", self.broker.address(), self.settings.name);
            self.give_up();
            Ok(())
        });
        if self.phase == Phase::GivenUp {
            // Its drop waits for tasks that go on although they were aborted.
            self.executor.close();
            self.executor.cancel_pending();
            let executor = self.executor;
            if !executor.join(Some(Duration::ZERO)) {
                let _ = std::thread::Builder::new().name("celery-leftovers".into()).spawn(move || drop(executor));
            }
        } else {
            self.executor.shutdown();
        }
        served
    }

    async fn connect_and_serve(&mut self) -> Result<(), ConnectError> {
        let mut session = self.open().await?;
        log::info!("the worker {} takes tasks from {}", self.settings.name, self.broker.address());
        loop {
            let cause = match self.serve(&mut session).await {
                Ok(()) => {
                    session.close().await;
                    return Ok(());
                }
                Err(Lost(cause)) => cause,
            };
            log::warn!("the connection to {} is lost, and made anew: {cause}", self.broker.address());
            self.disconnected(session);
            session = match self.reconnect().await {
                Some(session) => session,
                None => return Ok(()),
            };
        }
    }

    async fn open(&self) -> Result<Session, ConnectError> {
        Session::open(&self.broker, &self.settings.name, &self.settings.queues, self.slots).await
    }

    /// Notes that no message has a tag any more, and that what the broker has not confirmed is not sent.
    fn disconnected(&mut self, session: Session) {
        self.unsent.extend(session.into_unconfirmed());
        self.requests.retain(|_, request| request.is_running());
        self.requests.values_mut().for_each(|request| request.origin.tag = None);
        self.unsent.iter_mut().for_each(|ended| ended.origin.tag = None);
    }

    /// Connects again. Returns `None` if the worker is stopped, and has nothing left to say or no time for it.
    async fn reconnect(&mut self) -> Option<Session> {
        let pauses = Pauses::new();
        let mut pause = pauses.next();
        loop {
            if self.is_over() && self.unsent.is_empty() {
                return None;
            }
            let paused = Timer::after(pause);
            let attempt = async {
                paused.await;
                Ok(self.open().await)
            };
            let input = async { Err(self.inputs.recv().await) };
            match attempt.or(input).await {
                Ok(Ok(session)) => return Some(session),
                Ok(Err(error)) => {
                    log::debug!("no connection yet: {error}");
                    pause = pauses.next();
                }
                Err(Ok(Input::Done(id, outcome))) => {
                    self.unsent.extend(self.requests.remove(&id).map(|request| Ended::new(request, outcome)));
                }
                Err(Ok(Input::Stop(stop))) => self.note_stop(stop),
                // The worker has a sender itself.
                Err(Err(_)) => {}
            }
            if self.phase.end().is_some_and(|end| end <= Instant::now()) {
                self.give_up();
            }
            if self.phase == Phase::GivenUp {
                return None;
            }
        }
    }

    /// Does what there is to do on a connection. Returns when the worker is to end.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Lost> {
        session.tell([self.events.worker("online", self.vitals())]).await?;
        while let Some(ended) = self.unsent.pop() {
            self.end(session, ended).await?;
        }
        if self.phase != Phase::Serving {
            self.take_no_more(session).await?;
        }
        while !(self.phase == Phase::GivenUp || self.is_over() && session.is_read()) {
            match self.next(session).await? {
                Next::Incoming(Incoming::Task(queue, delivery)) => self.take(session, queue, *delivery).await?,
                Next::Incoming(Incoming::Order(delivery)) => self.obey(session, &delivery).await?,
                // Whether all of them have ended is asked above.
                Next::Incoming(Incoming::Ended) => {}
                Next::Incoming(Incoming::Returned(queue)) => self.note_gone(&queue),
                Next::Input(Input::Done(id, outcome)) => {
                    if let Some(request) = self.requests.remove(&id) {
                        self.end(session, Ended::new(request, outcome)).await?;
                    }
                }
                Next::Input(Input::Stop(stop)) => {
                    self.note_stop(stop);
                    self.take_no_more(session).await?;
                }
                Next::Time => self.on_time(session).await?,
            }
        }
        Ok(session.tell([self.events.worker("offline", self.vitals())]).await?)
    }

    async fn next(&self, session: &mut Session) -> Result<Next, Lost> {
        let held = self.requests.values().filter_map(|request| match request.stage {
            Stage::Held { hold, .. } => Some(hold.until),
            Stage::Running(_) => None,
        });
        let end = self.phase.end();
        let due = held.chain(end).fold(self.heartbeat, Instant::min);
        let input = async { Ok(self.inputs.recv().await.map_or(Next::Time, Next::Input)) };
        let incoming = async { session.next().await.map(Next::Incoming) };
        let time = async {
            Timer::at(due).await;
            Ok(Next::Time)
        };
        input.or(incoming).or(time).await
    }

    /// Returns `true` if the worker is to end, and has no more tasks.
    fn is_over(&self) -> bool {
        self.phase != Phase::Serving && self.requests.is_empty()
    }

    pub(super) fn vitals(&self) -> Vitals {
        let running = self.requests.values().filter(|request| request.is_running()).count();
        Vitals { running, processed: self.totals.values().sum() }
    }

    fn note_stop(&mut self, stop: Stop) {
        if stop == Stop::Cold {
            return self.give_up();
        }
        if self.phase == Phase::Serving {
            let end = self.settings.grace.and_then(|grace| Instant::now().checked_add(grace));
            self.phase = Phase::Finishing(end);
        }
    }

    /// Aborts what runs. Its messages are not acknowledged, so the broker has them again when the connection ends.
    fn give_up(&mut self) {
        self.phase = Phase::GivenUp;
        for (_, request) in mem::take(&mut self.requests) {
            if let Stage::Running(running) = request.stage {
                running.handle.abort();
            }
        }
    }

    /// Has the broker deliver nothing more, and gives back what has not started.
    pub(super) async fn take_no_more(&mut self, session: &mut Session) -> Result<(), Lost> {
        session.cancel(None).await?;
        let (held, running) = mem::take(&mut self.requests).into_iter().partition(|(_, request)| !request.is_running());
        self.requests = running;
        for (_, request) in Requests::into_iter(held) {
            self.give_back(session, request).await?;
        }
        Ok(())
    }

    /// Gives back a message that is held.
    async fn give_back(&mut self, session: &mut Session, request: Request) -> Result<(), Lost> {
        let Request { origin, stage, .. } = request;
        // Anew, because a message that is delivered again is taken for one whose task had started.
        if let (Stage::Held { properties, body, .. }, Some(tag)) = (stage, origin.tag) {
            match session.deliver(("", &origin.queue), &body, properties).await? {
                Ok(()) => session.ack(tag).await?,
                // The broker has it again when the connection ends.
                Err(why) => log::warn!("a task that waits for its time cannot be given back: {why}"),
            }
        }
        Ok(())
    }

    /// Does what is due.
    async fn on_time(&mut self, session: &mut Session) -> Result<(), Lost> {
        let now = Instant::now();
        if self.heartbeat <= now {
            self.heartbeat = now + HEARTBEAT;
            session.tell([self.events.worker("heartbeat", self.vitals())]).await?;
        }
        if self.phase.end().is_some_and(|end| end <= now) {
            log::warn!("{} tasks of the worker {} have not ended in time", self.requests.len(), self.settings.name);
            self.give_up();
        }
        let is_due = |request: &Request| matches!(request.stage, Stage::Held { hold, .. } if hold.until <= now);
        let due: Vec<String> =
            self.requests.iter().filter(|(_, request)| is_due(request)).map(|(id, _)| id.clone()).collect();
        if due.is_empty() {
            return Ok(());
        }
        for id in due {
            match self.requests.remove(&id) {
                Some(Request { message, origin, stage: Stage::Held { hold: Hold { is_all: true, .. }, body, .. } }) => {
                    self.start(session, message, origin, &body).await?;
                }
                Some(request) => self.give_back(session, request).await?,
                None => {}
            }
        }
        self.adjust_slots(session).await
    }

    /// Lets the broker deliver one more message for each that is held: those need no slot.
    pub(super) async fn adjust_slots(&self, session: &Session) -> Result<(), Lost> {
        let held = self.requests.values().filter(|request| !request.is_running()).count();
        let slots = self.slots.saturating_add(u16::try_from(held).unwrap_or(u16::MAX));
        Ok(session.set_slots(slots).await?)
    }
}

/// Waits until a worker has to be at its end, which it is before unless the broker takes nothing that it sends.
async fn has_to_end(stops: Receiver<Stop>, grace: Option<Duration>) {
    let mut end: Option<Instant> = None;
    loop {
        let stop = stops.recv();
        let is_late = async {
            match end {
                Some(end) => Timer::at(end).await,
                None => pending().await,
            };
            Ok(Stop::Cold)
        };
        match stop.or(is_late).await {
            Ok(Stop::Cold) => break,
            Ok(Stop::Warm) => end = end.or(grace.and_then(|grace| Instant::now().checked_add(grace))),
            // The worker has a sender itself.
            Err(_) => pending().await,
        }
    }
    Timer::after(PATIENCE).await;
}
