//! [`Service`]: the thread of a worker, and what it knows.
//!
//! One thread has all the state of a worker, so there is no lock. It waits for the first of several things: a message, an
//! order, the outcome of a task, a stop, a time. The executor's threads only write outcomes, and pass them on by a channel.
//!
//! A request is a task that the worker has:
//!
//! | a request is | it leaves by |
//! |---|---|
//! | held, because its time has not come | its time: it runs; a revocation: answer and acknowledgement; a stop: published anew, and acknowledged |
//! | running | its outcome: what comes after it, then the answer, then the acknowledgement |
//!
//! When the connection is lost, the broker takes all messages for undelivered. Requests that are held are forgotten, and
//! come again. Those that run go on, without a tag; if the broker delivers the message of one again, it has a tag again.
//! Outcomes wait for the next connection. The message of one that was answered without a tag is acknowledged when it comes.
//! Should another worker get it first, that one answers that this worker is lost, and clients believe the first answer.
#![forbid(unsafe_code)]

use std::mem;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_io::Timer;
use concurrent_futures::{Backend, Decode, Error, Executor as _, Part, TaskOptions, TooLarge};
use futures_lite::FutureExt as _;
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use super::call::Call;
use super::events::{Events, HEARTBEAT, Vitals};
use super::ids::Ids;
use super::outcome::Outcome;
use super::request::{Origin, Request, Requests, Running, Stage};
use super::session::{Incoming, Session};
use super::signature::{after_failure, after_success};
use super::verdict::{Circumstances, Verdict, judge, revoked};
use super::{Input, Lost, Settings, Stop, Worker};
use crate::answer::{Answer, Status};
use crate::broker::{Broker, ConnectError, wait};
use crate::failure::Failure;
use crate::message::{Body, TaskMessage, json_properties};

/// How long to pause between attempts to connect: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How many revoked tasks are remembered, and how long, as by Celery.
const REVOKED: (usize, Duration) = (50_000, Duration::from_secs(3 * 60 * 60));

/// How many clients that are gone are remembered, and how many tasks whose messages may come again.
const FORGETFUL: (usize, Duration) = (1_000, Duration::from_secs(60 * 60));

/// What monitors are shown in place of arguments.
const HIDDEN: &str = "(hidden)";

pub(super) struct Service {
    broker: Broker,
    pub(super) settings: Settings,
    pub(super) executor: Box<dyn Backend>,
    /// How many tasks it runs at a time.
    pub(super) slots: u16,
    outputs: Sender<Input>,
    inputs: Receiver<Input>,
    pub(super) requests: Requests,
    /// Outcomes of requests that have left, while there is no connection.
    unsent: Vec<(Request, Outcome)>,
    pub(super) revoked: Ids,
    /// Answered without an acknowledgement.
    answered: Ids,
    /// Queues for answers that are gone.
    gone: Ids,
    pub(super) events: Events,
    /// How often each task was ended.
    pub(super) totals: std::collections::BTreeMap<String, u64>,
    pub(super) since: Instant,
    /// When the next heartbeat is due.
    heartbeat: Instant,
    /// Set by a stop, with the time at which it becomes a cold one.
    pub(super) stopping: Option<Option<Instant>>,
    is_cold: bool,
}

/// What a worker does next.
enum Next {
    Incoming(Incoming),
    Input(Input),
    Time,
}

impl Service {
    pub(super) fn new(worker: Worker) -> Self {
        let Worker { broker, settings, executor, inputs: (outputs, inputs) } = worker;
        let now = Instant::now();
        Self {
            broker,
            slots: u16::try_from(executor.max_workers()).unwrap_or(u16::MAX).max(1),
            executor,
            outputs,
            inputs,
            requests: Requests::new(),
            unsent: Vec::new(),
            revoked: Ids::new(REVOKED.0, REVOKED.1),
            answered: Ids::new(FORGETFUL.0, FORGETFUL.1),
            gone: Ids::new(FORGETFUL.0, FORGETFUL.1),
            events: Events::new(&settings.name, settings.tells_events, settings.hides_arguments),
            totals: std::collections::BTreeMap::new(),
            since: now,
            heartbeat: now,
            stopping: None,
            is_cold: false,
            settings,
        }
    }

    pub(super) fn run(mut self) -> Result<(), ConnectError> {
        let served = wait(self.connect_and_serve());
        if self.is_cold {
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
            drop(session);
            log::warn!("the connection to {} is lost, and made anew: {cause}", self.broker.address());
            self.disconnected();
            session = match self.reconnect().await {
                Some(session) => session,
                None => return Ok(()),
            };
        }
    }

    async fn open(&self) -> Result<Session, ConnectError> {
        Session::open(&self.broker, &self.settings.name, &self.settings.queues, self.slots).await
    }

    /// Notes that no message has a tag any more.
    fn disconnected(&mut self) {
        self.requests.retain(|_, request| request.is_running());
        self.requests.values_mut().for_each(|request| request.origin.tag = None);
        for (request, _) in &mut self.unsent {
            request.origin.tag = None;
        }
    }

    /// Connects again. Returns `None` if the worker is stopped, and has nothing left to say or no time for it.
    async fn reconnect(&mut self) -> Option<Session> {
        let mut pause = PAUSE.0;
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
                    pause = (2 * pause).min(PAUSE.1);
                }
                Err(Ok(Input::Done(id, outcome))) => {
                    self.unsent.extend(self.requests.remove(&id).map(|request| (request, outcome)));
                }
                Err(Ok(Input::Stop(stop))) => self.note_stop(stop),
                // The worker has a sender itself.
                Err(Err(_)) => {}
            }
            if self.stopping.flatten().is_some_and(|end| end <= Instant::now()) {
                self.give_up();
            }
            if self.is_cold {
                return None;
            }
        }
    }

    /// Does what there is to do on a connection. Returns when the worker is to end.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Lost> {
        let online = self.events.worker("online", self.vitals());
        session.tell(&online.0, &self.settings.name, &online.1).await?;
        while let Some((request, outcome)) = self.unsent.pop() {
            self.finish(session, request, &outcome).await?;
        }
        if self.stopping.is_some() {
            self.take_no_more(session).await?;
        }
        while !(self.is_cold || self.is_over() && session.is_read()) {
            match self.next(session).await? {
                Next::Incoming(Incoming::Task(delivery)) => self.take(session, *delivery).await?,
                Next::Incoming(Incoming::Order(delivery)) => self.obey(session, &delivery).await?,
                Next::Incoming(Incoming::Returned(id)) => self.note_gone(&id),
                Next::Input(Input::Done(id, outcome)) => {
                    if let Some(request) = self.requests.remove(&id) {
                        self.finish(session, request, &outcome).await?;
                    }
                }
                Next::Input(Input::Stop(stop)) => {
                    self.note_stop(stop);
                    self.take_no_more(session).await?;
                }
                Next::Time => self.on_time(session).await?,
            }
        }
        let offline = self.events.worker("offline", self.vitals());
        session.tell(&offline.0, &self.settings.name, &offline.1).await?;
        Ok(())
    }

    async fn next(&self, session: &mut Session) -> Result<Next, Lost> {
        let held = self.requests.values().filter_map(|request| match request.stage {
            Stage::Held { until, .. } => Some(until),
            Stage::Running(_) => None,
        });
        let end = self.stopping.flatten();
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
        self.stopping.is_some() && self.requests.is_empty()
    }

    pub(super) fn vitals(&self) -> Vitals {
        let running = self.requests.values().filter(|request| request.is_running()).count();
        Vitals { running, processed: self.totals.values().sum() }
    }

    fn note_stop(&mut self, stop: Stop) {
        if stop == Stop::Cold {
            return self.give_up();
        }
        let end = || self.settings.grace.and_then(|grace| Instant::now().checked_add(grace));
        self.stopping.get_or_insert_with(end);
    }

    /// Aborts what runs. Its messages are not acknowledged, so the broker has them again when the connection ends.
    fn give_up(&mut self) {
        (self.is_cold, self.stopping) = (true, Some(None));
        for (_, request) in mem::take(&mut self.requests) {
            if let Stage::Running(running) = request.stage {
                running.handle.abort();
            }
        }
    }

    /// Has the broker deliver nothing more, and gives back what has not started.
    async fn take_no_more(&mut self, session: &mut Session) -> Result<(), Lost> {
        session.cancel(None).await?;
        let (held, running) = mem::take(&mut self.requests).into_iter().partition(|(_, request)| !request.is_running());
        self.requests = running;
        for (_, Request { origin, stage, .. }) in Requests::into_iter(held) {
            // Anew, because a message that is delivered again is taken for one whose task had started.
            if let (Stage::Held { properties, body, .. }, Some(tag)) = (stage, origin.tag) {
                session.publish((&origin.exchange, &origin.routing_key), &body, properties, None).await?;
                session.ack(tag).await?;
            }
        }
        Ok(())
    }

    /// Does what is due.
    async fn on_time(&mut self, session: &mut Session) -> Result<(), Lost> {
        let now = Instant::now();
        if self.heartbeat <= now {
            self.heartbeat = now + HEARTBEAT;
            let heartbeat = self.events.worker("heartbeat", self.vitals());
            session.tell(&heartbeat.0, &self.settings.name, &heartbeat.1).await?;
        }
        if self.stopping.flatten().is_some_and(|end| end <= now) {
            log::warn!("{} tasks of the worker {} have not ended in time", self.requests.len(), self.settings.name);
            self.give_up();
        }
        let is_due = |request: &Request| matches!(request.stage, Stage::Held { until, .. } if until <= now);
        let due: Vec<String> =
            self.requests.iter().filter(|(_, request)| is_due(request)).map(|(id, _)| id.clone()).collect();
        for id in due {
            if let Some(Request { message, origin, stage: Stage::Held { body, .. } }) = self.requests.remove(&id) {
                self.start(session, message, origin, &body).await?;
            }
        }
        self.adjust_slots(session).await
    }

    /// Lets the broker deliver one more message for each that is held: those need no slot.
    async fn adjust_slots(&self, session: &Session) -> Result<(), Lost> {
        let held = self.requests.values().filter(|request| !request.is_running()).count();
        let slots = self.slots.saturating_add(u16::try_from(held).unwrap_or(u16::MAX));
        Ok(session.set_slots(slots).await?)
    }

    /// Takes a message that calls a task.
    async fn take(&mut self, session: &mut Session, delivery: Delivery) -> Result<(), Lost> {
        let Delivery { delivery_tag: tag, exchange, routing_key, redelivered, properties, data, .. } = delivery;
        let mut message = match TaskMessage::from_properties(&properties) {
            Ok(message) => message,
            Err(malformed) => return self.refuse(session, &properties, tag, &malformed.to_string()).await,
        };
        if self.settings.hides_arguments {
            (message.args_shown, message.kwargs_shown) = (HIDDEN.into(), HIDDEN.into());
        }
        let now = Instant::now();
        if let Some(request) = self.requests.get_mut(&message.id) {
            // It runs here. If it had no tag, the message is the same one; otherwise it is a copy, which its client has
            // published because it did not know whether the broker had the first.
            match request.origin.tag {
                None => request.origin.tag = Some(tag),
                Some(_) => session.ack(tag).await?,
            }
            return Ok(());
        }
        if redelivered && self.answered.forget(&message.id) {
            return Ok(session.ack(tag).await?);
        }
        let priority = properties.priority().unwrap_or(0);
        let (exchange, routing_key) = (exchange.to_string(), routing_key.to_string());
        let origin = Origin { tag: Some(tag), exchange, routing_key, is_redelivered: redelivered, priority };
        if let Some((key, event)) = self.events.received(&message) {
            session.tell(&key, &self.settings.name, &event).await?;
        }
        let most = self.settings.max_message_size;
        if data.len() > most {
            let error = Error::TooLarge(TooLarge::new(data.len() as u64, most as u64));
            return self.end(session, &message, &origin, &Outcome::of_error(&error)).await;
        }
        let circumstances = Circumstances {
            now: Timestamp::now(),
            is_revoked: self.revoked.contains(&message.id, now),
            is_orphan: message.reply_to.as_deref().is_some_and(|queue| self.gone.contains(queue, now)),
            is_redelivered: redelivered,
            redeliver: self.settings.redeliver,
        };
        match judge(&message, &circumstances) {
            Verdict::Run => self.start(session, message, origin, &data).await,
            Verdict::Hold(wait) => {
                let until = now.checked_add(wait).unwrap_or(now);
                let stage = Stage::Held { until, properties, body: data };
                self.requests.insert(message.id.clone(), Request { message, origin, stage });
                if self.stopping.is_some() {
                    self.take_no_more(session).await
                } else {
                    self.adjust_slots(session).await
                }
            }
            Verdict::PublishAgain => {
                let mut headers = properties.headers().clone().unwrap_or_default();
                let retries = i32::try_from(message.retries).map_or(i32::MAX, |retries| retries.saturating_add(1));
                headers.insert("retries".into(), AMQPValue::LongInt(retries));
                let properties = properties.with_headers(headers);
                session.publish((&origin.exchange, &origin.routing_key), &data, properties, None).await?;
                Ok(session.ack(tag).await?)
            }
            Verdict::Revoke(failure) => self.end(session, &message, &origin, &Outcome::Revoked(failure)).await,
            Verdict::Fail(failure) => {
                self.end(session, &message, &origin, &Outcome::Failed { failure, trace: None }).await
            }
            Verdict::Skip => {
                log::debug!("the task {} is left out, because its client is gone", message.id);
                Ok(session.ack(tag).await?)
            }
        }
    }

    /// Answers a message that calls no task, if it says where to. The broker keeps it, if it was told where.
    async fn refuse(
        &mut self,
        session: &mut Session,
        properties: &BasicProperties,
        tag: u64,
        why: &str,
    ) -> Result<(), Lost> {
        log::warn!("the worker {} rejects a message: {why}", self.settings.name);
        let text = |text: &lapin::types::ShortString| text.to_string();
        let (reply_to, id) = (properties.reply_to().as_ref().map(text), properties.correlation_id().as_ref().map(text));
        if let (Some(queue), Some(id)) = (reply_to, id) {
            let failure = Failure::of(&Error::Decode(Decode::new(Part::Argument, why)));
            let message = TaskMessage { id, reply_to: Some(queue), ..TaskMessage::default() };
            self.answer(session, &message, &Outcome::Failed { failure, trace: None }).await?;
        }
        Ok(session.reject(tag).await?)
    }

    /// Has the executor run a task.
    async fn start(
        &mut self,
        session: &mut Session,
        message: TaskMessage,
        origin: Origin,
        body: &[u8],
    ) -> Result<(), Lost> {
        let read = |body| {
            let body =
                Body::read(body).map_err(|error| Error::Decode(Decode::new(Part::Argument, error.to_string())))?;
            Ok((Call::read(&message.task, body.arguments())?, body.2))
        };
        let (call, embed) = match read(body) {
            Ok(read) => read,
            Err(error) => return self.end(session, &message, &origin, &Outcome::of_error(&error)).await,
        };
        if let Some((key, event)) = self.events.started(&message.id) {
            session.tell(&key, &self.settings.name, &event).await?;
        }
        if let Some(queue) = message.reply_to.as_deref().filter(|_| !message.ignore_result) {
            let started = json!({"hostname": self.settings.name, "pid": std::process::id()}).to_string();
            let answer = Answer::write(&message.id, Status::Started, &started, None);
            // Only of a client of this crate it is known that a queue which is gone means that nobody waits.
            let task = message.retries_allowed.map(|_| message.id.clone());
            session.publish(("", queue), &answer, answer_properties(&message), task).await?;
        }
        let mut options = TaskOptions::new();
        if let Some(name) = &message.shadow {
            options = options.name(&**name);
        }
        if let Some(limit) = message.time_limit {
            options = options.time_limit(limit);
        }
        if let Some(allowed) = message.retries_allowed {
            options = options.retries(allowed.saturating_sub(message.retries));
        }
        let (id, outputs, most) = (message.id.clone(), self.outputs.clone(), self.settings.max_message_size);
        let done = move |outcome| {
            // The channel is closed only when the worker has ended.
            let _ = outputs.try_send(Input::Done(id, outcome));
        };
        let (since, started) = (Instant::now(), Timestamp::now());
        match call.submit(&*self.executor, &options, most, done) {
            Ok(handle) => {
                let running = Running { handle, embed, since, started };
                let request = Request { message, origin, stage: Stage::Running(running) };
                self.requests.insert(request.message.id.clone(), request);
                Ok(())
            }
            Err(error) => self.end(session, &message, &origin, &Outcome::of_error(&error)).await,
        }
    }

    /// Ends a request that has left.
    async fn finish(&mut self, session: &mut Session, request: Request, outcome: &Outcome) -> Result<(), Lost> {
        let Request { message, origin, stage } = request;
        if let Stage::Running(Running { embed, .. }) = &stage {
            let next = match outcome {
                Outcome::Value(_) if embed.chord.as_ref().is_some_and(|chord| !chord.is_null()) => {
                    Err("the reply queues of Celery do not support chords".into())
                }
                Outcome::Value(result) => after_success(embed, result, &message),
                Outcome::Failed { .. } => after_failure(embed, &message),
                Outcome::Revoked(_) => Ok(Vec::new()),
            };
            match next {
                Ok(messages) => {
                    for next in messages {
                        let properties = next.message.properties();
                        session.publish((&next.exchange, &next.queue), &next.body, properties, None).await?;
                    }
                }
                Err(why) => {
                    log::warn!("the task {} has ended, but what comes after it is left out: {why}", message.id);
                    let failure = Failure::new("NotImplementedError", &why);
                    let outcome = Outcome::Failed { failure, trace: None };
                    return self.settle(session, &message, &origin, &outcome, &stage).await;
                }
            }
        }
        self.settle(session, &message, &origin, outcome, &stage).await
    }

    async fn settle(
        &mut self,
        session: &mut Session,
        message: &TaskMessage,
        origin: &Origin,
        outcome: &Outcome,
        stage: &Stage,
    ) -> Result<(), Lost> {
        let runtime = match stage {
            Stage::Running(running) => running.since.elapsed(),
            Stage::Held { .. } => Duration::ZERO,
        };
        *self.totals.entry(message.task.clone()).or_default() += 1;
        if let Some((key, event)) = self.events.ended(&message.id, outcome, runtime) {
            session.tell(&key, &self.settings.name, &event).await?;
        }
        self.answer(session, message, outcome).await?;
        match origin.tag {
            Some(tag) => session.ack(tag).await?,
            None => self.answered.add(&message.id, Instant::now()),
        }
        Ok(())
    }

    /// Ends a task that was not run.
    pub(super) async fn end(
        &mut self,
        session: &mut Session,
        message: &TaskMessage,
        origin: &Origin,
        outcome: &Outcome,
    ) -> Result<(), Lost> {
        if let Some((key, event)) = self.events.ended(&message.id, outcome, Duration::ZERO) {
            session.tell(&key, &self.settings.name, &event).await?;
        }
        self.answer(session, message, outcome).await?;
        if let Some(tag) = origin.tag {
            session.ack(tag).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, session: &mut Session, message: &TaskMessage, outcome: &Outcome) -> Result<(), Lost> {
        let Some(queue) = message.reply_to.as_deref().filter(|_| !message.ignore_result) else { return Ok(()) };
        let body = Answer::write(&message.id, outcome.status(), &outcome.result(), outcome.trace());
        Ok(session.publish(("", queue), &body, answer_properties(message), None).await?)
    }

    /// Does something once what is being done is done.
    pub(super) fn tell_itself(&self, input: Input) {
        // The channel is closed only when the worker has ended.
        let _ = self.outputs.try_send(input);
    }

    /// Notes that nobody waits for the answers of a client any more, and gives up what it has running here.
    fn note_gone(&mut self, id: &str) {
        let Some(queue) = self.requests.get(id).and_then(|request| request.message.reply_to.clone()) else { return };
        log::debug!("the client with the queue {queue:?} for answers is gone");
        self.gone.add(&queue, Instant::now());
        for request in self.requests.values().filter(|request| request.message.reply_to.as_deref() == Some(&queue)) {
            if let Stage::Running(running) = &request.stage {
                running.handle.abort();
            }
        }
    }

    /// Revokes tasks. Those that run are left alone, unless they are to be ended.
    pub(super) async fn revoke(&mut self, session: &mut Session, ids: &[&str], terminate: bool) -> Result<(), Lost> {
        for id in ids {
            self.revoked.add(id, Instant::now());
            match self.requests.get(*id) {
                Some(Request { stage: Stage::Running(running), .. }) => {
                    // One that its executor has not started yet can be cancelled.
                    let _ = if terminate { running.handle.abort() } else { running.handle.cancel() };
                }
                Some(_) => {
                    if let Some(Request { message, origin, .. }) = self.requests.remove(*id) {
                        self.end(session, &message, &origin, &Outcome::Revoked(revoked("revoked"))).await?;
                        self.adjust_slots(session).await?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Returns the properties of an answer. The queue of a client of this crate survives a restart of the broker, and so does
/// the answer in it.
fn answer_properties(message: &TaskMessage) -> BasicProperties {
    let correlation_id = message.correlation_id.as_deref().unwrap_or(&message.id);
    let delivery_mode = if message.retries_allowed.is_some() { 2 } else { 1 };
    json_properties()
        .with_headers(FieldTable::default())
        .with_correlation_id(correlation_id.into())
        .with_delivery_mode(delivery_mode)
}
