//! What a worker says: frames, and the tasks that they end.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Link, Stage};
use crate::error::{Broken, Error};
use crate::process::program::entry;
use crate::process::program::image::image;
use crate::process::protocol::frame::{self, Header, ItemsHead, Kind};
use crate::process::protocol::reader::Reader;
use crate::process::protocol::reply;
use crate::process::scheduler::{Answered, Next};
use crate::process::shm::segments::Mapping;
use crate::process::task::RemoteTask;

/// A frame that is the end of a task, or a part of it.
pub(super) struct Answer {
    pub(super) header: Header,
    pub(super) body: Range<usize>,
    pub(super) items: Option<ItemsHead>,
    /// Whose it is.
    pub(super) remote: Option<Arc<RemoteTask>>,
}

impl Link<'_> {
    /// Reads once, and takes what that completed.
    pub(super) fn receive(&mut self) {
        match self.reader.receive(self.connection.socket()) {
            Ok(0) => self.hang_up(),
            Ok(_) => self.parse_or_kill(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::OutOfMemory) => {
                self.complain(Error::Broken(Broken::new(format!("what a worker process sent is lost: {error}"))));
                self.kill();
            }
            Err(_) => self.hang_up(),
        }
    }

    /// Takes what is there, if it makes sense.
    pub(super) fn parse_or_kill(&mut self) {
        if let Err(error) = self.parse() {
            // A task has damaged its worker: there is no telling what it would send next.
            self.complain(Error::Broken(Broken::new(format!("a worker process sent {error}"))));
            self.kill();
        }
    }

    /// Takes what is there. Answers are settled also where what comes after them makes no sense.
    pub(super) fn parse(&mut self) -> io::Result<()> {
        self.take_mail()?;
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(0));
        let taken = self.take_frames(&mut reader);
        self.settle(reader.buffer());
        self.reader = reader;
        taken
    }

    /// Takes what came without the socket.
    fn take_mail(&mut self) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.mail);
        bytes.clear();
        let (connection, answers) = (&self.connection, &mut self.answers);
        let read = || {
            let mut taken = Ok(());
            for letter in connection.table.take_mail(&mut bytes) {
                match letter {
                    Some((header, body))
                        if matches!(header.kind, Kind::Value | Kind::Fault) && header.segments == 0 =>
                    {
                        answers.push(Answer { header, body, items: None, remote: None });
                    }
                    _ => taken = Err(frame::broken("a letter that cannot be read")),
                }
            }
            taken
        };
        let taken = match self.is_dead {
            false => connection.right.read(connection.table.mail(), read).unwrap_or(Ok(())),
            true => connection.right.read_last(read),
        };
        // In the order in which it ran them.
        self.answers.sort_unstable_by_key(|answer| answer.header.sequence);
        self.settle(&bytes);
        self.mail = bytes;
        taken
    }

    fn take_frames(&mut self, reader: &mut Reader) -> io::Result<()> {
        while let Some((header, body)) = reader.next()? {
            match (self.stage, header.kind) {
                (Stage::Spawned, Kind::Hello) => {
                    if reader.body(body) != image().build_id() {
                        // So would be all others.
                        self.is_unfit = true;
                        return Err(frame::broken("the hello of another build of the program"));
                    }
                    entry::note_hello();
                    self.pool.decide(|scheduler, _| scheduler.is_first_try = false);
                    self.stage = Stage::SettingUp;
                    self.said_hello = true;
                    if self.pool.settings.initializer.is_some() {
                        // That may take as long as it likes.
                        self.alarm = None;
                    }
                }
                (Stage::SettingUp, Kind::Ready) => {
                    let (connection, table) = (Arc::clone(&self.connection), Arc::clone(&self.connection.table));
                    self.stage = Stage::Serving;
                    self.was_ready = true;
                    let mut orders = std::mem::take(&mut self.orders);
                    // In one decision: in between, another worker would be started for the task that this one is for.
                    let next = self.pool.decide(|scheduler, now| {
                        scheduler.ready(self.id, connection, table, now);
                        scheduler.refill(self.id, false, now, &mut orders)
                    });
                    self.orders = orders;
                    self.proceed(next);
                    if self.pool.settings.max_tasks_per_worker.is_some() {
                        // One that waited for its replacement may leave.
                        self.pool.ring_all();
                    }
                }
                (Stage::SettingUp, Kind::Unfit) => {
                    let error = reply::from_bytes(reader.body(body));
                    self.complain(error);
                    self.is_unfit = true;
                    self.stage = Stage::Ending;
                    self.alarm = self.until_gone();
                }
                // Too late: it is to leave.
                (Stage::Ending, Kind::Hello | Kind::Ready | Kind::Unfit) => {}
                (Stage::Serving | Stage::Ending, Kind::Segment) => {
                    if self.known.is_full() {
                        return Err(frame::broken("more segments than it may have"));
                    }
                    let memory = reader.descriptor()?;
                    let number = u32::try_from(header.sequence).map_err(|_| frame::broken("a segment of no number"))?;
                    self.known.add(number, Mapping::of_peer(memory)?);
                }
                (Stage::Serving | Stage::Ending, Kind::Forget) => {
                    self.known.forget(u32::try_from(header.sequence).unwrap_or(u32::MAX));
                }
                (Stage::Serving | Stage::Ending, Kind::Value | Kind::Fault | Kind::Items) => {
                    self.answered(header, reader.body(body.clone()), body)?;
                }
                // It was read before this.
                (_, Kind::Bell) => {}
                (stage, kind) => return Err(frame::broken(&format!("a frame of kind {kind:?} while {stage:?}"))),
            }
        }
        Ok(())
    }

    fn answered(&mut self, header: Header, bytes: &[u8], body: Range<usize>) -> io::Result<()> {
        let items = match header.kind {
            Kind::Items => {
                let head = ItemsHead::parse(bytes);
                Some(head.ok_or_else(|| frame::broken("replies that are cut off"))?.0)
            }
            _ => None,
        };
        self.answers.push(Answer { header, body, items, remote: None });
        Ok(())
    }

    /// Takes the answered tasks from the worker, gives it new ones, and then completes the answered.
    fn settle(&mut self, buffer: &[u8]) {
        if self.answers.is_empty() {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        let mut orders = std::mem::take(&mut self.orders);
        let next = self.pool.decide(|scheduler, now| {
            let since = scheduler.since(self.id, now);
            let mut ended = 0;
            for answer in &mut answers {
                let Header { slot, sequence, .. } = answer.header;
                let last = answer.items.is_none_or(|head| head.last);
                answer.remote = scheduler.settle(self.id, Answered { slot, sequence, last }, now);
                ended += u32::from(last);
            }
            let took = now.saturating_duration_since(since);
            scheduler.observe(self.id, ended, took);
            for remote in answers.iter().filter_map(|answer| answer.remote.as_ref()) {
                remote.note_time(took / ended.max(1));
            }
            if self.is_dead { Next::End } else { scheduler.refill(self.id, false, now, &mut orders) }
        });
        self.orders = orders;
        self.proceed(next);
        for answer in answers.drain(..) {
            self.deliver(answer, buffer);
        }
        self.answers = answers;
    }

    fn deliver(&mut self, answer: Answer, buffer: &[u8]) {
        let Answer { header, body, items, remote } = answer;
        // There is none if it is an answer to a task that the worker does not have.
        if let Some(remote) = remote {
            if header.kept {
                remote.kept.store(true, Ordering::Relaxed);
            }
            let carries = !remote.segments.is_empty();
            self.complete(remote, header, items, &buffer[body]);
            if carries {
                self.pool.trim_segments();
            }
        }
        if header.segments > 0 {
            self.collected += u64::from(header.segments);
            self.connection.table.collect(self.collected);
        }
    }

    fn complete(&mut self, remote: Arc<RemoteTask>, header: Header, items: Option<ItemsHead>, body: &[u8]) {
        match (items, &remote.items) {
            (None, None) => remote.complete(header.kind, body, &self.out_of_band),
            (Some(head), Some(_)) if remote.note(head.first, head.count, &body[ItemsHead::LENGTH..]) => {
                if !head.last {
                    return;
                }
                // What is missing was taken back.
                remote.fail(&Error::Cancelled);
            }
            // It has the task still, and may have more to say of it: that is over when the worker is.
            (Some(head), _) if !head.last => {
                self.complain(unreadable());
                self.kill();
            }
            _ => remote.fail(&unreadable()),
        }
    }
}

fn unreadable() -> Error {
    Error::Broken(Broken::new("a worker process sent a reply that cannot be read"))
}
