//! [`Mark`]: the argument that a process is started with to become a worker.
//!
//! `--concurrent-futures-worker=<how> <offset> <protocol> <parent> <depth>`, as the first argument after the program's
//! name. An argument goes only to the process that is started: the programs that a task starts do not inherit it, and
//! nothing that runs before us clears it. A worker removes it from its list of arguments.
//!
//! A program may contain several copies of this crate, of different versions. So the first two words mean the same in
//! all of them: where in the program the asking copy is, and whether it looks for its mark among the initialisers
//! (`entry`; the offset is that of the initialiser) or in `init()` (`init`). Each copy defines the other words for
//! itself. What a copy does with a mark:
//!
//! | the mark | an initialiser | `init()` |
//! |---|---|---|
//! | any, in a process with other rights than its parent | exits | exits |
//! | its own | becomes a worker | becomes a worker |
//! | its own, of another protocol, or with more or other words | exits | exits |
//! | `entry`, of another initialiser of this program | leaves it to that | exits: that has left it |
//! | `init`, of other code of this program | leaves it to that | leaves it to that |
//! | anything else | exits | exits |
//!
//! So `main` is reached with a mark only on the way to an `init()`, or where an `init()` is missing; there a pool of
//! the same copy refuses to start workers.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::str::Split;
use std::{fs, io};

use super::failure::StartFailure;
use crate::process::program::image::image;

/// The beginning of every mark.
pub(super) const PREFIX: &str = "--concurrent-futures-worker=";

const PROTOCOL: u32 = 1;

/// How a copy of this crate sees its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By an initialiser of the program.
    Entry,
    /// By `init()`.
    Init,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Init => "init",
        }
    }
}

/// A copy of this crate in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) how: How,
    pub(super) offset: u64,
}

/// What a mark tells the copy that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) parent: i32,
    pub(super) depth: u32,
}

/// Which copy a mark is for, as one copy reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Own(Mark),
    /// Another copy will see it.
    Another,
    Nobody(StartFailure),
}

impl Mark {
    /// Returns the argument that carries this mark to a copy.
    pub(super) fn for_copy(self, copy: Copy) -> OsString {
        let Copy { how, offset } = copy;
        OsString::from(format!("{PREFIX}{} {offset} {PROTOCOL} {} {}", how.word(), self.parent, self.depth))
    }

    fn parse(words: &mut Split<'_, char>) -> Result<Self, StartFailure> {
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or(StartFailure::Unreadable);
        if number()? != PROTOCOL {
            return Err(StartFailure::Program);
        }
        let parent = i32::try_from(number()?).map_err(|_| StartFailure::Unreadable)?;
        let depth = number()?;
        if depth == 0 || words.next().is_some() { Err(StartFailure::Unreadable) } else { Ok(Self { parent, depth }) }
    }
}

/// Returns `true` if the argument is a mark.
pub(super) fn is_mark(argument: &[u8]) -> bool {
    argument.starts_with(PREFIX.as_bytes())
}

/// Reads a mark as the copy `own`. `comes_later` returns `true` if another copy, with its way to look for the mark and
/// its offset, will see it.
pub(super) fn read(argument: &[u8], own: Copy, comes_later: impl Fn(Copy) -> bool) -> Reading {
    let text = argument.strip_prefix(PREFIX.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok());
    let mut words = text.unwrap_or_default().split(' ');
    let how = match words.next() {
        Some("entry") => How::Entry,
        Some("init") => How::Init,
        _ => return Reading::Nobody(StartFailure::Unreadable),
    };
    let Some(offset) = words.next().and_then(|word| word.parse().ok()) else {
        return Reading::Nobody(StartFailure::Unreadable);
    };
    match (Copy { how, offset }) {
        copy if copy == own => Mark::parse(&mut words).map_or_else(Reading::Nobody, Reading::Own),
        copy if comes_later(copy) => Reading::Another,
        _ => Reading::Nobody(StartFailure::Program),
    }
}

/// Returns `true` if the copy is in the code of the program.
pub(super) fn is_code(copy: Copy) -> bool {
    image().address_of(copy.offset).is_some()
}

/// Returns the program's name and the first argument, as this process was started with.
///
/// If the C library gives initialisers no arguments, std has none before `main`; nor does it if `main` is not Rust's.
pub(super) fn first_arguments() -> Vec<OsString> {
    let known: Vec<_> = std::env::args_os().take(2).collect();
    if known.is_empty() { of_kernel().unwrap_or_default() } else { known }
}

/// Returns the name and the first argument that the program was started with, according to Linux.
pub(super) fn of_kernel() -> io::Result<Vec<OsString>> {
    let line = fs::read("/proc/self/cmdline")?;
    let whole = line.strip_suffix(b"\0").unwrap_or(&line);
    Ok(whole.split(|byte| *byte == 0).take(2).map(|word| OsString::from_vec(word.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Copy = Copy { how: How::Entry, offset: 4096 };
    const MARK: Mark = Mark { parent: 77, depth: 2 };

    fn reading(rest: &str) -> Reading {
        let later = [Copy { how: How::Entry, offset: 8192 }, Copy { how: How::Init, offset: 9999 }];
        read(format!("{PREFIX}{rest}").as_bytes(), OWN, |copy| later.contains(&copy))
    }

    #[test]
    fn a_mark_is_read_by_its_own_copy() {
        let text = MARK.for_copy(OWN);
        assert!(is_mark(text.as_encoded_bytes()));
        assert_eq!(read(text.as_encoded_bytes(), OWN, |_| false), Reading::Own(MARK));
        assert_eq!(reading("entry 4096 1 77 2"), Reading::Own(MARK));
    }

    #[test]
    fn a_mark_for_another_copy_is_not_read() {
        for rest in ["entry 8192 1 77 2", "entry 8192 and what it means there", "init 9999"] {
            assert_eq!(reading(rest), Reading::Another, "{rest}");
        }
    }

    #[test]
    fn a_mark_for_no_copy_says_why() {
        for rest in ["entry 1 1 77 2", "init 4096 1 77 2", "init 8192 1 77 2", "entry 9999 1 77 2", "entry 4096 2 77 2"]
        {
            assert_eq!(reading(rest), Reading::Nobody(StartFailure::Program), "{rest}");
        }
        let short = ["", "entry", "entry ", "entry x 1 77 2", "entry 4096", "entry 4096 1", "entry 4096 1 77"];
        let wrong = [" entry 4096 1 77 2", "entry 4096 1 77 0", "entry 4096 1 -1 2", "entry 4096 1 99999999999 2"];
        for rest in short.into_iter().chain(wrong).chain(["entry 4096 1 77 2 ", "entry 4096 1 77 2 3", "exit 4096"]) {
            assert_eq!(reading(rest), Reading::Nobody(StartFailure::Unreadable), "{rest}");
        }
        assert_eq!(read(b"--concurrent-futures-worker=\xff", OWN, |_| true), Reading::Nobody(StartFailure::Unreadable));
    }
}
