//! [`Image`]: where the main program lies, and which build it is.
#![forbid(unsafe_code)]

use std::hash::Hasher;
use std::ops::Range;

/// Where the main program lies, and which build it is.
#[derive(Debug)]
pub(in crate::process) struct Image {
    pub(super) bias: usize,
    /// The executable segments, as addresses.
    pub(super) text: Vec<Range<usize>>,
    pub(super) build_id: Vec<u8>,
}

impl Image {
    /// Returns what to call this address in other processes of this build. `None`: it is no code of the main program,
    /// but of a shared library, or was generated at run time.
    pub(in crate::process) fn offset_of(&self, address: usize) -> Option<u64> {
        self.is_text(address).then(|| address.wrapping_sub(self.bias) as u64)
    }

    /// Returns what is at this offset here. `None`: no code of the main program.
    pub(in crate::process) fn address_of(&self, offset: u64) -> Option<usize> {
        let address = self.bias.wrapping_add(usize::try_from(offset).ok()?);
        self.is_text(address).then_some(address)
    }

    /// Returns what two builds differ in: the linker's id, or a fingerprint of the code if the linker made none.
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
