//! [`After`]: holds a task back until other tasks, its inputs, are done.
//!
//! The task is pending all the while, and its call takes the outcomes of the inputs when it runs. `After` is a listener
//! of each input and the owner of the task. It decides once, under its lock, as soon as enough inputs are done:
//!
//! | decision | what happens then |
//! |---|---|
//! | all inputs are as they have to be | the task is handed over to its executor, or runs here if it has none |
//! | one input settles it ([`Decided`]) | the inputs that are not needed any more are cancelled, and the task runs here |
//!
//! "Here" is the thread that ended the deciding input. It must not block, as in a callback. The decision is made under
//! the lock that publishes the input, so inputs decide in the order in which they can have been seen done.
//!
//! # Hand-over against cancel
//!
//! Whoever finds the task `Pending` under the task's own lock wins. A cancel takes the call out, so the thread that runs
//! or hands over the task finds none. What the cancelled task needed is cancelled with it: the task's end tells its owner,
//! which is this one until the executor has the task.
//!
//! # What owns what
//!
//! An input has its listener, which has the task, whose call has the handle of the input. The circle is broken when the
//! inputs have decided, and when the task ends before.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::listener::{Key, Listen, Listener, ListenerKey, WakerKey};
use super::nested::with_room;
use super::owner::in_callback;
use super::roles::{Runnable, TaskOwner};
use super::snapshot::End;
use crate::sync::Mutex;
use crate::unwind::{catch_and_log, drop_caught};

/// A task that another one needs.
pub(crate) struct Input {
    pub(crate) task: Arc<dyn Runnable>,
    /// Nobody else has a handle on it, so it is cancelled if it is not needed any more.
    pub(crate) is_owned: bool,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// All inputs have a value, or one has none.
    Values,
    /// All inputs are done.
    Outcomes,
    /// One input has a value, or all are done.
    FirstValue,
    /// One input is done.
    FirstOutcome,
}

/// Passes the task to its executor.
pub(crate) type HandOver = Box<dyn FnOnce(Arc<dyn Runnable>) + Send>;

/// The position of the input that settled the matter, if it was a single one. Written by the deciding thread before the
/// task can run.
#[derive(Clone)]
pub(crate) struct Decided(Arc<AtomicUsize>);

impl Decided {
    const BY_ALL: usize = usize::MAX;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(Self::BY_ALL)))
    }

    /// Returns the position. No ordering is needed: the locks of the task come between the write and this.
    pub(crate) fn by(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|position| *position != Self::BY_ALL)
    }
}

/// See the comment at the head of this file.
pub(crate) struct After {
    /// Those that wait for one input go on in the order in which they were made.
    number: WakerKey,
    inputs: Vec<Input>,
    until: Until,
    decided: Decided,
    progress: Mutex<Progress>,
}

struct Progress {
    /// How many inputs are not done.
    remaining: usize,
    is_decided: bool,
    /// The task, until it is run, handed over or cancelled.
    held: Option<Held>,
}

struct Held {
    task: Arc<dyn Runnable>,
    hand_over: Option<HandOver>,
}

/// Holds a new task back until its inputs are done, however soon that is. Without a way to hand it over, it runs where
/// its last input ends.
///
/// If all inputs are done, as they have to be, and `hand_over` is there, it is not called: the task is returned, and the
/// caller passes it to the executor.
#[must_use = "a task that is returned has to be passed to its executor"]
pub(crate) fn hold_back(
    task: Arc<dyn Runnable>,
    inputs: Vec<Input>,
    until: Until,
    decided: Decided,
    hand_over: Option<HandOver>,
) -> Option<Arc<dyn Runnable>> {
    let progress = Progress {
        remaining: inputs.len(),
        is_decided: inputs.is_empty(),
        held: Some(Held { task: Arc::clone(&task), hand_over }),
    };
    let number = WakerKey::new();
    let after = Arc::new(After { number, inputs, until, decided, progress: Mutex::new(progress) });
    task.entrust(Arc::clone(&after) as _);
    for (key, input) in after.inputs.iter().enumerate() {
        if input.is_owned {
            // A poll before may have left its waker.
            input.task.unlisten(ListenerKey::Handle);
        }
        if let Some(end) = input.task.listen(Listener::Set(Arc::clone(&after) as _, Key::of(key))) {
            after.done(Key::of(key), end);
        }
    }
    let held = after.take_decided()?;
    if held.hand_over.is_some() && after.decided.by().is_none() {
        drop_caught(held.hand_over);
        return Some(held.task);
    }
    after.go_on(held);
    None
}

impl Until {
    /// Returns `true` if an input that ended so decides alone.
    fn is_settled_by(self, end: End) -> bool {
        match self {
            Until::Values => end != End::Value,
            Until::Outcomes => false,
            Until::FirstValue => end == End::Value,
            Until::FirstOutcome => true,
        }
    }
}

impl After {
    /// Takes the task if the inputs have decided. Returns it once.
    fn take_decided(&self) -> Option<Held> {
        let mut progress = self.progress.lock();
        if progress.is_decided { progress.held.take() } else { None }
    }

    /// Runs the task here, or hands it over.
    fn go_on(&self, held: Held) {
        let Held { task, hand_over } = held;
        match hand_over {
            Some(hand_over) if self.decided.by().is_none() => {
                with_room(move || catch_and_log("an executor", || in_callback(|| hand_over(task))));
            }
            unused => {
                drop_caught(unused);
                if let Some(decisive) = self.decided.by() {
                    self.leave();
                    self.give_up(false, Some(decisive));
                }
                with_room(move || in_callback(|| task.run(Arc::clone(&task), None)));
            }
        }
    }

    /// Cancels the inputs that nobody else has a handle on, or aborts them.
    fn give_up(&self, aborts: bool, but: Option<usize>) {
        for (key, input) in self.inputs.iter().enumerate() {
            if input.is_owned && but != Some(key) {
                // The end of an input may cancel its own inputs, and so on.
                with_room(|| if aborts { input.task.abort() } else { input.task.cancel() });
            }
        }
    }

    /// Stops listening, so that an input which goes on for long keeps nothing of this.
    fn leave(&self) {
        for (key, input) in self.inputs.iter().enumerate() {
            input.task.unlisten(ListenerKey::After(self.number, Key::of(key)));
        }
    }
}

impl Listen for After {
    fn done(&self, key: Key, end: End) {
        let mut progress = self.progress.lock();
        progress.remaining -= 1;
        if progress.is_decided {
            return;
        }
        let settles = self.until.is_settled_by(end);
        if settles {
            self.decided.0.store(key.behind(0), Ordering::Relaxed);
        }
        progress.is_decided = settles || progress.remaining == 0;
    }

    fn wake(&self) {
        if let Some(held) = self.take_decided() {
            self.go_on(held);
        }
    }

    fn held_back(&self) -> Option<WakerKey> {
        Some(self.number)
    }
}

impl TaskOwner for After {
    fn cancelled(&self, aborted: bool) {
        let held = self.progress.lock().held.take();
        drop_caught(held);
        self.leave();
        self.give_up(aborted, None);
    }

    fn inputs(&self) -> Vec<Arc<dyn Runnable>> {
        self.inputs.iter().map(|input| Arc::clone(&input.task)).collect()
    }
}
