//! [`Mapping`]: the memory of a segment in this process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::fs::fstat;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::process::os;

/// A mapped segment, of this process or of the other one.
pub(in crate::process) struct Mapping {
    base: NonNull<u8>,
    pub(super) length: usize,
}

// SAFETY: it is plain memory; each access says why it is allowed.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn map(memory: impl AsFd, length: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at a place the kernel chooses touches no other memory.
        let base = unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, memory, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Maps a segment of the other side for reading. Fails if its size is not sealed.
    pub(in crate::process) fn of_peer(memory: impl AsFd) -> io::Result<Self> {
        if !os::keeps_its_length(&memory)? {
            return Err(crate::process::protocol::frame::broken("a segment whose size is not sealed"));
        }
        let length = usize::try_from(fstat(&memory)?.st_size).unwrap_or(0);
        Self::map(memory, length, ProtFlags::READ)
    }

    /// Copies the first `length` bytes out. Returns `None` if the segment is shorter, or no memory is left.
    pub(super) fn copy(&self, length: usize) -> Option<Vec<u8>> {
        if length > self.length {
            return None;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).ok()?;
        // SAFETY: both are long enough. A worker that writes meanwhile changes only what is copied.
        unsafe { self.base.as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), length) };
        // SAFETY: the copy above initialised `length` bytes.
        unsafe { bytes.set_len(length) };
        Some(bytes)
    }

    /// Makes the system provide the memory of the first `length` bytes. Only for segments that this side owns.
    pub(super) fn back(&self, length: usize) -> io::Result<()> {
        os::back(self.base, length.min(self.length))
    }

    /// Copies `bytes` in. Only for segments that this side owns and has not given out.
    pub(super) fn fill(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.length, "a segment is chosen that is long enough");
        // SAFETY: it is long enough, and nobody reads a segment that was not given out.
        unsafe { self.base.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

/// Only for segments of the pool, in its workers: the pool does not write them while a task has them.
impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped with this length, which is sealed, for as long as `self` lives. The pool writes a segment only
        // when no worker has a `Bytes` of it: each `Bytes` counts in the `Arc` of its mapping, and the reply reports
        // it.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; every borrow of the memory borrows `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}
