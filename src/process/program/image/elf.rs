//! Where the main program lies, by the program headers that the loader lends: on Linux, the BSDs and illumos.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::slice;

use object::NativeEndian;
use object::elf::{ELF_NOTE_GNU, NT_GNU_BUILD_ID, PF_R, PF_X, PT_INTERP, PT_LOAD, PT_NOTE};
use object::read::elf::{NoteIterator, ProgramHeader};

#[cfg(target_pointer_width = "32")]
use object::elf::FileHeader32 as FileHeader;
#[cfg(target_pointer_width = "64")]
use object::elf::FileHeader64 as FileHeader;

use super::{Image, fingerprint};

type Header = <FileHeader<NativeEndian> as object::read::elf::FileHeader>::ProgramHeader;

type Word = <FileHeader<NativeEndian> as object::read::elf::FileHeader>::Word;

/// Finds the main program.
pub(super) fn find() -> Image {
    let (bias, headers) = main_program();
    let memory = |header: &Header| {
        let start = bias.wrapping_add(address(header.p_vaddr(NativeEndian)));
        start..start.saturating_add(address(header.p_memsz(NativeEndian)))
    };
    let loaded =
        |flag| headers.iter().filter(move |h| h.p_type(NativeEndian) == PT_LOAD && h.p_flags(NativeEndian) & flag != 0);
    let is_readable = |range: &Range<usize>| {
        loaded(PF_R).map(memory).any(|segment| segment.start <= range.start && range.end <= segment.end)
    };
    let bytes = |range: Range<usize>| -> &'static [u8] {
        // SAFETY: every caller asks `is_readable` first. The main program stays mapped until the process ends, and
        // nothing writes to its notes or its code.
        unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(range.start), range.len()) }
    };

    let notes = headers.iter().filter(|header| header.p_type(NativeEndian) == PT_NOTE);
    let build_id = notes
        .filter(|header| is_readable(&memory(header)))
        .find_map(|header| build_id(header.p_align(NativeEndian), bytes(memory(header))));
    let text: Vec<_> = loaded(PF_X).map(memory).collect();
    let code: Vec<_> = text.iter().filter(|segment| is_readable(segment)).cloned().map(bytes).collect();
    let build_id = build_id.map_or_else(|| fingerprint(&code).into(), <[u8]>::to_vec);
    Image { bias, text, build_id }
}

/// Has this program a loader that the system did not load? Then that was started, and told to load the program.
#[cfg(target_os = "linux")]
pub(super) fn was_started_by_loader() -> bool {
    let asks_for_one = main_program().1.iter().any(|header| header.p_type(NativeEndian) == PT_INTERP);
    // SAFETY: asks for a number, and has no preconditions.
    let loaders_base = unsafe { libc::getauxval(libc::AT_BASE) };
    asks_for_one && loaders_base == 0
}

/// Nobody has said how to tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn was_started_by_loader() -> bool {
    false
}

/// The load bias and the program headers of the main program; none if the loader names no program at all.
fn main_program() -> (usize, &'static [Header]) {
    /// Takes the first entry, which is the main program's, and stops there.
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader lends a valid entry for this call.
        let info = unsafe { info.read() };
        // SAFETY: the caller below passes a pointer to exactly this, and nobody else uses it meanwhile.
        unsafe { found.cast::<Option<libc::dl_phdr_info>>().write(Some(info)) };
        1
    }

    let mut found: Option<libc::dl_phdr_info> = None;
    // SAFETY: `first` gets the pointer that it expects.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
    match found {
        Some(info) if !info.dlpi_phdr.is_null() => {
            // SAFETY: the headers of the main program are part of it, and stay mapped until the process ends.
            let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr.cast(), info.dlpi_phnum.into()) };
            (info.dlpi_addr as usize, headers)
        }
        _ => (0, &[]),
    }
}

fn build_id(align: Word, notes: &[u8]) -> Option<&[u8]> {
    let mut notes = NoteIterator::<FileHeader<NativeEndian>>::new(NativeEndian, align, notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == ELF_NOTE_GNU && note.n_type(NativeEndian) == NT_GNU_BUILD_ID {
            return Some(note.desc());
        }
    }
    None
}

fn address(word: Word) -> usize {
    word as usize
}
