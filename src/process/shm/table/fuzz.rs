//! Task tables overwritten with random data: the pool reads nonsense there, but never beyond it, and makes no
//! impossible decision.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::slots::RUNNING;
use super::*;
use crate::fuzz::{bytes, cases, number};
use crate::process::protocol::frame::{HEADER, Header, Kind};

/// What a worker writes to the table, and where.
#[derive(Clone, Debug)]
enum TableWrite {
    Word(usize, u64),
    /// The word of a slot as it should be, or nearly.
    State(u8, u64, u64),
    Items(u8, u32, u32),
    Journal {
        of: u64,
        first: u64,
        count: u32,
        length: u32,
    },
    ShortReply(u8, Vec<u8>),
    ShortReplyHeader(u8, u64, u64),
    Flags(u64),
    Bytes(usize, Vec<u8>),
}

impl TableWrite {
    fn write(&self, page: &File) {
        let put = |at: usize, bytes: &[u8]| {
            let length = bytes.len().min(LENGTH - at);
            page.write_all_at(&bytes[..length], at as u64).expect("the page is long enough");
        };
        let word = |at: usize, word: u64| put(at, &word.to_le_bytes());
        let field = |at: usize| JOURNAL_WORDS + 8 * at;
        match self {
            Self::Word(at, value) => word(at % (size_of::<Shared>() / 8) * 8, *value),
            Self::State(slot, sequence, state) => word(usize::from(*slot) % COUNT * 8, sequence << 3 | state),
            Self::Items(slot, first, end) => word((COUNT + usize::from(*slot) % COUNT) * 8, pair(*first, *end)),
            Self::Journal { of, first, count, length } => {
                word(field(0), *of);
                word(field(1), *first);
                word(field(2), pair(*count, *length));
            }
            Self::ShortReply(slot, reply) => put(short_reply_at(*slot), reply),
            Self::ShortReplyHeader(slot, length, sequence) => {
                let header = Header { length: *length, ..Header::new(Kind::Value, *slot, *sequence, 0) };
                put(short_reply_at(*slot), &header.to_bytes());
            }
            Self::Flags(flags) => word(std::mem::offset_of!(Shared, mailbox), *flags),
            Self::Bytes(at, bytes) => put(at % LENGTH, bytes),
        }
    }
}

const JOURNAL_WORDS: usize = std::mem::offset_of!(Shared, journal_of);

fn short_reply_at(slot: u8) -> usize {
    SHORT_REPLIES_AT + usize::from(slot) % COUNT * SHORT_REPLY
}

/// Few, so that writes and reads often meet.
fn slot() -> impl Strategy<Value = u8> {
    prop_oneof![0..3_u8, Just(63), any::<u8>()]
}

fn item() -> impl Strategy<Value = u32> {
    prop_oneof![0..12_u32, number().prop_map(|number| number as u32)]
}

fn table_write() -> impl Strategy<Value = TableWrite> {
    prop_oneof![
        (any::<usize>(), number()).prop_map(|(at, word)| TableWrite::Word(at, word)),
        (slot(), 0..4_u64, 0..8_u64).prop_map(|(slot, sequence, state)| TableWrite::State(slot, sequence, state)),
        (slot(), item(), item()).prop_map(|(slot, first, end)| TableWrite::Items(slot, first, end)),
        (0..4_u64, number(), item(), number())
            .prop_map(|(of, first, count, length)| { TableWrite::Journal { of, first, count, length: length as u32 } }),
        (slot(), bytes(SHORT_REPLY)).prop_map(|(slot, reply)| TableWrite::ShortReply(slot, reply)),
        (slot(), number(), number())
            .prop_map(|(slot, length, sequence)| TableWrite::ShortReplyHeader(slot, length, sequence)),
        prop_oneof![Just(u64::MAX), Just(0b1011), any::<u64>()].prop_map(TableWrite::Flags),
        (any::<usize>(), bytes(5000)).prop_map(|(at, bytes)| TableWrite::Bytes(at, bytes)),
    ]
}

/// An operation of the pool on a task that it has sent.
#[derive(Clone, Debug)]
enum Operation {
    Ready(Option<(u32, u32)>),
    Look,
    /// The worker claims to be at the last of the three.
    Halve(u32, u32, Option<u32>),
    Curtail,
    Stop,
    Mailbox,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => prop::option::of((item(), item())).prop_map(Operation::Ready),
        1 => Just(Operation::Look),
        3 => (item(), item(), prop::option::of(item())).prop_map(|(known, count, next)| Operation::Halve(known, count, next)),
        1 => Just(Operation::Curtail),
        1 => Just(Operation::Stop),
        1 => Just(Operation::Mailbox),
    ]
}

fn look(table: &TaskTable, slot: u8, sequence: u64) {
    table.slots().progress(slot, sequence);
    table.slots().begun(slot);
    if let Some((_, _, replies)) = table.read_journal(sequence) {
        assert!(replies.len() <= JOURNAL);
    }
}

fn read_short_replies(table: &TaskTable, slot: u8) {
    let mut bytes = Vec::new();
    let is_sound = |(header, body): &(Header, std::ops::Range<usize>)| {
        body.len() as u64 == header.length && body.len() <= SHORT_REPLY - HEADER
    };
    if table.mailbox().has(slot)
        && let Some(reply) = table.read_short_reply(slot, &mut bytes)
    {
        assert!(is_sound(&reply) && reply.1.end == bytes.len());
        table.mailbox().clear(slot);
        assert!(!table.mailbox().has(slot));
    }
    bytes.clear();
    let replies: Vec<_> = table.take_short_replies(&mut bytes).flatten().collect();
    assert!(replies.iter().all(is_sound) && bytes.len() <= COUNT * SHORT_REPLY);
    assert!(!table.mailbox().set_sleeping(), "a reader that has taken all replies may sleep");
    table.mailbox().set_awake();
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_pool_survives_any_write_of_a_worker(
        acts in prop::collection::vec((prop::collection::vec(table_write(), 0..4), slot(), 0..4_u64, operation()), 1..12),
    ) {
        let (table, page) = TaskTable::create().unwrap();
        let page = File::from(page);
        for (writes, slot, sequence, operation) in acts {
            writes.iter().for_each(|write| write.write(&page));
            match operation {
                Operation::Ready(items) => {
                    table.slots().ready(slot, sequence, items);
                    prop_assert_eq!(table.slots().progress(slot, sequence), Progress::Ready);
                }
                Operation::Look => look(&table, slot, sequence),
                Operation::Halve(known, count, next) => {
                    if let Some(next) = next {
                        TableWrite::State(slot, sequence, RUNNING).write(&page);
                        TableWrite::Items(slot, next, count).write(&page);
                    }
                    if let Some((from, to)) = table.slots().halve(slot, sequence, (known, count)) {
                        prop_assert!(known <= from && from < to && to == count, "of {known}..{count} it took {from}..{to}");
                        prop_assert!(table.slots().begun(slot) <= from);
                    }
                }
                Operation::Curtail => table.slots().curtail(slot),
                Operation::Stop => {
                    let won = [table.slots().revoke(slot, sequence), table.slots().kill(slot, sequence), table.slots().kill_done(slot, sequence)];
                    prop_assert!(won.iter().filter(|won| **won).count() <= 1);
                }
                Operation::Mailbox => read_short_replies(&table, slot),
            }
        }
    }
}

/// A case worked out on paper: a worker that claims to have begun fewer items than it has replied to.
#[test]
fn items_that_have_ended_are_not_given_away() {
    let (table, page) = TaskTable::create().unwrap();
    table.slots().ready(1, 4, Some((0, 10)));
    assert!(table.slots().start(1, 4, 0));
    TableWrite::Items(1, 0, 10).write(&File::from(page));
    assert_eq!(table.slots().halve(1, 4, (8, 10)), None, "eight have ended, so eight were begun");
}
