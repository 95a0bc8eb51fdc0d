//! The text of a future: `<Future at 0x7fb09852da50 state=finished returned u64>`.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::task::{State, TaskHandle};

/// Writes the text of a handle named `handle` on `task`.
pub(crate) fn write_future<T>(f: &mut fmt::Formatter<'_>, handle: &str, task: &Arc<dyn TaskHandle<T>>) -> fmt::Result {
    let snapshot = task.look();
    write!(f, "<{handle} at {:p} state={}", Arc::as_ptr(task).cast::<()>(), snapshot.state)?;
    match (snapshot.state, snapshot.raised) {
        (State::Finished, Some(variant)) => write!(f, " raised {}", variant.name())?,
        (State::Finished, None) => write!(f, " returned {}", short_type_name::<T>())?,
        _ => {}
    }
    f.write_str(">")
}

/// Returns the name of a type with every path cut to its last segment: `Vec<u8>` for `alloc::vec::Vec<u8>`.
fn short_type_name<T>() -> String {
    shorten(std::any::type_name::<T>())
}

fn shorten(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    // Where in `short` the current path began.
    let mut path = 0;
    let mut rest = name;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("::") {
            // After a `>` or `}`, only the segment behind it is cut.
            short.truncate(path);
            rest = after;
            continue;
        }
        short.push(character);
        if !character.is_alphanumeric() && character != '_' {
            path = short.len();
        }
        rest = &rest[character.len_utf8()..];
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{short_type_name, shorten};

    #[test]
    fn paths_are_cut_to_their_last_segment() {
        assert_eq!(short_type_name::<u64>(), "u64");
        assert_eq!(short_type_name::<Vec<u8>>(), "Vec<u8>");
        assert_eq!(short_type_name::<Result<Option<String>, std::io::Error>>(), "Result<Option<String>, Error>");
        assert_eq!(short_type_name::<(&str, [std::time::Duration; 2])>(), "(&str, [Duration; 2])");
        assert_eq!(short_type_name::<Box<dyn std::error::Error + Send>>(), "Box<dyn Error + Send>");
        assert_eq!(shorten("a::b::C<d::E, f_g::H>"), "C<E, H>");
        assert_eq!(shorten("()"), "()");
    }
}
