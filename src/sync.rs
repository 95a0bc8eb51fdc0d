//! The one place that names parking_lot, crossbeam-channel, std or model-checker types.
//!
//! Under `--cfg model="loom"` and `--cfg model="shuttle"` the locks, threads and thread-locals are the
//! checker's. `Arc` is always std's, because the checkers' do not unsize, and a timeout never fires in a
//! model. Everything that takes part in a protocol is under one of these locks; atomics (ids, counters, the
//! mirror of the queue's length) are std's, as no proof rests on them.
#![forbid(unsafe_code)]

pub(crate) use imp::*;

#[cfg(not(any(model = "loom", model = "shuttle")))]
mod imp {
    pub(crate) use crossbeam_channel as channel;
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;
    pub(crate) use std::thread_local;

    /// Has the thread ended, so far that nothing is lost by not joining it?
    pub(crate) fn is_finished(handle: &thread::JoinHandle<()>) -> bool {
        handle.is_finished()
    }

    /// Runs `body` with room on the stack for it, on a new segment if this one is nearly used up.
    pub(crate) fn with_room<R>(body: impl FnOnce() -> R) -> R {
        const RED_ZONE: usize = 128 << 10;
        const SEGMENT: usize = 2 << 20;
        stacker::maybe_grow(RED_ZONE, SEGMENT, body)
    }

    /// How often a thread yields before it parks: a few turns turn most hand-offs of tiny tasks from a
    /// futex round trip into a look at memory, and cost an idle thread microseconds.
    pub(crate) const YIELDS: usize = 6;
}

#[cfg(any(model = "loom", model = "shuttle"))]
mod imp {
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    #[cfg(model = "loom")]
    use loom as checker;
    #[cfg(model = "shuttle")]
    use shuttle as checker;

    pub(crate) use checker::{thread, thread_local};

    /// Not known here: the handles are kept.
    pub(crate) fn is_finished(_: &thread::JoinHandle<()>) -> bool {
        false
    }

    /// The checker's stacks are not the operating system's: nothing to measure.
    pub(crate) fn with_room<R>(body: impl FnOnce() -> R) -> R {
        body()
    }

    /// A yield changes nothing that a model could see, but multiplies the schedules.
    pub(crate) const YIELDS: usize = 0;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T>(Option<checker::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(checker::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(checker::sync::Condvar);

    pub(crate) struct Waited;

    impl Waited {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(checker::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().unwrap();
            guard.0 = Some(self.0.wait(inner).unwrap());
        }

        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> Waited {
            self.wait(guard);
            Waited
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
            queue: Mutex<(VecDeque<T>, usize)>,
            filled: Condvar,
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
        #[allow(dead_code)]
        pub(crate) enum RecvTimeoutError {
            Timeout,
            Disconnected,
        }

        pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
            let chan = Arc::new(Chan { queue: Mutex::new((VecDeque::new(), 1)), filled: Condvar::new() });
            (Sender(Arc::clone(&chan)), Receiver(chan))
        }

        impl<T> Sender<T> {
            pub(crate) fn send(&self, value: T) -> Result<(), SendError> {
                self.0.queue.lock().0.push_back(value);
                self.0.filled.notify_one();
                Ok(())
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                self.0.queue.lock().1 -= 1;
                self.0.filled.notify_all();
            }
        }

        impl<T> Receiver<T> {
            pub(crate) fn try_recv(&self) -> Result<T, RecvError> {
                self.0.queue.lock().0.pop_front().ok_or(RecvError)
            }

            pub(crate) fn recv(&self) -> Result<T, RecvError> {
                let mut queue = self.0.queue.lock();
                loop {
                    if let Some(value) = queue.0.pop_front() {
                        return Ok(value);
                    }
                    if queue.1 == 0 {
                        return Err(RecvError);
                    }
                    self.0.filled.wait(&mut queue);
                }
            }

            pub(crate) fn recv_deadline(&self, _: Instant) -> Result<T, RecvTimeoutError> {
                self.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
        }
    }
}
