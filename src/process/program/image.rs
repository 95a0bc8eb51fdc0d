//! The main program as this process has it mapped: turns the address of a function into a number that another process
//! of the same build understands.
//!
//! An offset is an address minus the load bias, the only thing that differs between two processes of one program file.
//! It means nothing in another build, so build ids have to be compared before an offset is used. The format of a
//! program in memory is known by `elf` and `mach_o` only.

#[cfg(not(target_vendor = "apple"))]
mod elf;
mod layout;
#[cfg(any(target_vendor = "apple", test))]
mod mach_o;

#[cfg(not(target_vendor = "apple"))]
use elf as format;
#[cfg(target_vendor = "apple")]
use mach_o as format;

use std::sync::OnceLock;

pub(in crate::process) use crate::process::os::program;
#[cfg(not(target_vendor = "apple"))]
pub(in crate::process) use elf::build_id;
use layout::Image;

/// Returns the main program. May be called before `main`.
pub(in crate::process) fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(format::find)
}

/// Returns `true` if this program was started by naming it to its loader. Then [`program`] is the loader.
pub(in crate::process) fn was_started_by_loader() -> bool {
    format::was_started_by_loader()
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code)]

    use super::layout::fingerprint;
    use super::*;
    use std::process::Command;

    fn function(n: u64) -> u64 {
        n.rotate_left(7)
    }

    fn address() -> usize {
        function as fn(u64) -> u64 as usize
    }

    #[test]
    fn an_address_is_turned_into_an_offset_and_back() {
        let offset = image().offset_of(address()).expect("this is the main program");
        assert_eq!(image().address_of(offset), Some(address()));
        assert_eq!(offset, (address() - image().bias) as u64);
    }

    #[test]
    fn only_code_of_the_main_program_has_an_offset() {
        static DATA: [u8; 4] = [0xc3; 4];
        let on_heap = Box::new(0xc3_u8);
        // SAFETY: the name is a string that ends with a zero.
        let in_library = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getpid".as_ptr()) };
        for address in
            [&raw const DATA as usize, &raw const *on_heap as usize, 0, usize::MAX, image().bias.wrapping_sub(1)]
        {
            assert_eq!(image().offset_of(address), None, "{address:#x}");
            assert_eq!(image().address_of(address.wrapping_sub(image().bias) as u64), None, "{address:#x}");
        }
        if !cfg!(target_feature = "crt-static") {
            assert_eq!(image().offset_of(in_library as usize), None, "a function of the C library");
        }
    }

    #[test]
    fn the_build_id_is_the_one_in_the_file() {
        let file = std::fs::read(program()).unwrap();
        let id = image().build_id();
        let head = [4, id.len() as u32, 3].map(u32::to_ne_bytes).concat();
        let note = [&head, &b"GNU\0"[..], id].concat();
        assert!(
            id.len() == 8 || file.windows(note.len()).any(|bytes| bytes == note),
            "neither fingerprint nor note: {id:x?}"
        );
    }

    #[test]
    fn a_fingerprint_depends_on_each_byte_and_on_segment_ends() {
        assert_eq!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"abc", b"d"]));
        assert_ne!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"abd", b"d"]));
        assert_ne!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"ab", b"cd"]));
    }

    #[test]
    fn two_processes_of_a_program_have_the_same_fingerprint() {
        const INSIDE: &str = "CONCURRENT_FUTURES_TEST_IMAGE";
        let text = format!("offset={:x?} build={:x?}", image().offset_of(address()), image().build_id());
        if std::env::var_os(INSIDE).is_some() {
            println!("{text}");
            return;
        }
        let name = "process::program::image::tests::two_processes_of_a_program_have_the_same_fingerprint";
        let other = Command::new(program()).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&other.stdout);
        assert!(said.contains(&text), "{text} is not in {said}");
    }
}
