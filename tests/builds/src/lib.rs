//! What has to work in every build of a program that uses the crate. Each check panics if it does not hold.
//!
//! ```
//! builds::check();
//! ```

mod large;
#[cfg(feature = "process")]
mod processes;
mod threads;

/// A function of a dependency, for the programs that use this library.
pub fn double(n: u64) -> u64 {
    2 * n
}

/// Checks all that a build of this kind can do.
pub fn check() {
    threads::check();
    large::check();
    #[cfg(any(feature = "auto-entry", feature = "init"))]
    processes::check();
    #[cfg(all(feature = "process", not(any(feature = "auto-entry", feature = "init"))))]
    processes::check_that_init_is_missed();
}

/// Checks functions of the program itself, where there are worker processes.
pub fn check_own(function: fn(u64) -> u64) {
    threads::check_own(function);
    #[cfg(any(feature = "auto-entry", feature = "init"))]
    processes::check_own(function);
}
