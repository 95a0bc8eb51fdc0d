//! Replies to items that were not sent.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::fuzz::{Damage, bytes, cases, damage, number};
use crate::process::protocol::frame::{fuzz::kind, put_item};

#[derive(Clone, Debug)]
enum Act {
    /// Good replies, to which this was done.
    Note(u32, u32, Vec<(Kind, Vec<u8>)>, Option<Damage>),
    Error,
    Death,
    /// A part of what nothing is known of goes to another one.
    GiveAway(prop::sample::Index),
}

fn act() -> impl Strategy<Value = Act> {
    let first = || prop_oneof![0..6_u32, number().prop_map(|number| number as u32)];
    let replies = prop::collection::vec((kind(), bytes(20)), 0..5);
    prop_oneof![
        6 => (first(), first(), replies, prop::option::of(damage()))
            .prop_map(|(first, count, replies, damage)| Act::Note(first, count, replies, damage)),
        2 => (0..6_u32, prop::collection::vec((kind(), bytes(20)), 0..5)).prop_map(|(first, replies)| {
            Act::Note(first, replies.len() as u32, replies, None)
        }),
        1 => Just(Act::Error),
        1 => Just(Act::Death),
        1 => any::<prop::sample::Index>().prop_map(Act::GiveAway),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn each_item_has_one_outcome(
        count in 0..9_usize,
        refused in prop::collection::btree_set(0..9_usize, 0..3),
        acts in prop::collection::vec(act(), 0..10),
    ) {
        let refused: Vec<_> = refused.into_iter().filter(|at| *at < count).map(|at| (at, Error::Abandoned)).collect();
        let argument = vec![7; count];
        let items = Items::new(ItemOffsets { ends: (1..=count).collect(), refused: refused.clone(), stored: Box::default() });
        for act in acts {
            let known = items.known();
            match act {
                Act::Note(first, count, replies, damage) => {
                    let mut bytes = Vec::new();
                    replies.iter().for_each(|(kind, reply)| put_item(&mut bytes, *kind, reply));
                    items.note(first, count, &damage.map_or(bytes.clone(), |damage| damage.done_to(bytes)));
                }
                Act::Error => items.note_error(Error::Cancelled),
                Act::Death => items.note_death(Error::Cancelled),
                Act::GiveAway(at) => {
                    let range = known + at.index(items.count() - known + 1)..items.count();
                    let (argument, cut) = items.split_off(range.clone(), &argument);
                    prop_assert_eq!((argument.len(), cut.ends.len()), (range.len(), range.len()));
                }
            }
            prop_assert!((known..=items.count()).contains(&items.known()), "known outcomes stay known, and there are no more than items");
        }
        let ledger = items.settle(&Error::Cancelled);
        let outcomes: Vec<_> = ledger.in_order().collect();
        prop_assert_eq!(outcomes.len(), items.count());
        for (at, _) in refused.iter().filter(|(at, _)| *at < items.count()) {
            prop_assert!(outcomes[*at].is_err());
        }
    }
}

/// Two threads: one notes what a worker says that goes on with items that the other one gives away.
#[test]
fn a_reply_to_an_item_given_away_is_ignored() {
    let items = Items::new(ItemOffsets { ends: (1..=4).collect(), refused: Vec::new(), stored: Box::default() });
    let mut bytes = Vec::new();
    (0..4).for_each(|_| put_item(&mut bytes, Kind::Value, b"x"));
    assert!(items.note(0, 4, &bytes));
    // What it looked at before was that nothing is known.
    items.split_off(2..4, &[7; 4]);
    assert!(!items.has_more());
    assert_eq!(items.settle(&Error::Cancelled).in_order().count(), 2);
}
