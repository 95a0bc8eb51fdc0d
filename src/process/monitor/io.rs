//! The monitor's system calls: it sleeps until something happens, and reads what the worker has sent.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::reply::Reply;
use super::state::Acceptance;
use super::{Event, WorkerMonitor};
use crate::error::{Broken, Error};
use crate::process::child::Child;
use crate::process::program::entry;
use crate::process::program::image::image;
use crate::process::protocol::frame::{self, Header, ItemsHead, Kind, UNFIT_FOR_NOW};
use crate::process::protocol::reader::Reader;
use crate::process::protocol::reply;
use crate::process::scheduler::Prospect;
use crate::process::shm::segments::Mapping;

/// Why the monitor has woken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Woken {
    pub(super) by_exit: bool,
    pub(super) by_bell: bool,
    /// Set if there was a reply before it slept, so that it did not sleep.
    pub(super) by_reply: bool,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
}

impl WorkerMonitor<'_> {
    pub(super) fn sleep(&self, child: &Child) -> Woken {
        let has_replies = self.connection.right.set_sleeping(self.connection.table.mailbox());
        let woken = self.poll(child, has_replies);
        if woken.by_bell {
            // Before the monitor looks for work: what comes later rings again.
            self.connection.reset_bell();
        }
        woken
    }

    fn poll(&self, child: &Child, has_replies: bool) -> Woken {
        let (listens, sends) = (!self.hung_up, !self.hung_up && self.unsent);
        // A descriptor that was hung up ends every `poll` at once, even if no event of it is asked for.
        let or_never = |wanted, descriptor, flags| match wanted {
            true => PollFd::from_borrowed_fd(descriptor, flags),
            false => PollFd::from_borrowed_fd(self.connection.bell(), PollFlags::empty()),
        };
        let mut descriptors = [
            PollFd::from_borrowed_fd(child.ended(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.connection.bell(), PollFlags::IN),
            or_never(listens, self.connection.socket(), PollFlags::IN),
            or_never(sends, self.connection.socket(), PollFlags::OUT),
        ];
        let timeout = match self.state.alarm() {
            _ if has_replies => Some(Timespec::default()),
            alarm => alarm.map(|(then, _)| timespec(then.saturating_duration_since(Instant::now()))),
        };
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) => {}
            // A signal came, or the kernel has no memory: nothing is known to have happened.
            Err(_) => return Woken::default(),
        }
        let [process, bell, incoming, outgoing] = descriptors.map(|descriptor| descriptor.revents());
        Woken {
            by_exit: !process.is_empty(),
            by_bell: !bell.is_empty(),
            by_reply: has_replies,
            is_readable: listens && !incoming.is_empty(),
            is_writable: sends && !outgoing.is_empty(),
        }
    }

    /// Reads once from the socket, and handles the frames that are complete.
    pub(super) fn receive(&mut self) {
        match self.reader.receive(self.connection.socket()) {
            Ok(0) => self.hang_up(),
            Ok(_) => self.parse_or_kill(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::OutOfMemory) => {
                self.damaged(format!("what a worker process sent is lost: {error}"));
            }
            Err(_) => self.hang_up(),
        }
    }

    fn hang_up(&mut self) {
        self.hung_up = true;
        self.on(Event::HungUp, &[]);
    }

    fn damaged(&mut self, text: String) {
        self.on(Event::Damaged(Error::Broken(Broken::new(text))), &[]);
    }

    /// Handles the short replies and the frames that were received. Kills the worker if they make no sense.
    pub(super) fn parse_or_kill(&mut self) {
        if let Err(error) = self.parse() {
            // A task has damaged its worker, which may send anything from now on.
            self.damaged(format!("a worker process sent {error}"));
        }
    }

    /// Handles the short replies and the frames that were received. Replies before one that makes no sense are settled too.
    pub(super) fn parse(&mut self) -> io::Result<()> {
        self.take_short_replies()?;
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(0));
        let taken = self.take_frames(&mut reader);
        self.settle(reader.buffer());
        self.reader = reader;
        taken
    }

    /// Takes the replies from the mailbox.
    fn take_short_replies(&mut self) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.reply_bytes);
        bytes.clear();
        let (connection, replies) = (&self.connection, &mut self.replies);
        let read = || {
            let mut taken = Ok(());
            for reply in connection.table.take_short_replies(&mut bytes) {
                match reply {
                    Some((header, body))
                        if matches!(header.kind, Kind::Value | Kind::Fault) && header.segments == 0 =>
                    {
                        replies.push(Reply { header, body, items: None });
                    }
                    _ => taken = Err(frame::broken("a short reply that cannot be read")),
                }
            }
            taken
        };
        let taken = match self.state.is_gone() {
            false => connection.right.read(connection.table.mailbox(), read).unwrap_or(Ok(())),
            true => connection.right.read_last(read),
        };
        // In the order in which the worker ran the tasks.
        self.replies.sort_unstable_by_key(|reply| reply.header.sequence);
        self.settle(&bytes);
        self.reply_bytes = bytes;
        taken
    }

    fn take_frames(&mut self, reader: &mut Reader) -> io::Result<()> {
        while let Some((header, body)) = reader.next()? {
            match self.state.accepts(header.kind) {
                Acceptance::Take => {}
                Acceptance::Ignore => continue,
                Acceptance::Damage => {
                    return Err(frame::broken(&format!(
                        "a frame of kind {:?}, which it would not send then",
                        header.kind
                    )));
                }
            }
            match header.kind {
                Kind::Hello => {
                    let is_same_build = reader.body(body) == image().build_id();
                    if is_same_build {
                        entry::note_hello();
                    }
                    self.on(Event::Hello { is_same_build }, &[]);
                }
                Kind::Ready => {
                    let (connection, table) = (Arc::clone(&self.connection), Arc::clone(&self.connection.table));
                    self.on(Event::Ready(connection, table), &[]);
                }
                Kind::Unfit => {
                    let next = if header.slot == UNFIT_FOR_NOW { Prospect::Fair } else { Prospect::None };
                    self.on(Event::Unfit(reply::from_bytes(reader.body(body)), next), &[]);
                }
                Kind::Segment => {
                    if self.known.is_full() {
                        return Err(frame::broken("more segments than it may have"));
                    }
                    let memory = reader.descriptor()?;
                    let number = u32::try_from(header.sequence).map_err(|_| frame::broken("a segment of no number"))?;
                    self.known.add(number, Mapping::of_peer(memory)?);
                }
                Kind::Started => self.started(header, reader.body(body))?,
                Kind::Forget => self.known.forget(u32::try_from(header.sequence).unwrap_or(u32::MAX)),
                _ => {
                    let items = items_head(header, reader.body(body.clone()))?;
                    self.replies.push(Reply { header, body, items });
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, buffer: &[u8]) {
        if !self.replies.is_empty() {
            let mut replies = std::mem::take(&mut self.replies);
            self.on(Event::Replies(&mut replies), buffer);
            self.replies = replies;
        }
    }
}

fn items_head(header: Header, body: &[u8]) -> io::Result<Option<ItemsHead>> {
    if header.kind != Kind::Items {
        return Ok(None);
    }
    let head = ItemsHead::parse(body).ok_or_else(|| frame::broken("replies that are cut off"))?;
    Ok(Some(head.0))
}

fn timespec(time: Duration) -> Timespec {
    let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}
