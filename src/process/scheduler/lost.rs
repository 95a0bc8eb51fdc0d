//! [`LostTask`]: a task that a worker died of.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Error;
use crate::process::shm::table::TaskTable;
use crate::process::task::RemoteTask;

pub(in crate::process) struct LostTask {
    pub(in crate::process) remote: Arc<RemoteTask>,
    pub(in crate::process) slot: u8,
    pub(in crate::process) sequence: u64,
}

impl LostTask {
    /// Notes what the worker has left of the task, and returns the error that the task ends with. Returns `None` if it
    /// has to be queued again, which ends a chunk or batch of which no wanted item is left. `died` makes the error.
    /// This is slow, so it is called only if the death is blamed on the task.
    pub(in crate::process) fn judge(&self, table: &TaskTable, died: impl FnOnce() -> Error) -> Option<Error> {
        let Self { remote, slot, sequence } = self;
        if remote.items.is_some()
            && let Some((first, count, replies)) = table.read_journal(*sequence)
        {
            // A journal that a task has overwritten counts as missing.
            remote.note(first, count, &replies);
        }
        if remote.items.is_some() && !remote.has_begun(table.slots().begun(*slot)) {
            return None;
        }
        let error = died();
        if !remote.is_curtailed() && remote.may_retry() {
            remote.retry(error);
            return None;
        }
        if remote.items.is_none() {
            return Some(error);
        }
        remote.note_error(error);
        None
    }
}
