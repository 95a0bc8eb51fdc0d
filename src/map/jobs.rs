//! [`JobItems`]: items of a map whose ranges are jobs of the backend. The outcomes of a range come all at once.
//!
//! A range has as many items as the caller asked for, or one.
//!
//! The items and the ways to submit them are of no use without each other, so they are in one file.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::local::LocalItems;
use super::range::{Collect, Collected};
use super::remote::RemoteItems;
use super::runner::ItemRunner;
use super::runs::Order;
use super::source::SharedItems;
use crate::backend::{Backend, dispatch, submit};
use crate::codec::Payload;
use crate::error::{Decode, Error, Outcome, Part, Variant};
use crate::future::Future;
use crate::held::is_large;
use crate::id::FutureId;
use crate::items::ItemExecutor;
use crate::options::TaskOptions;
use crate::outcomes::Outcomes;
use crate::task::call::{Chunk, Everywhere};
use crate::task::function::{Function, Unboxing};
use crate::task::listener::{Key, Listen, Listener};
use crate::task::new_task;
use crate::task::owner::{self, Sharing};
use crate::task::owner_ref::OwnerRef;
use crate::task::roles::TaskOwner;
use crate::task::snapshot::State;
use crate::unwind::drop_caught;
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{Waitable, hasten, is_done, wait_until};

/// Submits calls of one function.
pub(crate) trait Submit<A, R>: Send {
    fn one(&self, argument: A) -> Future<R>;
    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>>;
    /// As `one`, for an argument that is [large](is_large).
    fn one_boxed(&self, argument: Box<A>) -> Future<R>;
    /// As `many`, for arguments that are [large](is_large).
    fn many_boxed(&self, arguments: Vec<Box<A>>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>>;
    /// Returns the items to share among workers, if the executor can do that and each item need not be a task.
    fn shared_items(&self) -> Option<Arc<dyn SharedItems<A, R>>>;
    /// Returns `true` if each item is to be a task, whatever chunk size was asked for.
    fn takes_only_tasks(&self) -> bool;
}

/// Submits a plain function to any executor.
pub(crate) struct Via<B, F> {
    executor: B,
    /// What the executor said of maps, asked once.
    items: ItemExecutor,
    function: F,
}

impl<B: Backend, F> Via<B, F> {
    pub(crate) fn new(executor: B, function: F) -> Self {
        Self { items: executor.item_executor(), executor, function }
    }
}

/// Submits calls of a plain function as one task.
fn submit_chunk<B, F, A, R>(executor: &B, function: F, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>>
where
    B: Backend,
    F: Function<A, R> + 'static,
    A: Payload,
    R: Payload,
{
    submit(executor, new_task(Some(Chunk { function: Everywhere(function), arguments, stop }), None, OwnerRef::NOBODY))
}

impl<B, F, A, R> Submit<A, R> for Via<B, F>
where
    B: Backend,
    F: Function<A, R> + 'static,
    A: Payload,
    R: Payload,
{
    fn one(&self, argument: A) -> Future<R> {
        dispatch(&self.executor, self.function.clone(), argument)
    }

    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        submit_chunk(&self.executor, self.function.clone(), arguments, stop)
    }

    fn one_boxed(&self, argument: Box<A>) -> Future<R> {
        if const { is_large::<A>() } {
            dispatch(&self.executor, Unboxing(self.function.clone()), argument)
        } else {
            self.one(*argument)
        }
    }

    fn many_boxed(&self, arguments: Vec<Box<A>>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        if const { is_large::<A>() } {
            submit_chunk(&self.executor, Unboxing(self.function.clone()), arguments, stop)
        } else {
            self.many(arguments.into_iter().map(|argument| *argument).collect(), stop)
        }
    }

    fn shared_items(&self) -> Option<Arc<dyn SharedItems<A, R>>> {
        let (function, options) = (self.function.clone(), self.items.options());
        if let Some(threads) = self.items.threads() {
            return on_threads(threads, options, move |argument| function.call(argument));
        }
        if may_share::<A, R>(options)
            && let Some(elsewhere) = self.items.elsewhere()
        {
            let items = RemoteItems::new(elsewhere, options.cloned(), &function);
            return items.map(|items| items as _);
        }
        None
    }

    fn takes_only_tasks(&self) -> bool {
        self.items.takes_only_tasks() || has_time_limit(self.items.options())
    }
}

/// Returns `true` if items may be shared. Large ones, and those with a time limit, are tasks of their own.
fn may_share<A, R>(options: Option<&Arc<TaskOptions>>) -> bool {
    !const { is_large::<A>() || is_large::<R>() } && !has_time_limit(options)
}

/// Returns `true` if a task has a time limit of its own.
pub(crate) fn has_time_limit(options: Option<&Arc<TaskOptions>>) -> bool {
    options.is_some_and(|options| options.get_time_limit().is_some())
}

/// Makes shared items for threads of this process, if the options allow it.
///
/// Returns `None` if the calling thread belongs to that executor: a worker that waits for an item should run that item
/// itself.
pub(crate) fn on_threads<A: Send + 'static, R: Send + 'static>(
    owner: Arc<dyn Sharing>,
    options: Option<&Arc<TaskOptions>>,
    function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
) -> Option<Arc<dyn SharedItems<A, R>>> {
    if !may_share::<A, R>(options) || owner::is_current(Arc::as_ptr(&owner).cast()) {
        return None;
    }
    Some(LocalItems::new(owner, options.cloned(), function))
}

/// Submits ranges as jobs.
pub(super) struct JobItems<'e, A, R> {
    submit: Box<dyn Submit<A, R> + 'e>,
    /// The number of items in a range.
    size: usize,
    /// Items of the next range, unless they are large.
    items: Vec<A>,
    /// Items of the next range that are [large](is_large).
    boxed: Vec<Box<A>>,
    /// Ranges that the engine has not asked for yet.
    made: VecDeque<Box<dyn Collect<R>>>,
    /// Set when the items that have not begun are not wanted any more.
    stop: Arc<AtomicBool>,
}

impl<'e, A, R> JobItems<'e, A, R> {
    pub(super) fn new(submit: impl Submit<A, R> + 'e, size: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { submit: Box::new(submit), size, items: Vec::new(), boxed: Vec::new(), made: VecDeque::new(), stop }
    }
}

impl<A: Send + 'static, R: Send + 'static> JobItems<'_, A, R> {
    /// Submits the items of the next range, if there are any. Returns `false` if the executor refuses it.
    fn submit_range(&mut self) -> bool {
        let (items, boxed) = (std::mem::take(&mut self.items), std::mem::take(&mut self.boxed));
        let (count, stop) = (items.len() + boxed.len(), Arc::clone(&self.stop));
        if count == 0 {
            return true;
        }
        let future = match boxed.is_empty() {
            true => self.submit.many(items, stop),
            false => self.submit.many_boxed(boxed, stop),
        };
        self.keep(JobRange::Many(future, count))
    }

    /// Keeps a range that was submitted. Returns `false` if it has ended in the way of one that an executor refuses because
    /// it was closed, is broken, or cancels what is submitted.
    fn keep(&mut self, range: JobRange<R>) -> bool {
        let now = range.awaited().0.snapshot();
        self.made.push_back(Box::new(Some(range)));
        now.state != State::Cancelled && !matches!(now.raised, Some(Variant::ShutDown | Variant::Broken))
    }
}

impl<A: Send + 'static, R: Send + 'static> ItemRunner<A, R> for JobItems<'_, A, R> {
    fn add(&mut self, item: A) -> bool {
        if self.size == 1 {
            let future = self.submit.one(item);
            return self.keep(JobRange::One(future));
        }
        self.items.push(item);
        self.items.len() < self.size || self.submit_range()
    }

    fn add_boxed(&mut self, item: Box<A>) -> bool {
        if self.size == 1 {
            let future = self.submit.one_boxed(item);
            return self.keep(JobRange::One(future));
        }
        self.boxed.push(item);
        self.boxed.len() < self.size || self.submit_range()
    }

    fn submit_rest(&mut self) -> bool {
        self.submit_range()
    }

    fn ranges(&mut self) -> VecDeque<Box<dyn Collect<R>>> {
        std::mem::take(&mut self.made)
    }

    fn dismiss(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One by one: two drops that panic together would end the process.
        std::mem::take(&mut self.items).into_iter().for_each(drop_caught);
        std::mem::take(&mut self.boxed).into_iter().for_each(drop_caught);
        for range in std::mem::take(&mut self.made) {
            range.cancel();
            drop_caught(range);
        }
    }
}

/// The task of one item, or of several.
enum JobRange<R> {
    One(Future<R>),
    Many(Future<Outcomes<R>>, usize),
}

impl<R> Waitable for JobRange<R> {}
impl<R> Sealed for JobRange<R> {
    fn awaited(&self) -> Lent<'_> {
        match self {
            JobRange::One(future) => future.awaited(),
            JobRange::Many(future, _) => future.awaited(),
        }
    }
    fn runnable(&self) -> Owned {
        match self {
            JobRange::One(future) => future.runnable(),
            JobRange::Many(future, _) => future.runnable(),
        }
    }
}

impl<R> JobRange<R> {
    fn count(&self) -> usize {
        match self {
            JobRange::One(_) => 1,
            JobRange::Many(_, count) => *count,
        }
    }

    /// Returns the outcomes of a range that is done, one per item.
    fn into_outcomes(self) -> Outcomes<R> {
        match self {
            JobRange::One(future) if const { is_large::<R>() } => {
                future.wait();
                [future.take_boxed()].into_iter().collect()
            }
            JobRange::One(future) => Outcomes::from_iter([future.result()]),
            JobRange::Many(future, items) => {
                // They may come from another process: one too few would shift all that follow.
                let complete = future.result().and_then(|outcomes| match outcomes.len() {
                    count if count == items => Ok(outcomes),
                    count => Err(Error::Decode(Decode::new(
                        Part::Result,
                        format!("{count} results came back for a chunk of {items} items"),
                    ))),
                });
                complete.unwrap_or_else(|error| (0..items).map(|_| Err::<R, _>(error.clone())).collect())
            }
        }
    }
}

/// `None` once the outcomes were taken.
impl<R: Send> Collect<R> for Option<JobRange<R>> {
    fn take(&mut self, _: Order) -> Option<Collected<R>> {
        let outcomes = self.take_if(|range| is_done(range))?.into_outcomes();
        Some(Collected { outcomes, first: 0, is_over: true })
    }

    #[track_caller]
    fn wait(&self, deadline: Option<Instant>) {
        if let Some(range) = self {
            wait_until(range, deadline);
        }
    }

    fn listen(&self, listener: Arc<dyn Listen>, key: Key) {
        if let Some(range) = self
            && let Some(end) = range.awaited().0.listen(Listener::Set(Arc::clone(&listener), key))
        {
            listener.done(key, end);
        }
    }

    fn unfinished(&self) -> usize {
        self.as_ref().filter(|range| !is_done(*range)).map_or(0, JobRange::count)
    }

    fn left(&self) -> usize {
        self.as_ref().map_or(0, JobRange::count)
    }

    fn first_left(&self) -> usize {
        0
    }

    fn runs_here(&self) -> Option<FutureId> {
        let task = self.as_ref()?.awaited().0;
        task.runs_here().then(|| task.id())
    }

    fn hasten(&self, owner: &Arc<dyn TaskOwner>) {
        hasten(self, owner);
    }

    fn cancel(&self) {
        if let Some(range) = self {
            range.awaited().0.cancel();
        }
    }
}
