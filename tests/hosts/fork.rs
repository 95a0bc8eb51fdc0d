//! A program that forks while it has a pool.

use concurrent_futures::{Backend, Error, Executor, ProcessPoolExecutor};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::host::*;

pub(crate) const CASES: &[Case] =
    &[Case { name: "a_forked_copy_cannot_use_the_pool_and_does_it_no_harm", host: fork, check }];

/// Forks; the copy runs `body` and ends with the code that it returns.
fn in_a_copy(body: impl FnOnce() -> i32) -> i32 {
    #[allow(unsafe_code)]
    // SAFETY: the copy calls what the C library allows in one: its locks for memory are whole there.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        let code = body();
        #[allow(unsafe_code)]
        // SAFETY: ends the copy at once: nothing of the parent's runs in it.
        unsafe {
            libc::_exit(code)
        }
    }
    let copy = Pid::from_raw(copy).expect("a copy");
    let (_, status) = waitpid(Some(copy), WaitOptions::empty()).expect("our child").expect("it has ended");
    status.exit_status().unwrap_or(-1)
}

/// What goes wrong in the copy; 0 if nothing does.
fn look(pool: ProcessPoolExecutor) -> i32 {
    match pool.submit(pid, ()).result() {
        Err(Error::Broken(broken)) if broken.to_string().contains("forked copy") => {}
        _ => return 1,
    }
    for outcome in pool.map(|n: u8| n, 0..3) {
        if !matches!(outcome, Err(Error::Broken(_))) {
            return 2;
        }
    }
    pool.kill_workers();
    if pool.cancel_pending() != 0 || pool.join_timeout(None) {
        return 3;
    }
    pool.shutdown();
    drop(pool);
    // One of its own it may have.
    let own = ProcessPoolExecutor::new(1);
    if own.submit(|n: u8| n + 1, 1).result().is_ok_and(|two| two == 2) { 0 } else { 4 }
}

fn fork() {
    let pool = ProcessPoolExecutor::new(2);
    let post = Post::new();
    let futures: Vec<_> = (0..2).map(|_| pool.submit(call_at, post.address())).collect();
    let calls = [post.called(), post.called()];
    let pending = pool.submit(pid, ());
    let mut pool = Some(pool);
    // The copy takes it; here it stays.
    let code = in_a_copy(|| look(pool.take().expect("a pool")));
    assert_eq!(code, 0);
    let pool = pool.expect("the copy has taken its own");
    drop(calls);
    for future in futures {
        future.result().expect("the copy does no harm");
    }
    pending.result().expect("nor to what waits");
    assert_works(&pool);
}

fn check(name: &str) {
    Host::start(name).ends_well();
}
