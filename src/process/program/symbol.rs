//! The name of a function, for the message about the worker that died in it. For programs in ELF.
#![cfg_attr(test, allow(unsafe_code))]

#[path = "symbol/elf.rs"]
mod elf;

use std::collections::BTreeMap;
use std::fs::File;

use super::image;
use crate::sync::Mutex;

/// Returns the name of the function of the main program that begins at this address, without hashes.
///
/// Returns `None` if the program was stripped, if no function begins there, or if the name tells nothing: a closure
/// that became a function pointer is `FnOnce::call_once` to most compilers. If the linker has folded identical
/// functions into one, returns the name of one of them.
///
/// Reads the symbol table of the program file once for each function, which takes milliseconds, and keeps the name.
pub(in crate::process) fn name_of(address: usize) -> Option<String> {
    static NAMES: Mutex<BTreeMap<usize, Option<String>>> = Mutex::new(BTreeMap::new());
    if let Some(name) = NAMES.lock().get(&address) {
        return name.clone();
    }
    let name = look_up(address);
    NAMES.lock().insert(address, name.clone());
    name
}

fn look_up(address: usize) -> Option<String> {
    let image = image::image();
    let offset = image.offset_of(address)?;
    let program = elf::Program::open(File::open(image::program()).ok()?)?;
    // Started by a loader, or replaced where there is no /proc: the file is not the running program.
    if program.build_id().is_some_and(|id| id != image.build_id()) {
        return None;
    }
    let names = program.functions_at(offset);
    names.iter().find_map(|name| telling(&format!("{:#}", rustc_demangle::demangle(name))))
}

/// Reduces a demangled name to the part that tells a reader something.
fn telling(name: &str) -> Option<String> {
    const CALL: &str = "core::ops::function::";
    // Wrappers around a function that uses `#[track_caller]` or is called through a trait object.
    let name = ["{{reify.shim}}", "::{shim:reify#0}"].iter().fold(name, |name, shim| name.trim_end_matches(shim));
    // `<program::main::{closure#0} as core::ops::function::FnOnce<(u64,)>>::call_once`, in the newer mangling.
    let called = name.strip_prefix('<').and_then(|name| Some(name.split_once(" as core::ops::function::Fn")?.0));
    match called {
        Some(closure) => Some(closure.into()),
        None if name.is_empty() || name.starts_with(CALL) => None,
        None => Some(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Display;

    fn plain(n: u64) -> u64 {
        n + 1
    }

    fn generic<T: Display>(value: T) -> String {
        value.to_string()
    }

    #[track_caller]
    fn tracked(n: u64) -> u64 {
        n + 2
    }

    struct Type;

    impl Type {
        fn method(n: u64) -> u64 {
            n + 3
        }
    }

    fn name<A, R>(function: fn(A) -> R) -> String {
        name_of(function as usize).unwrap_or_else(|| "nameless".into())
    }

    #[test]
    fn functions_are_named_by_their_path() {
        assert_eq!(name(plain), concat!(module_path!(), "::plain"));
        assert_eq!(name(tracked), concat!(module_path!(), "::tracked"));
        assert!(name(generic::<u32>).starts_with(concat!(module_path!(), "::generic")), "{}", name(generic::<u32>));
        assert!(
            name(Type::method).ends_with("symbol::tests::Type::method")
                || name(Type::method).ends_with("Type>::method")
        );
        assert!(name(String::into_bytes).contains("String") && name(String::into_bytes).ends_with("::into_bytes"));
    }

    #[test]
    fn a_closure_has_a_useful_name_or_none() {
        let closure: fn(u64) -> u64 = |n| n + 4;
        let name = name(closure);
        assert!(name == "nameless" || name.contains("a_closure_has_a_useful_name_or_none"), "{name}");
    }

    #[test]
    fn an_address_that_starts_no_function_has_no_name() {
        // SAFETY: the name is a string that ends with a zero.
        let in_library = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getpid".as_ptr()) };
        if !cfg!(target_feature = "crt-static") {
            assert_eq!(name_of(in_library as usize), None);
        }
        assert_eq!(name_of(plain as fn(u64) -> u64 as usize + 1), None);
        assert_eq!(name_of(0), None);
    }

    #[test]
    fn names_are_cut_to_their_useful_part() {
        assert_eq!(telling("core::ops::function::FnOnce::call_once"), None);
        assert_eq!(
            telling("core::option::Option<T>::unwrap{{reify.shim}}").unwrap(),
            "core::option::Option<T>::unwrap"
        );
        assert_eq!(telling("<dyn a::T as a::T>::t::{shim:reify#0}").unwrap(), "<dyn a::T as a::T>::t");
        let closure = "<a::main::{closure#0} as core::ops::function::FnOnce<(u64,)>>::call_once";
        assert_eq!(telling(closure).unwrap(), "a::main::{closure#0}");
    }
}
