//! [`Window`]: the tasks that a client has submitted and that are not done. Pure: no I/O, no clock, no lock, no user
//! code.
//!
//! A task is one message, or several if it is a chunk of a map. At most `in_flight` messages are published and not
//! answered; all others wait here, in the order of submission. Messages that wait here can be cancelled exactly. Only a
//! worker knows whether a task that was published has started.
//!
//! | a message is | its arguments | cancelled | answered | the connection is lost |
//! |---|---|---|---|---|
//! | waiting | kept | exactly, unless it was published before | it was published before: it leaves | stays |
//! | sent | kept, to send them again | a worker may have it: revoked by broadcast | it leaves | waits again, at its old place |
//! | confirmed: the broker has it | dropped | the same | it leaves | stays: the broker keeps it |
//!
//! A message leaves with its first answer, so a second one changes nothing. A task leaves with the answer to its last
//! message; the caller that takes it out completes its job, without the lock. Until that is on its way, the window is not
//! empty: a caller that waits for it to be empty would end what completes jobs.
//!
//! | who takes a task out | and then |
//! |---|---|
//! | [`answered`](Window::answered) | completes the job with the replies |
//! | [`left`](Window::left): the future was cancelled or aborted | drops the job, whose task has ended |
//! | [`take_unsent`](Window::take_unsent), [`take_all`](Window::take_all) | fails the job |
//!
//! The job itself is away while it is entrusted and while it is told that it runs, because that is done without the
//! lock. If its task has been taken out meanwhile, [`put`](Window::put) gives the job back: it is done.
//!
//! The file is longer than others, because all of its methods keep the same maps consistent.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use concurrent_futures::{Error, FutureId, Job};
use uuid::Uuid;

use crate::answer::Started;
use crate::args::Written;

/// What all messages of a task have in common.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The name of the task on the cluster.
    pub(crate) task: Box<str>,
    /// The name that the caller has given it, for its errors.
    pub(crate) shadow: Option<Box<str>>,
    pub(crate) queue: Arc<str>,
    pub(crate) time_limit: Option<Duration>,
    /// How often it may be run again when its worker is lost.
    pub(crate) retries: u32,
    /// Its place in a trace, if this program has traces.
    pub(crate) traceparent: Option<Box<str>>,
    /// Whether it ends with an error if its queue is full.
    pub(crate) refuse_when_full: bool,
}

/// The result of one message in JSON, or its error.
pub(crate) type Reply = Result<String, Error>;

/// A task all of whose messages have been answered.
pub(crate) struct Finished<J = Job> {
    pub(crate) job: J,
    pub(crate) replies: Vec<Reply>,
}

/// A message to publish.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: Uuid,
    pub(crate) call: Arc<Call>,
    pub(crate) arguments: Arc<Written>,
}

/// Why a message is overdue when its deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The worker should have ended the task at its time limit.
    TimeLimit,
    /// No worker has confirmed that it will not run the task.
    Withdrawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    Sent,
    Confirmed,
}

struct Message {
    task: FutureId,
    /// Its place among the messages of the task.
    item: usize,
    /// Its place in the order of submission, which it keeps when it has to wait again.
    ticket: u64,
    place: Place,
    /// Whether it was ever sent: then a worker may have it.
    was_sent: bool,
    /// The arguments, until the broker has confirmed the message.
    arguments: Option<Arc<Written>>,
    /// The worker that has reported that it runs the message.
    worker: Option<Box<str>>,
    deadline: Option<(Instant, Overdue)>,
}

struct Task<J> {
    /// `None` while the job is away: see the head of the file.
    job: Option<J>,
    call: Arc<Call>,
    messages: Vec<Uuid>,
    replies: Vec<Option<Reply>>,
    is_running: bool,
    /// It was taken back, and its future is about to be cancelled. None of its messages is published any more.
    is_revoked: bool,
    /// Its future is about to be aborted, and the workers are to end the task.
    is_aborted: bool,
}

/// What was found when a task was revoked.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Revoked {
    /// No worker has the task, and none ever will.
    pub(crate) is_exact: bool,
    /// Messages that workers may have.
    pub(crate) published: Vec<Uuid>,
}

pub(crate) struct Window<J = Job> {
    in_flight: usize,
    tasks: HashMap<FutureId, Task<J>>,
    messages: HashMap<Uuid, Message>,
    /// Messages to publish, by their tickets.
    waiting: BTreeMap<u64, Uuid>,
    /// How many messages are sent or confirmed.
    out: usize,
    /// How many tasks run.
    running: usize,
    /// How many tasks have finished without their jobs being handed over to those who complete them.
    leaving: usize,
    deadlines: BTreeSet<(Instant, Uuid)>,
    /// Messages that workers run which are not run again if their worker is lost. The link looks here whenever it
    /// wakes.
    at_workers: HashSet<Uuid>,
    next_ticket: u64,
}

impl<J> Window<J> {
    pub(crate) fn new(in_flight: usize) -> Self {
        Self {
            in_flight,
            tasks: HashMap::new(),
            messages: HashMap::new(),
            waiting: BTreeMap::new(),
            out: 0,
            running: 0,
            leaving: 0,
            deadlines: BTreeSet::new(),
            at_workers: HashSet::new(),
            next_ticket: 0,
        }
    }

    /// Returns how many tasks are here.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.leaving == 0
    }

    /// Notes that a finished task is with those who complete jobs.
    pub(crate) fn handed_over(&mut self) {
        self.leaving -= 1;
    }

    /// Returns how many tasks are running.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Adds a task, whose job is added by [`put`](Window::put). Messages that could not be written count as answered.
    pub(crate) fn enter(&mut self, id: FutureId, call: Arc<Call>, items: Vec<Result<Written, Error>>) {
        let mut task = Task {
            job: None,
            call,
            messages: Vec::with_capacity(items.len()),
            replies: Vec::with_capacity(items.len()),
            is_running: false,
            is_revoked: false,
            is_aborted: false,
        };
        for (item, arguments) in items.into_iter().enumerate() {
            let arguments = match arguments {
                Ok(arguments) => Some(Arc::new(arguments)),
                Err(error) => {
                    task.replies.push(Some(Err(error)));
                    continue;
                }
            };
            let (message, ticket) = (Uuid::new_v4(), self.next_ticket);
            self.next_ticket += 1;
            task.replies.push(None);
            task.messages.push(message);
            let place = Place::Waiting;
            let message_of_item =
                Message { task: id, item, ticket, place, was_sent: false, arguments, worker: None, deadline: None };
            self.messages.insert(message, message_of_item);
        }
        self.tasks.insert(id, task);
    }

    /// Puts a job that was away to its task, whose messages may be published from now on. Gives the job back if its
    /// task was taken out meanwhile.
    pub(crate) fn put(&mut self, id: FutureId, job: J) -> Result<Option<Finished<J>>, J> {
        let Some(task) = self.tasks.get_mut(&id) else { return Err(job) };
        task.job = Some(job);
        for message in task.messages.iter().filter(|_| !task.is_revoked) {
            if let Some(Message { ticket, place: Place::Waiting, .. }) = self.messages.get(message) {
                self.waiting.insert(*ticket, *message);
            }
        }
        Ok(self.finish(id))
    }

    /// Returns the next message to publish, if there is room for one.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        if self.out >= self.in_flight {
            return None;
        }
        let (_, id) = self.waiting.pop_first()?;
        let message = self.messages.get_mut(&id)?;
        (message.place, message.was_sent) = (Place::Sent, true);
        self.out += 1;
        let arguments = Arc::clone(message.arguments.as_ref()?);
        Some(Outgoing { id, call: Arc::clone(&self.tasks.get(&message.task)?.call), arguments })
    }

    /// Notes that the broker has a message.
    pub(crate) fn confirmed(&mut self, id: Uuid) {
        if let Some(message) = self.messages.get_mut(&id)
            && message.place == Place::Sent
        {
            message.place = Place::Confirmed;
            message.arguments = None;
        }
    }

    /// Returns the messages that the broker has, or has had.
    pub(crate) fn confirmed_ids(&self) -> Vec<Uuid> {
        let confirmed = self.messages.iter().filter(|(_, message)| message.place == Place::Confirmed);
        confirmed.map(|(id, _)| *id).collect()
    }

    /// Makes a message that the broker has not taken wait again.
    pub(crate) fn not_taken(&mut self, id: Uuid) {
        if let Some(message) = self.messages.get_mut(&id)
            && message.place == Place::Sent
        {
            message.place = Place::Waiting;
            self.waiting.insert(message.ticket, id);
            self.out -= 1;
        }
    }

    /// Returns the largest message that the broker has not confirmed.
    pub(crate) fn largest_sent(&self) -> Option<Uuid> {
        let sent = self.messages.iter().filter(|(_, message)| message.place == Place::Sent);
        let size =
            |message: &Message| message.arguments.as_ref().map(|written| written.args.len() + written.kwargs.len());
        sent.max_by_key(|(_, message)| size(message)).map(|(id, _)| *id)
    }

    /// Makes all messages that the broker has not confirmed wait again.
    pub(crate) fn disconnected(&mut self) {
        let sent = self.messages.iter().filter(|(_, message)| message.place == Place::Sent);
        for id in sent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.not_taken(id);
        }
    }

    /// Returns what all messages of the task have in common, and the worker that runs this one.
    pub(crate) fn call(&self, id: Uuid) -> Option<(Arc<Call>, Option<Box<str>>)> {
        let message = self.messages.get(&id)?;
        Some((Arc::clone(&self.tasks.get(&message.task)?.call), message.worker.clone()))
    }

    /// Notes who runs a message. Returns the job of its task, to be told and then [`put`](Window::put) back, if the
    /// task was not running. With a time limit, the message is overdue a while after it.
    pub(crate) fn started(&mut self, id: Uuid, who: Started, now: Instant, grace: Duration) -> Option<(FutureId, J)> {
        let message = self.messages.get_mut(&id)?;
        message.worker = Some(who.hostname.into());
        let task = self.tasks.get_mut(&message.task)?;
        if task.call.retries == 0 {
            self.at_workers.insert(id);
        }
        if let Some(limit) = task.call.time_limit
            && let Some(overdue) = now.checked_add(limit).and_then(|end| end.checked_add(grace))
        {
            set_deadline(&mut self.deadlines, id, message, Some((overdue, Overdue::TimeLimit)));
        } else {
            // A worker runs the message although it was withdrawn, so it does not end at that deadline any more.
            set_deadline(&mut self.deadlines, id, message, None);
        }
        if std::mem::replace(&mut task.is_running, true) {
            return None;
        }
        self.running += 1;
        Some((message.task, task.job.take()?))
    }

    /// Takes the answer to a message. Returns the task if it was the last one.
    pub(crate) fn answered(&mut self, id: Uuid, reply: Reply) -> Option<Finished<J>> {
        let (task, item) = self.remove_message(id)?;
        *self.tasks.get_mut(&task)?.replies.get_mut(item)? = Some(reply);
        self.finish(task)
    }

    /// Takes a task out if it has all replies and its job is here.
    fn finish(&mut self, id: FutureId) -> Option<Finished<J>> {
        let task = self.tasks.get_mut(&id)?;
        if task.replies.iter().any(Option::is_none) {
            return None;
        }
        let job = task.job.take()?;
        let task = self.remove_task(id)?;
        self.leaving += 1;
        Some(Finished { job, replies: task.replies.into_iter().flatten().collect() })
    }

    fn remove_task(&mut self, id: FutureId) -> Option<Task<J>> {
        let task = self.tasks.remove(&id)?;
        self.running -= usize::from(task.is_running);
        for message in &task.messages {
            self.remove_message(*message);
        }
        Some(task)
    }

    fn remove_message(&mut self, id: Uuid) -> Option<(FutureId, usize)> {
        let mut message = self.messages.remove(&id)?;
        self.at_workers.remove(&id);
        set_deadline(&mut self.deadlines, id, &mut message, None);
        match message.place {
            Place::Waiting => drop(self.waiting.remove(&message.ticket)),
            Place::Sent | Place::Confirmed => self.out -= 1,
        }
        Some((message.task, message.item))
    }

    fn messages_of(&self, task: &Task<J>, is_such: impl Fn(&Message) -> bool) -> Vec<Uuid> {
        let is_such = |id: &&Uuid| self.messages.get(*id).is_some_and(&is_such);
        task.messages.iter().filter(is_such).copied().collect()
    }

    /// Takes a task back if none of its messages was published. Otherwise cancels those that were not.
    pub(crate) fn revoke(&mut self, id: FutureId) -> (Revoked, Option<Finished<J>>) {
        let Some(task) = self.tasks.get(&id) else { return (Revoked::default(), None) };
        let unsent = self.messages_of(task, |message| !message.was_sent);
        // A message that a worker has started continues.
        let published = self.messages_of(task, |message| message.was_sent && message.worker.is_none());
        let is_exact = unsent.len() == task.messages.len();
        if is_exact {
            // The job stays until `left`: dropping it now would end the task as abandoned.
            unsent.iter().filter_map(|id| self.messages.get(id)).for_each(|message| {
                self.waiting.remove(&message.ticket);
            });
            self.tasks.entry(id).and_modify(|task| task.is_revoked = true);
            return (Revoked { is_exact, published }, None);
        }
        let finished = unsent.into_iter().filter_map(|id| self.answered(id, Err(Error::Cancelled))).last();
        (Revoked { is_exact, published }, finished)
    }

    /// Notes that the future of a task is about to be aborted. Returns `false` if the task is not here any more.
    pub(crate) fn stop(&mut self, id: FutureId) -> bool {
        self.tasks.get_mut(&id).map(|task| task.is_aborted = true).is_some()
    }

    /// Takes out a task whose future was cancelled or aborted. Returns what is to be dropped without the lock, and the
    /// messages that workers are to give up.
    pub(crate) fn left(&mut self, id: FutureId) -> (Option<J>, Vec<Uuid>) {
        let published = match self.tasks.get(&id) {
            Some(task) if task.is_aborted => self.messages_of(task, |message| message.was_sent),
            _ => Vec::new(),
        };
        (self.remove_task(id).and_then(|task| task.job), published)
    }

    /// Takes out all tasks without a published message.
    pub(crate) fn take_unsent(&mut self) -> Vec<J> {
        let is_unsent = |task: &Task<J>| {
            let was_sent = |id: &Uuid| self.messages.get(id).is_none_or(|message| message.was_sent);
            task.job.is_some() && !task.is_running && !task.messages.iter().any(was_sent)
        };
        let unsent = self.tasks.iter().filter(|(_, task)| is_unsent(task));
        let unsent: Vec<_> = unsent.map(|(id, _)| *id).collect();
        unsent.into_iter().filter_map(|id| self.remove_task(id)?.job).collect()
    }

    /// Withdraws all messages that no worker has started: they end as cancelled at `deadline`, unless a worker says
    /// something else before. Returns those that were published.
    pub(crate) fn withdraw(&mut self, deadline: Instant) -> (Vec<Uuid>, Vec<Finished<J>>) {
        let unsent = self.messages.iter().filter(|(_, message)| !message.was_sent);
        let unsent: Vec<_> = unsent.map(|(id, _)| *id).collect();
        let finished = unsent.into_iter().filter_map(|id| self.answered(id, Err(Error::Cancelled))).collect();
        let mut published = Vec::new();
        for (id, message) in self.messages.iter_mut().filter(|(_, message)| message.worker.is_none()) {
            set_deadline(&mut self.deadlines, *id, message, Some((deadline, Overdue::Withdrawn)));
            published.push(*id);
        }
        (published, finished)
    }

    /// Takes out all tasks. Returns their jobs, except those that are away.
    pub(crate) fn take_all(&mut self) -> Vec<J> {
        (self.messages, self.waiting, self.deadlines, self.at_workers) = Default::default();
        (self.out, self.running) = (0, 0);
        std::mem::take(&mut self.tasks).into_values().filter_map(|task| task.job).collect()
    }

    /// Returns the next deadline.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Returns a message that is overdue.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<(Uuid, Overdue)> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let message = self.messages.get_mut(&id)?;
        let overdue = message.deadline.map(|(_, overdue)| overdue);
        set_deadline(&mut self.deadlines, id, message, None);
        overdue.map(|overdue| (id, overdue))
    }

    /// Returns the messages that workers run which are not run again if their worker is lost, with the workers.
    pub(crate) fn at_workers(&self) -> impl Iterator<Item = (Uuid, &str)> {
        self.at_workers.iter().filter_map(|id| Some((*id, self.messages.get(id)?.worker.as_deref()?)))
    }
}

fn set_deadline(
    deadlines: &mut BTreeSet<(Instant, Uuid)>,
    id: Uuid,
    message: &mut Message,
    deadline: Option<(Instant, Overdue)>,
) {
    if let Some((before, _)) = message.deadline.take() {
        deadlines.remove(&(before, id));
    }
    message.deadline = deadline;
    if let Some((deadline, _)) = deadline {
        deadlines.insert((deadline, id));
    }
}

#[cfg(test)]
mod tests;
