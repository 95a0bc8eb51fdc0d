//! [`OutOfBand`]: the channel beside the encoding in progress, of which each thread has its own.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::value::Bytes;
use crate::sync::thread_local;

/// Sends long bytes beside an encoding.
pub(crate) trait OutOfBand: Send + Sync {
    /// Stores a copy and returns its number, or `None` if the bytes have to be written into the encoding.
    fn put(&self, bytes: &[u8]) -> Option<u32>;
    /// Releases the copies with these numbers, which are not needed after all.
    fn put_back(&self, numbers: &[u32]);
    /// Returns the bytes with this number.
    fn get(&self, number: u32, length: u64) -> Option<Bytes>;
}

/// The channels of a thread. [`Use`] says which of them is in use.
struct Current {
    /// The channel that was lent or passed on last.
    out_of_band: Option<Arc<dyn OutOfBand>>,
    /// The numbers of what was stored in the channel that is in use.
    taken: Vec<u32>,
    /// The channel that the thread [keeps](keep).
    kept: Option<Arc<dyn OutOfBand>>,
}

impl Current {
    const fn new(out_of_band: Option<Arc<dyn OutOfBand>>) -> Self {
        Self { out_of_band, taken: Vec::new(), kept: None }
    }
}

/// Which channel a thread uses. It is apart from [`Current`], because few values store anything out of band: to encode the
/// others with the kept channel, it is enough to change this, which takes a few instructions.
#[derive(Clone, Copy)]
struct Use {
    /// The address of the kept channel. 0 if there is none, or while the thread uses another channel or none.
    kept: usize,
    /// The kept channel is in use.
    uses_kept: bool,
    /// The length of `Current::taken`.
    stored: usize,
}

impl Use {
    const NONE: Self = Self { kept: 0, uses_kept: false, stored: 0 };
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::new(Current::new(None));
    static USE: Cell<Use> = Cell::new(Use::NONE);
}

/// Replaces the [`Use`] of this thread, and returns the one before. Has no effect once the thread-locals are gone.
#[inline]
fn replace_use(by: Use) -> Use {
    USE.try_with(|current| current.replace(by)).unwrap_or(Use::NONE)
}

#[inline]
fn current_use() -> Use {
    USE.try_with(Cell::get).unwrap_or(Use::NONE)
}

/// Runs code that is unrelated to the encoding in progress on this thread, such as a callback, without an out-of-band
/// channel.
pub(crate) fn apart<R>(code: impl FnOnce() -> R) -> R {
    with(None, code)
}

/// Encodes or decodes with the out-of-band channel of another thread.
pub(crate) fn with<R>(out_of_band: Option<Arc<dyn OutOfBand>>, code: impl FnOnce() -> R) -> R {
    let _restore = RestoreChannel::replaced(out_of_band);
    code()
}

/// Restores the out-of-band channel of the thread when dropped.
struct RestoreChannel(Option<Arc<dyn OutOfBand>>, Use);

impl RestoreChannel {
    fn replaced(by: Option<Arc<dyn OutOfBand>>) -> Self {
        let replace = |current: &RefCell<Current>| std::mem::replace(&mut current.borrow_mut().out_of_band, by);
        let outer = current_use();
        replace_use(Use { stored: outer.stored, ..Use::NONE });
        Self(CURRENT.try_with(replace).ok().flatten(), outer)
    }
}

impl Drop for RestoreChannel {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.borrow_mut().out_of_band = self.0.take());
        replace_use(Use { stored: current_use().stored, ..self.1 });
    }
}

/// Encodes or decodes with an out-of-band channel, and also returns the numbers of the bytes that were stored. If the code
/// panics, these are put back.
pub(crate) fn with_out_of_band<R>(out_of_band: &Arc<dyn OutOfBand>, code: impl FnOnce() -> R) -> (R, Vec<u32>) {
    let mut restore = RestoreCurrent::lent(out_of_band);
    let result = code();
    (result, restore.restore())
}

/// Returns how often the encoding in progress on this thread has stored bytes so far. Each time gives one of the numbers
/// that [`with_out_of_band`] returns at the end, in this order.
pub(crate) fn stored() -> usize {
    current_use().stored
}

/// Stores a channel on this thread until the thread ends, so that encoding with it only sets a flag.
#[cfg(feature = "process")]
pub(crate) fn keep(out_of_band: Arc<dyn OutOfBand>) {
    let kept = address(&out_of_band);
    let _ = CURRENT.try_with(|current| current.borrow_mut().kept = Some(out_of_band));
    replace_use(Use { kept, ..current_use() });
}

/// Returns the address by which a channel is recognised.
fn address(out_of_band: &Arc<dyn OutOfBand>) -> usize {
    Arc::as_ptr(out_of_band).addr()
}

/// Restores the channels of the thread, at the latest when dropped.
struct RestoreCurrent(Previous);

/// What a thread had in use before a channel was lent to it.
enum Previous {
    /// It used no channel, and was lent the one that it keeps.
    Nothing,
    /// The state to restore, which is `None` if the thread-locals are gone.
    Other(Option<Current>, Use),
    /// The state has been restored.
    Restored,
}

impl RestoreCurrent {
    #[inline]
    fn lent(out_of_band: &Arc<dyn OutOfBand>) -> Self {
        let current = current_use();
        if current.kept == address(out_of_band) && !current.uses_kept {
            replace_use(Use { uses_kept: true, stored: 0, ..current });
            return Self(Previous::Nothing);
        }
        let inner = Current::new(Some(Arc::clone(out_of_band)));
        let outer = CURRENT.try_with(|current| current.replace(inner)).ok();
        Self(Previous::Other(outer, replace_use(Use::NONE)))
    }

    /// Restores the channels of the thread, and returns the numbers of what was stored since.
    #[inline]
    fn restore(&mut self) -> Vec<u32> {
        match std::mem::replace(&mut self.0, Previous::Restored) {
            Previous::Nothing => {
                let current = current_use();
                replace_use(Use { uses_kept: false, stored: 0, ..current });
                if current.stored == 0 { Vec::new() } else { take_numbers() }
            }
            Previous::Other(outer, outer_use) => {
                replace_use(outer_use);
                let inner = outer.and_then(|outer| CURRENT.try_with(|current| current.replace(outer)).ok());
                inner.map(|inner| inner.taken).unwrap_or_default()
            }
            Previous::Restored => Vec::new(),
        }
    }
}

/// Takes out the numbers of what was stored.
#[cold]
fn take_numbers() -> Vec<u32> {
    CURRENT.try_with(|current| std::mem::take(&mut current.borrow_mut().taken)).unwrap_or_default()
}

impl Drop for RestoreCurrent {
    /// If the code has panicked, puts back what it stored, because nobody gets the numbers. Otherwise does nothing.
    fn drop(&mut self) {
        if matches!(self.0, Previous::Restored) {
            return;
        }
        let out_of_band = if stored() > 0 { out_of_band() } else { None };
        let taken = self.restore();
        if let Some(out_of_band) = out_of_band {
            out_of_band.put_back(&taken);
        }
    }
}

/// Returns the out-of-band channel that this thread encodes or decodes with.
pub(crate) fn out_of_band() -> Option<Arc<dyn OutOfBand>> {
    let uses_kept = current_use().uses_kept;
    let channel = |current: &RefCell<Current>| {
        let current = current.borrow();
        if uses_kept { current.kept.clone() } else { current.out_of_band.clone() }
    };
    CURRENT.try_with(channel).ok().flatten()
}

/// Returns `true` if this thread encodes or decodes with an out-of-band channel.
pub(super) fn has_out_of_band() -> bool {
    current_use().uses_kept || CURRENT.try_with(|current| current.borrow().out_of_band.is_some()).unwrap_or(false)
}

/// Stores a copy of the bytes out of band, and returns its number, or `None` if they have to be written into the encoding.
pub(super) fn store(bytes: &[u8]) -> Option<u32> {
    let number = out_of_band()?.put(bytes)?;
    let _ = CURRENT.try_with(|current| current.borrow_mut().taken.push(number));
    let current = current_use();
    replace_use(Use { stored: current.stored + 1, ..current });
    Some(number)
}
