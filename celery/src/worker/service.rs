//! [`Service`]: the thread of a worker, and its state.
//!
//! One thread has all the state of a worker, so there is no lock. It waits for the first of several things: a message,
//! a control command, the outcome of a task, a stop, a time. The threads of the executor write outcomes, and send them
//! through a channel.
//!
//! A request is a task that the worker has:
//!
//! | a request is | it ends |
//! |---|---|
//! | held, because its time has not come | at its time: it runs; when it is revoked: answer and acknowledgement; at a stop, or after ten minutes: its message is published again, and acknowledged |
//! | running | with its outcome: the follow-up tasks, then the answer, then the acknowledgement |
//!
//! When the connection is lost, the broker counts all messages that were not acknowledged as undelivered. Held requests
//! are dropped, and arrive again. Running ones continue without a tag; if the broker delivers the message of one again,
//! it has a tag again. Outcomes wait for the next connection, together with those whose answers the broker had not
//! confirmed. The message of a task that was answered without a tag is acknowledged when it arrives. So is a copy,
//! which a client of this crate sends if its own connection is lost before it knows that the broker has the message. If
//! another worker gets the message first, that one answers that this worker is lost, and clients accept the first
//! answer.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_io::Timer;
use concurrent_futures::{Backend, Executor as _, named};
use futures_lite::FutureExt as _;
use futures_lite::future::pending;

use super::ended::Ended;
use super::events::{Counts, Events, HEARTBEAT};
use super::recent_ids::RecentIds;
use super::request::{Hold, Request, Requests, Stage};
use super::session::{Incoming, Session};
use super::{Input, Lost, Phase, Settings, Stop, Stopper, Worker};
use crate::broker::{Broker, ConnectError, wait};
use crate::pauses::Pauses;

/// How long the broker may keep a worker that gives up. It takes nothing while it is short of memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many revoked tasks are remembered, and for how long. Celery has the same limits.
const REVOKED: (usize, Duration) = (50_000, Duration::from_secs(3 * 60 * 60));

/// How many clients that are gone are remembered, and how many tasks whose messages may be delivered again, and for how
/// long.
const REMEMBERED: (usize, Duration) = (1_000, Duration::from_secs(60 * 60));

/// How many tasks that have ended are remembered, and for how long. A client whose connection was lost sends copies as
/// soon as it is connected again.
const ENDED: (usize, Duration) = (10_000, Duration::from_secs(10 * 60));

pub(super) struct Service {
    broker: Broker,
    pub(super) settings: Settings,
    pub(super) executor: Box<dyn Backend>,
    /// How many tasks it runs at a time.
    pub(super) slots: u16,
    pub(super) input_sender: Sender<Input>,
    inputs: Receiver<Input>,
    pub(super) stopper: Stopper,
    stops: Receiver<Stop>,
    pub(super) requests: Requests,
    /// Tasks that have ended while their answers could not be sent.
    pub(super) unsent: Vec<Ended>,
    pub(super) revoked: RecentIds,
    /// Tasks of other clients than those of this crate that were answered, but whose messages could not be
    /// acknowledged.
    pub(super) answered: RecentIds,
    /// Tasks of clients of this crate that have ended here. Copies of their messages may arrive.
    pub(super) ended: RecentIds,
    /// Queues for answers that do not exist any more.
    pub(super) gone_clients: RecentIds,
    pub(super) events: Events,
    /// How many tasks of each name have ended.
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
        let Worker { broker, settings, executor, inputs: (input_sender, inputs), stops: (_, stops) } = worker;
        let now = Instant::now();
        Self {
            broker,
            slots: u16::try_from(executor.max_workers()).unwrap_or(u16::MAX).max(1),
            executor,
            input_sender,
            inputs,
            stopper,
            stops,
            requests: Requests::default(),
            unsent: Vec::new(),
            revoked: RecentIds::new(REVOKED.0, REVOKED.1),
            answered: RecentIds::new(REMEMBERED.0, REMEMBERED.1),
            ended: RecentIds::new(ENDED.0, ENDED.1),
            gone_clients: RecentIds::new(REMEMBERED.0, REMEMBERED.1),
            events: Events::new(&settings.name, settings.sends_events, settings.hides_arguments),
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
            // Dropping the executor waits for tasks that continue although they were aborted, so another thread does
            // it.
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
        let (name, queues) = (&self.settings.name, self.settings.queues.join(", "));
        if named::all().is_ok_and(|mut tasks| tasks.next().is_none()) {
            log::warn!("the worker {name} has no tasks: is the crate that has them linked, as by `use tasks as _`?");
        }
        log::info!("the worker {name} takes tasks from {}, queues: {queues}", self.broker.address());
        loop {
            let Err(Lost(cause)) = self.serve(&mut session).await else {
                session.close().await;
                return Ok(());
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

    /// Notes that the connection is lost: no message has a tag any more, and answers that the broker has not confirmed
    /// count as not sent.
    fn disconnected(&mut self, session: Session) {
        self.unsent.extend(session.into_unconfirmed());
        drop(self.requests.take_held());
        self.requests.forget_tags();
        self.unsent.iter_mut().for_each(|ended| ended.delivery.tag = None);
    }

    /// Connects again. Returns `None` if the worker is stopped and has no answers to send, or has run out of time.
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
                // The channel cannot be closed, because the worker has a sender itself.
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

    /// Serves on a connection until the worker is to end.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Lost> {
        session.publish_events([self.events.worker("online", self.counts())]).await?;
        while let Some(ended) = self.unsent.pop() {
            self.end(session, ended).await?;
        }
        if self.phase != Phase::Serving {
            self.stop_receiving(session).await?;
        }
        while !(self.phase == Phase::GivenUp || self.is_over() && session.is_read()) {
            match self.next(session).await? {
                Next::Incoming(Incoming::Task(queue, delivery)) => self.receive(session, queue, *delivery).await?,
                Next::Incoming(Incoming::Command(delivery)) => self.handle_command(session, &delivery).await?,
                // The condition of the loop checks whether all queues have ended.
                Next::Incoming(Incoming::Ended) => {}
                Next::Incoming(Incoming::Returned(queue)) => self.note_client_gone(&queue),
                Next::Input(Input::Done(id, outcome)) => {
                    if let Some(request) = self.requests.remove(&id) {
                        self.end(session, Ended::new(request, outcome)).await?;
                    }
                }
                Next::Input(Input::Stop(stop)) => {
                    self.note_stop(stop);
                    self.stop_receiving(session).await?;
                }
                Next::Time => self.on_time(session).await?,
            }
        }
        Ok(session.publish_events([self.events.worker("offline", self.counts())]).await?)
    }

    async fn next(&self, session: &mut Session) -> Result<Next, Lost> {
        let due = self.requests.due().into_iter().chain(self.phase.end()).fold(self.heartbeat, Instant::min);
        let input = async { Ok(self.inputs.recv().await.map_or(Next::Time, Next::Input)) };
        let incoming = async { session.next().await.map(Next::Incoming) };
        let time = async {
            Timer::at(due).await;
            Ok(Next::Time)
        };
        input.or(incoming).or(time).await
    }

    /// Returns `true` if the worker is stopped and has no more tasks.
    fn is_over(&self) -> bool {
        self.phase != Phase::Serving && self.requests.is_empty()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { running: self.requests.running(), processed: self.totals.values().sum() }
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

    /// Aborts the tasks that run. Their messages are not acknowledged, so they return to the broker when the connection
    /// ends.
    fn give_up(&mut self) {
        self.phase = Phase::GivenUp;
        for request in self.requests.take_all() {
            if let Stage::Running(running) = request.stage {
                running.handle.abort();
            }
        }
    }

    /// Tells the broker to deliver no more messages, and gives back the tasks that have not started.
    pub(super) async fn stop_receiving(&mut self, session: &mut Session) -> Result<(), Lost> {
        session.cancel(None).await?;
        for request in self.requests.take_held() {
            self.give_back(session, request).await?;
        }
        Ok(())
    }

    /// Gives back a message that is held.
    async fn give_back(&mut self, session: &mut Session, request: Request) -> Result<(), Lost> {
        let Request { delivery, stage, .. } = request;
        // Anew, because a message that is delivered again is taken for one whose task had started.
        if let (Stage::Held { properties, body, .. }, Some(tag)) = (stage, delivery.tag) {
            match session.deliver(("", &delivery.queue), &body, properties).await? {
                Ok(()) => session.ack(tag).await?,
                // The broker has it again when the connection ends.
                Err(why) => log::warn!("a task that waits for its time cannot be given back: {why}"),
            }
        }
        Ok(())
    }

    /// Does what is due: a heartbeat, the end of a warm stop, held tasks whose time has come.
    async fn on_time(&mut self, session: &mut Session) -> Result<(), Lost> {
        let now = Instant::now();
        if self.heartbeat <= now {
            self.heartbeat = now + HEARTBEAT;
            session.publish_events([self.events.worker("heartbeat", self.counts())]).await?;
        }
        if self.phase.end().is_some_and(|end| end <= now) {
            log::warn!("{} tasks of the worker {} have not ended in time", self.requests.running(), self.settings.name);
            self.give_up();
        }
        let mut were_due = false;
        while let Some(request) = self.requests.take_due(now) {
            were_due = true;
            match request {
                Request { message, delivery, stage: Stage::Held { hold: Hold { is_all: true, .. }, body, .. } } => {
                    self.start(session, message, delivery, &body).await?;
                }
                request => self.give_back(session, request).await?,
            }
        }
        if were_due { self.adjust_slots(session).await } else { Ok(()) }
    }

    /// Lets the broker deliver one more message for each held task, because those need no slot.
    pub(super) async fn adjust_slots(&self, session: &Session) -> Result<(), Lost> {
        let held = u16::try_from(self.requests.held()).unwrap_or(u16::MAX);
        let slots = self.slots.saturating_add(held);
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
