//! Finds the main program by the load commands that follow its header: on Apple's systems.
#![cfg_attr(target_vendor = "apple", allow(unsafe_code))]

use std::ops::Range;

#[cfg(target_vendor = "apple")]
use super::layout::{Image, fingerprint};

/// The length of the header of a 64-bit program, in bytes.
#[cfg(target_vendor = "apple")]
const HEADER: usize = 32;

const LC_SEGMENT_64: u32 = 0x19;
const LC_UUID: u32 = 0x1b;

const EXECUTABLE: u32 = 4;

/// What the load commands contain: the executable segments, at their addresses before the slide, and the linker's id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Commands {
    text: Vec<Range<u64>>,
    id: Option<Vec<u8>>,
}

/// Finds the main program.
#[cfg(target_vendor = "apple")]
#[allow(deprecated, reason = "of the libraries that have these functions, this one is a dependency already")]
pub(super) fn find() -> Image {
    // SAFETY: asks for a pointer, and has no preconditions.
    let header = unsafe { libc::_dyld_get_image_header(0) };
    // SAFETY: asks for a number, and has no preconditions.
    let bias = unsafe { libc::_dyld_get_image_vmaddr_slide(0) } as usize;
    if header.is_null() {
        return Image { bias, text: Vec::new(), build_id: Vec::new() };
    }
    // SAFETY: the header of the main program is mapped for as long as the process lives, and nobody writes to it.
    let head = unsafe { std::slice::from_raw_parts(header.cast::<u8>(), HEADER) };
    let length = u32_at(head, 20).unwrap_or(0) as usize;
    // SAFETY: this many bytes of load commands follow, which are mapped with the header.
    let whole = unsafe { std::slice::from_raw_parts(header.cast::<u8>(), HEADER + length) };
    let Commands { text, id } = parse(&whole[HEADER..]);
    let slide =
        |segment: Range<u64>| bias.wrapping_add(segment.start as usize)..bias.wrapping_add(segment.end as usize);
    let text: Vec<_> = text.into_iter().map(slide).collect();
    let bytes = |range: &Range<usize>| -> &'static [u8] {
        let start = std::ptr::with_exposed_provenance(range.start);
        // SAFETY: executable segments of the main program are readable, are mapped for as long as the process lives,
        // and nobody writes to them.
        unsafe { std::slice::from_raw_parts(start, range.len()) }
    };
    let build_id = id.unwrap_or_else(|| fingerprint(&text.iter().map(bytes).collect::<Vec<_>>()).into());
    Image { bias, text, build_id }
}

/// Returns `false`: the system's loader cannot be told to start a program.
#[cfg(target_vendor = "apple")]
pub(super) fn was_started_by_loader() -> bool {
    false
}

fn parse(mut commands: &[u8]) -> Commands {
    let mut found = Commands::default();
    while let (Some(kind), Some(length)) = (u32_at(commands, 0), u32_at(commands, 4)) {
        let Some((command, rest)) = commands.split_at_checked(length as usize).filter(|_| length >= 8) else {
            break;
        };
        commands = rest;
        match kind {
            LC_SEGMENT_64 => found.text.extend(executable(command)),
            LC_UUID => found.id = command.get(8..24).map(<[u8]>::to_vec),
            _ => {}
        }
    }
    found
}

/// Returns the addresses of the segment before the slide, if it has code.
fn executable(command: &[u8]) -> Option<Range<u64>> {
    let (start, length, protection) = (u64_at(command, 24)?, u64_at(command, 32)?, u32_at(command, 60)?);
    (protection & EXECUTABLE != 0).then(|| start..start.saturating_add(length))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, start: u64, length: u64, protection: u32) -> Vec<u8> {
        let mut command = Vec::new();
        command.extend(LC_SEGMENT_64.to_ne_bytes());
        command.extend(72_u32.to_ne_bytes());
        command.extend(name.as_bytes());
        command.resize(24, 0);
        // Address and length in memory, then in the file; the greatest and the initial protection; sections and flags.
        for number in [start, length, 0, length] {
            command.extend(number.to_ne_bytes());
        }
        for number in [7, protection, 0, 0] {
            command.extend(number.to_ne_bytes());
        }
        command
    }

    fn uuid(byte: u8) -> Vec<u8> {
        [LC_UUID.to_ne_bytes(), 24_u32.to_ne_bytes()].concat().into_iter().chain([byte; 16]).collect()
    }

    #[test]
    fn code_and_id_are_found_among_the_load_commands() {
        let other = [0x32_u32.to_ne_bytes(), 8_u32.to_ne_bytes()].concat();
        let commands = [
            segment("__PAGEZERO", 0, 1 << 32, 0),
            segment("__TEXT", 1 << 32, 0x4000, 5),
            other,
            segment("__DATA", (1 << 32) + 0x4000, 0x4000, 3),
            uuid(7),
        ];
        let found = parse(&commands.concat());
        let text = 1 << 32..(1 << 32) + 0x4000;
        assert_eq!(found, Commands { text: Vec::from([text]), id: Some(vec![7; 16]) });
    }

    #[test]
    fn commands_that_are_cut_off_end_the_search() {
        let whole = [segment("__TEXT", 0, 16, 5), uuid(1)].concat();
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]).id, None, "{length}");
        }
        assert_eq!(parse(&[0; 64]), Commands::default(), "a command of no length");
    }
}
