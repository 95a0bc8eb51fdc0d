//! [`WORKLOADS`]: the list of all workloads.

use crate::contest::Contest;
use crate::surroundings::{ALL, QUIET, Surroundings};
use crate::unit::Unit;
use crate::{maps, processes, resources, tasks, waits};

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) surroundings: &'static [Surroundings],
    /// Enters all contestants of the workload.
    pub(crate) enter: fn(&mut Contest<'_>),
}

/// A workload that runs on a quiet machine only.
const fn workload(name: &'static str, unit: Unit, enter: fn(&mut Contest<'_>)) -> Workload {
    Workload { name, unit, surroundings: QUIET, enter }
}

/// A workload that consists of wake-ups, which runs in all surroundings.
const fn wake_ups(name: &'static str, unit: Unit, enter: fn(&mut Contest<'_>)) -> Workload {
    Workload { name, unit, surroundings: ALL, enter }
}

const fn megabytes(count: u64) -> Unit {
    Unit::BytesIn(count * 1_000_000)
}

pub(crate) const WORKLOADS: [Workload; 28] = [
    workload("submit", Unit::Micros, tasks::submit),
    workload("submit from 4 threads", Unit::Micros, tasks::submit_from_four),
    wake_ups("round trip", Unit::Micros, tasks::round_trip),
    workload("idle threads", Unit::Micros, resources::idle_threads),
    workload("tasks of 1 us", Unit::Micros, tasks::tasks_of_1_us),
    workload("tasks of 10 us", Unit::Micros, tasks::tasks_of_10_us),
    workload("tasks of 100 us", Unit::Micros, tasks::tasks_of_100_us),
    workload("map", Unit::Nanos, maps::map),
    workload("map of 10 ns items", Unit::Nanos, maps::map_of_10_ns),
    workload("map of 100 ns items", Unit::Nanos, maps::map_of_100_ns),
    workload("map of unequal items", Unit::Micros, maps::map_of_unequal),
    workload("as_completed", Unit::Micros, waits::completed),
    workload("wait", Unit::Nanos, waits::first_completed),
    workload("scope", Unit::Micros, tasks::scope),
    workload("fork-join", Unit::Micros, tasks::fork_join),
    workload("pending futures", Unit::Bytes, waits::pending),
    wake_ups("process round trip", Unit::Micros, processes::round_trip),
    workload("process submit", Unit::Micros, processes::submit),
    workload("process map", Unit::Micros, processes::map),
    workload("process bytes, 1 MB", megabytes(1), processes::bytes_of_1_mb),
    workload("process bytes, 16 MB", megabytes(16), processes::bytes_of_16_mb),
    workload("process bytes, 64 MB", megabytes(64), processes::bytes_of_64_mb),
    workload("process bytes, one way", megabytes(16), processes::bytes_one_way),
    wake_ups("process start", Unit::Millis, processes::start),
    workload("process memory", Unit::Kilobytes, resources::memory),
    workload("process descriptors", Unit::Count, resources::descriptors),
    workload("idle processes", Unit::Count, resources::idle_processes),
    workload("scaling", Unit::Millis, processes::scaling),
];
