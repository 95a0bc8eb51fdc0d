//! The checkers' side of `sync`: their locks, threads and thread-locals, and what a model decides in their place.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

#[cfg(model = "loom")]
use loom as checker;
#[cfg(model = "shuttle")]
use shuttle as checker;

pub(crate) use checker::sync::atomic;
pub(crate) use checker::thread_local;

/// What the clock and the operating system do in a model: `expiring` says which timed waits expire,
/// `failing` which threads fail to start, `cramped` which looks find too little of a stack left to run a task on it. Bit 0 is for the first from here on, and so on; all others are 0.
///
/// A wait that expires does so at once: it gives its lock back and takes it again, and any schedule may come
/// in between. That is no loss. A timeout that fires later, with no notification before it, cannot be told
/// from one that fired at once and whose thread came late to the lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// Which timed waits expire.
    pub expiring: u32,
    /// Which threads fail to start.
    pub failing: u32,
    /// Which looks find too little of a stack left.
    pub cramped: u32,
}

// A checker runs all threads of an execution on one thread of the operating system, and tests run beside
// each other on several.
std::thread_local! {
    static EXPIRING: Cell<u32> = const { Cell::new(0) };
    static FAILING: Cell<u32> = const { Cell::new(0) };
    static CRAMPED: Cell<u32> = const { Cell::new(0) };
}

impl Choices {
    /// Puts these choices in force, from here to the end of the execution.
    pub fn make(self) {
        EXPIRING.set(self.expiring);
        FAILING.set(self.failing);
        CRAMPED.set(self.cramped);
    }

    fn next(choices: &'static std::thread::LocalKey<Cell<u32>>) -> bool {
        let bits = choices.get();
        choices.set(bits >> 1);
        bits & 1 == 1
    }
}

pub(crate) mod thread {
    use super::{Choices, FAILING, checker};

    pub(crate) use checker::thread::{JoinHandle, current};

    /// A yield promises nothing, so a model learns nothing from it.
    pub(crate) fn yield_now() {}

    pub(crate) struct Builder(checker::thread::Builder);

    impl Builder {
        pub(crate) fn new() -> Self {
            // Bytes for one checker, words for the other, and ample for both.
            const STACK: usize = 1 << 16;
            Self(checker::thread::Builder::new().stack_size(STACK))
        }

        pub(crate) fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        /// The checker's stacks are not the operating system's.
        pub(crate) fn stack_size(self, _: usize) -> Self {
            self
        }

        pub(crate) fn spawn(self, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
            if Choices::next(&FAILING) {
                return Err(std::io::Error::other("the model lets no thread start"));
            }
            self.0.spawn(body)
        }
    }
}

/// Is half of the stack used up? The checker's stacks are not the operating system's: the model chooses.
pub(crate) fn is_cramped() -> bool {
    Choices::next(&CRAMPED)
}

/// Not known here: the handles are kept.
pub(crate) fn is_finished(_: &thread::JoinHandle<()>) -> bool {
    false
}

/// A schedule must not depend on the clock: everything is done at once.
pub(crate) fn elapsed(_since: Instant) -> std::time::Duration {
    std::time::Duration::ZERO
}

/// Whether a model checker runs this.
pub(crate) const IS_MODEL: bool = true;

/// A checker ends its threads by panics, where its thread-locals are out of reach.
pub(crate) const LOCATES_PANICS: bool = false;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` while a wait has it.
    held: Option<checker::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.0.lock().unwrap()) }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|held| MutexGuard { mutex: self, held: Some(held) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

impl<T> MutexGuard<'_, T> {
    fn lock_again(&mut self) {
        drop(self.held.take());
        self.held = Some(self.mutex.0.lock().unwrap());
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(checker::sync::Condvar);

pub(crate) struct Waited {
    timed_out: bool,
}

impl Waited {
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(checker::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().unwrap();
        guard.held = Some(self.0.wait(held).unwrap());
    }

    /// The time is not looked at: the model chooses.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> Waited {
        let timed_out = Choices::next(&EXPIRING);
        if timed_out {
            guard.lock_again();
        } else {
            self.wait(guard);
        }
        Waited { timed_out }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// What this crate uses of crossbeam-channel, under a lock of the checker.
pub(crate) mod channel {
    use super::{Condvar, Mutex};
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Instant;

    #[derive(Debug)]
    struct Chan<T> {
        queue: Mutex<Queue<T>>,
        filled: Condvar,
    }

    #[derive(Debug)]
    struct Queue<T> {
        values: VecDeque<T>,
        has_sender: bool,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Chan<T>>);
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Chan<T>>);
    #[derive(Debug)]
    pub(crate) struct SendError;
    #[derive(Debug)]
    pub(crate) struct RecvError;
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) enum RecvTimeoutError {
        Timeout,
        Disconnected,
    }

    /// Does not check the number of values: no sender waits for room.
    pub(crate) fn bounded<T>(_room: usize) -> (Sender<T>, Receiver<T>) {
        unbounded()
    }

    pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        let queue = Mutex::new(Queue { values: VecDeque::new(), has_sender: true });
        let chan = Arc::new(Chan { queue, filled: Condvar::new() });
        (Sender(Arc::clone(&chan)), Receiver(chan))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(&self, value: T) -> Result<(), SendError> {
            self.0.queue.lock().values.push_back(value);
            self.0.filled.notify_one();
            Ok(())
        }

        pub(crate) fn try_send(&self, value: T) -> Result<(), SendError> {
            self.send(value)
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.queue.lock().has_sender = false;
            self.0.filled.notify_all();
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Result<T, RecvError> {
            self.0.queue.lock().values.pop_front().ok_or(RecvError)
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(crate) fn len(&self) -> usize {
            self.0.queue.lock().values.len()
        }

        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            self.receive(None).map_err(|_| RecvError)
        }

        pub(crate) fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
            self.receive(Some(deadline))
        }

        fn receive(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
            let mut queue = self.0.queue.lock();
            let mut timed_out = false;
            loop {
                if let Some(value) = queue.values.pop_front() {
                    return Ok(value);
                }
                if !queue.has_sender {
                    return Err(RecvTimeoutError::Disconnected);
                }
                if timed_out {
                    return Err(RecvTimeoutError::Timeout);
                }
                match deadline {
                    Some(deadline) => timed_out = self.0.filled.wait_until(&mut queue, deadline).timed_out(),
                    None => self.0.filled.wait(&mut queue),
                }
            }
        }
    }
}

/// Filled under a lock, because std's would block the checker's only thread.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    filling: Mutex<()>,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { filling: Mutex::new(()), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.value.take()
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let _filling = self.filling.lock();
        self.value.get()
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        let _filling = self.filling.lock();
        self.value.get_or_init(init)
    }
}
