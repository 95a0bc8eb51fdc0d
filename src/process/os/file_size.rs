//! The limit on the size of files, which shared memory has too.
#![forbid(unsafe_code)]

use std::io;

use rustix::process::{Resource, getrlimit};

/// Refuses memory that is longer than a file may be here (`ulimit -f`): the attempt would raise SIGXFSZ, and that ends the program, or
/// the worker. A limit that another thread lowers in this very moment is seen by the next one.
pub(super) fn check_file_size(length: usize) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < length as u64 => {
            let text = format!(
                "shared memory of {length} bytes is longer than a file may be in this process, which is {limit} bytes (RLIMIT_FSIZE): \
                 raise the limit (`ulimit -f`), or use a ThreadPoolExecutor"
            );
            Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
        }
        _ => Ok(()),
    }
}
