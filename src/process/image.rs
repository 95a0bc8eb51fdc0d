//! The main program as this process has it mapped: what turns the address of a function into a number that another
//! process of the same build understands.
//!
//! An offset is an address less the load bias, the one thing that differs between two processes of one program file.
//! It says nothing in another build, so build ids have to be compared before an offset is used.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::hash::Hasher;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::slice;
use std::sync::OnceLock;

use object::NativeEndian;
use object::elf::{ELF_NOTE_GNU, NT_GNU_BUILD_ID};
use object::read::elf::NoteIterator;

#[cfg(target_pointer_width = "32")]
use {libc::Elf32_Phdr as Header, object::elf::FileHeader32 as FileHeader};
#[cfg(target_pointer_width = "64")]
use {libc::Elf64_Phdr as Header, object::elf::FileHeader64 as FileHeader};

/// Where the main program lies, and which build it is.
#[derive(Debug)]
pub(super) struct Image {
    bias: usize,
    /// The executable segments, as addresses.
    text: Vec<Range<usize>>,
    build_id: Vec<u8>,
}

/// Returns the main program. May be called before `main`.
pub(super) fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(Image::find)
}

/// Returns a path that starts this program again.
///
/// On Linux the kernel's link to it, which leads to the very file that runs, even if it was deleted or replaced.
pub(super) fn program() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return link.into();
    }
    // SAFETY: asks for a number, and has no preconditions.
    let started_as = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if started_as != 0 {
        let started_as = ptr::with_exposed_provenance(started_as as usize);
        // SAFETY: the kernel put this string at the end of the stack; it ends with a zero and lives as long as we do.
        let started_as = unsafe { CStr::from_ptr(started_as) };
        return OsStr::from_bytes(started_as.to_bytes()).into();
    }
    std::env::current_exe().unwrap_or_default()
}

impl Image {
    /// Returns what to call this address in other processes of this build. `None`: it is no code of the main program,
    /// but of a shared library, or was generated at run time.
    pub(super) fn offset_of(&self, address: usize) -> Option<u64> {
        self.is_text(address).then(|| address.wrapping_sub(self.bias) as u64)
    }

    /// Returns what is at this offset here. `None`: no code of the main program.
    pub(super) fn address_of(&self, offset: u64) -> Option<usize> {
        let address = self.bias.wrapping_add(usize::try_from(offset).ok()?);
        self.is_text(address).then_some(address)
    }

    /// Returns what two builds differ in: the linker's id, or a fingerprint of the code if the linker made none.
    pub(super) fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    fn is_text(&self, address: usize) -> bool {
        self.text.iter().any(|segment| segment.contains(&address))
    }

    fn find() -> Self {
        let (bias, headers) = main_program();
        let memory = |header: &Header| {
            let start = bias.wrapping_add(header.p_vaddr as usize);
            start..start.saturating_add(header.p_memsz as usize)
        };
        let loaded = |flag| headers.iter().filter(move |h| h.p_type == libc::PT_LOAD && h.p_flags & flag != 0);
        let is_readable = |range: &Range<usize>| {
            loaded(libc::PF_R).map(memory).any(|segment| segment.start <= range.start && range.end <= segment.end)
        };
        let bytes = |range: Range<usize>| -> &'static [u8] {
            // SAFETY: every caller asks `is_readable` first. The main program stays mapped until the process ends, and
            // nothing writes to its notes or its code.
            unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(range.start), range.len()) }
        };

        let notes = headers.iter().filter(|header| header.p_type == libc::PT_NOTE);
        let build_id = notes
            .filter(|header| is_readable(&memory(header)))
            .find_map(|header| build_id(header.p_align as _, bytes(memory(header))));
        let text: Vec<_> = loaded(libc::PF_X).map(memory).collect();
        let code: Vec<_> = text.iter().filter(|segment| is_readable(segment)).cloned().map(bytes).collect();
        let build_id = build_id.map_or_else(|| fingerprint(&code).into(), <[u8]>::to_vec);
        Self { bias, text, build_id }
    }
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
            let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
            (info.dlpi_addr as usize, headers)
        }
        _ => (0, &[]),
    }
}

fn build_id(align: <FileHeader<NativeEndian> as object::read::elf::FileHeader>::Word, notes: &[u8]) -> Option<&[u8]> {
    let mut notes = NoteIterator::<FileHeader<NativeEndian>>::new(NativeEndian, align, notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == ELF_NOTE_GNU && note.n_type(NativeEndian) == NT_GNU_BUILD_ID {
            return Some(note.desc());
        }
    }
    None
}

fn fingerprint(text: &[&[u8]]) -> [u8; 8] {
    // Not seeded: the same bytes give the same number in every process of one build.
    let mut hasher = std::hash::DefaultHasher::new();
    for segment in text {
        hasher.write_usize(segment.len());
        hasher.write(segment);
    }
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::Object;
    use std::process::Command;

    fn function(n: u64) -> u64 {
        n.rotate_left(7)
    }

    fn address() -> usize {
        function as fn(u64) -> u64 as usize
    }

    #[test]
    fn an_address_of_the_program_goes_there_and_back() {
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
        match object::File::parse(&*file).unwrap().build_id().unwrap() {
            Some(id) => assert_eq!(image().build_id(), id),
            None => assert_eq!(image().build_id().len(), 8, "a fingerprint"),
        }
    }

    #[test]
    fn a_fingerprint_sees_each_byte_and_where_segments_end() {
        assert_eq!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"abc", b"d"]));
        assert_ne!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"abd", b"d"]));
        assert_ne!(fingerprint(&[b"abc", b"d"]), fingerprint(&[b"ab", b"cd"]));
    }

    #[test]
    fn another_process_of_this_program_agrees() {
        const INSIDE: &str = "CONCURRENT_FUTURES_TEST_IMAGE";
        let text = format!("offset={:x?} build={:x?}", image().offset_of(address()), image().build_id());
        if std::env::var_os(INSIDE).is_some() {
            println!("{text}");
            return;
        }
        let name = "process::image::tests::another_process_of_this_program_agrees";
        let other = Command::new(program()).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&other.stdout);
        assert!(said.contains(&text), "{text} is not in {said}");
    }
}
