//! [`Program`]: the symbol tables of a program file in ELF.
//!
//! The file runs on this machine, so numbers are as long as a pointer and in this machine's byte order. It may still be
//! damaged: whatever does not fit is `None`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::super::image::build_id;
use layout::{HEADER, SECTION, SYMBOL};

const SHT_SYMTAB: u32 = 2;
const SHT_NOTE: u32 = 7;
const SHT_DYNSYM: u32 = 11;

const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// The layout of the fields: the length of each structure, and the offsets of the fields that are read.
#[cfg(target_pointer_width = "64")]
mod layout {
    use super::{Header, Section, Symbol};

    pub(super) const HEADER: Header =
        Header { length: 64, class: 2, sections: 40, section_length: 58, section_count: 60 };
    pub(super) const SECTION: Section = Section { kind: 4, offset: 24, size: 32, link: 40, align: 48 };
    pub(super) const SYMBOL: Symbol = Symbol { length: 24, name: 0, info: 4, section: 6, value: 8 };
}
#[cfg(target_pointer_width = "32")]
mod layout {
    use super::{Header, Section, Symbol};

    pub(super) const HEADER: Header =
        Header { length: 52, class: 1, sections: 32, section_length: 46, section_count: 48 };
    pub(super) const SECTION: Section = Section { kind: 4, offset: 16, size: 20, link: 24, align: 32 };
    pub(super) const SYMBOL: Symbol = Symbol { length: 16, name: 0, info: 12, section: 14, value: 4 };
}

struct Header {
    length: usize,
    class: u8,
    sections: usize,
    section_length: usize,
    section_count: usize,
}

struct Section {
    kind: usize,
    offset: usize,
    size: usize,
    link: usize,
    align: usize,
}

struct Symbol {
    length: usize,
    name: usize,
    info: usize,
    section: usize,
    value: usize,
}

/// A program file, and its section headers.
pub(super) struct Program {
    file: File,
    length: u64,
    sections: Vec<Vec<u8>>,
}

impl Program {
    pub(super) fn open(file: File) -> Option<Self> {
        let mut program = Self { length: file.metadata().ok()?.len(), file, sections: Vec::new() };
        let header = program.read(0, HEADER.length as u64)?;
        if !header.starts_with(&[0x7f, b'E', b'L', b'F', HEADER.class]) {
            return None;
        }
        let length = half(&header, HEADER.section_length)?;
        let count = half(&header, HEADER.section_count)?;
        let table = program.read(word(&header, HEADER.sections)?, u64::from(length) * u64::from(count))?;
        program.sections = table.chunks(usize::from(length).max(1)).map(<[u8]>::to_vec).collect();
        Some(program)
    }

    /// Returns the build id, if the linker gave the program one.
    pub(super) fn build_id(&self) -> Option<Vec<u8>> {
        let notes = self.sections_of(SHT_NOTE);
        notes.into_iter().find_map(|header| {
            let align = word(header, SECTION.align)?;
            build_id(usize::try_from(align).ok()?, &self.content(header)?).map(<[u8]>::to_vec)
        })
    }

    /// Returns the names of the functions that begin at this address of the program.
    pub(super) fn functions_at(&self, address: u64) -> Vec<String> {
        let tables = [SHT_SYMTAB, SHT_DYNSYM].into_iter().flat_map(|kind| self.sections_of(kind));
        tables.filter_map(|header| self.functions_in(header, address)).flatten().collect()
    }

    fn functions_in(&self, header: &[u8], address: u64) -> Option<Vec<String>> {
        let symbols = self.content(header)?;
        let begin_there = symbols.chunks_exact(SYMBOL.length).filter(|symbol| {
            let is_function =
                symbol.get(SYMBOL.info).is_some_and(|info| matches!(info & 0xf, STT_FUNC | STT_GNU_IFUNC));
            let is_defined = half(symbol, SYMBOL.section).is_some_and(|section| section != 0);
            is_function && is_defined && word(symbol, SYMBOL.value) == Some(address)
        });
        let mut names = begin_there.filter_map(|symbol| int(symbol, SYMBOL.name)).peekable();
        names.peek()?;
        let texts = self.content(self.sections.get(int(header, SECTION.link)? as usize)?)?;
        let text = |start: u32| {
            let text = texts.get(start as usize..)?.split(|byte| *byte == 0).next()?;
            String::from_utf8(text.to_vec()).ok()
        };
        Some(names.filter_map(text).collect())
    }

    fn sections_of(&self, kind: u32) -> Vec<&[u8]> {
        self.sections.iter().map(Vec::as_slice).filter(|header| int(header, SECTION.kind) == Some(kind)).collect()
    }

    fn content(&self, header: &[u8]) -> Option<Vec<u8>> {
        self.read(word(header, SECTION.offset)?, word(header, SECTION.size)?)
    }

    fn read(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        offset.checked_add(length).filter(|end| *end <= self.length)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(usize::from_ne_bytes(bytes.get(at..at + size_of::<usize>())?.try_into().ok()?) as u64)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn program(bytes: &[u8]) -> Option<Program> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Program::open(file)
    }

    #[test]
    fn a_program_of_another_machine_has_no_names() {
        assert!(program(b"").is_none());
        assert!(program(&[b'#'; 100]).is_none());
        let mut other = fs::read(std::env::current_exe().unwrap()).unwrap();
        other.truncate(4096);
        assert!(program(&other).is_none(), "its sections are cut off");
        other[4] ^= 3;
        assert!(program(&other).is_none(), "its words are of another length");
    }

    #[test]
    fn a_damaged_section_is_not_read() {
        let own = Program::open(File::open(std::env::current_exe().unwrap()).unwrap()).unwrap();
        for kind in [SHT_SYMTAB, SHT_NOTE] {
            for header in own.sections_of(kind) {
                let mut longer = header.to_vec();
                longer[SECTION.size..SECTION.size + size_of::<usize>()].fill(0xff);
                assert!(own.content(header).is_some() && own.content(&longer).is_none());
            }
        }
    }
}
