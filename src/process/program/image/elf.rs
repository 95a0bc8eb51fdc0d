//! Finds the main program by the program headers that the loader provides: on Linux, the BSDs and illumos.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::slice;

use super::layout::{Image, fingerprint};

const PT_LOAD: u32 = 1;
#[cfg(target_os = "linux")]
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;

const PF_X: u32 = 1;
const PF_R: u32 = 4;

const NT_GNU_BUILD_ID: u32 = 3;

/// A program header, as the ELF standard defines it.
#[cfg(target_pointer_width = "64")]
#[repr(C)]
struct Header {
    kind: u32,
    flags: u32,
    _offset: usize,
    address: usize,
    _physical: usize,
    _in_file: usize,
    in_memory: usize,
    align: usize,
}
#[cfg(target_pointer_width = "32")]
#[repr(C)]
struct Header {
    kind: u32,
    _offset: usize,
    address: usize,
    _physical: usize,
    _in_file: usize,
    in_memory: usize,
    flags: u32,
    align: usize,
}

/// Finds the main program.
pub(super) fn find() -> Image {
    let (bias, headers) = main_program();
    let memory = |header: &Header| {
        let start = bias.wrapping_add(header.address);
        start..start.saturating_add(header.in_memory)
    };
    let loaded = |flag| headers.iter().filter(move |header| header.kind == PT_LOAD && header.flags & flag != 0);
    let is_readable = |range: &Range<usize>| {
        loaded(PF_R).map(memory).any(|segment| segment.start <= range.start && range.end <= segment.end)
    };
    let bytes = |range: Range<usize>| -> &'static [u8] {
        // SAFETY: every caller checks `is_readable` first. The main program stays mapped until the process ends, and
        // nothing writes to its notes or its code.
        unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(range.start), range.len()) }
    };

    let notes = headers.iter().filter(|header| header.kind == PT_NOTE);
    let build_id = notes
        .filter(|header| is_readable(&memory(header)))
        .find_map(|header| build_id(header.align, bytes(memory(header))));
    let text: Vec<_> = loaded(PF_X).map(memory).collect();
    let code: Vec<_> = text.iter().filter(|segment| is_readable(segment)).cloned().map(bytes).collect();
    let build_id = build_id.map_or_else(|| fingerprint(&code).into(), <[u8]>::to_vec);
    Image { bias, text, build_id }
}

/// Returns `true` if this program has a loader that the system did not load: then the loader was started, and told to
/// load the program.
#[cfg(target_os = "linux")]
pub(super) fn was_started_by_loader() -> bool {
    let asks_for_one = main_program().1.iter().any(|header| header.kind == PT_INTERP);
    // SAFETY: asks for a number, and has no preconditions.
    let loaders_base = unsafe { libc::getauxval(libc::AT_BASE) };
    asks_for_one && loaders_base == 0
}

/// Returns `false`: no way to find out is known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn was_started_by_loader() -> bool {
    false
}

/// Returns the load bias and the program headers of the main program; no headers if the loader names no program.
fn main_program() -> (usize, &'static [Header]) {
    /// Takes the first entry, which is the main program's, and stops there.
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader provides an entry that is valid during this call.
        let info = unsafe { info.read() };
        // SAFETY: the caller below passes a pointer of exactly this type, and nobody else uses it meanwhile.
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

/// Finds the linker's id among the notes. Each note has the lengths of its name and its content, its kind, and then
/// name and content, each padded to the alignment.
pub(in crate::process) fn build_id(align: usize, mut notes: &[u8]) -> Option<&[u8]> {
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let int = |at| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name, said, kind) = (int(0)? as usize, int(4)? as usize, int(8)?);
        let begin = 12_usize.checked_add(name)?.checked_next_multiple_of(align)?;
        let end = begin.checked_add(said)?;
        let (name, said) = (notes.get(12..12 + name)?, notes.get(begin..end)?);
        if name == b"GNU\0" && kind == NT_GNU_BUILD_ID {
            return Some(said);
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, said: &[u8], align: usize) -> Vec<u8> {
        let mut note = [name.len() as u32, said.len() as u32, kind].map(u32::to_ne_bytes).concat();
        note.extend(name);
        note.resize(note.len().next_multiple_of(align), 0);
        note.extend(said);
        note.resize(note.len().next_multiple_of(align), 0);
        note
    }

    #[test]
    fn the_id_is_found_behind_other_notes_of_either_alignment() {
        for align in [4, 8] {
            let others = [note(b"GNU\0", 5, b"property", align), note(b"stapsdt\0", 3, b"probe", align)].concat();
            let all = [others.clone(), note(b"GNU\0", 3, b"twelve bytes", align)].concat();
            assert_eq!(build_id(align, &all), Some(&b"twelve bytes"[..]));
            assert_eq!(build_id(align, &others), None);
        }
    }

    #[test]
    fn notes_that_are_cut_off_or_lie_about_their_length_have_no_id() {
        let whole = note(b"GNU\0", 3, b"twelve bytes", 4);
        for length in 0..whole.len() {
            assert_eq!(build_id(4, &whole[..length]), None, "{length}");
        }
        assert_eq!(build_id(4, &[0xff; 64]), None);
        assert_eq!(build_id(4, &[0; 64]), None);
    }
}
