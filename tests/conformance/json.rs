//! [`ByJson`]: an executor whose tasks leave it as JSON and come back as JSON. Threads play the other machine.
//!
//! A thread gets the key of a function and text, and returns text; it knows the functions of the kit. Nothing else
//! crosses but errors, which are kept as they are: how an error becomes text is no part of the interface yet.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::erased_serde::Deserializer;
use concurrent_futures::{
    Backend, BoxError, Decode, Encode, Error, Executor, FutureId, InlineExecutor, Job, Part, Payload, Remote, Reply,
    TaskOptions,
};
use concurrent_futures_conformance::functions as kit;

/// What the other machine makes of a text. It is told the name of the task, for its errors.
type Call = Box<dyn Fn(&str, &TaskOptions) -> Result<String, Error> + Send + Sync>;

/// The address and the type of a function. In a build without optimisation each function has one address.
type Key = (usize, &'static str);

fn read<A: Payload>(text: &str) -> Result<A, Error> {
    serde_json::from_str(text).map_err(|error| Error::Decode(Decode::new(Part::Argument, error.to_string())))
}

fn written<R: Payload>(result: R) -> Result<String, Error> {
    serde_json::to_string(&result).map_err(|error| Error::Encode(Encode::new(Part::Result, error.to_string())))
}

fn plain<A: Payload, R: Payload>(function: fn(A) -> R) -> (Key, Call) {
    let call = move |text: &str, options: &TaskOptions| {
        written(InlineExecutor.with(options.clone()).submit(function, read(text)?).result()?)
    };
    ((function as usize, std::any::type_name::<fn(A) -> R>()), Box::new(call))
}

fn fallible<A: Payload, R: Payload, E: Into<BoxError> + 'static>(function: fn(A) -> Result<R, E>) -> (Key, Call) {
    let call = move |text: &str, options: &TaskOptions| {
        written(InlineExecutor.with(options.clone()).try_submit(function, read(text)?).result()?)
    };
    ((function as usize, std::any::type_name::<fn(A) -> R>()), Box::new(call))
}

/// As [`plain`], for a function with a context, which comes with each argument.
fn in_context<C, A, R>(function: fn(&C, A) -> R) -> (Key, Call)
where
    C: Payload + Sync,
    A: Payload,
    R: Payload,
{
    let call = move |text: &str, options: &TaskOptions| {
        let (context, argument) = read(text)?;
        written(InlineExecutor.with(options.clone()).with_context(context).submit(function, argument).result()?)
    };
    ((function as usize, std::any::type_name::<fn(&C, A) -> R>()), Box::new(call))
}

fn fallible_in_context<C, A, R, E>(function: fn(&C, A) -> Result<R, E>) -> (Key, Call)
where
    C: Payload + Sync,
    A: Payload,
    R: Payload,
    E: Into<BoxError> + 'static,
{
    let call = move |text: &str, options: &TaskOptions| {
        let (context, argument) = read(text)?;
        written(InlineExecutor.with(options.clone()).with_context(context).try_submit(function, argument).result()?)
    };
    ((function as usize, std::any::type_name::<fn(&C, A) -> R>()), Box::new(call))
}

/// Returns the functions that the other machine knows.
fn functions() -> &'static HashMap<Key, Call> {
    static FUNCTIONS: OnceLock<HashMap<Key, Call>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        HashMap::from([
            plain(kit::double),
            plain(kit::add),
            plain(kit::sum),
            plain(kit::area),
            plain(kit::power),
            plain(kit::length),
            plain(kit::to_text),
            plain(kit::same_number),
            plain(kit::same_numbers),
            plain(kit::same_shapes),
            plain(kit::numbers),
            plain(kit::drop_bytes),
            plain(kit::panic_with),
            plain(kit::panic_at_some),
            plain(kit::second_waits),
            plain(kit::pass_and_mark),
            plain(kit::mark_and_pass),
            plain(kit::wait_at_the_last),
            plain(kit::make_value),
            plain(kit::drop_value),
            plain(kit::count_values),
            plain(kit::mark),
            plain(kit::pass),
            plain(kit::pass_with),
            plain(kit::pid),
            fallible(kit::parse),
            fallible(kit::fail_until),
            fallible(kit::fail_without_text),
            fallible(kit::time_out_at_one),
            fallible(kit::pass_on),
            fallible(kit::pass_on_boxed),
            in_context(kit::scale),
            in_context(kit::scale_pair),
            in_context(kit::look_up),
            in_context(kit::panic_about),
            in_context(kit::number_with_value),
            fallible_in_context(kit::add_up_to),
            fallible_in_context(kit::fail_until_context),
        ])
    })
}

/// A task that no worker has taken.
struct Request {
    job: Job,
    call: &'static Call,
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
        while let Some((Request { job, call, arguments }, stop)) = self.next() {
            let id = job.id();
            if job.start() {
                let options = job.name().map_or_else(TaskOptions::new, |name| TaskOptions::new().name(name));
                let one = |argument: Result<String, Error>| match stop.load(Ordering::Relaxed) {
                    true => Err(Error::Cancelled),
                    false => call(&argument?, &options),
                };
                let results: Vec<_> = arguments.into_iter().map(one).collect();
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
        let Some(call) = job.function_address().and_then(|key| functions().get(&key)) else {
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
            state.queue.push_back(Request { job, call, arguments });
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
