//! Clocks that jump, and clocks that begin elsewhere.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use concurrent_futures::ProcessPoolExecutor;

use crate::exercise::exercise;
use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "the_wall_clock_jumps", host: jump, check: end_well },
    Case { name: "the_clock_of_another_time_namespace", host: use_it, check: in_a_namespace },
];

static JUMPS: AtomicBool = AtomicBool::new(false);

/// Seconds that the wall clock is off: days, one way and the other, another time with each look.
fn off() -> i64 {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let look = LOOKS.fetch_add(1, Ordering::Relaxed);
    if look % 2 == 0 { 1_000_000 + look } else { -1_000_000 - look }
}

/// Takes the place of the C library's function, for everything in this program. To set the clock of the machine takes rights, and would
/// disturb others; what a program hears of it goes through here, but for what asks the kernel to wake it at some time of day. Where addresses have 32
/// bits, std asks another function.
///
/// # Safety
///
/// As that of the C library.
#[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
#[allow(unsafe_code)]
// SAFETY: has the type of the function whose name it has, and does what that does.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the arguments are what the caller has promised.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && clock == libc::CLOCK_REALTIME && JUMPS.load(Ordering::Relaxed) {
        // SAFETY: the time was written there a moment ago.
        unsafe { (*time).tv_sec += off() };
    }
    result as libc::c_int
}

/// From now on, nothing can be told from the wall clock.
fn let_it_jump(_: ()) {
    JUMPS.store(true, Ordering::Relaxed);
    let [now, then] = [SystemTime::now(), SystemTime::now()];
    let apart = now.duration_since(then).or(then.duration_since(now)).expect("one of the two");
    let is_ours = cfg!(all(target_env = "gnu", target_pointer_width = "64"));
    assert!(!is_ours || apart > Duration::from_secs(1_000_000), "it jumps");
}

fn jump() {
    let_it_jump(());
    let pool = ProcessPoolExecutor::builder().max_workers(2).initializer(let_it_jump, ());
    // Also the time that an idle worker is kept.
    exercise(&pool.keep_alive(Duration::from_secs(3600)).build().expect("a pool"));
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}

fn use_it() {
    exercise(&ProcessPoolExecutor::new(2));
}

fn in_a_namespace(name: &str) {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--monotonic", "1000000", "--boottime", "1000000"]);
        command
    };
    if !unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|it| it.success()) {
        eprintln!("skipped: not permitted to have a clock of one's own");
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    Host::run(name, unshare().arg(program)).ends_well();
}
