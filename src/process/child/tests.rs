#![allow(unsafe_code)]
use super::*;
use crate::process::program::image::program;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, WaitId, WaitIdOptions, getpgrp, getrlimit, kill_process_group, setpgid, setrlimit, waitid,
};

const WATCHDOG: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn spawn(script: &str) -> Child {
    Child::spawn(&mut shell(script)).unwrap()
}

/// Starts a script. Returns its child, and the end of a pipe that closes when no process of the script is left.
fn spawn_holding(script: &str) -> (Child, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    (Child::spawn(shell(script).stdout(writer)).unwrap(), reader)
}

fn wait(descriptor: impl AsFd, what: &str) {
    assert_eq!(poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&WATCHDOG)), Ok(1), "{what}");
}

/// Does the same, but the script begins only when the first pipe end is dropped: not before we looked at the child.
#[cfg(all(target_os = "linux", not(portable)))]
fn spawn_held(script: &str) -> (Child, std::io::PipeWriter, PipeReader) {
    let ((input, hold), (reader, writer)) = (pipe().unwrap(), pipe().unwrap());
    let mut script = shell(&format!("read line; {script}"));
    (Child::spawn(script.stdin(input).stdout(writer)).unwrap(), hold, reader)
}

/// Reads one byte, which the script writes when it has come so far.
fn meet(reader: &mut PipeReader) {
    wait(&*reader, "the script says something");
    reader.read_exact(&mut [0]).unwrap();
}

fn assert_gone(mut reader: PipeReader) {
    wait(&reader, "every process that held the pipe has ended");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

fn ended(child: &Child) -> Exit {
    wait(child.ended(), "the child ends");
    child.reap()
}

fn by(signal: &str) -> Exit {
    Exit::Signal(signal.into())
}

#[test]
fn an_exit_code_is_reported() {
    assert_eq!(ended(&spawn("exit 0")), Exit::Code(0));
    assert_eq!(ended(&spawn("exit 7")), Exit::Code(7));
}

#[test]
fn a_signal_is_reported_by_name() {
    for (number, name) in [(9, "SIGKILL"), (11, "SIGSEGV"), (6, "SIGABRT"), (15, "SIGTERM")] {
        assert_eq!(ended(&spawn(&format!("ulimit -c 0; kill -{number} $$"))), by(name));
    }
    assert_eq!(ended(&spawn(&format!("kill -{} $$", libc::SIGRTMIN() + 3))), by("SIGRTMIN+3"));
}

#[test]
fn a_signal_goes_to_the_whole_group() {
    let (child, mut pipe) = spawn_holding("sleep 1000 & echo; wait");
    meet(&mut pipe);
    child.signal(Signal::TERM).unwrap();
    assert_gone(pipe);
    assert_eq!(ended(&child), by("SIGTERM"));
}

#[test]
fn a_signal_by_group_number_reaches_the_whole_group() {
    let (child, mut pipe) = spawn_holding("sleep 1000 & echo; wait");
    meet(&mut pipe);
    assert!(child.process.is_unreaped());
    kill_process_group(child.group.lock().unwrap(), Signal::TERM).unwrap();
    assert_gone(pipe);
    assert_eq!(ended(&child), by("SIGTERM"));
    assert!(!child.process.is_unreaped());
}

#[test]
fn a_stopped_child_is_killed() {
    let child = spawn("kill -STOP $$");
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child.group.lock().unwrap()), stopped).unwrap();
    child.signal(Signal::KILL).unwrap();
    assert_eq!(ended(&child), by("SIGKILL"));
}

#[test]
fn a_child_that_left_its_group_is_killed() {
    let other = getpgrp();
    let mut command = shell("exec sleep 1000");
    let leave = move || Ok(setpgid(None, Some(other))?);
    // SAFETY: only a system call between fork and exec.
    unsafe { command.pre_exec(leave) };
    let child = Child::spawn(&mut command).unwrap();
    child.signal(Signal::KILL).unwrap();
    assert_eq!(ended(&child), by("SIGKILL"));
}

#[test]
fn reaping_a_child_kills_the_rest_of_its_group() {
    let (child, pipe) = spawn_holding("sleep 1000 & exit 3");
    assert_eq!(ended(&child), Exit::Code(3));
    assert_gone(pipe);
}

#[test]
fn reaping_kills_a_running_child() {
    assert_eq!(spawn("exec sleep 1000").reap(), by("SIGKILL"));
}

#[test]
fn dropping_kills_a_running_child() {
    let (child, pipe) = spawn_holding("sleep 1000 & wait");
    let pid = Pid::from_raw(child.pid().cast_signed()).unwrap();
    drop(child);
    assert_gone(pipe);
    assert_eq!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).err(), Some(Errno::CHILD), "the child was reaped");
}

#[test]
fn a_reaped_child_is_not_signalled() {
    let child = spawn("exit 0");
    ended(&child);
    assert_eq!(*child.group.lock(), None);
    child.signal(Signal::KILL).unwrap();
    assert!(matches!(child.reap(), Exit::Code(0) | Exit::Unknown), "told by the kernel, or not");
}

#[test]
fn a_child_reaped_by_other_code_has_ended() {
    let mut reaped = shell("exit 0").process_group(0).spawn().unwrap();
    let pid = Pid::from_child(&reaped);
    reaped.wait().unwrap();
    let child = Child::watch(pid).unwrap();
    assert_eq!(ended(&child), Exit::Unknown);
}

#[test]
fn a_process_that_is_no_child_is_not_signalled() {
    let (input, mut to_cat) = pipe().unwrap();
    let (from_cat, output) = pipe().unwrap();
    // The shell ends and leaves `cat` to the system; `cat` echoes until its input is closed.
    let mut script = shell("{ cat <&3 & echo $!; } 3<&0");
    script.stdin(input).stdout(output).status().unwrap();
    drop(script);
    let mut lines = BufReader::new(from_cat).lines().map(Result::unwrap);
    let pid: i32 = lines.next().unwrap().parse().unwrap();

    let child = Child::watch(Pid::from_raw(pid).unwrap()).unwrap();
    child.signal(Signal::KILL).unwrap();
    assert_eq!(ended(&child), Exit::Unknown);
    drop(child);
    to_cat.write_all(b"still here\n").unwrap();
    assert_eq!(lines.next().as_deref(), Some("still here"));
}

#[test]
fn a_forked_copy_of_the_parent_kills_nothing() {
    let (child, mut pipe) = spawn_holding("echo; exec sleep 1000");
    meet(&mut pipe);
    // SAFETY: the copy makes system calls only.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        let _ = child.signal(Signal::KILL);
        drop(child);
        // SAFETY: ends the copy at once: no code of the parent runs in it.
        unsafe { libc::_exit(0) }
    }
    waitid(WaitId::Pid(Pid::from_raw(copy).unwrap()), WaitIdOptions::EXITED).unwrap();
    child.signal(Signal::TERM).unwrap();
    assert_eq!(ended(&child), by("SIGTERM"), "and not SIGKILL");
}

/// Runs the named test again in a process of its own, where it may change the state of the whole process. Returns
/// `true` there.
fn in_a_process_of_its_own(test: &str) -> bool {
    const INSIDE: &str = "CONCURRENT_FUTURES_TEST_CHILD";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let out = Command::new(program()).args(["--exact", &name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Checks the exit of a child that other code reaped, which not every kernel remembers.
#[cfg(all(target_os = "linux", not(portable)))]
fn assert_told(exit: Exit, expected: Exit) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    let remembers = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    assert_eq!(exit, if remembers { expected } else { Exit::Unknown }, "on Linux {release}");
}

#[cfg(all(target_os = "linux", not(portable)))]
#[test]
fn a_program_that_ignores_sigchld_hides_no_exit() {
    if !in_a_process_of_its_own("a_program_that_ignores_sigchld_hides_no_exit") {
        return;
    }
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let scripts = [("sleep 1000 & exit 7", Exit::Code(7)), ("kill -TERM $$", by("SIGTERM"))];
    for (script, exit) in scripts.iter().cycle().take(100) {
        let (child, hold, pipe) = spawn_held(script);
        drop(hold);
        assert_told(ended(&child), exit.clone());
        assert_gone(pipe);
    }
    assert_told(spawn("exec sleep 1000").reap(), by("SIGKILL"));
}

#[cfg(all(target_os = "linux", not(portable)))]
#[test]
fn a_program_that_reaps_every_child_hides_its_exit_only() {
    if !in_a_process_of_its_own("a_program_that_reaps_every_child_hides_its_exit_only") {
        return;
    }
    let (child, pipe) = spawn_holding("sleep 1000 & exit 3");
    let pid = child.pid().cast_signed();
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }, pid);
    child.signal(Signal::CONT).unwrap();
    assert_told(ended(&child), Exit::Code(3));
    assert_gone(pipe);
}

#[test]
fn a_child_that_cannot_be_watched_is_killed() {
    if !in_a_process_of_its_own("a_child_that_cannot_be_watched_is_killed") {
        return;
    }
    // Descriptors 0 to 2 are open and there is no room for another one.
    let none = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, none).unwrap();
    let error = Child::spawn(Command::new("/bin/sh").args(["-c", "exec sleep 1000"])).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(waitid(WaitId::All, WaitIdOptions::EXITED).err(), Some(Errno::CHILD), "no child runs or is unreaped");
}

#[cfg(any(not(target_os = "linux"), portable))]
#[test]
fn a_program_that_reaps_every_child_is_told_that_one_has_ended() {
    if !in_a_process_of_its_own("a_program_that_reaps_every_child_is_told_that_one_has_ended") {
        return;
    }
    let child = spawn("exit 3");
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }, child.pid().cast_signed());
    assert_eq!(ended(&child), Exit::Unknown);
}
