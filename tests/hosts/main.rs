//! Faults of a whole program: each test starts this binary again as a program that has a pool, and looks how it ends.
//!
//! | surroundings | looked at by |
//! |---|---|
//! | few descriptors (`ulimit -n`) | `limits::few_descriptors_are_fewer_workers`, `limits::a_worker_makes_room_for_its_replacement` |
//! | few processes (`ulimit -u`) | `limits::few_processes_are_fewer_workers`, as root |
//! | little memory (`ulimit -v`) | `limits::little_memory_costs_the_task_that_wants_more` |
//! | a limit of memory for all its processes, and the kernel that keeps it | `limits::who_is_killed_for_want_of_memory_is_told_so`, where permitted |
//! | the rights of another user (set-user-ID) | `rights::the_rights_of_another_user_are_a_reason`, as root |
//! | a full disk behind standard output and error, no `TMPDIR` | `disk::a_full_disk_costs_what_is_written_there` |
//! | a full `TMPDIR`, current directory and `/dev/shm` | `disk::directories_that_are_full`, where mounts are permitted |
//! | a read-only `TMPDIR` and current directory | `disk::a_directory_that_cannot_be_written`, likewise |
//! | a current directory that was removed | `disk::a_directory_that_is_gone` |
//! | no `/proc` | `surroundings::without_proc_a_pool_works_or_says_why_not`, likewise |
//! | closed standard streams | `surroundings::the_standard_streams_are_closed` |
//! | output that nobody reads | `output` |
//! | the program deleted or replaced | `surroundings::the_program_is_deleted_while_its_pool_lives`, `..replaced..` |
//! | SIGCHLD ignored | `reaping::a_program_that_ignores_sigchld` |
//! | `waitpid(-1)` elsewhere in the program | `reaping::a_program_that_reaps_every_child` |
//! | `fork` elsewhere in the program | `fork::a_forked_copy_cannot_use_the_pool_and_does_it_no_harm` |
//! | panic hooks, set before and after | `surroundings::a_panic_hook_of_the_programs_own` |
//! | an allocator of the program's own | all, for it is theirs; `allocator::an_allocator_of_the_programs_own` looks that it is used |
//! | signals at some kHz, and nothing begun again | `signals::signals_arrive_all_the_time` |
//! | Ctrl-C, SIGTERM and SIGKILL | `ends` |
//! | one cpu | `crowd::one_cpu_is_enough` |
//! | 200 threads that submit | `crowd::two_hundred_threads_submit_to_one_pool` |
//! | arguments and results that no stack is deep enough for | `depth` |
//! | a wall clock that jumps | `clock::the_wall_clock_jumps`, as far as the C library tells the time |
//! | another begin of monotonic time | `clock::the_clock_of_another_time_namespace`, where that is permitted |
//!
//! What tasks do to their own worker is in `tests/it/processes/damage.rs`, and workers that were never any in `src/process/hostile.rs`.

mod allocator;
#[allow(dead_code)]
#[path = "../it/census.rs"]
mod census;
mod clock;
mod crowd;
mod depth;
mod disk;
mod ends;
mod exercise;
mod fork;
mod host;
mod limits;
mod output;
mod reaping;
mod rights;
mod signals;
mod surroundings;

use libtest_mimic::{Arguments, Trial};

use census::Census;
use host::{Case, HOST, within};

fn cases() -> impl Iterator<Item = &'static Case> {
    let modules = [
        allocator::CASES,
        clock::CASES,
        crowd::CASES,
        depth::CASES,
        disk::CASES,
        ends::CASES,
        fork::CASES,
        limits::CASES,
        output::CASES,
        reaping::CASES,
        rights::CASES,
        signals::CASES,
        surroundings::CASES,
    ];
    modules.into_iter().flatten()
}

fn main() {
    if let Ok(name) = std::env::var(HOST) {
        let case = cases().find(|case| case.name == name).expect("the name of a case");
        return (case.host)();
    }
    let arguments = Arguments::from_args();
    // With `--test-threads=1`, each of them is to leave nothing: no descriptor, thread or process.
    let is_alone = arguments.test_threads == Some(1);
    let trial = |case: &'static Case| {
        let check = move || {
            let before = is_alone.then(Census::take);
            within(|| (case.check)(case.name));
            if let Some(before) = before {
                before.assert_nothing_is_left();
            }
            Ok(())
        };
        Trial::test(case.name, check)
    };
    libtest_mimic::run(&arguments, cases().map(trial).collect()).exit();
}
