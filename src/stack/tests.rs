//! How much is left is known well enough, and a fresh stack is one.
#![forbid(unsafe_code)]

use std::panic::resume_unwind;
use std::thread;

use super::{BOUNDS, Bounds, LIKELY, SURE, begin, has, has_half, has_reserve, here, left, look_further, on_fresh};
use crate::error::Error;
use crate::panics;

/// Runs `code` on a thread that is not known to have so much stack.
fn on_stack<R: Send + 'static>(size: usize, code: impl FnOnce() -> R + Send + 'static) -> R {
    thread::Builder::new().stack_size(size).spawn(code).unwrap().join().unwrap_or_else(|payload| resume_unwind(payload))
}

#[test]
fn a_thread_looks_up_its_stack_once() {
    for size in [64 << 10, 2 << 20, 16 << 20] {
        on_stack(size, move || {
            assert!(left() <= SURE + 1024 && has_half());
            assert!(look_further());
            let found = left();
            if cfg!(target_os = "linux") {
                // The system may hand out the stack of an earlier thread, if it is not much larger.
                assert!((size / 2..=5 * size).contains(&found), "{found} of {size}");
            } else {
                assert!((LIKELY / 2..=LIKELY).contains(&found), "{found}");
            }
            assert!(!look_further());
            assert!(has(found / 2) && !has(2 * found));
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_main_thread_has_what_its_limit_leaves_it() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let main = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let (start, _) = main.split_once('-').unwrap();
    let top = usize::from_str_radix(start, 16).unwrap();
    let (end, _) = super::lookup::stack_of(top).unwrap();
    // Its limit is far more than what tests have touched of it.
    assert!(end + (1 << 20) < top, "{end:#x} is not far below {top:#x}");
    assert_eq!(super::lookup::stack_of(1), None);
}

#[test]
fn code_outside_the_known_stack_assumes_a_small_one() {
    on_stack(2 << 20, || {
        assert!(look_further());
        let Bounds { end, top, is_known } = BOUNDS.get();
        // As if the thread had been on a stack above, or below, when it asked. The system may have given it the larger
        // stack of an earlier thread, so those are far away.
        for shift in [usize::wrapping_add, usize::wrapping_sub] {
            BOUNDS.set(Bounds { end: shift(end, 64 << 20), top: shift(top, 64 << 20), is_known });
            assert!((SURE / 2..=SURE + 1024).contains(&left()));
            assert!(look_further() && BOUNDS.get().end == end);
        }
        // But not in the last bytes of one.
        BOUNDS.set(Bounds { end: here() + 1000, top, is_known });
        assert!(left() == 0 && !look_further());
    });
}

#[test]
fn a_thread_of_the_crate_knows_its_stack() {
    on_stack(1 << 20, || {
        begin(1 << 20);
        assert!(((1 << 20) - (32 << 10)..1 << 20).contains(&left()), "{}", left());
        assert!(!look_further() && has(900 << 10) && !has(1 << 20));
    });
}

/// Uses up the stack until `is_enough`, and runs `code` there.
fn below<R>(is_enough: &dyn Fn() -> bool, code: impl FnOnce() -> R) -> R {
    let much = std::hint::black_box([0_u8; 1024]);
    let result = if is_enough() { code() } else { below(is_enough, code) };
    std::hint::black_box(much);
    result
}

#[test]
fn half_of_the_stack_is_used_before_the_reserve() {
    for (size, reserve) in [(64 << 10, 12 << 10), (1 << 20, 128 << 10)] {
        let (half, end) = on_stack(size, move || {
            begin(size);
            (below(&|| !has_half(), left), below(&|| !has_reserve(), left))
        });
        assert!((size / 4..size / 2).contains(&half), "{half} of {size}");
        assert!((reserve / 2..reserve + 4096).contains(&end), "{end} of {size}");
    }
}

#[test]
fn a_fresh_stack_belongs_to_a_thread_of_the_same_name() {
    let name = || thread::current().name().map(str::to_owned);
    let (own, id) = (name(), thread::current().id());
    let local = 7;
    let on_it = || (name(), thread::current().id(), left(), local);
    let (other, other_id, left, seen) = on_fresh(4 << 20, &mut Some(on_it)).unwrap();
    assert!(own == other && id != other_id && seen == 7);
    assert!((3 << 20..4 << 20).contains(&left), "{left}");
    assert!(here() > 0);
}

#[test]
fn a_panic_on_a_fresh_stack_reaches_the_caller_with_its_location() {
    panics::install_hook();
    let outcome =
        panics::catch(|| -> Result<(), Error> { on_fresh(1 << 20, &mut Some(|| panic!("down there"))).unwrap() });
    let Err(Error::Panicked(panic)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(panic.message(), "down there");
    assert!(panic.location().is_some_and(|location| location.starts_with(file!())), "{panic:?}");
}

#[test]
fn a_body_that_gets_no_stack_has_not_run() {
    // No address space has that much, however wide addresses are.
    let most = usize::MAX - usize::MAX / 16;
    let mut body = Some(|| 7);
    assert!(on_fresh(most, &mut body).is_err());
    assert_eq!(body.map(|body| body()), Some(7));
}
