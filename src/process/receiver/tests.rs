//! A worker, the thread that looks after it, and one that helps, in turns: what each of them leaves to the others.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};

use super::*;
use crate::process::connection::Connection;
use crate::process::shm::table::meanwhile;

const SLOT: u8 = 3;
const SEQUENCE: u64 = 70;

/// Where a worker is sat at by the test.
pub(in crate::process) struct Desk {
    pub(in crate::process) connection: Arc<Connection>,
    worker: OwnedFd,
    keeper: Keeper,
}

impl Desk {
    /// The keeper sleeps.
    pub(in crate::process) fn new() -> Self {
        let (connection, worker) = Connection::new(Vec::new()).unwrap();
        let mut desk = Self { connection: Arc::new(connection), worker, keeper: Keeper::new(Reader::new(u64::MAX)) };
        desk.lay_down();
        desk
    }

    fn lay_down(&mut self) {
        assert!(!self.connection.lay_down(&mut self.keeper), "there is no mail");
    }

    /// Sends a frame, and does not say so: who looks for it finds it when he sleeps.
    fn sends(&self, frame: &[u8]) {
        assert_eq!(send(&self.worker, frame, SendFlags::empty()), Ok(frame.len()));
    }

    /// Sends a frame, by the socket or as a letter. `false`: it is none that can be a letter.
    fn says(&self, header: Header, as_letter: bool) -> bool {
        let frame = frame(header);
        if as_letter {
            return self.connection.table.post(header.slot, &frame).is_some();
        }
        self.sends(&frame);
        self.connection.table.note_answer();
        true
    }

    fn help(&self) -> Helper<'_> {
        self.connection.help().expect("the keeper sleeps")
    }

    /// Would the keeper wake for what the worker has said?
    fn is_heard(&self) -> bool {
        is_readable(self.connection.ear())
    }

    /// Can the keeper be kept from waking?
    fn has_lid(&self) -> bool {
        self.help().shut()
    }

    pub(in crate::process) fn is_relieved(&self) -> bool {
        is_readable(&self.connection.receiver.relief)
    }
}

fn is_readable(descriptor: impl AsFd) -> bool {
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

fn value(length: u64) -> Header {
    Header::new(Kind::Value, SLOT, SEQUENCE, length as usize)
}

fn frame(header: Header) -> Vec<u8> {
    [&header.to_bytes()[..], &vec![7; header.length as usize]].concat()
}

/// The answer that the helper waits for, as the test sends it.
fn answer(helper: &mut Helper<'_>) -> Option<Header> {
    let (header, body) = helper.answer(SLOT, SEQUENCE, || true)?;
    assert!(body == vec![7; header.length as usize]);
    Some(header)
}

#[test]
fn an_answer_goes_to_who_waits_for_it_whichever_way_it_takes() {
    let desk = Desk::new();
    for kind in [Kind::Value, Kind::Fault] {
        for as_letter in [true, false, true] {
            let sent = Header { kind, ..value(11) };
            desk.says(sent, as_letter);
            let mut helper = desk.help();
            assert_eq!(answer(&mut helper), Some(sent));
            assert!(!helper.leave(), "nothing is left to the keeper");
            assert!(!desk.is_heard() && !desk.connection.table.mail().is_there());
        }
    }
}

#[test]
fn the_keeper_sleeps_on_while_the_answer_is_slept_for() {
    let desk = Desk::new();
    if !desk.has_lid() {
        return;
    }
    // The longest takes more than one look.
    for length in [11, LONG] {
        desk.sends(&frame(value(length)));
        let mut helper = desk.help();
        assert_eq!(answer(&mut helper), Some(value(length)));
        desk.sends(&frame(value(2)));
        assert!(!desk.is_heard());
        assert!(!helper.leave(), "the keeper wakes by itself");
        assert!(desk.is_heard());
        answer(&mut desk.help());
    }
}

/// Where the last answer was none that comes as mail, the next will be none.
#[test]
fn the_keeper_is_kept_from_waking_before_the_answer_comes_or_not_at_all() {
    let desk = Desk::new();
    if !desk.has_lid() {
        return;
    }
    for (as_letter, is_heard) in [(true, true), (false, false), (true, true)] {
        desk.says(value(3), as_letter);
        answer(&mut desk.help());
        let mut helper = desk.help();
        desk.says(value(3), false);
        assert_eq!(desk.is_heard(), is_heard);
        answer(&mut helper);
    }
}

#[test]
fn what_is_another_answer_is_left_to_the_keeper() {
    let own = value(5);
    let others = [
        Header { slot: SLOT + 1, ..own },
        Header { sequence: SEQUENCE + 1, ..own },
        Header { kind: Kind::Ready, ..own },
        Header { segments: 1, ..own },
        Header { length: LONG + 1, ..own },
    ];
    for (header, as_letter) in others.into_iter().flat_map(|header| [(header, true), (header, false)]) {
        let mut desk = Desk::new();
        if !desk.says(header, as_letter) {
            continue;
        }
        let mut helper = desk.help();
        assert!(helper.answer(SLOT, SEQUENCE, || panic!("this is none: {header:?}")).is_none());
        assert!(helper.leave(), "the keeper has to be told");
        desk.connection.take_up(&mut desk.keeper, true, false);
        let reader = desk.keeper.reader.as_mut().expect("nobody helps");
        let letter = desk.connection.table.take_mail(&mut Vec::new()).next().map(|letter| letter.unwrap().0);
        while letter.is_none() && reader.peek().unwrap().is_none() {
            reader.receive(desk.connection.socket()).unwrap();
        }
        assert_eq!(letter.or(reader.peek().unwrap()), Some(header));
    }
}

#[test]
fn an_answer_that_is_not_to_be_taken_any_more_is_left_to_the_keeper() {
    for as_letter in [true, false] {
        let desk = Desk::new();
        desk.says(value(5), as_letter);
        let mut helper = desk.help();
        assert!(helper.answer(SLOT, SEQUENCE, || false).is_none());
        assert!(helper.leave());
        assert_eq!(answer(&mut desk.help()), Some(value(5)), "it is there still");
    }
}

#[test]
fn who_helps_gives_the_reader_back_also_when_he_panics() {
    let desk = Desk::new();
    assert!(!desk.help().leave());
    drop(desk.help());
    assert!(desk.connection.help().is_some());
}

#[test]
fn relief_wakes_who_helps_and_nobody_after_him() {
    let desk = Desk::new();
    desk.connection.receiver.relieve();
    let mut helper = desk.help();
    assert_eq!(answer(&mut helper), None);
    helper.was_relieved();
    assert!(!helper.leave());
    assert!(!desk.is_relieved());
}

#[test]
fn the_keeper_has_the_reader_back_when_it_must() {
    let Desk { connection, mut keeper, worker: _worker } = Desk::new();
    let mut helper = connection.help().unwrap();
    std::thread::scope(|scope| {
        let recalled = scope.spawn(|| keeper.recall(&connection.receiver));
        assert_eq!(answer(&mut helper), None);
        assert!(!helper.leave());
        recalled.join().unwrap();
    });
    assert!(keeper.reader.is_some());
    assert!(!is_readable(&connection.receiver.relief));
    assert!(connection.help().is_none(), "it stays there");
}

#[test]
fn a_keeper_that_woke_for_what_another_receives_is_deaf_until_it_is_rung() {
    let Desk { connection, mut keeper, worker: _worker } = Desk::new();
    let helper = connection.help().unwrap();
    connection.take_up(&mut keeper, false, true);
    assert!(keeper.reader.is_none() && !keeper.listens());
    assert!(helper.leave(), "it has to be told");
    connection.ring();
    connection.take_up(&mut keeper, true, false);
    assert!(keeper.reader.is_some() && keeper.listens());
    assert!(!is_readable(connection.bell()));
}

#[test]
fn a_keeper_that_hears_what_there_is_need_not_be_told() {
    let Desk { connection, mut keeper, worker: _worker } = Desk::new();
    // It wakes for something else, and then when nobody helps.
    for is_helped in [true, false] {
        let helper = is_helped.then(|| connection.help().unwrap());
        connection.take_up(&mut keeper, false, !is_helped);
        assert!(keeper.listens());
        assert_eq!(keeper.reader.is_none(), is_helped);
        if let Some(helper) = helper {
            assert!(!helper.leave());
        }
        connection.lay_down(&mut keeper);
        assert!(!connection.help().unwrap().leave());
    }
}

/// Else a worker could keep a cpu busy, and relief would not be noticed.
#[test]
fn who_is_told_of_more_and_more_that_does_not_come_sleeps() {
    let desk = Desk::new();
    let (has_lid, table) = (desk.has_lid(), Arc::clone(&desk.connection.table));
    desk.connection.receiver.relieve();
    meanwhile::let_happen(Some(Box::new(move || table.note_answer())));
    let mut helper = desk.help();
    assert_eq!(answer(&mut helper), None);
    meanwhile::let_happen(None);
    assert_eq!(helper.is_shut, has_lid, "he was about to sleep");
}

#[test]
fn what_cannot_be_received_ends_the_help() {
    let desk = Desk::new();
    // Descriptors that no frame takes.
    for byte in &frame(value(0))[..5] {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptor = [desk.worker.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptor));
        let slices = [IoSlice::new(std::slice::from_ref(byte))];
        assert_eq!(sendmsg(&desk.worker, &slices, &mut control, SendFlags::empty()), Ok(1));
    }
    let mut helper = desk.help();
    assert_eq!(answer(&mut helper), None);
    assert!(helper.leave());
}
