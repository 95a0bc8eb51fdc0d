//! Workloads that wait for many futures, and the memory that these take.

use std::sync::{Arc, Barrier};

use concurrent_futures::{Future, ReturnWhen, ThreadPoolExecutor, as_completed, promise, wait};

use crate::allocator;
use crate::contest::{Contest, time};
use crate::pools::{Pool, Race, enter_ours, enter_peers};
use crate::target::Target;

/// The time for each of ten times as many futures may grow by this factor, and still counts as linear: they do not fit
/// into the same caches.
const LINEAR: f64 = 1.5;

/// 100,000 futures, measured from the first `submit` to the last result.
pub(crate) fn completed(contest: &mut Contest<'_>) {
    const IN_ORDER: &str = "collect in order";
    const FEWER: &str = "as_completed, a tenth of them";
    let times = contest.settings.scaled(100_000);
    let threads = Arc::new(ThreadPoolExecutor::new(2));
    let submit = move |times: u64| (0..times).map(|n| threads.spawn(move || n)).collect::<Vec<_>>();
    let result = |future: Future<u64>| future.result().unwrap();

    let (all, fewer, in_order) = (submit.clone(), submit.clone(), submit);
    let ours = contest.ours("as_completed", times, move |times| {
        time(|| as_completed(all(times)).map(result).fold(0, u64::wrapping_add))
    });
    ours.target(Target::Times(IN_ORDER, 1.3)).target(Target::Times(FEWER, LINEAR));
    contest.ours(FEWER, times / 10, move |times| {
        time(|| as_completed(fewer(times)).map(result).fold(0, u64::wrapping_add))
    });
    contest.ours(IN_ORDER, times, move |times| {
        time(|| in_order(times).into_iter().map(result).fold(0, u64::wrapping_add))
    });
}

/// One call for 100,000 futures, of which the last is done.
pub(crate) fn first_completed(contest: &mut Contest<'_>) {
    const FEWER: &str = "a tenth of the futures";
    let times = contest.settings.scaled(100_000);
    let call = |times: u64| {
        let (promises, futures): (Vec<_>, Vec<_>) = (0..times).map(|_| promise::<u64>()).unzip();
        // Only the last future is done, so `wait` has to look at all of them.
        futures.last().expect("one at least").cancel();
        move |times: u64| {
            let _pending = &promises;
            assert_eq!(futures.len() as u64, times);
            time(|| assert_eq!(wait(&futures, None, ReturnWhen::FirstCompleted).done.len(), 1))
        }
    };
    let ours = contest.ours("wait, FirstCompleted", times, call(times));
    ours.target(Target::Times(FEWER, LINEAR));
    contest.ours(FEWER, times.div_ceil(10), call(times.div_ceil(10)));
}

/// Measures the memory of pending futures: handle, task and place in the queue, but neither the closure nor the result.
#[derive(Clone)]
struct Pending;

impl Race for Pending {
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64 {
        let held = Arc::new(Barrier::new(3));
        let hold = || {
            let held = Arc::clone(&held);
            pool.submit(move || {
                held.wait();
                held.wait();
            })
        };
        let workers = [hold(), hold()];
        held.wait();
        let mut handles = Vec::new();
        let bytes = allocator::growth(|| {
            handles.reserve_exact(times as usize);
            handles.extend((0..times).map(|n| pool.submit(move || n)));
        });
        held.wait();
        workers.into_iter().for_each(|worker| pool.wait(worker));
        assert_eq!(pool.sum(handles), (0..times).sum::<u64>());
        let closure_and_result = 2 * size_of::<u64>() as u64;
        bytes as f64 - (closure_and_result * times) as f64
    }
}

pub(crate) fn pending(contest: &mut Contest<'_>) {
    let times = contest.settings.scaled(1_000_000);
    contest.once();
    enter_ours(contest, "submit", times, Pending).target(Target::AtMost(112.0));
    enter_peers(contest, times, &Pending);
}
