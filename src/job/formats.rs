//! The argument of a [`Job`] in any serde format, and its result from any.
#![forbid(unsafe_code)]

use super::Job;
use crate::error::Error;
use crate::task::encoded::FunctionKey;
use crate::task::formats::Reply;

impl Job {
    /// Shows the argument to `visit`, to be written in any serde format; of a chunk
    /// ([`MapOptions::chunk_size`](crate::MapOptions::chunk_size)) the arguments of its items, one by one and in order.
    ///
    /// If the function has a [context](crate::Executor::with_context), each argument is the pair of the context and the
    /// argument, which a function of another program takes as a tuple.
    ///
    /// Can be called as often as needed, before or after [`start`](Job::start): the task keeps the argument until it is
    /// done. A task that is cancelled meanwhile is done at once, and `show` goes on to its end. If a value panics while
    /// it is written, its serialiser returns an error, and the next value is shown all the same.
    ///
    /// Complete the task with [`read`](Job::read), or with [`fail`](Job::fail) if the argument cannot be written. How
    /// deeply a value may be nested is up to the serialiser: this does not protect the stack, as [`encode`](Job::encode)
    /// does.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if the task was cancelled before; [`Error::Encode`] if `visit` panics, if it calls `show` or
    /// `encode` of the same job, or if the task is a closure that captures. In the first and the last case `visit` is not
    /// called.
    ///
    /// # Examples
    ///
    /// An executor that sends JSON to another machine, which is a thread here and knows functions by name:
    ///
    /// ```
    /// use std::sync::mpsc::{Receiver, Sender, channel};
    /// use std::thread;
    /// use std::time::Duration;
    /// use concurrent_futures::erased_serde::Deserializer;
    /// use concurrent_futures::{Backend, Encode, Error, Executor, Failed, Job, MapOptions, Part};
    /// use concurrent_futures::{Reply, TaskOptions};
    /// use serde_json::{Value, json};
    ///
    /// /// Where requests go, each with the way back for the reply.
    /// struct Machine(Sender<(String, Sender<String>)>);
    ///
    /// impl Backend for Machine {
    ///     fn execute(&self, job: Job) {
    ///         let mut arguments = Vec::new();
    ///         let shown = job.show(|argument| arguments.push(serde_json::to_value(argument)));
    ///         let request = match (shown, arguments.into_iter().collect::<Result<Vec<Value>, _>>()) {
    ///             (Ok(()), Ok(arguments)) => json!({ "function": job.name(), "arguments": arguments }),
    ///             (Err(error), _) => return job.fail(error),
    ///             (_, Err(error)) => {
    ///                 let encode = Encode::new(Part::Argument, error.to_string());
    ///                 return job.fail(Error::Encode(encode));
    ///             }
    ///         };
    ///         let (reply, replies) = channel();
    ///         if self.0.send((request.to_string(), reply)).is_err() {
    ///             return job.fail(Error::ShutDown);
    ///         }
    ///         thread::spawn(move || {
    ///             // If the machine is gone, the job is dropped and its task ends with `Abandoned`.
    ///             let Ok(text) = replies.recv() else { return };
    ///             let results: Vec<Result<Value, String>> =
    ///                 serde_json::from_str(&text).unwrap_or_default();
    ///             job.read(results.into_iter().map(|result| -> Reply<'static> {
    ///                 let value = result.map_err(|text| Error::Failed(Failed::new(text)))?;
    ///                 Ok(Box::new(<dyn Deserializer<'_>>::erase(value)))
    ///             }));
    ///         });
    ///     }
    ///     fn max_workers(&self) -> usize {
    ///         1
    ///     }
    ///     fn close(&self) {}
    ///     fn join(&self, _: Option<Duration>) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// /// The other side: takes text and returns text.
    /// fn serve(requests: Receiver<(String, Sender<String>)>) {
    ///     for (request, reply) in requests {
    ///         let request: Value = serde_json::from_str(&request).unwrap();
    ///         let call = |argument: &Value| match (request["function"].as_str(), argument.as_i64()) {
    ///             (Some("double"), Some(n)) => Ok(json!(2 * n)),
    ///             (name, _) => Err(format!("there is no function {name:?} for {argument}")),
    ///         };
    ///         let results: Vec<_> = request["arguments"].as_array().unwrap().iter().map(call).collect();
    ///         let _ = reply.send(serde_json::to_string(&results).unwrap());
    ///     }
    /// }
    ///
    /// let (send, receive) = channel();
    /// thread::spawn(|| serve(receive));
    /// let machine = Machine(send);
    /// let double = machine.with(TaskOptions::new().name("double"));
    /// assert_eq!(double.submit(|n: i64| 2 * n, 21).result()?, 42);
    /// let in_twos = double.with(MapOptions::new().chunk_size(2));
    /// let doubled: Result<Vec<i64>, Error> = in_twos.map(|n: i64| 2 * n, [1, 2, 3]).collect();
    /// assert_eq!(doubled?, [2, 4, 6]);
    /// assert!(matches!(machine.submit(|n: i64| n, 1).result(), Err(Error::Failed(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn show(&self, mut visit: impl FnMut(&dyn erased_serde::Serialize)) -> Result<(), Error> {
        self.task().show(&mut visit)
    }

    /// Completes the future with a result in any serde format: a chunk with one reply for each of its items, in order,
    /// any other task with exactly one.
    ///
    /// An error among the replies becomes that of its item, unchanged. A result that cannot be read, or whose type panics
    /// while it is read, ends its item with [`Error::Decode`], as does the want of a reply if there are too few. If there
    /// are too many, every item ends with it, because it is not known which reply belongs to which item; of those beyond
    /// the last item only the first is taken from the iterator.
    ///
    /// Two things are for the deserialiser to check: that nothing follows the value, and how deeply it is nested. This does
    /// not protect the stack, as [`complete`](Job::complete) does.
    ///
    /// Replies are read one by one as the iterator yields them, in this thread, and then callbacks run here. Has no effect
    /// if the task was cancelled: no reply is taken then.
    ///
    /// # Panics
    ///
    /// If the iterator panics. The future is then completed with [`Error::Abandoned`].
    ///
    /// # Examples
    ///
    /// See [`show`](Job::show) for an executor. A result that is read from text in place:
    ///
    /// ```
    /// use concurrent_futures::erased_serde::Deserializer;
    /// use concurrent_futures::Job;
    ///
    /// fn complete(job: Job, json: &str) {
    ///     let mut reader = serde_json::Deserializer::from_str(json);
    ///     job.read([Ok(Box::new(<dyn Deserializer<'_>>::erase(&mut reader)) as _)]);
    /// }
    /// ```
    #[expect(single_use_lifetimes, reason = "an anonymous one is not stable here")]
    pub fn read<'a>(self, replies: impl IntoIterator<Item = Reply<'a>>) {
        // It stays a job until then: should the iterator panic, its drop ends the task.
        self.task().read(&mut replies.into_iter());
    }

    /// Returns what identifies the function, as long as the task has it.
    pub(crate) fn function_key(&self) -> Option<FunctionKey> {
        self.task().entry().map(|entry| entry.key())
    }
}
