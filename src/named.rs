//! Functions that other programs can call by name: what [`task`](macro@crate::task) makes of a function.
//!
//! An executor gets a pointer to a function, and has to know its name. An address alone does not tell: in an optimised
//! build, a function has a copy in each crate that inlines it, and two functions with the same body may become one. So
//! `#[task]` makes functions that are never inlined, and of which each refers to its own name; such a function has one
//! address in every build, and no other function has it. `tests/builds/names` builds a program in many ways to prove it.
//!
//! The list of these functions is put together by the linker (crate `inventory`). It becomes a table when it is first
//! needed, which stays as long as the program. Two entries that cannot be told apart, by name or by address, are a
//! [`Clash`], which executors and workers ask for before they rely on names.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod attribute;
mod erased_function;
mod function;
mod table;

use crate::job::Job;
use table::table;

pub use erased_function::Handle;
pub use function::Named;
pub use table::Clash;

/// Returns the function of this name, if the program has one.
///
/// The linker leaves out a crate that the program does not mention, with all of its names. Mention it then:
/// `use that_crate as _;`.
///
/// If two functions have the name, this returns one of them, and [`all`] returns the [`Clash`].
///
/// # Examples
///
/// ```
/// use concurrent_futures::{named, task};
///
/// #[task(name = "texts.shout")]
/// fn shout(text: String) -> String {
///     text.to_uppercase()
/// }
///
/// assert!(!named::get("texts.shout").unwrap().is_fallible());
/// assert!(named::get("texts.whisper").is_none());
/// ```
pub fn get(name: &str) -> Option<&'static Named> {
    table().by_name.get(name)
}

/// Returns all functions of this program that have a name, in the order of their names.
///
/// # Errors
///
/// [`Clash`] if two functions have one name, or if this build has merged two into one address. Do not rely on names
/// then: [`get`] finds only one of the two.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{named, task};
///
/// #[task(name = "texts.reverse")]
/// fn reverse(text: String) -> String {
///     text.chars().rev().collect()
/// }
///
/// let names: Vec<&str> = named::all()?.map(|function| function.name()).collect();
/// assert!(names.contains(&"texts.reverse"));
/// # Ok::<(), named::Clash>(())
/// ```
pub fn all() -> Result<impl Iterator<Item = &'static Named>, Clash> {
    table().clash.clone().map_or_else(|| Ok(table().by_name.values()), Err)
}

impl Job {
    /// Returns the name that [`task`](macro@crate::task) gave the function, as long as the job has its argument.
    ///
    /// Returns `None` for closures, for functions without the attribute, and once the job has given its argument away.
    /// [`name`](Job::name) is the name that the caller gave the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job, task};
    ///
    /// #[task(name = "texts.length")]
    /// fn length(text: String) -> usize {
    ///     text.len()
    /// }
    ///
    /// #[derive(Default)]
    /// struct Names(Mutex<Vec<Option<&'static str>>>);
    ///
    /// impl Backend for Names {
    ///     fn execute(&self, job: Job) {
    ///         self.0.lock().unwrap().push(job.function_name());
    ///         job.run();
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
    /// let names = Names::default();
    /// assert_eq!(names.submit(length, "three".into()).result()?, 5);
    /// assert_eq!(names.submit(|text: String| text.len(), "three".into()).result()?, 5);
    /// assert_eq!(*names.0.lock().unwrap(), [Some("texts.length"), None]);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn function_name(&self) -> Option<&'static str> {
        table().names.get(&self.function_key()?).map(|name| &**name)
    }
}
