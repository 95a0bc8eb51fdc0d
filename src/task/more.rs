//! [`More`]: what a task has beside its call and its outcome.
//!
//! Most tasks have nothing, or one thing of those that are inline: a listener, or an owner without a number. A box for all
//! that there may be is made for the second thing, and for all others. Everything is under the lock of the task.
#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::hooks::{Hooks, Started};
use super::listener::{Listener, ListenerKey, Listeners};
use super::roles::{Callback, TaskOwner};
use super::trace::TaskSpan;

pub(super) enum More<T> {
    Nothing,
    Listener(Listener),
    /// See [`set_owner`](More::set_owner).
    Owner(Arc<dyn TaskOwner>),
    Extras(Box<Extras<T>>),
}

/// What few tasks need.
pub(super) struct Extras<T> {
    owner: Option<Arc<dyn TaskOwner>>,
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
            More::Nothing | More::Listener(_) | More::Owner(_) => None,
        }
    }

    /// Returns the extras, and makes them if there are none.
    pub(super) fn extras(&mut self) -> &mut Extras<T> {
        if self.get().is_none() {
            let (first, owner) = match std::mem::replace(self, More::Nothing) {
                More::Listener(first) => (Some(first), None),
                More::Owner(owner) => (None, Some(owner)),
                More::Nothing | More::Extras(_) => (None, None),
            };
            *self = More::Extras(Box::new(Extras {
                owner,
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

    /// Returns the owner of the task, if it has no number.
    pub(super) fn owner(&self) -> Option<&Arc<dyn TaskOwner>> {
        match self {
            More::Owner(owner) => Some(owner),
            More::Extras(extras) => extras.owner.as_ref(),
            More::Nothing | More::Listener(_) => None,
        }
    }

    #[inline]
    pub(super) fn take_owner(&mut self) -> Option<Arc<dyn TaskOwner>> {
        match self {
            More::Nothing | More::Listener(_) => None,
            More::Extras(extras) => extras.owner.take(),
            More::Owner(_) => match std::mem::replace(self, More::Nothing) {
                More::Owner(owner) => Some(owner),
                More::Nothing | More::Listener(_) | More::Extras(_) => None,
            },
        }
    }

    /// Sets the owner, which has no number, of a task that has none.
    pub(super) fn set_owner(&mut self, owner: Arc<dyn TaskOwner>) {
        match self {
            More::Nothing => *self = More::Owner(owner),
            _ => self.extras().owner = Some(owner),
        }
    }

    /// Adds a listener, and returns the one that it replaces.
    pub(super) fn add_listener(&mut self, key: ListenerKey, listener: Listener) -> Option<Listener> {
        if matches!(self, More::Nothing) {
            *self = More::Listener(listener);
            return None;
        }
        let extras = self.extras();
        if extras.first.is_none() { extras.first.replace(listener) } else { extras.listeners.insert(key, listener) }
    }

    pub(super) fn listener(&mut self, key: ListenerKey) -> Option<&mut Listener> {
        match self {
            More::Nothing | More::Owner(_) => None,
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
            More::Nothing | More::Listener(_) | More::Owner(_) => None,
            More::Extras(extras) => {
                extras.first.take_if(|first| first.key() == key).or_else(|| extras.listeners.remove(&key))
            }
        }
    }

    /// Takes out all listeners, if there are any.
    #[inline]
    pub(super) fn take_listeners(&mut self) -> Option<(Option<Listener>, Listeners)> {
        match self {
            More::Nothing | More::Owner(_) => None,
            More::Extras(extras) => Some((extras.first.take(), std::mem::take(&mut extras.listeners))),
            More::Listener(_) => match std::mem::replace(self, More::Nothing) {
                More::Listener(first) => Some((Some(first), Listeners::new())),
                More::Nothing | More::Owner(_) | More::Extras(_) => None,
            },
        }
    }

    /// Returns `true` if the end of the task will call hooks or callbacks, or may run tasks that are held back until then.
    pub(super) fn has_callbacks(&self) -> bool {
        match self {
            More::Nothing | More::Owner(_) => false,
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
