//! [`More`]: what a task has beside its call and its outcome.
//!
//! Most tasks have nothing, or one listener, which is inline. All the rest is in a box, which is made for the first thing
//! that needs it. Everything is under the lock of the task.
#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::hooks::{Hooks, Started};
use super::listener::{Listener, ListenerKey, Listeners};
use super::roles::Callback;
use super::trace::TaskSpan;

pub(super) enum More<T> {
    Nothing,
    Listener(Listener),
    Extras(Box<Extras<T>>),
}

/// What few tasks need.
pub(super) struct Extras<T> {
    /// The listener that was there first.
    first: Option<Listener>,
    listeners: Listeners,
    pub(super) callbacks: VecDeque<Callback<T>>,
    pub(super) on_abort: Option<Box<dyn FnOnce() + Send>>,
    /// Taken out when the task ends.
    pub(super) hooks: Option<Box<Hooks>>,
    /// See [`Awaited::hold`](super::roles::Awaited::hold).
    pub(super) held: Option<Arc<dyn Any + Send + Sync>>,
}

/// Something that is called when a task ends.
pub(super) enum Delivery<T> {
    Hooks(Box<Hooks>),
    Callback(Callback<T>),
}

impl<T> More<T> {
    fn get(&mut self) -> Option<&mut Extras<T>> {
        match self {
            More::Extras(extras) => Some(extras),
            More::Nothing | More::Listener(_) => None,
        }
    }

    /// Returns the extras, and makes them if there are none.
    pub(super) fn extras(&mut self) -> &mut Extras<T> {
        if self.get().is_none() {
            let first = self.take_listeners().and_then(|(first, _)| first);
            *self = More::Extras(Box::new(Extras {
                first,
                listeners: Listeners::new(),
                callbacks: VecDeque::new(),
                on_abort: None,
                hooks: None,
                held: None,
            }));
        }
        self.get().expect("they were made if there were none")
    }

    /// Adds a listener, and returns the one that it replaces.
    pub(super) fn add_listener(&mut self, key: ListenerKey, listener: Listener) -> Option<Listener> {
        match self {
            More::Nothing => {
                *self = More::Listener(listener);
                None
            }
            More::Extras(extras) if extras.first.is_none() => extras.first.replace(listener),
            More::Listener(_) | More::Extras(_) => self.extras().listeners.insert(key, listener),
        }
    }

    pub(super) fn listener(&mut self, key: ListenerKey) -> Option<&mut Listener> {
        match self {
            More::Nothing => None,
            More::Listener(first) => Some(first).filter(|first| first.key() == key),
            More::Extras(extras) => match &mut extras.first {
                Some(first) if first.key() == key => Some(first),
                _ => extras.listeners.get_mut(&key),
            },
        }
    }

    pub(super) fn remove_listener(&mut self, key: ListenerKey) -> Option<Listener> {
        match self {
            More::Listener(first) if first.key() == key => self.take_listeners()?.0,
            More::Nothing | More::Listener(_) => None,
            More::Extras(extras) => {
                extras.first.take_if(|first| first.key() == key).or_else(|| extras.listeners.remove(&key))
            }
        }
    }

    /// Takes out all listeners, if there are any.
    #[inline]
    pub(super) fn take_listeners(&mut self) -> Option<(Option<Listener>, Listeners)> {
        match self {
            More::Nothing => None,
            More::Extras(extras) => Some((extras.first.take(), std::mem::take(&mut extras.listeners))),
            More::Listener(_) => match std::mem::replace(self, More::Nothing) {
                More::Listener(first) => Some((Some(first), Listeners::new())),
                More::Nothing | More::Extras(_) => None,
            },
        }
    }

    /// Returns `true` if the end of the task will call hooks or callbacks, or may run tasks that are held back until then.
    pub(super) fn has_callbacks(&self) -> bool {
        match self {
            More::Nothing => false,
            More::Listener(first) => first.runs_tasks(),
            More::Extras(extras) => {
                let calls = extras.hooks.is_some() || !extras.callbacks.is_empty();
                calls || extras.first.iter().chain(extras.listeners.values()).any(Listener::runs_tasks)
            }
        }
    }

    /// Takes out what is called next when the task ends: first the hooks, then one callback after the other.
    pub(super) fn next_delivery(&mut self) -> Option<Delivery<T>> {
        let extras = self.get()?;
        if let Some(hooks) = extras.hooks.take() {
            return Some(Delivery::Hooks(hooks));
        }
        extras.callbacks.pop_front().map(Delivery::Callback)
    }

    pub(super) fn hooks(&mut self) -> Option<&mut Hooks> {
        self.get()?.hooks.as_deref_mut()
    }

    /// Returns the hooks, to add one.
    pub(super) fn add_hooks(&mut self) -> &mut Hooks {
        self.extras().hooks.get_or_insert_with(|| Box::new(Hooks::new(TaskSpan::none())))
    }

    /// Notes in the hooks that the task starts in this thread.
    pub(super) fn start_here(&mut self) -> Option<Box<Started>> {
        self.hooks().map(Hooks::start_here)
    }

    pub(super) fn take_on_abort(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        self.get()?.on_abort.take()
    }

    pub(super) fn take_held(&mut self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.get()?.held.take()
    }
}
