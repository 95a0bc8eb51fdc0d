//! [`executed`]: counts the atomic read-modify-writes that a program executed.
//!
//! callgrind says how often each instruction of the program ran, and objdump which of the instructions are atomic
//! read-modify-writes. Those of the C library are not counted, because they are the allocator's.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Returns how many atomic read-modify-writes of `program` were executed, by the profile that callgrind wrote with
/// `--dump-instr=yes --compress-pos=no --compress-strings=no`.
pub(crate) fn executed(program: &Path, profile: &str) -> u64 {
    static ATOMICS: OnceLock<HashSet<u64>> = OnceLock::new();
    let atomics = ATOMICS.get_or_init(|| addresses(program));
    let (mut is_ours, mut is_call, mut count) = (false, false, 0);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_ours = Path::new(object) == program;
        } else if let Some(position) = line.strip_prefix("0x") {
            // An address, a line of source, and how often the instruction ran. The line after a `calls=` has the cost of
            // all that was called there instead, which other lines count by instruction.
            let mut fields = position.split(' ');
            let address = fields.next().and_then(|address| u64::from_str_radix(address, 16).ok());
            if is_ours && !is_call && address.is_some_and(|address| atomics.contains(&address)) {
                count += fields.nth(1).and_then(|times| times.parse::<u64>().ok()).expect("callgrind counts each");
            }
        }
        is_call = line.starts_with("calls=");
    }
    count
}

/// Returns the addresses of the atomic read-modify-writes in a program for x86-64.
fn addresses(program: &Path) -> HashSet<u64> {
    let output = Command::new("objdump").args(["--disassemble", "--no-show-raw-insn"]).arg(program).output();
    let output = output.unwrap_or_else(|error| panic!("objdump does not start: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let found: HashSet<_> = text.lines().filter_map(atomic).collect();
    assert!(!found.is_empty(), "objdump found no atomic instruction in {}", program.display());
    found
}

/// Returns the address of an instruction in a line of objdump, if it is an atomic read-modify-write: one with the prefix
/// `lock`, or an `xchg` with memory, which needs none.
fn atomic(line: &str) -> Option<u64> {
    let (address, instruction) = line.split_once(":\t")?;
    let is_atomic = instruction.starts_with("lock ") || instruction.starts_with("xchg ") && instruction.contains('(');
    is_atomic.then(|| u64::from_str_radix(address.trim(), 16).expect("objdump prints addresses"))
}
