//! How the client cancels and aborts tasks: [`Remote`] for [`Shared`].
#![forbid(unsafe_code)]

use concurrent_futures::{FutureId, Remote};

use super::shared::Shared;

impl Remote for Shared {
    fn revoke(&self, id: FutureId) -> bool {
        let (is_exact, finished) = self.change(|state| {
            let (revoked, finished) = state.window.revoke(id);
            state.orders.revoked.extend(revoked.published);
            (revoked.is_exact, finished)
        });
        self.complete(finished);
        is_exact
    }

    fn curtail(&self, id: FutureId) {
        self.revoke(id);
    }

    fn stop(&self, id: FutureId) -> bool {
        self.change(|state| state.window.stop(id));
        // If the last answer of the task has arrived, two threads are about to end it, and the first one decides how.
        true
    }

    fn left(&self, id: FutureId) {
        let job = self.change(|state| {
            let (job, published) = state.window.left(id);
            state.orders.terminated.extend(published);
            job
        });
        drop(job);
    }

    fn ended(&self, _: FutureId, failed: bool) {
        self.count(failed);
    }
}
