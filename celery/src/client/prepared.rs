//! [`Prepared`]: a job that is ready to be sent.
#![forbid(unsafe_code)]

use std::sync::Arc;

use concurrent_futures::erased_serde::Serialize;
use concurrent_futures::{BuildError, Encode, Error, Job, Part, named};

use super::window::Call;
use crate::args::Written;
use crate::size::{LONGEST, check_size, shown};

/// How many bytes the body of a message has beside the arguments, at most.
const FRAME: usize = 100;

/// How many bytes the name of a task may have. Everything in the headers of a message has to fit into one frame.
const LONGEST_NAME: usize = 1000;

/// A job whose arguments are written, or whose items have errors instead.
pub(crate) struct Prepared {
    pub(crate) job: Job,
    pub(crate) call: Arc<Call>,
    pub(crate) items: Vec<Result<Written, Error>>,
}

impl Prepared {
    /// Writes the arguments of a job, which runs user code. Completes the job with an error if that fails. An item
    /// whose message would be longer than `max_size` bytes gets an error.
    pub(crate) fn new(job: Job, queue: &Arc<str>, max_size: usize) -> Option<Self> {
        let task = match task_name(&job) {
            Ok(name) => name,
            Err(why) => {
                job.fail(Error::Encode(Encode::new(Part::Function, why)));
                return None;
            }
        };
        if let Err(error) = check_names(&task, queue) {
            job.fail(error);
            return None;
        }
        let options = job.options();
        let call = Call {
            shadow: job.name().map(|name| shown(name).into()),
            task,
            queue: Arc::clone(queue),
            time_limit: options.get_time_limit(),
            retries: options.get_retries(),
            traceparent: traceparent(&job),
            refuse_when_full: options.get_refuse_when_full(),
        };
        let mut items = Vec::with_capacity(1);
        if let Err(error) = job.show(|argument| items.push(write(argument, max_size))) {
            job.fail(error);
            return None;
        }
        match &*items {
            [Err(error)] => {
                let error = error.clone();
                job.fail(error);
                None
            }
            _ => Some(Self { job, call: Arc::new(call), items }),
        }
    }
}

fn write(argument: &dyn Serialize, max_size: usize) -> Result<Written, Error> {
    let written =
        Written::new(argument).map_err(|error| Error::Encode(Encode::new(Part::Argument, error.to_string())))?;
    check_size(written.args.len() + written.kwargs.len() + FRAME, max_size)?;
    Ok(written)
}

/// Returns the place of a task in a trace.
#[cfg(feature = "tracing")]
fn traceparent(job: &Job) -> Option<Box<str>> {
    Some(job.traceparent().into())
}

#[cfg(not(feature = "tracing"))]
fn traceparent(_: &Job) -> Option<Box<str>> {
    None
}

/// Returns an error if the broker cannot take a name: it would end the connection, again and again.
fn check_names(task: &str, queue: &str) -> Result<(), Error> {
    if task.len() > LONGEST_NAME {
        let why = format!("its name has {} bytes, and a task has {LONGEST_NAME} at most for its name", task.len());
        return Err(Error::Encode(Encode::new(Part::Function, why)));
    }
    check_queue(queue).map_err(Error::Build)
}

/// Returns an error if no queue can have this name.
pub(super) fn check_queue(queue: &str) -> Result<(), BuildError> {
    match queue.len() {
        1..=LONGEST => Ok(()),
        _ => Err(BuildError::new("queue", "a name of 1 to 255 bytes", queue)),
    }
}

/// Returns the name by which other programs know the function of a job.
fn task_name(job: &Job) -> Result<Box<str>, &'static str> {
    let Some(name) = job.function_name() else {
        return job.name().map(Box::from).ok_or(
            "it has no name that other programs know: put `#[task]` on it, or give the task a name by \
             `TaskOptions::name`",
        );
    };
    // A worker treats the `Err` of such a function as the error of the task, so the result of `submit` could not be
    // read.
    match named::get(name).is_some_and(named::Named::is_fallible) && !job.is_fallible() {
        true => Err("it returns a `Result`, whose `Err` is the error of the task on a worker: use `try_submit`"),
        false => Ok(name.into()),
    }
}
