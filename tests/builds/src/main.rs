//! A program. It notes each of its starts that reach `main`, in the file that its argument names.

use std::io::Write;

fn own(n: u64) -> u64 {
    builds::double(n) + 1
}

fn main() {
    #[cfg(feature = "init")]
    concurrent_futures::init();
    if let Some(path) = std::env::var_os("BUILDS_STARTS") {
        let mut starts = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("a file");
        starts.write_all(b"started\n").expect("space for a line");
    }
    builds::check();
    builds::check_own(own);
    builds::check_own(builds::double);
}
