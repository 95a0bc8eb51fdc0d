//! What feeds a map: inputs are pulled, made into batches of one or more items, and submitted.
//!
//! An item counts as in flight from its submission until the batch it is in was seen to be done.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::engine::ItemRunner;
use super::local::LocalItems;
use super::remote::RemoteItems;
use crate::backend::{Backend, dispatch, submit};
use crate::codec::Payload;
use crate::error::{Decode, Error, Outcome, Part};
use crate::future::Future;
use crate::held::is_large;
use crate::items::Threads;
use crate::options::TaskOptions;
use crate::outcomes::Outcomes;
use crate::task::call::{Chunk, Everywhere};
use crate::task::function::{Function, Unboxing};
use crate::task::new_task;
use crate::task::owner;
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{Waitable, deadline, is_done};

/// Submits the items of a map.
pub(crate) trait Submit<A, R>: Send {
    fn one(&self, argument: A) -> Future<R>;
    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>>;
    /// As `one`, for an argument that is [large](is_large).
    fn one_boxed(&self, argument: Box<A>) -> Future<R>;
    /// As `many`, for arguments that are [large](is_large).
    fn many_boxed(&self, arguments: Vec<Box<A>>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>>;
    /// Returns who takes the items in ranges, if the executor has somebody and the options leave the ranges to it.
    fn item_runner(&self) -> Option<Arc<dyn ItemRunner<A, R>>>;
    /// Returns `true` if each item is to be a task, whatever chunk size was asked for.
    fn takes_only_tasks(&self) -> bool;
}

/// Submits a plain function to any executor.
pub(crate) struct Via<'e, B: ?Sized, F> {
    pub(crate) executor: &'e B,
    pub(crate) function: F,
}

impl<B, F, A, R> Submit<A, R> for Via<'_, B, F>
where
    B: Backend + ?Sized,
    F: Function<A, R> + 'static,
    A: Payload,
    R: Payload,
{
    fn one(&self, argument: A) -> Future<R> {
        dispatch(self.executor, self.function, argument)
    }

    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        let call = Chunk { function: Everywhere(self.function), arguments, stop };
        submit(self.executor, new_task(Some(call), None, None))
    }

    fn one_boxed(&self, argument: Box<A>) -> Future<R> {
        if const { is_large::<A>() } {
            dispatch(self.executor, Unboxing(self.function), argument)
        } else {
            self.one(*argument)
        }
    }

    fn many_boxed(&self, arguments: Vec<Box<A>>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        if const { is_large::<A>() } {
            let unboxing = Via { executor: self.executor, function: Unboxing(self.function) };
            unboxing.many(arguments, stop)
        } else {
            self.many(arguments.into_iter().map(|argument| *argument).collect(), stop)
        }
    }

    fn item_runner(&self) -> Option<Arc<dyn ItemRunner<A, R>>> {
        let (function, options) = (self.function, self.executor.task_options());
        let executor = self.executor.item_executor()?;
        if let Some(threads) = Arc::clone(&executor).threads() {
            return on_threads(threads, options, move |argument| function.call(argument));
        }
        if may_share::<A, R>(options)
            && let Some(elsewhere) = executor.elsewhere()
        {
            let items = RemoteItems::new(elsewhere.0, options.cloned(), function);
            return items.map(|items| items as _);
        }
        None
    }

    fn takes_only_tasks(&self) -> bool {
        self.executor.item_executor().is_some_and(|executor| executor.takes_only_tasks())
    }
}

/// Returns `true` if the executor may choose the ranges. Large items are tasks of their own.
fn may_share<A, R>(options: Option<&Arc<TaskOptions>>) -> bool {
    if const { is_large::<A>() || is_large::<R>() } {
        return false;
    }
    options.is_none_or(|options| options.leaves_chunks_open())
}

/// Has threads of this process take the items, if that may be.
///
/// Not those of the executor that the calling thread belongs to: where a worker waits for an item, it is to run that one itself.
pub(crate) fn on_threads<A: Send + 'static, R: Send + 'static>(
    threads: Threads,
    options: Option<&Arc<TaskOptions>>,
    function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
) -> Option<Arc<dyn ItemRunner<A, R>>> {
    let Threads(owner) = threads;
    if !may_share::<A, R>(options) || owner::is_current(Arc::as_ptr(&owner).cast()) {
        return None;
    }
    Some(LocalItems::new(owner, options.cloned(), function))
}

/// One task of a map: an item, or a chunk of them.
pub(crate) enum Batch<R> {
    One(Future<R>),
    Many(Future<Outcomes<R>>, usize),
}

impl<R> Waitable for Batch<R> {}
impl<R> Sealed for Batch<R> {
    fn awaited(&self) -> Lent<'_> {
        match self {
            Batch::One(future) => future.awaited(),
            Batch::Many(future, _) => future.awaited(),
        }
    }
    fn runnable(&self) -> Owned {
        match self {
            Batch::One(future) => future.runnable(),
            Batch::Many(future, _) => future.runnable(),
        }
    }
}

impl<R> Batch<R> {
    pub(crate) fn items(&self) -> usize {
        match self {
            Batch::One(_) => 1,
            Batch::Many(_, items) => *items,
        }
    }

    /// The outcomes of a batch that is done, one per item.
    pub(crate) fn into_outcomes(self) -> Outcomes<R> {
        match self {
            Batch::One(future) if const { is_large::<R>() } => {
                future.wait();
                [future.take_boxed()].into_iter().collect()
            }
            Batch::One(future) => Outcomes::from_iter([future.result()]),
            Batch::Many(future, items) => {
                // They may come from elsewhere: one too few would shift all that follow.
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

/// Pulls inputs and submits them.
pub(crate) struct Feed<'e, I: Iterator, R> {
    /// `None` once it ended, or when nobody wants more.
    pub(crate) input: Option<I>,
    submit: Box<dyn Submit<I::Item, R> + 'e>,
    chunk_size: usize,
    /// Items that may be in flight.
    capacity: usize,
    pub(crate) in_flight: usize,
    pub(crate) submitted: usize,
    stop: Arc<AtomicBool>,
    pub(crate) deadline: Option<Instant>,
    /// The time that there is until then, from the call.
    pub(crate) timeout: Duration,
}

impl<'e, I: Iterator, R> Feed<'e, I, R> {
    pub(crate) fn new(submit: impl Submit<I::Item, R> + 'e, input: I, options: &TaskOptions) -> Self {
        let chunk_size = if submit.takes_only_tasks() { 1 } else { options.items_per_chunk() };
        Self {
            input: Some(input),
            submit: Box::new(submit),
            chunk_size,
            capacity: options.items_in_flight().unwrap_or(usize::MAX),
            in_flight: 0,
            submitted: 0,
            stop: Arc::new(AtomicBool::new(false)),
            deadline: deadline(options.map_timeout()),
            timeout: options.map_timeout().unwrap_or_default(),
        }
    }

    /// Submits the next batch, if there is room and input; with the position of its first item.
    pub(crate) fn next_batch(&mut self) -> Option<(usize, Batch<R>)> {
        let size = self.chunk_size.min(self.capacity - self.in_flight);
        if size == 0 {
            return None;
        }
        let input = self.input.as_mut()?;
        let (items, batch) = if const { is_large::<I::Item>() } {
            // From the input into its box.
            let mut items: Vec<Box<I::Item>> = input.take(size).map(Box::new).collect();
            let count = items.len();
            let one = if self.chunk_size == 1 { items.pop() } else { None };
            let batch = match one {
                Some(item) => Some(Batch::One(self.submit.one_boxed(item))),
                None if count == 0 => None,
                None => Some(Batch::Many(self.submit.many_boxed(items, Arc::clone(&self.stop)), count)),
            };
            (count, batch)
        } else if self.chunk_size == 1 {
            let item = input.next();
            (usize::from(item.is_some()), item.map(|item| Batch::One(self.submit.one(item))))
        } else {
            let items: Vec<I::Item> = input.take(size).collect();
            let count = items.len();
            let stop = Arc::clone(&self.stop);
            (count, (count > 0).then(|| Batch::Many(self.submit.many(items, stop), count)))
        };
        if items < size {
            self.input = None;
        }
        let position = self.submitted;
        self.in_flight += items;
        self.submitted += items;
        Some((position, batch?))
    }

    /// Nobody wants more: what has not started will not.
    pub(crate) fn stop<'b>(&mut self, batches: impl Iterator<Item = &'b Batch<R>>)
    where
        R: 'b,
    {
        self.input = None;
        self.stop.store(true, Ordering::Relaxed);
        for batch in batches {
            batch.awaited().0.cancel();
        }
    }

    pub(crate) fn size_hint(&self, in_hand: usize) -> (usize, Option<usize>) {
        let (low, high) = self.input.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        if self.deadline.is_some() {
            // The time may run out; that is one item of its own.
            return (0, high.and_then(|high| high.checked_add(in_hand)?.checked_add(1)));
        }
        (low.saturating_add(in_hand), high.and_then(|high| high.checked_add(in_hand)))
    }
}

pub(crate) fn unfinished<'b, R: 'b>(batches: impl Iterator<Item = &'b Batch<R>>) -> usize {
    batches.filter(|batch| !is_done(*batch)).map(Batch::items).sum()
}
