//! [`Named`]: a function that other programs can call by name.
#![forbid(unsafe_code)]

use std::fmt;

use super::erased_function::{ErasedFunction, Handle};
use crate::backend::Backend;
use crate::error::Error;
use crate::options::TaskOptions;

/// A function of this program that has [`task`](macro@crate::task).
pub struct Named {
    pub(super) name: Box<str>,
    /// Where it stands: file and line.
    pub(super) place: &'static str,
    pub(super) function: ErasedFunction,
}

impl Named {
    /// Returns its name: the one that it was given or, in dots, that of its place: `crate.module.function`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if it returns a `Result` whose `Err` is the task's error, as for `try_submit`.
    pub fn is_fallible(&self) -> bool {
        self.function.is_fallible
    }

    /// Submits a call to an executor of this program, with an argument in any serde format.
    ///
    /// Reads the argument in this thread. Blocks where [`Executor::submit`](crate::Executor::submit) does. Calls `done`
    /// with the outcome, in the thread that completes the task and before the task is done. A value that panics while it
    /// is written makes its serialiser return an error.
    ///
    /// The task goes on if its handle is dropped. Neither that the deserialiser has nothing left, nor how deeply a value is
    /// nested, is checked here: that is for the deserialiser.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if the argument cannot be read, or panics while it is read. `done` is not called then.
    ///
    /// # Examples
    ///
    /// What a worker of another program does with a request:
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    /// use concurrent_futures::erased_serde::Deserializer;
    /// use concurrent_futures::{InlineExecutor, TaskOptions, named, task};
    /// use serde_json::json;
    ///
    /// #[task(name = "sums.add")]
    /// fn add((a, b): (i64, i64)) -> i64 {
    ///     a + b
    /// }
    ///
    /// let (send, reply) = channel();
    /// let function = named::get("sums.add").expect("a function of this program");
    /// let mut argument = <dyn Deserializer<'_>>::erase(json!([2, 3]));
    /// function.submit(&InlineExecutor, TaskOptions::new(), &mut argument, move |outcome| {
    ///     let value = outcome.map(|value| serde_json::to_value(value).expect("a number"));
    ///     send.send(value.map_err(|error| error.to_string())).expect("somebody waits");
    /// })?;
    /// assert_eq!(reply.recv(), Ok(Ok(json!(5))));
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: impl FnOnce(Result<&dyn erased_serde::Serialize, &Error>) + Send + 'static,
    ) -> Result<Box<dyn Handle>, Error> {
        (self.function.submit)(executor, options, argument, Box::new(done))
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.name).finish()
    }
}
