//! Random headers and items.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::fuzz::{bytes, cases, number};
use crate::process::protocol::setup::Setup;

pub(in crate::process) fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn headers_are_read_as_they_were_written(
        numbers in [number(), number(), number(), number()],
        words in any::<[u32; 2]>(),
        (kind, slot, segments, kept, observed) in
            (kind(), any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>()),
        rest in bytes(20),
    ) {
        let [id, enter, function, context] = numbers;
        let head = TaskHead { id, enter, function, context, items: words[0], first: words[1] };
        let bytes = [&head.to_bytes()[..], &rest].concat();
        prop_assert_eq!(TaskHead::parse(&bytes), Some((head, &rest[..])));
        prop_assert_eq!(TaskHead::parse(&bytes[..TaskHead::LENGTH - 1]), None);
        let head = ItemsHead { first: words[0], count: words[1], last: kept };
        let bytes = [&head.to_bytes()[..], &rest].concat();
        prop_assert_eq!(ItemsHead::parse(&bytes), Some((head, &rest[..])));
        prop_assert_eq!(ItemsHead::parse(&bytes[..ItemsHead::LENGTH - 1]), None);
        let header = Header { length: numbers[0], sequence: numbers[1], kind, slot, segments, kept, observed };
        prop_assert_eq!(Header::from_bytes(&header.to_bytes()), Some(header));
    }

    #[test]
    fn any_bytes_are_items_or_not(bytes in bytes(200)) {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let before = rest;
            match take_item(&mut rest) {
                Some((_, reply)) => prop_assert_eq!(before.len() - rest.len(), reply.len() + ITEM_OVERHEAD),
                None => break,
            }
        }
        let _ = ItemsHead::parse(&bytes);
        let _ = TaskHead::parse(&bytes);
        let _ = postcard::from_bytes::<Setup>(&bytes);
    }

    #[test]
    fn items_are_read_as_they_were_written(items in prop::collection::vec((kind(), bytes(40)), 0..8)) {
        let mut bytes = Vec::new();
        items.iter().for_each(|(kind, reply)| put_item(&mut bytes, *kind, reply));
        let mut rest = &bytes[..];
        for (kind, reply) in &items {
            prop_assert_eq!(take_item(&mut rest), Some((*kind, &reply[..])));
        }
        prop_assert!(rest.is_empty());
    }
}
