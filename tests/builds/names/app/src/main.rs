//! Submits the functions of a crate from that crate, from another one, and from here.

use std::process::ExitCode;

use concurrent_futures::{Executor, named};
use tasks::Names;

mod inner {
    #[inline(never)]
    pub fn functions() -> [(fn(u64) -> u64, Option<&'static str>); 9] {
        tasks::functions!()
    }
}

fn main() -> ExitCode {
    let all: Vec<&str> = named::all().expect("no name and no address twice").map(|function| function.name()).collect();
    assert_eq!(all, ["sums.double", "sums.scale_v1", "sums.scale_v2", "sums.sum_to", "tasks.shift"]);
    let (names, mut faults) = (Names::default(), 0);
    for functions in [tasks::functions(), other::functions(), inner::functions()] {
        for (function, expected) in functions {
            let name = names.of(function);
            faults += usize::from(name != expected);
            println!("{:#x} {name:?}, {expected:?}", function as usize);
        }
    }
    // Named where it is submitted, as programs do it.
    let calls = [names.submit(tasks::double, 4), names.submit(tasks::shift, 4)];
    assert!(calls.into_iter().all(|call| call.result().is_ok_and(|n| n == 8)));
    println!("{faults} functions have another name than their own");
    ExitCode::from(u8::from(faults > 0))
}
