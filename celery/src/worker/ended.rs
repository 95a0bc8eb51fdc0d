//! [`Ended`]: a task that has ended, until its message is acknowledged. The worker publishes its follow-up tasks, then
//! the event for monitors, then the answer, and then acknowledges the message.
//!
//! Each step is taken once. If the connection is lost in between, the other steps are taken on the next connection. The
//! answer is sent again unless the broker has confirmed it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use concurrent_futures::{Encode, Error, Part};
use futures_lite::future::zip;
use lapin::BasicProperties;
use lapin::types::FieldTable;

use super::Lost;
use super::invocation::is_known;
use super::outcome::Outcome;
use super::request::{DeliveryInfo, Request, Stage};
use super::service::Service;
use super::session::{Published, Session, Undelivered};
use super::signature::{after_failure, after_success};
use crate::answer::Answer;
use crate::failure::Failure;
use crate::message::{Embed, TaskMessage};
use crate::properties::json_properties;

/// How many bytes an answer has at most that the broker takes for certain. It takes 16 MiB by default, and rarely less.
const LARGE: usize = 64 << 10;

pub(super) struct Ended {
    message: TaskMessage,
    pub(super) delivery: DeliveryInfo,
    outcome: Outcome,
    /// The follow-up tasks, until they are published.
    embed: Embed,
    /// How long the task has run. `None` once the event for monitors is published.
    runtime: Option<Duration>,
    /// The broker has the answer, or none is wanted.
    is_answered: bool,
}

impl Ended {
    pub(super) fn new(request: Request, outcome: Outcome) -> Self {
        let Request { message, delivery, stage } = request;
        let (embed, runtime) = match stage {
            Stage::Running(running) => (running.embed, running.since.elapsed()),
            Stage::Held { .. } => (Embed::default(), Duration::ZERO),
        };
        Self { message, delivery, outcome, embed, runtime: Some(runtime), is_answered: false }
    }

    /// Makes the end of a task that was not run.
    pub(super) fn unstarted(message: TaskMessage, delivery: DeliveryInfo, outcome: Outcome) -> Self {
        Self { message, delivery, outcome, embed: Embed::default(), runtime: Some(Duration::ZERO), is_answered: false }
    }
}

impl Service {
    /// Takes all steps at the end of a task. If the connection is lost meanwhile, the next one continues.
    pub(super) async fn end(&mut self, session: &mut Session, mut ended: Ended) -> Result<(), Lost> {
        match self.publish_end(session, &mut ended).await {
            Ok((confirm, acknowledged)) => {
                let now = Instant::now();
                if ended.message.retries_allowed.is_some() {
                    self.ended.add(&ended.message.id, now);
                } else if ended.delivery.tag.is_none() {
                    self.answered.add(&ended.message.id, now);
                }
                if let Some(confirm) = confirm {
                    session.expect(Published::Answer(Box::new(ended)), confirm);
                }
                Ok(acknowledged?)
            }
            Err(lost) => {
                self.unsent.push(ended);
                Err(lost)
            }
        }
    }

    /// Takes the steps that are left. Returns the confirmation of the answer, if there is an answer, and whether the
    /// message is acknowledged: the two are sent together, in this order.
    async fn publish_end(
        &mut self,
        session: &mut Session,
        ended: &mut Ended,
    ) -> Result<(Option<lapin::PublisherConfirm>, lapin::Result<()>), Lost> {
        self.publish_follow_ups(session, ended).await?;
        let answer = match ended.is_answered {
            true => None,
            false => Self::deliver_large(session, &ended.message, &mut ended.outcome).await?,
        };
        ended.is_answered = answer.is_none();
        if let Some(runtime) = ended.runtime {
            session.publish_events(self.events.ended(&ended.message.id, &ended.outcome, runtime)).await?;
            // Names that nobody knows are not remembered: there may be any number of them.
            if is_known(&ended.message.task) {
                *self.totals.entry(ended.message.task.clone()).or_default() += 1;
            }
            ended.runtime = None;
        }
        let session = &*session;
        let answers = async {
            let Some((queue, body, properties)) = answer else { return Ok(None) };
            session.send(("", queue), &body, properties, false).await.map(Some)
        };
        let acknowledges = async {
            match ended.delivery.tag {
                Some(tag) => session.ack(tag).await,
                None => Ok(()),
            }
        };
        let (confirm, acknowledged) = zip(answers, acknowledges).await;
        Ok((confirm?, acknowledged))
    }

    /// Returns the answer that is left to be sent, if there is one. Delivers an answer here that is so large that the
    /// broker may refuse it. If the broker does, the answer that is left says so.
    ///
    /// A broker that refuses what is published on the channel of the tasks closes that channel, which would cost the
    /// tasks of messages that are on their way to this worker.
    async fn deliver_large<'m>(
        session: &mut Session,
        message: &'m TaskMessage,
        outcome: &mut Outcome,
    ) -> Result<Option<(&'m str, Vec<u8>, BasicProperties)>, Lost> {
        let Some((queue, body, properties)) = outcome.answer(message) else { return Ok(None) };
        if body.len() <= LARGE {
            return Ok(Some((queue, body, properties)));
        }
        match session.try_deliver(("", queue), &body, properties).await? {
            // Nobody waits for an answer whose queue is gone.
            Ok(()) | Err(Undelivered::NoQueue) => Ok(None),
            Err(why) => {
                *outcome = Outcome::of_error(&Error::Encode(Encode::new(Part::Result, why.to_string())));
                Ok(outcome.answer(message))
            }
        }
    }

    /// Publishes the follow-up tasks of a task.
    async fn publish_follow_ups(&mut self, session: &mut Session, ended: &mut Ended) -> Result<(), Lost> {
        let Ended { message, outcome, embed, .. } = ended;
        let messages = match outcome {
            Outcome::Value(_) if embed.chord.as_ref().is_some_and(|chord| !chord.is_null()) => {
                Err("the reply queues of Celery do not support chords".into())
            }
            Outcome::Value(result) => after_success(embed, result, message),
            Outcome::Failed { .. } => after_failure(embed, message),
            Outcome::Revoked { .. } => Ok(Vec::new()),
        };
        let mut called = messages.as_ref().map(drop).map_err(String::clone);
        for next in messages.into_iter().flatten() {
            let to = (&*next.exchange, &*next.queue);
            if let Err(why) = session.deliver(to, &next.body, next.message.properties()).await? {
                called = Err(format!("{:?} cannot be called: {why}", next.message.task));
            }
        }
        if let Err(why) = called {
            log::warn!("the task {} has ended, but its follow-up tasks are not called: {why}", message.id);
            // Clients of the follow-up tasks would wait for ever, so the task itself fails with the reason.
            if matches!(outcome, Outcome::Value(_)) {
                *outcome = Outcome::Failed { failure: Failure::new("NotImplementedError", &why), trace: None };
            }
        }
        *embed = Embed::default();
        Ok(())
    }

    /// Notes that a client is gone, because its queue for answers is. Aborts the tasks that run here for it.
    pub(super) fn note_client_gone(&mut self, queue: &str) {
        log::debug!("the client with the queue {queue:?} for answers is gone");
        self.gone_clients.add(queue, Instant::now());
        for request in self.requests.iter().filter(|request| request.message.reply_to.as_deref() == Some(queue)) {
            if let Stage::Running(running) = &request.stage {
                running.handle.abort();
            }
        }
    }

    /// Revokes tasks. With `terminate`, those that run are aborted; otherwise they continue.
    pub(super) async fn revoke(&mut self, session: &mut Session, ids: &[&str], terminate: bool) -> Result<(), Lost> {
        for id in ids {
            self.revoked.add(id, Instant::now());
            match self.requests.get(id) {
                Some(Request { stage: Stage::Running(running), .. }) => {
                    // The executor may not have started the task yet: then it is cancelled.
                    let _ = if terminate { running.handle.abort() } else { running.handle.cancel() };
                }
                Some(_) => {
                    if let Some(request) = self.requests.remove(id) {
                        self.end(session, Ended::new(request, Outcome::revoked(false))).await?;
                        self.adjust_slots(session).await?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// Returns the queue, the body and the properties of the answer with this outcome. Returns `None` if the client
    /// wants no answer.
    pub(super) fn answer<'m>(&self, message: &'m TaskMessage) -> Option<(&'m str, Vec<u8>, BasicProperties)> {
        let queue = message.reply_to.as_deref().filter(|_| !message.ignore_result)?;
        let body = Answer::write(&message.id, self.status(), &self.result(), self.trace());
        Some((queue, body, answer_properties(message)))
    }
}

/// Returns the properties of an answer. The queue of a client of this crate survives a restart of the broker, and so
/// does the answer in it.
pub(super) fn answer_properties(message: &TaskMessage) -> BasicProperties {
    let correlation_id = message.correlation_id.as_deref().unwrap_or(&message.id);
    let delivery_mode = if message.retries_allowed.is_some() { 2 } else { 1 };
    json_properties()
        .with_headers(FieldTable::default())
        .with_correlation_id(correlation_id.into())
        .with_delivery_mode(delivery_mode)
}
