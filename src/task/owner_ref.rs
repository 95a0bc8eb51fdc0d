//! [`OwnerRef`]: the owner of a task, as the task knows it.
//!
//! A pool of threads has a task for each call, made by one thread and run by another. If each task held a reference to
//! its pool, these threads would write the same reference count by turns, which costs a sixth of a short task. So a task
//! knows such a pool by its number. A thread that needs the pool looks it up, for example to cancel the task. The worker
//! that runs the task passes its own pool instead.
//!
//! A pool that has been dropped is not found. Its queue is gone too, so it need not be told.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::pool_id::PoolId;
use super::roles::TaskOwner;
use crate::fork;

type Pools = BTreeMap<PoolId, Weak<dyn TaskOwner>>;

/// The pools that were made in one process, and have a number. The lock is held for a few instructions, and no other lock
/// is taken under it, so it is not one that a model schedules.
///
/// A forked copy of a process has a registry of its own, since the lock of this one may be held there for ever by a thread
/// that does not exist. The pools that are in this one have no threads there, and nobody looks them up.
struct Registry {
    /// The [generation](fork::generation) of the process.
    generation: OnceLock<u32>,
    pools: Mutex<Pools>,
    of_the_copy: OnceLock<Box<Registry>>,
}

static FIRST: Registry = Registry::new();

impl Registry {
    const fn new() -> Self {
        Self { generation: OnceLock::new(), pools: Mutex::new(BTreeMap::new()), of_the_copy: OnceLock::new() }
    }

    /// Returns the registry of this process.
    fn own() -> &'static Self {
        let (mut registry, generation) = (&FIRST, fork::generation());
        while *registry.generation.get_or_init(|| generation) != generation {
            registry = registry.of_the_copy.get_or_init(|| Box::new(Self::new()));
        }
        registry
    }
}

/// Gives a pool a number, by which it is found until it is dropped. It [forgets](forget) the number then.
pub(crate) fn register(pool: Weak<dyn TaskOwner>) -> PoolId {
    let id = PoolId::next();
    pools().insert(id, pool);
    id
}

/// Forgets the number of a pool that is being dropped.
pub(crate) fn forget(id: PoolId) {
    let pool = pools().remove(&id);
    // The lock is released: the drop may free the pool's memory.
    drop(pool);
}

fn find(id: PoolId) -> Option<Arc<dyn TaskOwner>> {
    pools().get(&id)?.upgrade()
}

fn pools() -> MutexGuard<'static, Pools> {
    Registry::own().pools.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The owner of a task, or nobody.
#[derive(Clone)]
pub(crate) enum OwnerRef {
    /// A pool with a number, or nobody.
    Uncounted(Option<PoolId>),
    /// An executor without a number, or the owner that the task was entrusted to.
    Counted(Arc<dyn TaskOwner>),
}

impl Default for OwnerRef {
    fn default() -> Self {
        Self::NOBODY
    }
}

impl From<Arc<dyn TaskOwner>> for OwnerRef {
    fn from(owner: Arc<dyn TaskOwner>) -> Self {
        match owner.pool_id() {
            Some(id) => Self::Uncounted(Some(id)),
            None => Self::Counted(owner),
        }
    }
}

impl OwnerRef {
    pub(crate) const NOBODY: Self = Self::Uncounted(None);

    pub(super) fn is_somebody(&self) -> bool {
        !matches!(self, Self::Uncounted(None))
    }

    /// Returns the owner, if there is one. It is not looked up if it is `here`, the executor that the thread belongs to;
    /// otherwise what was `found` keeps it.
    #[inline]
    pub(super) fn get<'a>(
        &'a self,
        here: Option<&'a Arc<dyn TaskOwner>>,
        found: &'a mut Option<Arc<dyn TaskOwner>>,
    ) -> Option<&'a Arc<dyn TaskOwner>> {
        match self {
            Self::Counted(owner) => Some(owner),
            Self::Uncounted(None) => None,
            Self::Uncounted(Some(id)) => here.filter(|here| here.pool_id() == Some(*id)).or_else(|| {
                *found = find(*id);
                found.as_ref()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock, Weak};

    use super::{OwnerRef, forget, register};
    use crate::task::pool_id::PoolId;
    use crate::task::roles::TaskOwner;

    struct Numbered(OnceLock<PoolId>);

    impl TaskOwner for Numbered {
        fn pool_id(&self) -> Option<PoolId> {
            self.0.get().copied()
        }
    }

    fn numbered() -> Arc<dyn TaskOwner> {
        let owner = Arc::new(Numbered(OnceLock::new()));
        owner.0.get_or_init(|| register(Arc::downgrade(&owner) as Weak<dyn TaskOwner>));
        owner
    }

    #[test]
    fn a_pool_is_found_by_its_number_until_it_is_gone() {
        let (pool, other) = (numbered(), numbered());
        let reference = OwnerRef::from(Arc::clone(&pool));
        assert!(reference.is_somebody());
        let is_found = |here| reference.get(here, &mut None).map(|found| Arc::ptr_eq(found, &pool));
        assert_eq!(is_found(None), Some(true));
        assert_eq!(is_found(Some(&other)), Some(true), "another pool than that of the thread");
        assert_eq!(is_found(Some(&pool)), Some(true));
        assert_eq!(Arc::strong_count(&pool), 1, "a reference does not count");
        let id = pool.pool_id().unwrap();
        drop(pool);
        assert!(reference.get(None, &mut None).is_none());
        forget(id);
        assert!(reference.get(None, &mut None).is_none());
        assert!(OwnerRef::NOBODY.get(Some(&other), &mut None).is_none());
    }
}
