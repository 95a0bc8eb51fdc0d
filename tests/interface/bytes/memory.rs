//! What they leave behind: nothing that grows. Each scenario is a task, with a pool of its own: its process has nothing else.

use concurrent_futures::{Bytes, Executor, ProcessPoolExecutor, ReturnWhen, wait};

use super::across::made;
use super::same;
use crate::support::{LONG, within};

const MIB: usize = 1 << 20;

/// What a pool keeps of free segments at most, and room for what is no segment.
const KEPT: usize = 128 * MIB + MIB;

/// How many bytes of shared memory this process has mapped.
pub(super) fn mapped(_: ()) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps.lines().filter(|line| line.contains("memfd:concurrent-futures"));
    let place = |line: &str| -> Option<usize> {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some(usize::from_str_radix(end, 16).ok()? - usize::from_str_radix(start, 16).ok()?)
    };
    ours.map(|line| place(line).unwrap()).sum()
}

/// What the process of the pool and its one worker have mapped, once the pool has done what it had to after its tasks.
pub(super) fn settled(processes: &ProcessPoolExecutor) -> (usize, usize) {
    // The worker's monitor tells it what to forget after it has completed a task, and before it completes the next one.
    // A waiter may complete a task meanwhile, but not one with a callback.
    let next = processes.submit(mapped, ());
    next.add_done_callback(|_| {});
    next.result().unwrap();
    let there = processes.submit(mapped, ()).result().unwrap();
    (mapped(()), there)
}

/// Resident memory and descriptors of this process.
fn footprint(_: ()) -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (kilobytes << 10, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

#[test]
fn two_hundred_tasks_leave_no_more_memory_than_twenty() {
    fn scenario(_: ()) -> [(usize, usize); 4] {
        let processes = ProcessPoolExecutor::new(1);
        let send = |count| {
            for seed in 0..count {
                let bytes = made((seed, 4 * MIB));
                assert!(processes.submit(same, bytes.clone()).result().unwrap() == bytes);
            }
            settled(&processes);
            [footprint(()), processes.submit(footprint, ()).result().unwrap()]
        };
        let ([here, there], [later, later_there]) = (send(20), send(200));
        [here, later, there, later_there]
    }
    within(LONG, || {
        let footprints = ProcessPoolExecutor::new(1).submit(scenario, ()).result().unwrap();
        for pair in footprints.chunks(2) {
            assert!(pair[1].0 < pair[0].0 + 64 * MIB, "memory: {pair:?}");
            assert_eq!(pair[0].1, pair[1].1, "descriptors");
        }
    });
}

#[test]
fn a_pool_releases_memory_after_many_bytes_at_once() {
    fn scenario(_: ()) -> (usize, usize, usize) {
        let processes = ProcessPoolExecutor::new(1);
        let busy = processes.submit(|_: ()| std::thread::park(), ());
        let sent: Vec<_> =
            (0..5).map(|_| processes.submit(|bytes: Bytes| bytes.len(), vec![7; 40 * MIB].into())).collect();
        let most = mapped(());
        busy.abort();
        for future in sent {
            assert_eq!(future.result().unwrap(), 40 * MIB);
        }
        let (here, there) = settled(&processes);
        (most, here, there)
    }
    within(LONG, || {
        let (most, here, there) = ProcessPoolExecutor::new(1).submit(scenario, ()).result().unwrap();
        assert!(most > KEPT && here < KEPT && there < KEPT, "{most} {here} {there}");
    });
}

#[test]
fn memory_of_cancelled_tasks_is_released() {
    fn scenario(_: ()) -> (usize, usize) {
        let processes = ProcessPoolExecutor::new(1);
        let busy = processes.submit(|_: ()| std::thread::park(), ());
        let sent: Vec<_> = (0..5).map(|_| processes.submit(same, vec![7; 40 * MIB].into())).collect();
        let most = mapped(());
        for future in &sent {
            assert!(future.cancel());
        }
        wait(sent, None, ReturnWhen::AllCompleted);
        assert!(busy.abort());
        settled(&processes);
        (most, mapped(()))
    }
    within(LONG, || {
        let (most, here) = ProcessPoolExecutor::new(1).submit(scenario, ()).result().unwrap();
        assert!(most > KEPT && here < KEPT, "{most} {here}");
    });
}
