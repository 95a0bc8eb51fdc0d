//! What the workers do. It stands for code that a service cannot trust.

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The sum of the numbers up to this one, as text.
    Sum(String),
    Crash,
    Spin,
    Hog,
}

/// Does it.
///
/// # Errors
///
/// If the number is not one.
pub(crate) fn perform(work: Work) -> Result<u64, std::num::ParseIntError> {
    match work {
        Work::Sum(text) => text.parse().map(|n: u64| (1..=n).sum()),
        Work::Crash => std::process::abort(),
        Work::Spin => loop {
            std::hint::spin_loop();
        },
        Work::Hog => {
            let mut memory = Vec::new();
            loop {
                memory.push(std::hint::black_box(Vec::<u8>::with_capacity(16 << 20)));
            }
        }
    }
}
