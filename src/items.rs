//! [`ItemExecutor`]: how an executor takes the items of a map in ranges, beside the jobs that it takes one by one.
//!
//! What an executor offers knows no types: a map has a typed half for each way (`map/local.rs`, `map/remote.rs`) that
//! stands on the traits here. An executor that offers nothing gets each item, or each chunk, as a [`Job`](crate::Job).
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

/// Says how an executor takes the items of a map; what [`Backend::item_executor`](crate::Backend::item_executor)
/// returns.
///
/// The pools of this crate make one that shares the items among their workers, and
/// [`Executor::with`](crate::Executor::with) adds its options. A backend that passes its jobs to another executor
/// returns that executor's, so that maps through it are as fast and keep the options. The default has neither: each
/// item, or each chunk of the size that was asked for, is a [`Job`](crate::Job).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use concurrent_futures::{Backend, Executor, ItemExecutor, Job, ThreadPoolExecutor};
///
/// /// Counts in the log what it passes on.
/// struct Logged<B>(B);
///
/// impl<B: Backend> Backend for Logged<B> {
///     fn execute(&self, job: Job) {
///         println!("a task");
///         self.0.execute(job);
///     }
///     fn item_executor(&self) -> ItemExecutor {
///         println!("a map");
///         self.0.item_executor()
///     }
///     // The rest is passed on as it is.
///     # fn max_workers(&self) -> usize {
///     #     self.0.max_workers()
///     # }
///     # fn close(&self) {
///     #     self.0.close();
///     # }
///     # fn join(&self, timeout: Option<Duration>) -> bool {
///     #     self.0.join(timeout)
///     # }
/// }
///
/// let executor = Logged(ThreadPoolExecutor::new(2));
/// let doubled: Vec<i32> = executor.map(|n| 2 * n, [1, 2, 3]).collect::<Result<_, _>>()?;
/// assert_eq!(doubled, [2, 4, 6]);
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

    /// Puts other options in the place of those that it has.
    pub(crate) fn with_options(self, options: Arc<TaskOptions>) -> Self {
        Self { options: Some(options), ..self }
    }

    /// Returns the options that [`Executor::with`](crate::Executor::with) adds to every task.
    pub(crate) fn options(&self) -> Option<&Arc<TaskOptions>> {
        self.options.as_ref()
    }

    /// Returns `true` if each item has to be a task of its own, whatever chunk size was asked for.
    pub(crate) fn takes_only_tasks(&self) -> bool {
        self.ranges.as_ref().is_some_and(|ranges| ranges.takes_only_tasks())
    }

    /// Returns the threads of this process that may share the items.
    pub(crate) fn threads(&self) -> Option<Arc<dyn Sharing>> {
        Arc::clone(self.ranges.as_ref()?).threads()
    }

    /// Returns who takes the items encoded, to workers elsewhere.
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
    /// As [`ItemExecutor::takes_only_tasks`].
    fn takes_only_tasks(&self) -> bool;

    /// As [`ItemExecutor::threads`].
    fn threads(self: Arc<Self>) -> Option<Arc<dyn Sharing>> {
        None
    }

    /// As [`ItemExecutor::elsewhere`].
    fn elsewhere(self: Arc<Self>) -> Option<Arc<dyn BatchExecutor>> {
        None
    }
}

/// An executor whose workers are elsewhere, as the items of one map see it.
pub(crate) trait BatchExecutor: Send + Sync {
    /// Returns how many workers there may be.
    fn workers(&self) -> usize;
    /// Returns why the calling thread may not add items any more, if that is so.
    fn refuses_all(&self) -> Option<Error>;
    /// Returns `true` if the workers have these functions.
    fn finds(&self, entry: Entry) -> bool;
    /// Returns the ticket of items that are pulled now.
    fn ticket(&self) -> Ticket;
    /// What is pending there is pending here, and is behind what was shared before.
    fn enlist(&self, shared: Weak<dyn Shared>);
    /// Announces that more batches come, so that the workers stay although the executor is closed. `first`: nothing was
    /// announced before.
    fn expect_more(&self, first: bool) -> Result<(), Error>;
    /// Takes the announcement back.
    fn expect_no_more(&self);
    /// Counts items that have ended.
    fn add(&self, ended: Ended);
    /// Runs `encode` so that long bytes are taken out of the encoding, and returns them attached to it. Items that are
    /// too long are refused.
    fn encode(
        &self,
        encode: &mut dyn FnMut() -> Result<EncodedCall, Error>,
    ) -> Result<(EncodedCall, Option<Attached>), Error>;
    /// Makes a batch. What it returns sends it, and is called with no lock held; it may run user code.
    fn batch(&self, batch: NewBatch) -> Box<dyn FnOnce()>;
    /// Takes back of all batches what has not begun. Runs user code.
    fn call_back(&self);
}

/// Long bytes that go beside an encoding. They are released when this is dropped.
pub(crate) struct Attached(pub(crate) Box<dyn Any + Send>);

/// Some encoded items that lie next to each other.
pub(crate) struct NewBatch {
    pub(crate) encoded: EncodedCall,
    pub(crate) attached: Option<Attached>,
    pub(crate) owner: Arc<dyn BatchOwner>,
    pub(crate) options: Option<Arc<TaskOptions>>,
    /// The position of the first item, as the owner counts.
    pub(crate) first: usize,
    /// When the items were pulled.
    pub(crate) ticket: Ticket,
}

/// Gets the outcomes of a batch.
pub(crate) trait BatchOwner: Send + Sync {
    /// Takes the encoded results of the items from `first` on, which took so long. Runs user code.
    fn deliver(
        &self,
        first: usize,
        replies: Vec<Result<&[u8], Error>>,
        out_of_band: &Arc<dyn OutOfBand>,
        took: Duration,
    );
    /// One of its batches has become two. Called under a lock of the executor.
    fn divided(&self);
    /// The executor takes nothing more of it.
    fn turn_away(&self, error: &Error);
}
