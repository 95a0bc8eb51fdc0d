//! Gates hold tasks that run in this process.

use std::ops::Deref;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use concurrent_futures::{Future, ThreadPoolExecutor};

use super::watchdog::{LONG, soon};

/// How many threads have come to a gate, and whether it is open.
#[derive(Default)]
struct State {
    arrivals: usize,
    is_open: bool,
}

/// Blocks each thread that passes until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

impl Gate {
    /// Comes to the gate, and blocks until it is open.
    ///
    /// # Panics
    ///
    /// Panics if it is not opened within [`LONG`].
    pub fn pass(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.arrivals += 1;
        self.0.1.notify_all();
        self.wait_for(state, |state: &mut State| !state.is_open, "no thread opens the gate");
    }

    /// Blocks until `count` threads have come to the gate.
    ///
    /// # Panics
    ///
    /// Panics if they have not come after [`LONG`].
    #[track_caller]
    pub fn arrived(&self, count: usize) {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.wait_for(state, |state| state.arrivals < count, "too few threads came to the gate");
    }

    /// Lets all threads pass, including those that come later.
    pub fn open(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).is_open = true;
        self.0.1.notify_all();
    }

    #[track_caller]
    fn wait_for(&self, state: MutexGuard<'_, State>, condition: impl FnMut(&mut State) -> bool, hang: &str) {
        let waited = self.0.1.wait_timeout_while(state, LONG, condition);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        // Panics without the lock: the drop of an opener takes it as well.
        drop(state);
        assert!(!timeout.timed_out(), "{hang}");
    }
}

/// Opens its gate when it is dropped, so that a test that fails leaves no thread blocked.
pub struct Opener(Gate);

impl Deref for Opener {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Makes a gate: the test keeps its opener, and tasks get the other handle.
pub fn gate() -> (Opener, Gate) {
    let gate = Gate::default();
    (Opener(gate.clone()), gate)
}

/// Keeps one worker busy until the opener opens or is dropped. Returns once the task runs.
#[track_caller]
pub fn occupy(threads: &ThreadPoolExecutor) -> (Opener, Future<()>) {
    let (opener, gate) = gate();
    let future = threads.spawn(move || gate.pass());
    opener.arrived(1);
    (opener, future)
}

/// Keeps one more worker busy until this gate is open. Returns once the task runs.
#[track_caller]
pub fn occupy_at(threads: &ThreadPoolExecutor, gate: &Gate) -> Future<()> {
    let (gate, (started, has_started)) = (gate.clone(), channel());
    let future = threads.spawn(move || {
        started.send(()).expect("the test waits");
        gate.pass();
    });
    soon(&has_started);
    future
}
