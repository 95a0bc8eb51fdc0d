//! [`ByJson`]: an executor whose tasks leave it as JSON and come back as JSON. Threads play the other machine.
//!
//! A thread gets the name of a function and text, and returns text. Nothing else crosses: an error is a report as text.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::erased_serde::Deserializer;
use concurrent_futures::named::{self, Named};
use concurrent_futures::{
    Backend, Encode, Error, Executor, FutureId, InlineExecutor, Job, Part, Remote, Reply, Report, TaskOptions,
};

/// Calls a function as the other machine does: it is told its name, the name of the task for its errors, and text.
fn call(function: &Named, text: &str, options: TaskOptions) -> Result<String, Error> {
    let (send, result) = channel();
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut argument = <dyn Deserializer<'_>>::erase(&mut reader);
    function.submit(&InlineExecutor, options, &mut argument, move |outcome| {
        let written = outcome.map_err(Error::clone).and_then(|value| {
            serde_json::to_string(value).map_err(|error| Error::Encode(Encode::new(Part::Result, error.to_string())))
        });
        send.send(written).unwrap();
    })?;
    result.recv().unwrap()
}

/// A task that no worker has taken.
struct Request {
    job: Job,
    function: &'static Named,
    /// The argument, or those of a chunk's items, or why one cannot be written.
    arguments: Vec<Result<String, Error>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    /// Set for a task that runs and was cancelled: its items that have not begun are not wanted.
    running: HashMap<FutureId, Arc<AtomicBool>>,
    /// Tasks that were taken back and are about to be cancelled.
    revoked: Vec<Request>,
    is_closed: bool,
    alive: usize,
}

#[derive(Default)]
struct Machine {
    state: Mutex<State>,
    /// Notified when there is something to do, or nothing ever again.
    work: Condvar,
    /// Notified when a thread ends.
    ended: Condvar,
}

impl Machine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits for a task. `None`: there will be no more.
    fn next(&self) -> Option<(Request, Arc<AtomicBool>)> {
        let waits = |state: &mut State| state.queue.is_empty() && !state.is_closed;
        let mut state = self.work.wait_while(self.state(), waits).unwrap();
        let (request, stop) = (state.queue.pop_front()?, Arc::default());
        state.running.insert(request.job.id(), Arc::clone(&stop));
        Some((request, stop))
    }

    fn run(&self) {
        while let Some((Request { job, function, arguments }, stop)) = self.next() {
            let id = job.id();
            if job.start() {
                let options = job.name().map_or_else(TaskOptions::new, |name| TaskOptions::new().name(name));
                let one = |argument: Result<String, Error>| match stop.load(Ordering::Relaxed) {
                    true => Err(Error::Cancelled),
                    false => call(function, &argument?, options.clone()),
                };
                let results: Vec<_> = arguments.into_iter().map(one).map(crossed).collect();
                let mut readers: Vec<_> = results.iter().map(|result| reader(result)).collect();
                job.read(readers.iter_mut().map(|reader| -> Reply<'_> {
                    let reader = reader.as_mut().map_err(|error| error.clone())?;
                    Ok(Box::new(<dyn Deserializer<'_>>::erase(reader)))
                }));
            }
            self.state().running.remove(&id);
        }
        self.state().alive -= 1;
        self.ended.notify_all();
    }
}

/// Sends an error as text.
fn crossed(result: Result<String, Error>) -> Result<String, Error> {
    result.map_err(|error| {
        let text = serde_json::to_string(&Report::of(&error)).unwrap();
        serde_json::from_str::<Report>(&text).unwrap().into_error()
    })
}

type Reader<'a> = serde_json::Deserializer<serde_json::de::StrRead<'a>>;

fn reader(result: &Result<String, Error>) -> Result<Reader<'_>, Error> {
    result.as_ref().map(|text| serde_json::Deserializer::from_str(text)).map_err(Error::clone)
}

impl Remote for Machine {
    fn revoke(&self, id: FutureId) -> bool {
        let mut state = self.state();
        let position = state.queue.iter().position(|request| request.job.id() == id);
        let revoked = position.and_then(|position| state.queue.remove(position));
        let is_here = revoked.is_some();
        state.revoked.extend(revoked);
        is_here
    }

    fn curtail(&self, id: FutureId) {
        if let Some(stop) = self.state().running.get(&id) {
            stop.store(true, Ordering::Relaxed);
        }
    }

    fn left(&self, id: FutureId) {
        let mut state = self.state();
        let is_it = |request: &Request| request.job.id() == id;
        let position = state.revoked.iter().position(is_it);
        let revoked = position.map(|position| state.revoked.swap_remove(position));
        // Also one that was aborted, for which nobody asked.
        let position = state.queue.iter().position(is_it);
        let aborted = position.and_then(|position| state.queue.remove(position));
        drop(state);
        drop((revoked, aborted));
    }
}

/// Runs tasks on threads that get and give text only, in the order of submission.
pub(crate) struct ByJson {
    machine: Arc<Machine>,
    threads: Vec<JoinHandle<()>>,
}

impl ByJson {
    pub(crate) fn new(count: usize) -> Self {
        let machine = Arc::<Machine>::default();
        machine.state().alive = count;
        let start = |number| {
            let machine = Arc::clone(&machine);
            thread::Builder::new().name(format!("json-{number}")).spawn(move || machine.run()).unwrap()
        };
        let threads = (0..count).map(start).collect();
        Self { machine, threads }
    }

    fn is_own_thread(&self) -> bool {
        self.threads.iter().any(|thread| thread.thread().id() == thread::current().id())
    }
}

impl Backend for ByJson {
    fn execute(&self, job: Job) {
        let Some(function) = job.function_name().and_then(named::get) else {
            return job.fail(Error::Encode(Encode::new(Part::Function, "the other machine does not know it")));
        };
        let mut arguments = Vec::new();
        let shown = job.show(|argument| {
            let text = serde_json::to_string(argument);
            arguments.push(text.map_err(|error| Error::Encode(Encode::new(Part::Argument, error.to_string()))));
        });
        if let Err(error) = shown {
            return job.fail(error);
        }
        let mut state = self.machine.state();
        if state.is_closed {
            drop(state);
            return job.fail(Error::ShutDown);
        }
        if job.entrust(Arc::clone(&self.machine) as _) {
            state.queue.push_back(Request { job, function, arguments });
            self.machine.work.notify_one();
        }
    }

    fn max_workers(&self) -> usize {
        self.threads.len()
    }

    fn close(&self) {
        self.machine.state().is_closed = true;
        self.machine.work.notify_all();
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        let state = self.machine.state();
        if !state.is_closed || self.is_own_thread() {
            return false;
        }
        let timeout = timeout.unwrap_or(Duration::MAX);
        let ended = self.machine.ended.wait_timeout_while(state, timeout, |state| state.alive > 0).unwrap();
        ended.0.alive == 0
    }

    fn cancel_pending(&self) -> usize {
        let queue = std::mem::take(&mut self.machine.state().queue);
        let pending = queue.into_iter().filter(|request| request.job.start()).collect::<Vec<_>>();
        let count = pending.len();
        pending.into_iter().for_each(|request| request.job.fail(Error::Cancelled));
        count
    }
}

impl Drop for ByJson {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shutdown_now()
        } else {
            self.shutdown()
        }
        if !self.is_own_thread() {
            self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        }
    }
}
