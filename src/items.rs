//! [`ItemExecutor`]: how an executor takes the items of a map in ranges, instead of one job at a time.
//!
//! The traits here do not know the types of the items. A map has a typed implementation on top of them for each way
//! (`map/local.rs`, `map/remote.rs`). An executor that offers neither way gets each item, or each chunk, as a
//! [`Job`](crate::Job).
#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::bytes::OutOfBand;
use crate::error::Error;
use crate::options::TaskOptions;
use crate::task::encoded::{EncodedCall, Entry};
use crate::task::owner::{Ended, Shared, Sharing};
use crate::ticket::Ticket;

/// How an executor takes the items of a map. Returned by [`Backend::item_executor`](crate::Backend::item_executor).
///
/// The pools of this crate return one that shares the items among their workers, and
/// [`Executor::with`](crate::Executor::with) adds its options. A backend that passes its jobs to another executor
/// returns that executor's `ItemExecutor`, so that maps through it are as fast and keep the options. With the default,
/// each item, or each chunk of the requested size, is a [`Job`](crate::Job).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use concurrent_futures::{
///     Backend, Executor, ItemExecutor, Job, Stats, Submitter, ThreadPoolExecutor, Waiting,
/// };
///
/// /// Prints what it passes on.
/// struct Logged<B>(B);
///
/// impl<B: Backend> Backend for Logged<B> {
///     fn execute(&self, job: Job) {
///         println!("a task");
///         self.0.execute(job);
///     }
///     fn max_workers(&self) -> usize {
///         self.0.max_workers()
///     }
///     fn close(&self) {
///         self.0.close();
///     }
///     fn join(&self, timeout: Option<Duration>) -> bool {
///         self.0.join(timeout)
///     }
///     // The others are not required. But with their defaults, `shutdown_now` cancels nothing, the
///     // statistics stay at zero, `submit_async`, `submit_after` and `shutdown_async` block, and each
///     // item of a map is a job.
///     fn cancel_pending(&self) -> usize {
///         self.0.cancel_pending()
///     }
///     fn stats(&self) -> Stats {
///         self.0.stats()
///     }
///     fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
///         println!("a task");
///         self.0.try_execute(job, waiting)
///     }
///     fn submitter(&self) -> Option<Submitter> {
///         println!("a task that waits for others");
///         self.0.submitter()
///     }
///     fn poll_join(&self, waiting: &mut Waiting) -> bool {
///         self.0.poll_join(waiting)
///     }
///     fn item_executor(&self) -> ItemExecutor {
///         println!("a map");
///         self.0.item_executor()
///     }
/// }
///
/// let executor = Logged(ThreadPoolExecutor::new(2));
/// let doubled: Vec<i32> = executor.map(|n| 2 * n, [1, 2, 3]).collect::<Result<_, _>>()?;
/// assert_eq!(doubled, [2, 4, 6]);
/// assert_eq!(executor.stats().completed, 3);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ItemExecutor {
    ranges: Option<Arc<dyn RangeExecutor>>,
    options: Option<Arc<TaskOptions>>,
}

impl ItemExecutor {
    pub(crate) fn new(ranges: Arc<dyn RangeExecutor>) -> Self {
        Self { ranges: Some(ranges), options: None }
    }

    /// Replaces the options.
    pub(crate) fn with_options(self, options: Arc<TaskOptions>) -> Self {
        Self { options: Some(options), ..self }
    }

    /// Returns the options that [`Executor::with`](crate::Executor::with) adds to every task.
    pub(crate) fn options(&self) -> Option<&Arc<TaskOptions>> {
        self.options.as_ref()
    }

    /// Returns `true` if each item has to be a task of its own, whatever chunk size was requested.
    pub(crate) fn takes_only_tasks(&self) -> bool {
        self.ranges.as_ref().is_some_and(|ranges| ranges.takes_only_tasks())
    }

    /// Returns the executor whose threads in this process may share the items, if there is one.
    pub(crate) fn threads(&self) -> Option<Arc<dyn Sharing>> {
        Arc::clone(self.ranges.as_ref()?).threads()
    }

    /// Returns the executor that takes the items encoded, for workers in other processes, if there is one.
    pub(crate) fn elsewhere(&self) -> Option<Arc<dyn BatchExecutor>> {
        Arc::clone(self.ranges.as_ref()?).elsewhere()
    }
}

impl fmt::Debug for ItemExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemExecutor").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Takes the items of maps in ranges, in this process or elsewhere.
pub(crate) trait RangeExecutor: Send + Sync {
    /// See [`ItemExecutor::takes_only_tasks`].
    fn takes_only_tasks(&self) -> bool;

    /// See [`ItemExecutor::threads`].
    fn threads(self: Arc<Self>) -> Option<Arc<dyn Sharing>> {
        None
    }

    /// See [`ItemExecutor::elsewhere`].
    fn elsewhere(self: Arc<Self>) -> Option<Arc<dyn BatchExecutor>> {
        None
    }
}

/// An executor whose workers are in other processes, as one map uses it.
pub(crate) trait BatchExecutor: Send + Sync {
    /// Returns how many workers there may be.
    fn workers(&self) -> usize;
    /// Returns the ticket for items that the calling thread pulls now, or the reason why it may no longer add any.
    fn admit(&self) -> Result<Ticket, Error>;
    /// Returns `true` if the workers can find these functions.
    fn finds(&self, entry: Entry) -> bool;
    /// Registers `shared`: its pending items are pending in this executor, behind everything that was registered
    /// before.
    fn enlist(&self, shared: Weak<dyn Shared>);
    /// Announces that more batches follow, so that the workers stay even if the executor is closed. `first` is `true`
    /// if the map has made no announcement before.
    fn expect_more(&self, first: bool) -> Result<(), Error>;
    /// Withdraws the announcement.
    fn expect_no_more(&self);
    /// Adds items that have ended to the counts of the executor.
    fn add(&self, ended: Ended);
    /// Runs `encode` with the out-of-band channel of the executor, and returns the encoding, and the positions of the
    /// items whose long bytes go beside it, each with its bytes. Refuses items that are too long.
    fn encode(
        &self,
        encode: &mut dyn FnMut() -> Result<EncodedCall, Error>,
    ) -> Result<(EncodedCall, Vec<(usize, Attached)>), Error>;
    /// Makes a batch and returns a closure that sends it. The closure may run user code, so no lock may be held when it
    /// is called.
    fn batch(&self, batch: NewBatch) -> Box<dyn FnOnce()>;
    /// Takes back the items of all batches that have not begun. Runs user code.
    fn call_back(&self);
}

/// Long bytes that are sent beside an encoding. They are released when this is dropped.
pub(crate) struct Attached(pub(crate) Box<dyn Any + Send>);

/// A batch to be sent: encoded items that lie next to each other in the input.
pub(crate) struct NewBatch {
    pub(crate) encoded: EncodedCall,
    pub(crate) attached: Option<Attached>,
    pub(crate) owner: Arc<dyn BatchOwner>,
    pub(crate) options: Option<Arc<TaskOptions>>,
    /// The position of the first item, as the owner counts positions.
    pub(crate) first: usize,
    /// The ticket of the items, from when they were pulled.
    pub(crate) ticket: Ticket,
}

/// Gets the outcomes of a batch.
pub(crate) trait BatchOwner: Send + Sync {
    /// Takes the encoded results of the items from `first` on, which ran for `took` in total. Runs user code.
    fn deliver(
        &self,
        first: usize,
        replies: Vec<Result<&[u8], Error>>,
        out_of_band: &Arc<dyn OutOfBand>,
        took: Duration,
    );
    /// Notes that one of its batches was divided into two. Called under a lock of the executor.
    fn divided(&self);
    /// Notes that the executor accepts no more batches of this owner.
    fn turn_away(&self, error: &Error);
}
