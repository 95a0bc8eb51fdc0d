//! What the program prints, as long as somebody reads it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

use crate::store;

/// What a shell reports of a program that wrote to a closed pipe: 128 and the number of SIGPIPE.
const NOBODY_READS: i32 = 141;

/// Prints a piece of text at once.
pub(crate) fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    let printed = write!(out, "{text}").and_then(|()| out.flush());
    drop(out);
    if let Err(error) = printed {
        store::close();
        if error.kind() != ErrorKind::BrokenPipe {
            complain(format_args!("flags: the output cannot be written: {error}"));
            exit(1);
        }
        exit(NOBODY_READS);
    }
}

/// Prints a line on stderr; if that is closed, there is nobody to tell.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
