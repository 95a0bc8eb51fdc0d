//! A worker process of the program that loads this would be another copy of that program: it has to be refused, with an error
//! that says why.

use concurrent_futures::{Executor, ProcessPoolExecutor};

/// Submits a task, and writes what it came to, at most `size` bytes, to `text`. Returns how many.
///
/// # Safety
///
/// `text` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn submit(text: *mut u8, size: usize) -> usize {
    let came_to = match ProcessPoolExecutor::new(1).submit(|n: u64| n + 1, 1).result() {
        Ok(value) => format!("a value: {value}"),
        Err(error) => error.to_string(),
    };
    let length = came_to.len().min(size);
    // SAFETY: by the caller's word there is room.
    unsafe { text.copy_from_nonoverlapping(came_to.as_ptr(), length) };
    length
}
