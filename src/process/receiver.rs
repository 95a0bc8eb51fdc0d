//! [`Receiver`]: who reads what a worker says.
//!
//! Mostly that is the thread that looks after the worker. A thread that waits for the only task that a worker has takes its place
//! until the answer is there. Then the answer goes straight to the thread that wants it, as in a bare ping-pong, and no third
//! thread is woken in between. It looks at the task table for a while before it sleeps, and the worker does, because to wake a cpu that sleeps
//! takes tens of microseconds.
//!
//! # The protocol
//!
//! - Who has the [`Reader`] receives; nobody else touches what comes from the worker. It changes hands by value, under the lock of the seat.
//! - The keeper, which looks after the worker, lays it down before it sleeps and takes it up when it wakes. A [`Helper`] takes it only from
//!   there, so only while the keeper sleeps, or is about to.
//! - While a helper that has it sleeps the ear is shut: the keeper does not wake for what the worker says. The helper opens it when it gives
//!   the reader back, and the ear then hears also what came before. While it is awake, short answers come as mail, which wakes nobody.
//! - Who gives the reader back, and leaves something in it or in the mail, rings the keeper's bell after that; the keeper hushes the bell before it
//!   takes the reader up. The other way round, a ring might be hushed whose cause it has not seen.
//! - Who has the reader reads the mail, and says of himself whether he sleeps; who gives it back says that the keeper does.
//! - A helper runs no user code, and sleeps only where relief wakes it. So the keeper may wait for the reader when it has to have it:
//!   to bury the worker.
//! - Relief is rung under the lock of whoever notes it (the seat, or the task), and hushed by the one helper there was when he finds
//!   the note: none is left over for the next.
#![forbid(unsafe_code)]

use std::io;

use super::os::{self, Bell, Ear, Socket};
use super::protocol::frame::{Header, Kind, Reader};
use super::shm::table::{TRIES, TaskTable};
use crate::sync::{Condvar, Mutex};

/// Answers that are longer are left to the keeper, who reads them where they are; a helper takes a copy.
const LONG: u64 = 64 << 10;

pub(super) struct Receiver {
    /// Is readable when the worker has said something that nobody else is to read.
    pub(super) ear: Ear,
    /// Wakes a helper.
    relief: Bell,
    seat: Mutex<Seat>,
    /// The reader is back.
    back: Condvar,
}

#[derive(Default)]
struct Seat {
    /// Not there while the keeper is awake, and while a helper has it.
    reader: Option<Box<Reader>>,
    helped: bool,
    /// The keeper waits for it.
    recalled: bool,
    /// How often the worker had sent something when a helper last received.
    heard: u64,
    /// The keeper was woken for nothing, and listens no more until it is told to.
    deafened: bool,
    /// The last answer that a helper received was none that comes as mail.
    was_long: bool,
}

impl Receiver {
    pub(super) fn new(socket: &Socket) -> io::Result<Self> {
        Ok(Self { ear: Ear::new(socket)?, relief: Bell::new()?, seat: Mutex::default(), back: Condvar::new() })
    }

    /// Wakes the helper. Only with a note that he finds when he leaves.
    pub(super) fn relieve(&self) {
        self.relief.ring();
    }

    /// Takes the keeper's place, while it sleeps.
    pub(super) fn help<'a>(&'a self, socket: &'a Socket, table: &'a TaskTable) -> Option<Helper<'a>> {
        let mut seat = self.seat.lock();
        // Else the keeper would wake as well.
        let is_shut = seat.reader.is_some() && seat.was_long;
        if is_shut && !self.ear.shut(socket) {
            return None;
        }
        let reader = Some(seat.reader.take()?);
        table.mail().set_awake();
        seat.helped = true;
        let (heard, was_long) = (seat.heard, seat.was_long);
        Some(Helper { receiver: self, socket, table, reader, heard, was_long, is_shut, relieved: false })
    }
}

/// The thread that looks after a worker.
pub(super) struct Keeper {
    /// Not there while it sleeps, and while a helper has it.
    pub(super) reader: Option<Box<Reader>>,
    /// It was woken by what a helper receives: it listens no more until its bell is rung, or it would wake over and over.
    is_deaf: bool,
}

impl Keeper {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader: Some(Box::new(reader)), is_deaf: false }
    }

    /// Is it to wake for what there is to be heard?
    pub(super) fn listens(&self) -> bool {
        !self.is_deaf
    }

    /// Leaves the reader to whoever wants to help: it is about to sleep. `true`: there is mail, and it must not.
    pub(super) fn lay_down(&mut self, receiver: &Receiver, table: &TaskTable) -> bool {
        let Some(reader) = self.reader.take() else { return false };
        let mut seat = receiver.seat.lock();
        seat.reader = Some(reader);
        table.mail().set_sleeping()
    }

    /// Takes the reader up again, unless somebody helps: it has woken, because its bell was `rung` or something is to be `heard`.
    pub(super) fn take_up(
        &mut self,
        receiver: &Receiver,
        table: &TaskTable,
        rung: bool,
        heard: bool,
        hush: impl FnOnce(),
    ) {
        if rung {
            // First: who rings because of what he has left with the reader has given that back by then. Hushed later, his ring might be
            // lost with one that came before it.
            hush();
            self.is_deaf = false;
        }
        let mut seat = receiver.seat.lock();
        seat.deafened |= heard && seat.helped;
        self.reader = seat.reader.take();
        if self.reader.is_some() {
            table.mail().set_awake();
        }
        self.is_deaf |= heard && self.reader.is_none();
    }

    /// Takes the reader, to keep it. Blocks until a helper has given it back, for as long as that takes him to wake.
    pub(super) fn recall(&mut self, receiver: &Receiver) {
        if self.reader.is_some() {
            return;
        }
        let mut seat = receiver.seat.lock();
        if seat.helped {
            seat.recalled = true;
            receiver.relieve();
        }
        while seat.helped {
            receiver.back.wait(&mut seat);
        }
        self.reader = seat.reader.take();
    }
}

/// A thread that has a worker's reader for a while.
pub(super) struct Helper<'a> {
    receiver: &'a Receiver,
    socket: &'a Socket,
    table: &'a TaskTable,
    reader: Option<Box<Reader>>,
    heard: u64,
    was_long: bool,
    /// The ear is shut.
    is_shut: bool,
    /// Relief was rung, and is to be hushed.
    relieved: bool,
}

impl Helper<'_> {
    /// Sleeps until the answer to a task is there, and takes it if it is next, all of it is in the frame, and `is_ours` by then.
    ///
    /// `None`: something else came, nothing more comes, or the helper was relieved.
    pub(super) fn answer(
        &mut self,
        slot: u8,
        sequence: u64,
        is_ours: impl FnOnce() -> bool,
    ) -> Option<(Header, Vec<u8>)> {
        let is_it = |header: &Header| {
            let is_plain = matches!(header.kind, Kind::Value | Kind::Fault) && header.segments == 0;
            header.slot == slot && header.sequence == sequence && is_plain && header.length <= LONG
        };
        let mut tries = TRIES;
        loop {
            if self.table.mail().is_in(slot) {
                let mut bytes = Vec::new();
                let (header, _) = self.table.read_letter(slot, &mut bytes).filter(|(header, _)| is_it(header))?;
                is_ours().then(|| self.table.mail().clear(slot))?;
                self.was_long = false;
                return Some((header, bytes));
            }
            if self.table.mail().is_there() {
                return None;
            }
            let reader = self.reader.as_mut()?;
            while let Some(header) = reader.peek().ok()? {
                if header.kind != Kind::Bell {
                    self.was_long = true;
                    if !is_it(&header) || !is_ours() {
                        return None;
                    }
                    let (header, body) = reader.next().ok()??;
                    return Some((header, reader.body(body).to_vec()));
                }
                reader.next().ok()?;
            }
            if tries > 0 && self.table.look_for_answer(&mut self.heard) {
                tries -= 1;
                if self.table.mail().is_there() {
                    continue;
                }
            } else {
                tries = 0;
                if !self.sleep()? {
                    continue;
                }
            }
            match self.reader.as_mut()?.receive(self.socket) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The keeper finds the same.
                _ => return None,
            }
        }
    }

    /// Sleeps until the worker says something. `false`: there may be mail. `None`: the helper was relieved, or cannot sleep.
    fn sleep(&mut self) -> Option<bool> {
        if !self.shut() {
            return None;
        }
        if self.table.mail().set_sleeping() {
            self.table.mail().set_awake();
            return Some(false);
        }
        let woken = os::sleep(self.socket, &self.receiver.relief);
        self.table.mail().set_awake();
        woken
    }

    /// Lets the keeper not wake for what the worker says. `false`: that cannot be had.
    fn shut(&mut self) -> bool {
        self.is_shut = self.is_shut || self.receiver.ear.shut(self.socket);
        self.is_shut
    }

    /// Relief was rung, and noted somewhere else than in the seat.
    pub(super) fn was_relieved(&mut self) {
        self.relieved = true;
    }

    /// Gives the reader back. Has the keeper to be told, because it would not hear what there is?
    pub(super) fn leave(mut self) -> bool {
        self.give_back()
    }

    fn give_back(&mut self) -> bool {
        let Some(reader) = self.reader.take() else { return false };
        let mut seat = self.receiver.seat.lock();
        if self.relieved | std::mem::take(&mut seat.recalled) {
            self.receiver.relief.hush();
        }
        let missed = std::mem::take(&mut seat.deafened) | !reader.is_empty() | self.table.mail().set_sleeping();
        seat.reader = Some(reader);
        (seat.heard, seat.was_long) = (self.heard, self.was_long);
        seat.helped = false;
        if self.is_shut {
            self.receiver.ear.open(self.socket);
        }
        drop(seat);
        self.receiver.back.notify_all();
        missed
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
pub(super) mod tests;
