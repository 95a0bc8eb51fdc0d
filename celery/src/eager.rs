//! [`Eager`]: a cluster without a broker and without workers, for tests.
//!
//! Each call is written as a message and read again, its function is looked up by name, and its result or error is
//! written and read as an answer. Between the two, an executor of this program runs it.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::erased_serde::{Deserializer, Serialize};
use concurrent_futures::named::{self, Handle};
use concurrent_futures::{
    Backend, Decode, Error, Executor as _, FutureId, Job, Part, Remote, Stats, Submitter, Waiting,
};
use parking_lot::Mutex;

use crate::args::Written;
use crate::client::{Call, Prepared};
use crate::failure::{FailedTask, Failure};
use crate::json;
use crate::message::{Body, Embed, TaskMessage};
use crate::topology::DEFAULT_QUEUE;

/// Runs tasks on an executor of this program as a cluster would: by name, with arguments and results in JSON. It is the
/// counterpart of Celery's `task_always_eager`.
///
/// With it, a test without a broker finds functions that lack [`task`](macro@concurrent_futures::task), and types that
/// JSON cannot represent. A task stays pending until it is done, also while its function runs; `abort` then aborts the
/// function, as far as the executor can.
///
/// `submit` blocks where that of the executor does. Dropping it shuts the executor down.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, ThreadPoolExecutor, task};
/// use concurrent_futures_celery::Eager;
///
/// #[task]
/// fn double(n: f64) -> f64 {
///     2.0 * n
/// }
///
/// let eager = Eager::new(ThreadPoolExecutor::new(2));
/// assert_eq!(eager.submit(double, 1.5).result()?, 3.0);
///
/// let unnamed = eager.submit(|n: u8| n, 1).result().unwrap_err();
/// assert!(unnamed.to_string().contains("put `#[task]` on it"));
/// let infinite = eager.submit(double, f64::INFINITY).result().unwrap_err();
/// assert!(matches!(infinite, Error::Encode(_)));
/// # Ok::<(), Error>(())
/// ```
pub struct Eager<B: Backend> {
    executor: Arc<B>,
    queue: Arc<str>,
}

impl<B: Backend + 'static> Eager<B> {
    /// Makes a cluster whose workers are those of `executor`.
    pub fn new(executor: B) -> Self {
        Self { executor: Arc::new(executor), queue: DEFAULT_QUEUE.into() }
    }
}

/// A job whose calls run on the executor: one call, or one for each item of a chunk.
struct Task {
    state: Mutex<State>,
    call: Arc<Call>,
}

#[derive(Default)]
struct State {
    /// `None` once all replies are there.
    job: Option<Job>,
    replies: Vec<Option<Result<String, Error>>>,
    handles: Vec<Box<dyn Handle>>,
    /// How handles that are added later are to be ended, once the future was cancelled or aborted.
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    Cancel,
    Abort,
}

impl End {
    fn apply(self, handle: &dyn Handle) {
        match self {
            End::Cancel => handle.cancel(),
            End::Abort => handle.abort(),
        };
    }
}

impl Task {
    /// Runs one call on the executor, from its message.
    fn run(self: &Arc<Self>, executor: &dyn Backend, item: usize, written: &Written) {
        let body = Body::write(written, &Embed::default());
        let message = match TaskMessage::from_properties(&self.call.message(item.to_string(), written).properties()) {
            Ok(message) => message,
            Err(malformed) => return self.reply(item, Err(self.through_json(&Failure::of(&malformed.into())))),
        };
        let Some(function) = named::get(&message.task) else {
            let failure = Failure::new("NotRegistered", &message.task);
            return self.reply(item, Err(self.through_json(&failure)));
        };
        let body = match Body::read(&body) {
            Ok(body) => body,
            Err(malformed) => return self.reply(item, Err(self.through_json(&Failure::of(&malformed.into())))),
        };
        let task = Arc::clone(self);
        let done = move |outcome: Result<&dyn Serialize, &Error>| {
            let reply = outcome.map_err(Error::clone).and_then(json::write_result);
            task.reply(
                item,
                reply.map_err(|error| match error {
                    Error::Cancelled => error,
                    other => task.through_json(&Failure::of(&other)),
                }),
            );
        };
        let mut arguments = <dyn Deserializer<'_>>::erase(body.arguments());
        match message.in_span(|| function.submit(executor, message.options(), &mut arguments, done)) {
            Ok(handle) => self.hold(handle),
            Err(error) => self.reply(item, Err(self.through_json(&Failure::of(&error)))),
        }
    }

    /// Writes a failure as JSON and reads it again.
    fn through_json(&self, failure: &Failure) -> Error {
        let task = FailedTask { name: &self.call.task, time_limit: self.call.time_limit, worker: None };
        let read = serde_json::to_string(failure).and_then(|text| serde_json::from_str::<Failure>(&text));
        match read {
            Ok(failure) => failure.into_error(None, &task),
            Err(error) => Error::Decode(Decode::new(Part::Result, error.to_string())),
        }
    }

    /// Keeps the handle of a call until the task is done. Ends the call if the future was cancelled or aborted
    /// meanwhile.
    fn hold(&self, handle: Box<dyn Handle>) {
        let mut state = self.state.lock();
        let end = state.end;
        if end.is_none() && state.job.is_some() {
            state.handles.push(handle);
            return;
        }
        drop(state);
        if let Some(end) = end {
            end.apply(&*handle);
        }
    }

    /// Stores the reply to one call. The last reply completes the job, in this thread.
    fn reply(&self, item: usize, reply: Result<String, Error>) {
        let mut state = self.state.lock();
        if let Some(place) = state.replies.get_mut(item) {
            *place = Some(reply);
        }
        if state.replies.iter().any(Option::is_none) {
            return;
        }
        let State { job, replies, handles, .. } = std::mem::take(&mut *state);
        drop(state);
        drop(handles);
        if let Some(job) = job {
            let replies: Vec<_> = replies.into_iter().flatten().collect();
            json::complete(job, &replies);
        }
    }

    /// Ends all calls: those that are submitted, and those that will be.
    fn end(&self, end: End) {
        let handles = {
            let mut state = self.state.lock();
            state.end = Some(end);
            std::mem::take(&mut state.handles)
        };
        handles.iter().for_each(|handle| end.apply(&**handle));
        let mut state = self.state.lock();
        if state.job.is_some() {
            // A cancelled call may run, and then an abort needs its handle.
            state.handles.extend(handles);
        }
    }
}

impl Remote for Task {
    /// Cancels the calls, the last of which then completes the job as cancelled.
    fn revoke(&self, _: FutureId) -> bool {
        self.end(End::Cancel);
        false
    }
    fn curtail(&self, _: FutureId) {
        self.end(End::Cancel);
    }
    fn stopped(&self, _: FutureId) {
        self.end(End::Abort);
    }
}

impl<B: Backend + 'static> Backend for Eager<B> {
    fn execute(&self, job: Job) {
        execute(&self.executor, job, &self.queue);
    }
    fn max_workers(&self) -> usize {
        self.executor.max_workers()
    }
    fn close(&self) {
        self.executor.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.executor.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.executor.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.executor.stats()
    }
    fn submitter(&self) -> Option<Submitter> {
        let (executor, queue) = (Arc::clone(&self.executor), Arc::clone(&self.queue));
        let execute = move |job| execute(&executor, job, &queue);
        // The executor inside counts the tasks that come later, and ends them when it is closed.
        Some(match self.executor.submitter() {
            Some(inner) => inner.wrap(execute),
            None => Submitter::new(execute),
        })
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.executor.poll_join(waiting)
    }
}

fn execute(executor: &Arc<impl Backend>, job: Job, queue: &Arc<str>) {
    let Some(Prepared { job, call, items }) = Prepared::new(job, queue, usize::MAX) else { return };
    let task = Arc::new(Task { state: Mutex::default(), call });
    if !job.entrust(Arc::clone(&task) as _) {
        return;
    }
    {
        let mut state = task.state.lock();
        state.replies = items.iter().map(|_| None).collect();
        state.job = Some(job);
    }
    for (item, written) in items.into_iter().enumerate() {
        match written {
            Ok(written) => task.run(&**executor, item, &written),
            Err(error) => task.reply(item, Err(error)),
        }
    }
}

impl<B: Backend> Drop for Eager<B> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.executor.shutdown_now();
        } else {
            self.executor.shutdown();
        }
    }
}

impl<B: Backend + fmt::Debug> fmt::Debug for Eager<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Eager").field(&self.executor).finish()
    }
}
