//! Tasks that damage their worker: descriptors, output, children, limits.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::panic;
use std::process::{Command, Stdio};
use std::thread;

use concurrent_futures::{Backend, Error, Executor, Exit, MapOptions, TaskOptions};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, umask};

use super::marked::*;
use super::support::*;

/// The code a worker exits with that cannot reach its pool.
const LOST: i32 = 74;

fn descriptors() -> Vec<RawFd> {
    let names: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.iter().map(|name| name.to_str().unwrap().parse().unwrap()).collect()
}

fn close(descriptors: impl IntoIterator<Item = RawFd>) {
    for descriptor in descriptors {
        #[allow(unsafe_code)]
        // SAFETY: none: that a task does this is what the test is about. Its process has a copy of every owner.
        unsafe {
            libc::close(descriptor);
        }
    }
}

/// The worker's end of its connection.
fn connection() -> OwnedFd {
    let is_socket = |fd: &RawFd| {
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        *fd > 2 && target.to_str().unwrap().starts_with("socket:")
    };
    let socket = descriptors().into_iter().find(is_socket).expect("a socket");
    #[allow(unsafe_code)]
    // SAFETY: it is open, and the worker keeps it open.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    socket.try_clone_to_owned().unwrap()
}

/// Runs `damage` on one worker while a task runs on the other, which nothing may happen to.
fn beside_another<R>(pool: &Marked, damage: impl FnOnce() -> R) -> R {
    let checkpoint = Checkpoint::new();
    let other = pool.submit(stop_at, checkpoint.address());
    let arrived = checkpoint.arrived();
    let result = damage();
    assert!(other.is_running());
    drop(arrived);
    other.result().expect("the other task is untouched");
    result
}

#[test]
fn a_task_may_close_the_standard_streams() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        for streams in [vec![1], vec![0, 1, 2]] {
            let close = |streams: Vec<RawFd>| {
                close(streams);
                println!("into nowhere");
                eprintln!("into nowhere");
            };
            pool.submit(close, streams).result().unwrap();
        }
        let panic = pool.submit(|()| -> u8 { panic!("into nowhere") }, ()).result();
        assert!(matches!(panic, Err(Error::Panicked(_))), "{panic:?}");
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
        pool.works();
    });
}

/// Closes everything, and returns so many bytes.
fn close_everything(length: usize) -> Vec<u8> {
    close(descriptors());
    vec![1; length]
}

#[test]
fn a_short_result_needs_no_descriptor() {
    with_pool(workers(2), |pool| {
        for length in [0, 100, 400] {
            let result = beside_another(pool, || pool.submit(close_everything, length).result());
            assert_eq!(result.unwrap(), vec![1; length]);
            pool.works();
        }
        assert_eq!(pool.stats().failed, 0);
    });
}

#[test]
fn a_task_that_closes_every_descriptor_loses_a_long_result() {
    with_pool(workers(2), |pool| {
        for _ in 0..3 {
            let died = beside_another(pool, || died(pool.submit(close_everything, 1000).result()));
            assert_eq!(*died.exit(), Exit::Code(LOST));
        }
        pool.works();
        assert_eq!((pool.stats().failed, pool.stats().respawned), (3, 3));
    });
}

#[test]
fn an_item_that_closes_every_descriptor_loses_no_result() {
    with_pool(workers(2), |pool| {
        let close_at = |n: usize| {
            if n == 4 {
                close(descriptors());
            }
            n
        };
        let map = pool.with(MapOptions::new().chunk_size(10));
        // It is only when it answers that the worker finds out: all items of its chunk have run by then, and are not lost.
        let outcomes: Vec<_> = map.map(close_at, 0..30).collect::<Result<_, _>>().unwrap();
        assert!(outcomes.into_iter().eq(0..30));
        pool.works();
    });
}

#[test]
fn changes_by_a_task_stay_in_its_worker() {
    fn change(directory: String) {
        env::set_current_dir(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
        umask(Mode::RWXU | Mode::RWXG | Mode::RWXO);
        #[allow(unsafe_code)]
        // SAFETY: no other thread of the worker reads the environment.
        unsafe {
            env::remove_var("PATH");
        }
        panic::set_hook(Box::new(|_| {}));
    }
    fn look(_: ()) -> (Option<String>, bool, bool) {
        let directory = env::current_dir().ok().map(|path| path.to_str().unwrap().into());
        let status = fs::read_to_string("/proc/self/status").unwrap();
        (directory, status.contains("Umask:\t0777\n"), env::var("PATH").is_ok())
    }
    with_pool(workers(1), |pool| {
        let before = look(());
        assert_eq!(pool.submit(look, ()).result().unwrap(), before, "a worker begins as the program is");
        let directory = tempfile::tempdir().unwrap();
        pool.submit(change, directory.path().to_str().unwrap().into()).result().unwrap();
        assert_eq!(pool.submit(look, ()).result().unwrap(), (None, true, false), "the next task is on that worker");
        match pool.submit(|()| -> u8 { panic!("unseen") }, ()).result() {
            Err(Error::Panicked(panic)) => assert_eq!(panic.message(), "unseen"),
            other => panic!("not a panic: {other:?}"),
        }
        assert_eq!(look(()), before);
        pool.works();
        died(pool.submit(|signal| -> u8 { die_by(signal) }, Signal::KILL.as_raw()).result());
        assert_eq!(pool.submit(look, ()).result().unwrap(), before, "its replacement has the same surroundings");
    });
}

/// Starts a process that holds the worker's connection, and waits until it is there: the environment of one that is about to be another
/// program cannot be read.
#[expect(clippy::zombie_processes, reason = "its parent is gone before it, or does not care")]
fn leave_behind(own_group: bool) -> u32 {
    let mut command = Command::new("sh");
    // A stopped group that its parent leaves is hung up on, and goes on.
    command.args(["-c", "trap '' HUP; echo; while :; do kill -STOP $$; done"]);
    command.stdin(Stdio::from(connection())).stdout(Stdio::piped()).stderr(Stdio::null());
    if own_group {
        command.process_group(0);
    }
    let mut child = command.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    child.id()
}

#[test]
fn a_grandchild_that_holds_the_connection_is_killed_with_its_worker() {
    with_pool(workers(2), |pool| {
        let exit = |code: i32| -> i32 {
            leave_behind(false);
            std::process::exit(code)
        };
        let died = beside_another(pool, || died(pool.submit(exit, 3).result()));
        assert_eq!(*died.exit(), Exit::Code(3));
        pool.works();
        // And one whose worker has no task, and is told to leave: the end looks that nothing is left.
        pool.submit(leave_behind, false).result().unwrap();
        assert_eq!(pool.processes().len(), 3);
    });
}

#[test]
fn a_grandchild_that_left_the_group_hides_no_death() {
    with_pool(workers(2), |pool| {
        let (checkpoint, other) = (Checkpoint::new(), Checkpoint::new());
        let others = pool.submit(stop_at, other.address());
        let held = other.arrived();
        let grandchild = pool.submit(leave_behind, true).result().unwrap();
        let exit = |address: String| -> u8 {
            stop_at(address);
            std::process::exit(3)
        };
        let future = pool.submit(exit, checkpoint.address());
        drop(checkpoint.arrived());
        assert_eq!(*died(future.result()).exit(), Exit::Code(3));
        pool.works_with(1);
        drop(held);
        others.result().unwrap();
        assert!(Witness::of(grandchild).is_alive(), "another process was killed");
        signal(grandchild, Signal::KILL);
    });
}

#[test]
fn nonsense_in_the_connection_costs_the_task_that_wrote_it() {
    fn write((byte, count): (u8, usize)) {
        let mut connection = UnixStream::from(connection());
        connection.write_all(&vec![byte; count]).unwrap();
        loop {
            thread::park();
        }
    }
    with_pool(workers(2), |pool| {
        for byte in [0, 2, 3, 0xff] {
            let died = beside_another(pool, || died(pool.submit(write, (byte, 200)).result()));
            assert_eq!(*died.exit(), Exit::Signal("SIGKILL".into()));
            assert!(died.hint().unwrap().contains("a worker process sent a frame"), "{died}");
        }
        pool.works();
        assert_eq!((pool.stats().failed, pool.stats().respawned), (4, 4));
    });
}

#[test]
fn a_task_that_shuts_the_connection_costs_itself() {
    fn shut((reading, length): (bool, usize)) -> Vec<u8> {
        use std::net::Shutdown::{Read, Write};
        let how = if reading { Read } else { Write };
        UnixStream::from(connection()).shutdown(how).unwrap();
        vec![1; length]
    }
    with_pool(workers(2), |pool| {
        let died = beside_another(pool, || died(pool.submit(shut, (false, 1000)).result()));
        assert_eq!(*died.exit(), Exit::Code(LOST));
        pool.works();
        let result = beside_another(pool, || pool.submit(shut, (false, 10)).result());
        assert_eq!(result.expect("a short result needs no socket").len(), 10);
        pool.works();
        // What it had to say is out; then it finds that no more will come, and goes.
        let outcome = beside_another(pool, || pool.submit(shut, (true, 1000)).result());
        assert!(matches!(outcome, Ok(_) | Err(Error::WorkerDied(_))), "{outcome:?}");
        pool.works();
    });
}

#[test]
fn a_thread_left_by_a_task_may_kill_its_worker() {
    /// Leaves a thread that ends the process when it is let go.
    fn leave_a_thread(address: String) -> u32 {
        thread::spawn(|| {
            stop_at(address);
            std::process::abort();
        });
        std::process::id()
    }
    with_pool(workers(1), |pool| {
        let checkpoint = Checkpoint::new();
        let worker = pool.submit(leave_a_thread, checkpoint.address()).result().unwrap();
        let worker = Pid::from_raw(worker.cast_signed()).unwrap();
        let pidfd = pidfd_open(worker, PidfdFlags::empty()).unwrap();
        // While it has nothing to do.
        drop(checkpoint.arrived());
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        pool.works();
        assert_eq!(pool.stats().failed, 0, "the worker had no task");
        // While it runs another task.
        let task = Checkpoint::new();
        pool.submit(leave_a_thread, checkpoint.address()).result().unwrap();
        let future = pool.submit(stop_at, task.address());
        let arrived = task.arrived();
        drop(checkpoint.arrived());
        assert_eq!(*died(future.result()).exit(), Exit::Signal("SIGABRT".into()));
        drop(arrived);
        pool.works();
        assert_eq!(pool.stats().failed, 1);
    });
}

#[test]
fn threads_left_by_tasks_do_not_keep_a_worker() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let leave = |count: usize| {
            for _ in 0..count {
                thread::spawn(|| {
                    loop {
                        thread::park();
                    }
                });
            }
        };
        for _ in 0..5 {
            pool.submit(leave, 20).result().unwrap();
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker);
    });
}

/// Ends the thread that runs this, and not its process.
fn end_thread(_: ()) {
    #[allow(unsafe_code)]
    // SAFETY: none: that a task does this is what the test is about.
    unsafe {
        libc::syscall(libc::SYS_exit, 0);
    }
}

#[allow(unsafe_code)]
fn be_strict(_: ()) -> String {
    // SAFETY: no memory is handed over.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT, 0, 0, 0) }, 0);
    // Which is none of the four calls that are left.
    format!("{:?}", fs::metadata("/"))
}

#[test]
fn a_task_whose_thread_vanishes_is_reported_dead() {
    with_pool(workers(2), |pool| {
        for _ in 0..2 {
            let ended = beside_another(pool, || died(pool.submit(end_thread, ()).result()));
            assert!(ended.to_string().contains("thread"), "{ended}");
            let ended = beside_another(pool, || died(pool.submit(be_strict, ()).result()));
            assert!(ended.to_string().contains("thread"), "{ended}");
        }
        let end_at_two = |n: i32| {
            if n == 2 {
                end_thread(());
            }
            n
        };
        let chunks = pool.with(MapOptions::new().chunk_size(4));
        let outcomes: Vec<_> = chunks.map(end_at_two, 0..8).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "{outcomes:?}");
        pool.works();
    });
}

#[test]
fn an_initializer_whose_thread_vanishes_breaks_the_pool() {
    with_pool(workers(1).initializer(end_thread, ()), |pool| {
        let broken = pool.submit(pid, ()).result().unwrap_err();
        assert!(matches!(broken, Error::Broken(_)) && broken.to_string().contains("thread"), "{broken}");
    });
}

/// Leaves a thread that keeps the lock of standard output until it is let go, or for ever.
fn hold_stdout(address: Option<String>) -> u32 {
    let (locked, wait) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let lock = std::io::stdout().lock();
        locked.send(()).unwrap();
        match address {
            Some(address) => stop_at(address),
            None => loop {
                thread::park();
            },
        }
        drop(lock);
    });
    wait.recv().unwrap();
    std::process::id()
}

#[test]
fn a_thread_that_locks_standard_output_delays_no_task() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(hold_stdout, None).result().unwrap();
        for _ in 0..50 {
            assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker goes on");
        }
        let chunks = pool.with(MapOptions::new().chunk_size(5));
        assert!(chunks.map(pid, [(); 50]).all(|outcome| outcome.unwrap() == worker));
        let panicked = pool.submit(|()| -> u8 { panic!("as ever") }, ()).result();
        assert!(matches!(panicked, Err(Error::Panicked(_))), "{panicked:?}");
        let aborted = pool.with(TaskOptions::new().time_limit(std::time::Duration::from_millis(50)));
        let outcome = aborted
            .submit(
                |()| loop {
                    thread::park()
                },
                (),
            )
            .result();
        assert!(matches!(outcome, Err::<(), _>(Error::TimeLimit(_))), "{outcome:?}");
    });
}

#[test]
fn a_worker_recovers_when_standard_output_is_unlocked() {
    with_pool(workers(1), |pool| {
        for _ in 0..3 {
            let checkpoint = Checkpoint::new();
            let worker = pool.submit(hold_stdout, Some(checkpoint.address())).result().unwrap();
            let arrived = checkpoint.arrived();
            assert_eq!(pool.submit(pid, ()).result().unwrap(), worker);
            drop(arrived);
            for _ in 0..50 {
                assert_eq!(pool.submit(pid, ()).result().unwrap(), worker);
            }
        }
        let threads = |()| fs::read_dir("/proc/self/task").unwrap().count();
        assert!(pool.submit(threads, ()).result().unwrap() < 8, "no worker waits in a flush");
    });
}

/// Forks, and waits for the copy, which comes back from here as well. Returns what `fork` did.
fn come_back_twice(_: ()) -> i32 {
    #[allow(unsafe_code)]
    // SAFETY: no other thread of the worker is in the middle of anything.
    let copy = unsafe { libc::fork() };
    if let Some(copy) = Pid::from_raw(copy) {
        rustix::process::waitpid(Some(copy), rustix::process::WaitOptions::empty()).unwrap();
    }
    copy
}

#[test]
fn a_forked_copy_that_returns_from_its_task_sends_no_reply() {
    with_pool(workers(1), |pool| {
        for _ in 0..3 {
            assert_ne!(pool.submit(come_back_twice, ()).result().unwrap(), 0);
        }
        let panic = |()| -> u8 { panic!("pid {}", come_back_twice(())) };
        match pool.submit(panic, ()).result() {
            Err(Error::Panicked(panic)) => assert_ne!(panic.message(), "pid 0"),
            other => panic!("not a panic: {other:?}"),
        }
        let chunks = pool.with(MapOptions::new().chunk_size(5));
        let copies: Vec<_> = chunks.map(come_back_twice, [(); 10]).map(Result::unwrap).collect();
        assert!(copies.len() == 10 && !copies.contains(&0), "{copies:?}");
        pool.works();
    });
}
