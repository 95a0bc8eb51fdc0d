//! [`Pauses`]: work that continues after a pause, such as the next attempt of a task.
//!
//! One thread, the timer, sleeps until the earliest pause is over. It starts with the first pause and ends when none is
//! left, so no thread wakes up while nothing is due. An entry that is resumed may run user code, which takes
//! arbitrarily long. So if there are other pauses, the timer first starts a new thread that takes over its part.
//!
//! | an entry is taken out when | by | and is then |
//! |---|---|---|
//! | its time is up | the timer | resumed |
//! | [`remove`](Pauses::remove) is called | the thread that ends the pause | dropped |
//! | [`close`](Pauses::close) is called | the thread that closes the executor | given up; no entry is added after that |
//! | [`take`](Pauses::take) is called | the thread that cancels what is pending | cancelled |
//! | no thread can be started | the thread that added the first entry | given up |
//!
//! Each of these takes the entry out under the lock, so exactly one of them has it. The methods of an entry are called
//! without the lock.
//!
//! Invariant: *if there are entries while the lock is free, then a timer runs, and it sleeps no longer than until the
//! earliest deadline*. The timer is notified when an earlier deadline is added, and when the earliest entry is taken
//! out.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use crate::blocking::in_callback;
use crate::deadlines::{Deadlines, Key};
use crate::fork;
use crate::stack;
use crate::sync::{Condvar, Mutex, MutexGuard, thread};
use crate::unwind::catch_and_log;

/// An entry of [`Pauses`]. The methods are called without any lock, and `resume` and `give_up` as callbacks: they must
/// not block.
pub(crate) trait Paused: Send + Sync {
    /// Continues, because the pause is over.
    fn resume(&self);
    /// Ends, because nothing can continue it any more.
    fn give_up(&self);
    /// Cancels it. Returns `false` if it has continued or ended.
    fn cancel(&self) -> bool;
}

/// See the comment at the head of this file.
pub(crate) struct Pauses {
    state: Mutex<State>,
    changed: Condvar,
    /// The [generation](fork::generation) of the process whose timer this is.
    generation: u32,
}

#[derive(Default)]
struct State {
    paused: Deadlines<Arc<dyn Paused>>,
    /// `true` if a timer runs or is being started.
    has_timer: bool,
    is_closed: bool,
}

impl Pauses {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), changed: Condvar::new(), generation: fork::generation() })
    }

    /// Adds an entry, which is resumed at the deadline of its key. Returns `false` if it was not added, because the
    /// executor is closed or belongs to a forked copy of the process.
    pub(crate) fn add(self: &Arc<Self>, key: Key, paused: Arc<dyn Paused>) -> bool {
        if self.is_copy() {
            return false;
        }
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        let first = state.paused.first();
        state.paused.add(key, paused);
        let is_first = state.paused.first() != first;
        let starts = !state.has_timer;
        state.has_timer = true;
        drop(state);
        if starts {
            self.start();
        } else if is_first {
            self.changed.notify_one();
        }
        true
    }

    /// Takes an entry out, if it is still there.
    pub(crate) fn remove(&self, key: Key) {
        if self.is_copy() {
            return;
        }
        let mut state = self.state.lock();
        let first = state.paused.first();
        let removed = state.paused.remove(key);
        let was_first = state.paused.first() != first;
        drop(state);
        if was_first {
            self.changed.notify_one();
        }
        drop(removed);
    }

    /// Gives up all entries. None can be added after that.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        for paused in self.take_all(state) {
            called("the end of a pause", || paused.give_up());
        }
    }

    /// Returns `true` after [`close`](Self::close).
    pub(crate) fn is_closed(&self) -> bool {
        self.is_copy() || self.state.lock().is_closed
    }

    /// Returns `true` in a forked copy of the process. It has no timer, and the lock may be held for ever.
    pub(crate) fn is_copy(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Takes the entries out, to cancel them.
    pub(crate) fn take(&self) -> impl Iterator<Item = Arc<dyn Paused>> + use<> {
        self.take_all(self.state.lock())
    }

    /// Returns the number of entries.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().paused.len()
    }

    fn take_all(&self, mut state: MutexGuard<'_, State>) -> impl Iterator<Item = Arc<dyn Paused>> + use<> {
        let all = state.paused.take_all();
        drop(state);
        self.changed.notify_one();
        all
    }

    /// Starts a timer. If no thread can be started, gives up all entries.
    fn start(self: &Arc<Self>) {
        if !self.spawn() {
            let mut state = self.state.lock();
            state.has_timer = false;
            for paused in self.take_all(state) {
                called("the end of a pause", || paused.give_up());
            }
        }
    }

    fn spawn(self: &Arc<Self>) -> bool {
        let (pauses, size) = (Arc::clone(self), stack::usual_size());
        let timer = thread::Builder::new().name("pause".into()).stack_size(size).spawn(move || {
            stack::begin(size);
            pauses.run();
        });
        timer.is_ok()
    }

    /// Resumes each entry when its time is up. Returns when no entry is left, or when another timer has taken over.
    fn run(self: &Arc<Self>) {
        while let Some((paused, is_last)) = self.next() {
            let handed_over = is_last || self.spawn();
            called("the end of a pause", || paused.resume());
            if handed_over {
                return;
            }
        }
    }

    /// Sleeps until an entry is due, and takes it out. The second value is `true` if it was the last one. The calling
    /// thread is not the timer any more after that, nor if there is no entry.
    fn next(&self) -> Option<(Arc<dyn Paused>, bool)> {
        let mut state = self.state.lock();
        let mut now = Instant::now();
        loop {
            if let Some(paused) = state.paused.take_due(now) {
                let is_last = state.paused.len() == 0;
                state.has_timer = !is_last;
                return Some((paused, is_last));
            }
            let Some(first) = state.paused.first() else {
                state.has_timer = false;
                return None;
            };
            let timed_out = self.changed.wait_until(&mut state, first).timed_out();
            now = if timed_out { first } else { Instant::now() };
        }
    }
}

fn called(what: &str, code: impl FnOnce()) {
    catch_and_log(what, || in_callback(code));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};

    use super::{Paused, Pauses};
    use crate::deadlines::Key;

    /// Sends what happens to it.
    struct Entry(&'static str, Sender<(&'static str, &'static str)>);

    impl Paused for Entry {
        fn resume(&self) {
            self.1.send((self.0, "resumed")).unwrap();
        }
        fn give_up(&self) {
            self.1.send((self.0, "given up")).unwrap();
        }
        fn cancel(&self) -> bool {
            self.1.send((self.0, "cancelled")).unwrap();
            true
        }
    }

    const WATCHDOG: Duration = Duration::from_secs(60);
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_pause_that_is_over_overtakes_one_that_is_not() {
        let (send, receive) = channel();
        let pauses = Pauses::new();
        let (long, short) = (Key::new(Instant::now() + LONG), Key::new(Instant::now()));
        assert!(pauses.add(long, Arc::new(Entry("long", send.clone()))));
        assert!(pauses.add(short, Arc::new(Entry("short", send.clone()))));
        assert_eq!(receive.recv_timeout(WATCHDOG), Ok(("short", "resumed")));
        assert_eq!(pauses.count(), 1);
        assert_eq!(pauses.take().filter(|paused| paused.cancel()).count(), 1);
        assert_eq!(receive.recv_timeout(WATCHDOG), Ok(("long", "cancelled")));
        assert!(pauses.add(Key::new(Instant::now()), Arc::new(Entry("later", send))), "it is not closed");
        assert_eq!(receive.recv_timeout(WATCHDOG), Ok(("later", "resumed")));
    }

    #[test]
    fn the_timer_ends_with_the_last_pause() {
        let (send, receive) = channel();
        let pauses = Pauses::new();
        let key = Key::new(Instant::now() + LONG);
        assert!(pauses.add(key, Arc::new(Entry("removed", send))));
        pauses.remove(key);
        // The timer has its own handle, and the entry the last sender.
        assert!(receive.recv_timeout(WATCHDOG).is_err());
        let begin = Instant::now();
        while Arc::strong_count(&pauses) > 1 {
            assert!(begin.elapsed() < WATCHDOG, "the timer goes on");
            std::thread::yield_now();
        }
        assert!(!pauses.state.lock().has_timer);
    }

    #[test]
    fn a_close_gives_up_what_is_paused_and_takes_no_more() {
        let (send, receive) = channel();
        let pauses = Pauses::new();
        let entry = |name| Arc::new(Entry(name, send.clone()));
        assert!(pauses.add(Key::new(Instant::now() + LONG), entry("paused")));
        assert!(!pauses.is_closed());
        pauses.close();
        assert_eq!(receive.try_recv(), Ok(("paused", "given up")));
        assert!(pauses.is_closed() && !pauses.add(Key::new(Instant::now()), entry("late")));
        assert_eq!(pauses.count(), 0);
    }

    #[test]
    fn an_entry_that_blocks_delays_no_other() {
        /// Goes on when it is told to.
        struct Blocks(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);
        impl Paused for Blocks {
            fn resume(&self) {
                self.0.lock().unwrap().recv_timeout(WATCHDOG).unwrap();
            }
            fn give_up(&self) {}
            fn cancel(&self) -> bool {
                false
            }
        }
        let (send, receive) = channel();
        let (go, wait) = channel();
        let pauses = Pauses::new();
        let now = Instant::now();
        assert!(pauses.add(Key::new(now + LONG), Arc::new(Entry("long", send.clone()))));
        assert!(pauses.add(Key::new(now), Arc::new(Blocks(wait.into()))));
        assert!(pauses.add(Key::new(now), Arc::new(Entry("next", send))));
        assert_eq!(receive.recv_timeout(WATCHDOG), Ok(("next", "resumed")));
        go.send(()).unwrap();
        pauses.close();
    }
}
