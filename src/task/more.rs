//! [`More`]: what a task has beside its call and its outcome.
//!
//! Most tasks have nothing, or one of the three things that are stored inline: a listener, an owner without a number, or
//! options. If a second one is added, or something else, all of them move into one box. Everything is under the lock of
//! the task.
#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::hooks::{Hooks, Started};
use super::listener::{Listener, ListenerKey, Listeners};
use super::roles::{Callback, TaskOwner};
use super::trace::TaskSpan;
use crate::options::TaskOptions;

/// What a task has beside its call and its outcome.
pub(super) enum More<T> {
    Nothing,
    Listener(Listener),
    /// See [`set_owner`](More::set_owner).
    Owner(Arc<dyn TaskOwner>),
    Options(Arc<TaskOptions>),
    Extras(Box<Extras<T>>),
}

/// What few tasks need.
pub(super) struct Extras<T> {
    /// See [`set_owner`](More::set_owner).
    owner: Option<Arc<dyn TaskOwner>>,
    options: Option<Arc<TaskOptions>>,
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
            _ => None,
        }
    }

    /// Returns the extras, and makes them if there are none.
    pub(super) fn extras(&mut self) -> &mut Extras<T> {
        if self.get().is_none() {
            let (mut first, mut owner, mut options) = (None, None, None);
            match std::mem::replace(self, More::Nothing) {
                More::Listener(listener) => first = Some(listener),
                More::Owner(inline) => owner = Some(inline),
                More::Options(inline) => options = Some(inline),
                More::Nothing | More::Extras(_) => {}
            }
            *self = More::Extras(Box::new(Extras {
                owner,
                options,
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
            More::Nothing | More::Listener(_) | More::Options(_) => None,
        }
    }

    #[inline]
    pub(super) fn take_owner(&mut self) -> Option<Arc<dyn TaskOwner>> {
        match self {
            More::Nothing | More::Listener(_) | More::Options(_) => None,
            More::Extras(extras) => extras.owner.take(),
            More::Owner(_) => match std::mem::replace(self, More::Nothing) {
                More::Owner(owner) => Some(owner),
                _ => None,
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

    pub(super) fn options(&self) -> Option<&Arc<TaskOptions>> {
        match self {
            More::Options(options) => Some(options),
            More::Extras(extras) => extras.options.as_ref(),
            More::Nothing | More::Listener(_) | More::Owner(_) => None,
        }
    }

    /// Sets the options of a task that has none.
    pub(super) fn set_options(&mut self, options: Arc<TaskOptions>) {
        match self {
            More::Nothing => *self = More::Options(options),
            _ => self.extras().options = Some(options),
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
            More::Nothing | More::Owner(_) | More::Options(_) => None,
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
            More::Nothing | More::Listener(_) | More::Owner(_) | More::Options(_) => None,
            More::Extras(extras) => {
                extras.first.take_if(|first| first.key() == key).or_else(|| extras.listeners.remove(&key))
            }
        }
    }

    /// Takes out all listeners, if there are any.
    #[inline]
    pub(super) fn take_listeners(&mut self) -> Option<(Option<Listener>, Listeners)> {
        match self {
            More::Nothing | More::Owner(_) | More::Options(_) => None,
            More::Extras(extras) => Some((extras.first.take(), std::mem::take(&mut extras.listeners))),
            More::Listener(_) => match std::mem::replace(self, More::Nothing) {
                More::Listener(first) => Some((Some(first), Listeners::new())),
                _ => None,
            },
        }
    }

    /// Returns `true` if the end of the task will call hooks or callbacks, or may run tasks that are held back until then.
    pub(super) fn has_callbacks(&self) -> bool {
        match self {
            More::Nothing | More::Owner(_) | More::Options(_) => false,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use super::More;
    use crate::options::TaskOptions;
    use crate::task::listener::{Listener, ListenerKey};
    use crate::task::roles::TaskOwner;

    struct Nobody;
    impl TaskOwner for Nobody {}

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn one_thing_is_inline() {
        const { assert!(size_of::<More<u64>>() <= 24) }
    }

    #[test]
    fn what_comes_later_leaves_the_rest_in_its_place() {
        type Add = fn(&mut More<()>);
        let options: Add = |more| more.set_options(Arc::new(TaskOptions::new().retries(7)));
        let owner: Add = |more| more.set_owner(Arc::new(Nobody));
        let listener: Add = |more| {
            assert!(more.add_listener(ListenerKey::Handle, Listener::Handle(Waker::noop().clone())).is_none());
        };
        let all = [options, owner, listener];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut more = More::Nothing;
            for (count, which) in order.into_iter().enumerate() {
                all[which](&mut more);
                let is_there = |which: usize| order[..=count].contains(&which);
                assert_eq!(more.options().is_some_and(|options| options.get_retries() == 7), is_there(0), "{order:?}");
                assert_eq!(more.owner().is_some(), is_there(1), "{order:?}");
                assert_eq!(more.listener(ListenerKey::Handle).is_some(), is_there(2), "{order:?}");
            }
            assert!(more.take_owner().is_some() && more.take_owner().is_none());
            assert!(more.take_listeners().is_some_and(|(first, rest)| first.is_some() && rest.is_empty()));
            assert!(more.options().is_some() && !more.has_callbacks(), "options stay");
        }
    }
}
