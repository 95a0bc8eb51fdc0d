//! [`FakeTask`]: stands in for a task, or for the map that a batch belongs to. Records how it ends.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::oracle::{End, SharedOracle};
use crate::bytes::OutOfBand;
use crate::error::{Error, TooLarge};
use crate::id::FutureId;
use crate::items::BatchOwner;
use crate::options::TaskOptions;
use crate::process::task::RemoteTask;
use crate::task::arguments::Encoded;
use crate::task::context::RunningTask;
use crate::task::encoded::{EncodedCall, ItemOffsets};
use crate::task::listener::{Listener, ListenerKey};
use crate::task::roles::TaskOwner;
use crate::task::roles::{Awaited, Claim, Ran, Runnable};
use crate::task::snapshot::Snapshot;
use crate::task::times::{OnDone, OnStart};

pub(super) struct FakeTask {
    pub(super) options: TaskOptions,
    /// Its calls, by their numbers in the oracle.
    pub(super) calls: Range<usize>,
    pub(super) is_chunk: bool,
    /// Set if its job was started before it came to the pool.
    pub(super) is_started: bool,
    pub(super) oracle: SharedOracle,
}

/// Returns the call that an argument belongs to.
pub(super) fn call_of(bytes: &[u8]) -> usize {
    u32::from_le_bytes(*bytes.first_chunk().expect("an argument shorter than a call")) as usize
}

/// Returns the call that an item belongs to, or `None` if it was not sent.
pub(super) fn call_at(remote: &RemoteTask, position: usize) -> Option<usize> {
    let items = remote.items.as_ref()?;
    let start = position.checked_sub(1).map_or(0, |before| items.ends[before]);
    items.refusal(position).is_none().then(|| call_of(&remote.argument[start..items.ends[position]]))
}

/// Returns the calls that still belong to a task and have no known outcome.
pub(super) fn open_calls(remote: &RemoteTask) -> Vec<usize> {
    match &remote.items {
        None => vec![call_of(&remote.argument)],
        Some(items) => (items.known()..items.count()).filter_map(|position| call_at(remote, position)).collect(),
    }
}

/// Returns the first of the open calls, if it was sent.
pub(super) fn next_call(remote: &RemoteTask) -> Option<usize> {
    match remote.range() {
        None => Some(call_of(&remote.argument)),
        Some((next, end)) => (next < end).then(|| call_at(remote, next as usize))?,
    }
}

impl FakeTask {
    /// Encodes for each call its number, and `padding` bytes behind it.
    pub(super) fn argument(&self, padding: usize) -> (Vec<u8>, Option<ItemOffsets>) {
        let (mut argument, mut ends, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let oracle = self.oracle.lock();
        for (position, call) in self.calls.clone().enumerate() {
            if oracle.calls[call].is_refused {
                refused.push((position, Error::TooLarge(TooLarge::new(2, 1))));
            } else {
                argument.extend_from_slice(&(call as u32).to_le_bytes());
                argument.resize(argument.len() + padding, 0);
            }
            ends.push(argument.len());
        }
        (argument, self.is_chunk.then(|| ItemOffsets { ends: ends.into(), refused, stored: Box::default() }))
    }

    /// Ends all its calls.
    fn end_all(&self, end: End) -> bool {
        self.oracle.lock().calls[self.calls.clone()].iter_mut().for_each(|call| call.end(end));
        true
    }

    fn end_each(&self, first: usize, replies: Vec<Result<&[u8], Error>>) {
        let mut oracle = self.oracle.lock();
        for (call, reply) in (self.calls.start + first..).zip(replies) {
            assert!(self.calls.contains(&call), "the item belongs to another chunk");
            let end = match reply {
                Ok(bytes) => {
                    assert_eq!(call_of(bytes), call, "the result of another item");
                    End::Value
                }
                Err(error) => End::of(&error),
            };
            let is_refused = oracle.calls[call].is_refused;
            assert!(!is_refused || end != End::Value, "a refused item has a result");
            oracle.calls[call].end(end);
        }
    }
}

impl BatchOwner for FakeTask {
    fn deliver(&self, first: usize, replies: Vec<Result<&[u8], Error>>, _: &Arc<dyn OutOfBand>, _: Duration) {
        self.end_each(first, replies);
    }
    fn divided(&self) {}
    fn turn_away(&self, _: &Error) {}
}

impl Runnable for FakeTask {
    fn options(&self) -> Option<Arc<TaskOptions>> {
        Some(Arc::new(self.options.clone()))
    }
    fn has_callbacks(&self) -> bool {
        false
    }
    fn has_hooks(&self) -> bool {
        false
    }
    fn inputs(&self) -> Vec<Arc<dyn Runnable>> {
        unreachable!()
    }
    fn start(&self) -> bool {
        true
    }
    fn withdraw(&self) -> bool {
        assert!(!self.is_started, "a task is cancelled that runs for its caller");
        self.end_all(End::Cancelled)
    }
    fn refuse(&self, error: Error) -> bool {
        self.end_all(End::of(&error))
    }
    fn fail(&self, error: Error) -> bool {
        self.end_all(End::of(&error))
    }
    fn expire(&self, _: Duration) -> bool {
        self.end_all(End::Late)
    }
    fn complete(&self, reply: Result<&[u8], Error>) -> bool {
        self.end_all(reply.err().as_ref().map_or(End::Value, End::of))
    }
    fn complete_remote(&self, result: &[u8], _: &Arc<dyn OutOfBand>) -> bool {
        assert_eq!(call_of(result), self.calls.start, "the result of another task");
        self.end_all(End::Value)
    }
    fn complete_items(
        &self,
        replies: &mut dyn Iterator<Item = Result<&[u8], Error>>,
        _: Option<&Arc<dyn OutOfBand>>,
    ) -> bool {
        let replies: Vec<_> = replies.collect();
        assert_eq!(replies.len(), self.calls.len());
        self.end_each(0, replies);
        true
    }

    // Not called by a pool.

    fn set_options(&self, _: &Arc<TaskOptions>) {
        unreachable!()
    }
    fn is_waiting(&self) -> bool {
        unreachable!()
    }
    fn attach(&self, _: Arc<dyn TaskOwner>) -> bool {
        unreachable!()
    }
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        unreachable!()
    }
    fn entrust(&self, _: Arc<dyn TaskOwner>) -> bool {
        unreachable!()
    }
    fn is_fallible(&self) -> bool {
        unreachable!()
    }
    fn run(&self, _: Arc<dyn Runnable>, _: Option<&Arc<dyn TaskOwner>>) -> Ran {
        unreachable!()
    }
    fn claim(&self, _: Arc<dyn Runnable>, _: &Arc<dyn TaskOwner>) -> Claim {
        unreachable!()
    }
    fn hasten(&self, _: Arc<dyn Runnable>, _: &Arc<dyn TaskOwner>) {
        unreachable!()
    }
    fn encode(&self) -> Result<Encoded, Error> {
        unreachable!()
    }
    fn on_abort(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!()
    }
    fn on_start(&self, _: OnStart) {
        unreachable!()
    }
    fn on_done(&self, _: OnDone) {
        unreachable!()
    }
    fn drop_hooks(&self) {
        unreachable!()
    }
    fn note_start(&self, _: Instant, _: &str, _: &'static str) {
        unreachable!()
    }
    fn note_executor(&self, _: &'static str) {
        unreachable!()
    }
}

#[cfg(feature = "remote")]
impl crate::task::formats::AnyFormat for FakeTask {
    fn show(&self, _: &mut crate::task::formats::Visit<'_>) -> Result<(), Error> {
        unreachable!()
    }
    fn entry(&self) -> Option<crate::task::encoded::Entry> {
        unreachable!()
    }
    fn read(&self, _: &mut dyn Iterator<Item = crate::task::formats::Reply<'_>>) -> bool {
        unreachable!()
    }
}

impl RunningTask for FakeTask {
    fn id(&self) -> FutureId {
        FutureId::from_u64(self.calls.start as u64)
    }
    fn name(&self) -> Option<Arc<str>> {
        None
    }
    fn is_aborted(&self) -> bool {
        unreachable!()
    }
}

impl Awaited for FakeTask {
    fn snapshot(&self) -> Snapshot {
        unreachable!()
    }
    fn look(&self) -> Snapshot {
        unreachable!()
    }
    fn runs_here(&self) -> bool {
        unreachable!()
    }
    fn cancel(&self) -> bool {
        unreachable!()
    }
    fn abort(&self) -> bool {
        unreachable!()
    }
    fn listen(&self, _: Listener) -> Option<crate::task::snapshot::End> {
        unreachable!()
    }
    fn hold(&self, _: Arc<dyn std::any::Any + Send + Sync>) {
        unreachable!()
    }
    fn unlisten(&self, _: ListenerKey) {
        unreachable!()
    }
    fn sleep(&self, _: Option<Instant>) -> bool {
        unreachable!()
    }
    fn error(&self) -> Option<Error> {
        unreachable!()
    }
    fn detach(&self) {}
}
