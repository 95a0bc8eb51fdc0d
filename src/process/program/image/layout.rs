//! [`Image`]: the addresses of the main program, and its build id.
#![forbid(unsafe_code)]

use std::hash::Hasher;
use std::ops::Range;

/// The addresses of the main program, and its build id.
#[derive(Debug)]
pub(in crate::process) struct Image {
    pub(super) bias: usize,
    /// The executable segments, as addresses.
    pub(super) text: Vec<Range<usize>>,
    pub(super) build_id: Vec<u8>,
}

impl Image {
    /// Returns the offset of this address, which means the same in other processes of this build. Returns `None` if it
    /// is not in the code of the main program: it is in a shared library, or was generated at run time.
    pub(in crate::process) fn offset_of(&self, address: usize) -> Option<u64> {
        self.is_text(address).then(|| address.wrapping_sub(self.bias) as u64)
    }

    /// Returns the address of this offset in this process, or `None` if it is not in the code of the main program.
    pub(in crate::process) fn address_of(&self, offset: u64) -> Option<usize> {
        let address = self.bias.wrapping_add(usize::try_from(offset).ok()?);
        self.is_text(address).then_some(address)
    }

    /// Returns what tells builds apart: the linker's id, or a fingerprint of the code if the linker made none.
    pub(in crate::process) fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    fn is_text(&self, address: usize) -> bool {
        self.text.iter().any(|segment| segment.contains(&address))
    }
}

pub(super) fn fingerprint(text: &[&[u8]]) -> [u8; 8] {
    // Not seeded: the same bytes give the same number in every process of one build.
    let mut hasher = std::hash::DefaultHasher::new();
    for segment in text {
        hasher.write_usize(segment.len());
        hasher.write(segment);
    }
    hasher.finish().to_le_bytes()
}
