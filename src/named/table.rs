//! The table of all functions that have a name.
#![forbid(unsafe_code)]

use std::collections::btree_map::{BTreeMap, Entry as Place};
use std::collections::hash_map::HashMap;
use std::fmt;
use std::sync::OnceLock;

use super::attribute::Entry;
use super::function::Named;
use crate::task::encoded::FunctionKey;

/// Says which two functions cannot be told apart.
#[derive(Clone, thiserror::Error)]
#[error("{0}")]
pub struct Clash(Box<str>);

impl Clash {
    fn of_names(name: &str, one: &str, other: &str) -> Self {
        Self(
            format!(
                "the functions at {one} and {other} have one name, `{name}`: give one of them another by \
                 `#[task(name = \"..\")]`"
            )
            .into(),
        )
    }

    fn of_addresses(one: &str, other: &str) -> Self {
        Self(
            format!(
                "the functions `{one}` and `{other}` have one address, so that a call of one may be taken for a call of the \
                 other: this build merges functions that differ"
            )
            .into(),
        )
    }
}

impl fmt::Debug for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clash").field(&self.0).finish()
    }
}

/// All functions that have a name.
#[derive(Default)]
pub(super) struct Table {
    pub(super) by_name: BTreeMap<Box<str>, Named>,
    pub(super) names: HashMap<FunctionKey, Box<str>>,
    /// The first that was found.
    pub(super) clash: Option<Clash>,
}

impl Table {
    fn add(&mut self, entry: &Entry) {
        let name: Box<str> = entry.name.replace("::", ".").into();
        let function = (entry.function)();
        for key in function.keys {
            if let Some(other) = self.names.insert(key, name.clone())
                && other != name
            {
                self.clash.get_or_insert_with(|| Clash::of_addresses(&other, &name));
            }
        }
        match self.by_name.entry(name.clone()) {
            Place::Vacant(place) => drop(place.insert(Named { name, place: entry.place, function })),
            Place::Occupied(other) => {
                self.clash.get_or_insert_with(|| Clash::of_names(&name, other.get().place, entry.place));
            }
        }
    }
}

pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        inventory::iter::<Entry>.into_iter().for_each(|entry| table.add(entry));
        table
    })
}

#[cfg(test)]
mod tests {
    use super::{Clash, Table};
    use crate::named::attribute::{Entry, ViaFallible as _, ViaPlain as _, probe};
    use crate::named::erased_function::ErasedFunction;

    fn one(n: u8) -> u8 {
        std::hint::black_box("one");
        n
    }

    fn two(n: u8) -> Result<u8, String> {
        std::hint::black_box("two");
        Ok(n)
    }

    fn erase_one() -> ErasedFunction {
        (&probe(one)).erase()
    }

    #[expect(clippy::needless_borrow, reason = "as the attribute writes it for every function")]
    fn erase_two() -> ErasedFunction {
        (&probe(two)).erase()
    }

    fn clash(entries: [Entry; 2]) -> Option<String> {
        let mut table = Table::default();
        entries.iter().for_each(|entry| table.add(entry));
        table.clash.as_ref().map(Clash::to_string)
    }

    #[test]
    fn functions_with_names_of_their_own_do_not_clash() {
        assert_eq!(clash([Entry::new("a::one", "a:1", erase_one), Entry::new("a::two", "a:2", erase_two)]), None);
    }

    #[test]
    fn two_functions_with_one_name_clash_whichever_way_it_is_written() {
        let said = clash([Entry::new("a::one", "a:1", erase_one), Entry::new("a.one", "b:2", erase_two)]);
        assert_eq!(
            said.unwrap(),
            "the functions at a:1 and b:2 have one name, `a.one`: give one of them another by `#[task(name = \"..\")]`"
        );
    }

    #[test]
    fn two_names_with_one_address_clash() {
        let said = clash([Entry::new("one", "a:1", erase_one), Entry::new("uno", "a:2", erase_one)]).unwrap();
        assert!(said.starts_with("the functions `one` and `uno` have one address"), "{said}");
    }
}
