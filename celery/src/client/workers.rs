//! [`Workers`]: what is known of the workers, and which callers ask about them.
//!
//! Workers answer questions that are broadcast to them, and send a heartbeat every two seconds. The link listens to
//! heartbeats only while a caller waits for workers, or while a task runs that would hang if its worker died.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::orders::Question;
use super::shared::{Shared, State};

/// How long workers have to answer, as Celery's own tools wait.
const ANSWERS: Duration = Duration::from_secs(1);

/// Describes a worker of the cluster, as it has answered. Returned by
/// [`CeleryExecutor::workers`](crate::CeleryExecutor::workers).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// The name, such as `celery@host`.
    pub name: String,
    /// How many tasks it runs at the same time, if it has said so.
    pub slots: Option<usize>,
    /// The names of the tasks that it can run.
    pub tasks: Vec<String>,
}

/// What each worker has answered to a question, by the name of the worker.
type Answers = BTreeMap<String, Value>;

#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// When the last event of each worker arrived, while the link listens.
    heard: BTreeMap<Box<str>, Instant>,
    /// Answers by the ticket of the question, as long as a caller waits for them.
    answers: BTreeMap<Uuid, Answers>,
    /// The method to ask each new worker for, by the ticket of the caller that waits for workers.
    newcomers: BTreeMap<Uuid, &'static str>,
}

impl Workers {
    /// Returns `true` if a caller waits for workers.
    pub(crate) fn are_awaited(&self) -> bool {
        !self.newcomers.is_empty()
    }

    /// Stores an answer, unless nobody waits for it any more.
    pub(crate) fn answered(&mut self, ticket: Uuid, answer: serde_json::Map<String, Value>) {
        if let Some(answers) = self.answers.get_mut(&ticket) {
            answers.extend(answer);
        }
    }

    /// Notes an event of a worker. Returns what to ask the worker, if it is new.
    pub(crate) fn heard(&mut self, worker: &str, now: Instant) -> Vec<Question> {
        if let Some(last) = self.heard.get_mut(worker) {
            *last = now;
            return Vec::new();
        }
        self.heard.insert(worker.into(), now);
        self.newcomers.iter().map(|(&ticket, &method)| Question { method, ticket }).collect()
    }

    /// Forgets workers that have been silent since then, of which there may be any number in time.
    pub(crate) fn forget_before(&mut self, time: Instant) {
        self.heard.retain(|_, last| *last >= time);
    }

    /// Returns when the last event of a worker arrived.
    pub(crate) fn last_heard(&self, worker: &str) -> Option<Instant> {
        self.heard.get(worker).copied()
    }

    /// Forgets the events of workers, because the link does not listen any more.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
    }
}

impl Shared {
    /// Asks all workers, and collects their answers until `take` returns a result or the time is up. With `newcomers`,
    /// workers that appear meanwhile are asked as well.
    fn ask<R>(
        &self,
        method: &'static str,
        timeout: Duration,
        newcomers: bool,
        mut take: impl FnMut(&Answers) -> Option<R>,
    ) -> Result<R, Answers> {
        let ticket = Uuid::new_v4();
        self.change(|state| {
            state.workers.answers.insert(ticket, Answers::new());
            state.orders.questions.push(Question { method, ticket });
            if newcomers {
                state.workers.newcomers.insert(ticket, method);
            }
        });
        let taken = self.block_until(Instant::now().checked_add(timeout), |state: &mut State| {
            let taken = state.workers.answers.get(&ticket).and_then(&mut take);
            // Nobody asks workers for an executor that is over.
            taken.map(Some).or((state.broken.is_some() || state.is_over()).then_some(None))
        });
        self.change(|state| {
            state.workers.newcomers.remove(&ticket);
            let answers = state.workers.answers.remove(&ticket).unwrap_or_default();
            taken.flatten().ok_or(answers)
        })
    }

    /// Blocks until `count` workers read a queue, or the time is up. Returns how many do.
    pub(crate) fn wait_for_workers(&self, queue: &str, count: usize, timeout: Duration) -> usize {
        let reads_queue = |queues: &&Value| {
            let mut queues = queues.as_array().into_iter().flatten();
            queues.any(|described| described["name"] == queue)
        };
        let readers = |answers: &Answers| answers.values().filter(reads_queue).count();
        let enough = |answers: &Answers| Some(readers(answers)).filter(|&readers| readers >= count);
        self.ask("active_queues", timeout, true, enough).unwrap_or_else(|answers| readers(&answers))
    }

    /// Asks all workers for their names, slots and tasks. Blocks for [`ANSWERS`].
    pub(crate) fn workers(&self) -> Vec<WorkerInfo> {
        let all = |method| match self.ask(method, ANSWERS, false, |_| None::<()>) {
            Ok(()) => Answers::new(),
            Err(answers) => answers,
        };
        let (stats, mut registered) = std::thread::scope(|scope| {
            let stats = scope.spawn(|| all("stats"));
            let registered = all("registered");
            (stats.join().unwrap_or_default(), registered)
        });
        let info = |(name, stats): (String, Value)| {
            let slots = stats["pool"]["max-concurrency"].as_u64().and_then(|slots| slots.try_into().ok());
            let tasks = registered.remove(&name).and_then(|tasks| serde_json::from_value(tasks).ok());
            WorkerInfo { name, slots, tasks: tasks.unwrap_or_default() }
        };
        stats.into_iter().map(info).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Workers;

    #[test]
    fn workers_that_are_gone_for_long_are_forgotten() {
        let (mut workers, now, minute) = (Workers::default(), Instant::now(), Duration::from_secs(60));
        assert!(workers.heard("gone", now).is_empty() && workers.heard("here", now).is_empty());
        assert!(workers.heard("here", now + minute).is_empty());
        workers.forget_before(now + minute);
        assert_eq!((workers.last_heard("gone"), workers.last_heard("here")), (None, Some(now + minute)));
    }
}
