//! How big the handles are, and which marker traits they have.

use std::cell::{Cell, RefCell};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use concurrent_futures::{
    AbortHandle, AbortOnDrop, AsCompleted, Awaiting, AwaitingShared, Backend, BuildError, Encoded, Error, Executor,
    Future, FutureId, InlineExecutor, Job, Map, MapOptions, MapUnordered, Promise, ReturnWhen, ScopedMap,
    ScopedMapUnordered, SharedFuture, ShuttingDown, State, Stats, Submitting, TaskOptions, ThreadPoolExecutor, Times,
    Waited, With, task::TaskContext,
};

const WORD: usize = size_of::<usize>();

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}
fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
fn copy<T: Copy + Eq + std::hash::Hash + std::fmt::Debug>() {}
fn owned<T: Clone + Send + Sync + 'static>() {}

#[test]
fn a_handle_is_two_words() {
    assert_eq!(size_of::<Future<()>>(), 2 * WORD);
    assert_eq!(size_of::<Future<[u64; 32]>>(), 2 * WORD);
    assert_eq!(size_of::<Future<Box<dyn Fn() + Send>>>(), 2 * WORD);
}

#[test]
fn an_optional_handle_is_as_small() {
    assert_eq!(size_of::<Option<Future<String>>>(), 2 * WORD);
}

#[test]
fn a_shared_handle_is_one_word() {
    assert_eq!(size_of::<SharedFuture<String>>(), WORD);
    assert_eq!(size_of::<Option<SharedFuture<String>>>(), WORD);
}

#[test]
fn an_error_is_three_words_at_most() {
    // In bytes: one that holds a time is as long, however wide addresses are.
    assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
    assert!(size_of::<Result<u64, Error>>() <= 32);
}

#[test]
fn an_id_and_a_state_are_small() {
    assert_eq!(size_of::<FutureId>(), 8);
    assert_eq!(size_of::<State>(), 1);
}

#[test]
fn a_future_is_send_and_sync_if_its_value_is_send() {
    // `Cell` is Send and not Sync.
    send::<Future<Cell<u8>>>();
    sync::<Future<Cell<u8>>>();
    send::<Promise<Cell<u8>>>();
    sync::<Promise<Cell<u8>>>();
    send::<SharedFuture<String>>();
    sync::<SharedFuture<String>>();
    send::<AsCompleted<Future<u8>>>();
    send::<Waited<Future<u8>>>();
    send::<Job>();
    send::<Encoded>();
    sync::<Encoded>();
}

#[test]
fn awaits_are_send_and_unpin() {
    send::<Awaiting<Cell<u8>>>();
    unpin::<Awaiting<Cell<u8>>>();
    unpin::<Awaiting<std::marker::PhantomPinned>>();
    send::<AbortOnDrop<Cell<u8>>>();
    unpin::<AbortOnDrop<std::marker::PhantomPinned>>();
    send::<Submitting<'_, ThreadPoolExecutor, Cell<u8>>>();
    unpin::<Submitting<'_, ThreadPoolExecutor, std::marker::PhantomPinned>>();
    send::<ShuttingDown<'_, dyn Backend>>();
    send::<AwaitingShared<'_, String>>();
    unpin::<AwaitingShared<'_, String>>();
}

#[test]
fn executors_are_shared_between_threads() {
    send::<ThreadPoolExecutor>();
    sync::<ThreadPoolExecutor>();
    send::<InlineExecutor>();
    sync::<With<'_, ThreadPoolExecutor>>();
    send::<With<'_, dyn Backend>>();
    send::<Box<dyn Backend>>();
    sync::<std::sync::Arc<dyn Backend>>();
    send::<&dyn Backend>();
}

#[test]
fn a_map_moves_to_another_thread() {
    send::<Map<'_, std::vec::IntoIter<u8>, u8>>();
    send::<MapUnordered<'_, std::vec::IntoIter<u8>, u8>>();
    send::<ScopedMap<Cell<u8>>>();
    send::<ScopedMapUnordered<Cell<u8>>>();
}

#[test]
fn errors_and_contexts_are_send_and_sync() {
    owned::<Error>();
    owned::<BuildError>();
    owned::<TaskOptions>();
    owned::<MapOptions>();
    owned::<AbortHandle>();
    owned::<TaskContext>();
    owned::<Stats>();
    owned::<Times>();
    copy::<FutureId>();
    copy::<State>();
    copy::<ReturnWhen>();
    // The payload of a panic is any value that is Send, and a clone may take it: as safe as a Mutex.
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    is_error::<BuildError>();
    is_error::<concurrent_futures::Timeout>();
}

#[test]
fn executors_are_unwind_safe() {
    unwind::<InlineExecutor>();
    unwind::<TaskOptions>();
    unwind::<FutureId>();
    unwind::<State>();
}

/// `Rc` and `RefCell` never get in: what an executor or a promise asks for rules them out, so nothing can be
/// said of `Future<Rc<_>>` but that the type exists.
#[test]
fn a_future_of_a_type_that_is_not_send_can_be_named() {
    assert_eq!(size_of::<Future<Rc<RefCell<u8>>>>(), 2 * WORD);
}

#[test]
fn executors_have_the_methods_of_the_trait() {
    fn takes(executor: &impl Executor) -> usize {
        executor.max_workers()
    }
    assert_eq!(takes(&InlineExecutor), 1);
}
