//! The input that the tests named `fuzz` generate.
//!
//! Each of them is short. `PROPTEST_CASES=100000 cargo test --lib fuzz` makes as many cases of each. One that fails is
//! made smaller, shown, and kept in `proptest-regressions`, which is what every later run begins with.
#![forbid(unsafe_code)]

use proptest::prelude::*;

/// Configures `short` cases, unless the environment sets another number.
pub(crate) fn cases(short: u32) -> ProptestConfig {
    let said = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => said,
        None => ProptestConfig { cases: short, ..said },
    }
}

/// Numbers, those at which things begin and end more often than others.
#[cfg(processes)]
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..70_u64,
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (0..64_u32, -2..3_i64).prop_map(|(bit, more)| (1_u64 << bit).wrapping_add_signed(more)),
        Just(u64::MAX),
    ]
}

/// Bytes, runs of the same one among them.
pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..most / 2)
        .prop_map(|(byte, count)| vec![byte; count]);
    let run = (run, prop::collection::vec(any::<u8>(), 0..8), any::<bool>());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..most),
        run.prop_map(|(run, few, first)| if first { [few, run].concat() } else { [run, few].concat() }),
    ]
}

/// A change to good bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Cut(prop::sample::Index),
    Put(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Put(at, byte)),
        (at(), bytes(40)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        at().prop_map(Damage::Remove),
    ]
}

impl Damage {
    pub(crate) fn done_to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let place = |at: &prop::sample::Index| at.index(bytes.len() + 1);
        match self {
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Insert(at, more) => drop(bytes.splice(place(at)..place(at), more.iter().copied())),
            Self::Put(..) | Self::Remove(_) if bytes.is_empty() => {}
            Self::Put(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
        }
        bytes
    }
}
