//! The trace that this program belongs to, and the place of a task in it.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::id::FutureId;

/// The environment variable that tells a program which trace it belongs to.
pub(crate) const ENVIRONMENT: &str = "TRACEPARENT";

/// Returns the place of a task in the trace of the program, in the form of the W3C's recommendation "Trace Context".
pub(crate) fn traceparent(id: FutureId) -> String {
    format!("00-{:032x}-{:016x}-01", trace_id(), id.to_u64())
}

/// Returns the value of [`ENVIRONMENT`] for worker processes.
pub(crate) fn environment() -> String {
    format!("00-{:032x}-{:016x}-01", trace_id(), std::process::id())
}

/// Returns the trace id that this process was given in its environment, or a random one.
fn trace_id() -> u128 {
    static ID: OnceLock<u128> = OnceLock::new();
    *ID.get_or_init(|| {
        let given = std::env::var(ENVIRONMENT).ok().and_then(|text| parse(&text));
        given.unwrap_or_else(|| {
            let half = || u128::from(RandomState::new().hash_one(std::process::id()));
            half() << 64 | half() | 1
        })
    })
}

/// Reads the trace id of a `traceparent`.
fn parse(text: &str) -> Option<u128> {
    let mut parts = text.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if version.len() != 2 || id.len() != 32 || !is_hex(version) || !is_hex(id) {
        return None;
    }
    u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_trace_id_is_read_only_from_a_traceparent() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parse(given), Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
        let zero = format!("00-{:032x}-00f067aa0ba902b7-01", 0);
        for wrong in ["", "00", "00-12-34-01", &zero, "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
