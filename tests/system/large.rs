//! A program that hands large values on by value, over threads with little stack. One that overflows ends the program.

use crate::host::*;

#[path = "../builds/src/large.rs"]
mod ways;

pub(crate) const CASES: &[Case] =
    &[Case { name: "large_values_leave_room_on_the_stack", host: pass, check: ends_well }];

fn pass() {
    ways::check();
    println!("passed");
}

fn ends_well(name: &str) {
    assert_eq!(Host::start(name).ends_well(), "passed\n");
}
