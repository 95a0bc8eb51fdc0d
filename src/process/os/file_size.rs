//! The limit on the size of files, which applies to shared memory too.
#![forbid(unsafe_code)]

use std::io;

use rustix::process::{Resource, getrlimit};

/// Refuses memory longer than a file may be in this process (`ulimit -f`): the attempt would raise SIGXFSZ, which ends
/// the program or the worker. If another thread lowers the limit at this very moment, the next call sees it.
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
