//! Faults of a whole program: each test starts this binary again as a program that has a pool, and looks how it ends.
//!
//! | surroundings | looked at by |
//! |---|---|
//! | few descriptors (`ulimit -n`) | `limits::few_descriptors_mean_fewer_workers`, `limits::a_worker_makes_room_for_its_replacement` |
//! | no descriptors for a moment | `limits::a_moment_without_descriptors_costs_no_worker` |
//! | few processes (`ulimit -u`) | `limits::few_processes_mean_fewer_workers`, as root |
//! | small files (`ulimit -f`) | `limits::a_file_size_limit_does_not_end_the_program`, `limits::a_file_size_limit_does_not_end_a_worker` |
//! | little memory (`ulimit -v`) | `limits::little_memory_costs_the_task_that_wants_more` |
//! | a limit of memory for all its processes, and the kernel that keeps it | `limits::a_worker_killed_for_lack_of_memory_is_reported_with_a_hint`, where permitted |
//! | the rights of another user (set-user-ID; `seteuid` and the like), from the start or later | `rights`, as root |
//! | a made-up mark of a worker, and a real one that is not seen | `marks` |
//! | an initialiser that clears the environment | `marks::an_initialiser_that_clears_the_environment` |
//! | a start by `ld.so` | `marks::a_program_that_the_loader_was_told_to_start` |
//! | rights given up (`setuid`) while workers run | `powerless`, as root |
//! | filters of system calls that forbid signals | `powerless` |
//! | a full disk behind standard output and error, no `TMPDIR` | `disk::a_full_disk_costs_what_is_written_there` |
//! | a full `TMPDIR`, current directory and `/dev/shm` | `disk::directories_that_are_full`, where mounts are permitted |
//! | a read-only `TMPDIR` and current directory | `disk::a_directory_that_cannot_be_written`, likewise |
//! | a current directory that was removed | `disk::a_directory_that_was_removed` |
//! | no `/proc` | `surroundings::without_proc_a_pool_works_or_says_why_not`, likewise |
//! | a root directory without `/proc` and `/dev` (`chroot`) | `surroundings::another_root_directory_has_nothing_but_the_program`, as root |
//! | `chroot` by the program itself, to where it is not | `surroundings::a_program_that_leaves_its_root_directory_is_told_why`, as root |
//! | a program that its user may not start | `surroundings::a_program_that_its_user_may_not_start_is_told_why`, as root |
//! | a kernel without `pidfd_open`, or a filter | `surroundings::a_pool_is_refused_without_process_descriptors` |
//! | closed standard streams | `surroundings::the_standard_streams_are_closed`, `inherited::a_worker_gets_null_streams_for_closed_ones`, `inherited::nothing_of_a_pool_is_a_standard_stream` |
//! | signals that are blocked or ignored | `inherited::blocked_and_ignored_signals_are_not_inherited` |
//! | descriptors that are open across `exec` | `inherited::descriptors_are_not_inherited` |
//! | a terminal | `inherited::reading_from_the_terminal_fails` |
//! | output that nobody reads | `output` |
//! | the program deleted or replaced | `surroundings::the_program_is_deleted_while_its_pool_lives`, `..replaced..` |
//! | SIGCHLD ignored | `reaping::a_program_that_ignores_sigchld` |
//! | `waitpid(-1)` elsewhere in the program | `reaping::a_program_that_reaps_every_child` |
//! | `fork` elsewhere in the program | `fork` |
//! | a logger, a waker, a `Drop` and a `Deserialize` that wait for the pool | `own_threads` |
//! | panic hooks, set before and after | `surroundings::a_panic_hook_of_the_programs_own` |
//! | an allocator of the program's own | all, for it is theirs; `allocator::an_allocator_of_the_programs_own` looks that it is used |
//! | signals at some kHz, and nothing begun again | `signals::signals_arrive_all_the_time` |
//! | threads with 2 MiB of stack, and values of hundreds of kilobytes | `large::large_values_leave_room_on_the_stack` |
//! | Ctrl-C, SIGTERM and SIGKILL | `ends`, and what tasks have started: `started` |
//! | one cpu | `crowd::one_cpu_is_enough` |
//! | 200 threads that submit | `crowd::two_hundred_threads_submit_to_one_pool` |
//! | arguments and results that no stack is deep enough for | `depth` |
//! | a wall clock that jumps | `clock::the_wall_clock_jumps`, as far as the C library tells the time |
//! | another begin of monotonic time | `clock::the_clock_of_another_time_namespace`, where that is permitted |
//!
//! What tasks do to their own worker is in `tests/processes/damage.rs`, and workers that were never any in `src/process/hostile.rs`.

// Linux, with workers that start without a line in `main`. Elsewhere there is no case.
#[cfg(automatic)]
#[path = "."]
mod programs {
    pub(crate) mod allocator;
    pub(crate) mod clock;
    pub(crate) mod crowd;
    pub(crate) mod depth;
    pub(crate) mod disk;
    pub(crate) mod ends;
    pub(crate) mod exercise;
    pub(crate) mod filter;
    pub(crate) mod fork;
    pub(crate) mod host;
    pub(crate) mod inherited;
    pub(crate) mod large;
    pub(crate) mod limits;
    pub(crate) mod marks;
    pub(crate) mod output;
    pub(crate) mod own_threads;
    pub(crate) mod powerless;
    pub(crate) mod reaping;
    pub(crate) mod rights;
    pub(crate) mod signals;
    pub(crate) mod started;
    pub(crate) mod surroundings;
}

use libtest_mimic::Arguments;
#[cfg(automatic)]
use libtest_mimic::Trial;
#[cfg(automatic)]
use programs::*;

#[cfg(automatic)]
use concurrent_futures_conformance::support::{LONG, leak_check, within};
#[cfg(automatic)]
use host::{Case, HOST};

#[cfg(automatic)]
fn cases() -> impl Iterator<Item = &'static Case> {
    let modules = [
        allocator::CASES,
        clock::CASES,
        crowd::CASES,
        depth::CASES,
        disk::CASES,
        ends::CASES,
        fork::CASES,
        inherited::CASES,
        large::CASES,
        limits::CASES,
        marks::CASES,
        output::CASES,
        own_threads::CASES,
        powerless::CASES,
        reaping::CASES,
        rights::CASES,
        signals::CASES,
        started::CASES,
        surroundings::CASES,
    ];
    modules.into_iter().flatten()
}

#[cfg(automatic)]
fn main() {
    if let Ok(name) = std::env::var(HOST) {
        let case = cases().find(|case| case.name == name).expect("the name of a case");
        return (case.host)();
    }
    let arguments = Arguments::from_args();
    // Each of them is to leave nothing then: no descriptor, thread or process.
    if arguments.test_threads == Some(1) {
        leak_check::check_each();
    }
    let trial = |case: &'static Case| {
        let check = move || {
            within(LONG, || (case.check)(case.name));
            Ok(())
        };
        Trial::test(case.name, check)
    };
    libtest_mimic::run(&arguments, cases().map(trial).collect()).exit();
}

#[cfg(not(automatic))]
fn main() {
    libtest_mimic::run(&Arguments::from_args(), Vec::new()).exit();
}
