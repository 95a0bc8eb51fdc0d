//! [`TaskLoop`]: receives tasks, runs them and answers, one after the other.
//!
//! It is the one loop of a worker: all of its methods share the reader, the socket and the replies that are kept.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::net::RecvFlags;

use super::call::call;
use super::contexts::Contexts;
use super::exit::{LOST, complain};
use super::handoff::Handoff;
use super::item_replies::ItemReplies;
use super::outgoing::{send_all, send_descriptor};
use crate::bytes::OutOfBand;
use crate::error::{Broken, Error, TooLarge};
use crate::id::FutureId;
use crate::process::os;
use crate::process::out_of_memory;
use crate::process::program::call::name_of;
use crate::process::protocol::frame::{self, HEADER, Header, Kind, TaskHead, put};
use crate::process::protocol::reader::Reader;
use crate::process::protocol::reply;
use crate::process::protocol::setup::{Initializer, Setup};
use crate::process::shm::segments::{SegmentRef, WorkerOutOfBand, message_size};
use crate::process::shm::table::{self, JOURNAL, TRIES, TaskTable};
use crate::task::context;
use crate::task::encoded::Written;
use crate::task::trace::{SUBSCRIBER, TaskSpan};
use crate::unwind::{catch_and_log, drop_caught};

/// How much of the memory that a result needed is kept.
pub(super) const KEPT: usize = 1 << 20;

/// The state of a worker, for whichever of its threads runs the tasks.
pub(super) struct TaskLoop {
    pub(super) socket: Arc<OwnedFd>,
    pub(super) reader: Reader,
    pub(super) table: &'static TaskTable,
    max_message_size: u64,
    /// The memory of the last reply, for reuse.
    reply: Vec<u8>,
    /// The result of the last task, until it is sent.
    due: Option<PendingReply>,
    pub(super) carriage: Arc<WorkerOutOfBand>,
    pub(super) out_of_band: Arc<dyn OutOfBand>,
    pub(super) contexts: Contexts,
    /// The segments that the pool has descriptors of.
    announced: HashSet<u32>,
    /// How many segments went out with replies.
    handed_over: u64,
    /// The pool's send counter when something was last received.
    seen: u64,
}

/// The result of a task that has run, not sent yet.
struct PendingReply {
    slot: u8,
    sequence: u64,
    /// `true` if the worker has reported the start through the socket, so that the reply must follow there.
    is_observed: bool,
    result: RunResult,
}

enum RunResult {
    One {
        kind: Kind,
        /// The encoded result, behind room for the header.
        bytes: Vec<u8>,
        /// The segments that go along.
        taken: Vec<u32>,
        /// Set if the task has kept bytes of the pool's segments.
        kept: bool,
    },
    /// The replies of a chunk or batch that were not sent yet.
    Items(ItemReplies),
}

impl TaskLoop {
    /// Receives the setup, and the task table that comes with it.
    pub(super) fn begin(socket: &Arc<OwnedFd>) -> io::Result<(Box<Self>, Setup)> {
        let mut reader = Reader::new(u64::MAX);
        let body = loop {
            if let Some((_, body)) = reader.next()? {
                break body;
            }
            if reader.fill(socket.as_fd(), RecvFlags::empty())? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        // Leaked for the life of the process: a signal handler may use it after everything else is dropped.
        let table: &'static TaskTable = Box::leak(Box::new(TaskTable::map(reader.descriptor()?)?));
        let setup: Setup =
            postcard::from_bytes(reader.body(body)).map_err(|_| frame::broken("a setup that cannot be read"))?;
        let carriage = Arc::<WorkerOutOfBand>::default();
        let task_loop = Self {
            socket: Arc::clone(socket),
            reader,
            table,
            max_message_size: setup.1,
            reply: Vec::new(),
            due: None,
            out_of_band: Arc::clone(&carriage) as _,
            carriage,
            contexts: Contexts::default(),
            announced: HashSet::new(),
            handed_over: 0,
            seen: 0,
        };
        Ok((Box::new(task_loop), setup))
    }

    /// Sets the worker up. If it fails, reports that to the pool and returns the exit code.
    pub(super) fn set_up(&mut self, setup: Setup) -> Option<i32> {
        let (_, _, memory_limit, initializer) = setup;
        if let Err(error) = self.prepare(memory_limit, initializer) {
            self.say(Kind::Unfit, &reply::to_bytes(&error));
            drop_caught(error);
            return Some(0);
        }
        self.say(Kind::Ready, &[]);
        None
    }

    /// Runs tasks until no more will come, and returns the exit code. Returns `None` if another thread has taken the
    /// loop during a flush.
    pub(super) fn serve(mut self: Box<Self>, handoff: &Handoff<Self>) -> Option<i32> {
        loop {
            if let Some(reply) = self.due.take() {
                self.answer(reply);
            }
            match self.reader.next() {
                Ok(Some((header, body))) => match header.kind {
                    Kind::Task => {
                        self.due = self.perform(header, body);
                        if self.due.is_some() {
                            // Output is visible before the result is.
                            self = handoff.flush(self)?;
                        }
                    }
                    Kind::Segment => {
                        if let Err(error) = self.learn(header) {
                            return Some(self.lost(&error));
                        }
                    }
                    Kind::Forget => self.carriage.forget(header.sequence as u32),
                    Kind::Context => self.contexts.add(header.sequence, self.reader.body(body)),
                    Kind::Drop => self.contexts.drop(header.sequence),
                    _ => {}
                },
                Ok(None) => match self.receive() {
                    Ok(0) => return Some(0),
                    Ok(_) => {}
                    Err(error) => return Some(self.lost(&error)),
                },
                Err(error) => return Some(self.lost(&error)),
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        for _ in 0..TRIES {
            if !self.table.look_for_order(&mut self.seen) {
                break;
            }
            match self.reader.fill(self.socket.as_fd(), RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
        self.reader.fill(self.socket.as_fd(), RecvFlags::empty())
    }

    fn prepare(&mut self, memory_limit: Option<u64>, initializer: Option<Initializer>) -> Result<(), Error> {
        if let Some(bytes) = memory_limit {
            os::limit_memory(bytes).map_err(|error| {
                Error::Broken(Broken::new(format!("the memory of a worker cannot be limited: {error}")))
            })?;
            out_of_memory::watch(self.table);
        }
        if let Some((enter, function, argument)) = initializer {
            call(enter, function, None, &argument, &mut Vec::new(), &self.out_of_band)?;
        }
        Ok(())
    }

    fn say(&self, kind: Kind, body: &[u8]) {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, 0, 0, body);
        send_all(&self.socket, &bytes);
    }

    fn lost(&self, error: &io::Error) -> i32 {
        if error.kind() == io::ErrorKind::OutOfMemory {
            self.table.shortage().store(std::process::id().into(), Ordering::Release);
        }
        complain(&format!("a worker process lost its connection: {error}"));
        LOST
    }

    /// Runs a task, unless it was taken back.
    fn perform(&mut self, header: Header, body: std::ops::Range<usize>) -> Option<PendingReply> {
        let Header { slot, sequence, .. } = header;
        let now = table::now();
        if !self.table.slots().start(slot, sequence, now) {
            return None;
        }
        if header.observed {
            let mut started = Vec::new();
            put(&mut started, Kind::Started, slot, sequence, &now.to_le_bytes());
            send_all(&self.socket, &started);
        }
        let bytes = std::mem::take(&mut self.reply);
        let (head, argument) = TaskHead::parse(self.reader.body(body))?;
        let id = FutureId::from_u64(head.id);
        let function = || name_of(head.function).map_or("a function".into(), Cow::Owned);
        let span = TaskSpan::in_worker(id, function);
        let mut entered = None;
        catch_and_log(SUBSCRIBER, || entered = Some(span.enter()));
        let result = context::enter_remote(id, || match head.items {
            0 => self.one(head, argument, bytes),
            _ => RunResult::Items(self.many(head, argument, slot, sequence, bytes)),
        });
        drop_caught(entered);
        Some(PendingReply { slot, sequence, is_observed: header.observed, result })
    }

    /// Sends the result of a task.
    fn answer(&mut self, reply: PendingReply) {
        let PendingReply { slot, sequence, is_observed, result } = reply;
        if !self.table.slots().finish(slot, sequence) {
            // The pool has decided to kill this process.
            loop {
                std::thread::park();
            }
        }
        let (bytes, taken) = match result {
            RunResult::Items(replies) => (replies.finish(), Vec::new()),
            RunResult::One { kind, mut bytes, taken, kept } => {
                let header = Header::new(kind, slot, sequence, bytes.len() - HEADER);
                let header = Header { segments: taken.len() as u8, kept, ..header };
                bytes[..HEADER].copy_from_slice(&header.to_bytes());
                self.send(slot, &bytes, &taken, !is_observed);
                (bytes, taken)
            }
        };
        self.reply = bytes;
        // Only an empty one gives up all that it should not keep.
        self.reply.clear();
        self.reply.shrink_to(KEPT);
        self.handed_over += taken.len() as u64;
        self.announced.extend(&taken);
        self.carriage.store.hand_over(&taken, self.handed_over);
        for number in self.carriage.store.trim() {
            self.announced.remove(&number);
            let mut forget = Vec::new();
            put(&mut forget, Kind::Forget, 0, number.into(), &[]);
            send_all(&self.socket, &forget);
        }
    }

    /// Sends a frame after the segments that go with it. Uses the mailbox if `may_post` is set and the frame fits.
    fn send(&self, slot: u8, bytes: &[u8], taken: &[u32], may_post: bool) {
        for SegmentRef { number, memory, .. } in self.carriage.store.references(taken) {
            if !self.announced.contains(&number) {
                send_descriptor(&self.socket, number, &memory);
            }
        }
        // A frame with segments must follow their descriptors on the socket.
        let posted = if may_post && taken.is_empty() { self.table.post(slot, bytes) } else { None };
        match posted {
            Some(true) => self.say(Kind::Bell, &[]),
            Some(false) => {}
            None => {
                send_all(&self.socket, bytes);
            }
        }
    }

    /// Maps a segment of the pool.
    fn learn(&mut self, header: Header) -> io::Result<()> {
        let memory = self.reader.descriptor()?;
        self.carriage.learn(header.sequence as u32, memory);
        Ok(())
    }

    /// Returns `true` if the task has kept bytes of the pool's segments.
    pub(super) fn has_kept(&self) -> bool {
        let read = std::mem::take(&mut *self.carriage.read.lock());
        !read.is_empty() && self.carriage.known.are_kept(&read)
    }

    fn one(&self, head: TaskHead, argument: &[u8], mut bytes: Vec<u8>) -> RunResult {
        bytes.resize(HEADER, 0);
        self.carriage.store.collected(self.table.collected());
        self.carriage.room.store(u8::MAX, Ordering::Relaxed);
        let context = self.contexts.find(head.context);
        let made = call(head.enter, head.function, context, argument, &mut bytes, &self.out_of_band);
        let (kind, taken) = match made.and_then(|taken| self.sized(bytes.len() - HEADER, taken)) {
            Ok(taken) => (Kind::Value, taken),
            Err(error) => {
                bytes.truncate(HEADER);
                bytes.extend_from_slice(&self.fault(error));
                (Kind::Fault, Vec::new())
            }
        };
        RunResult::One { kind, bytes, taken, kept: self.has_kept() }
    }

    /// Encodes an error, or [`Error::TooLarge`] if it is too long. A message may be as long as a result. The error may
    /// contain a user's, whose drop must not end the worker.
    pub(super) fn fault(&self, error: Error) -> Vec<u8> {
        let bytes = reply::to_bytes(&error);
        drop_caught(error);
        let (size, limit) = (bytes.len() as u64, self.max_message_size.max(JOURNAL as u64));
        if size > limit { reply::to_bytes(&Error::TooLarge(TooLarge::new(size, limit))) } else { bytes }
    }

    /// Returns `taken`, the numbers of the segments of a reply of this length. If the reply is too long with them, releases
    /// the segments and returns an error.
    pub(super) fn sized(&self, length: usize, taken: Vec<u32>) -> Written {
        let segments = if taken.is_empty() { Vec::new() } else { self.carriage.store.references(&taken) };
        match message_size(length, &segments) {
            size if size > self.max_message_size => {
                self.carriage.store.release(&segments, false);
                Err(Error::TooLarge(TooLarge::new(size, self.max_message_size)))
            }
            _ => Ok(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::Bytes;
    use crate::process::connection::Connection;
    use crate::process::program::call::FunctionAddress;
    use crate::task::encoded::Entry;
    use crate::task::function::Infallible;

    /// Returns a task loop that runs in this process, and the pool's end of its connection.
    fn task_loop() -> (Box<TaskLoop>, Connection) {
        let setup: Setup = ("a worker".into(), u64::MAX, None, None);
        let mut frame = Vec::new();
        put(&mut frame, Kind::Setup, 0, 0, &postcard::to_stdvec(&setup).unwrap());
        let (connection, theirs) = Connection::new(frame).unwrap();
        assert!(!connection.flush());
        (TaskLoop::begin(&Arc::new(theirs)).unwrap().0, connection)
    }

    fn zeros(length: usize) -> Bytes {
        vec![0; length].into()
    }

    #[test]
    fn a_segment_is_used_again_only_after_the_pool_has_copied_it() {
        let (mut task_loop, connection) = task_loop();
        let mut reader = Reader::new(u64::MAX);
        let call = FunctionAddress::of(Entry::of(&Infallible(zeros as fn(usize) -> Bytes))).unwrap();
        let mut announced = Vec::new();
        for (sequence, collected) in [(1, 0), (2, 0), (3, 2)] {
            connection.table.collect(collected);
            connection.table.slots().ready(0, sequence, None);
            let head =
                TaskHead { id: sequence, enter: call.enter, function: call.function, context: 0, items: 0, first: 0 };
            let body = [&head.to_bytes()[..], &postcard::to_stdvec(&(1_usize << 20)).unwrap()].concat();
            let mut task = Vec::new();
            put(&mut task, Kind::Task, 0, sequence, &body);
            send(connection.socket(), &task, SendFlags::empty()).unwrap();
            task_loop.receive().unwrap();
            let (header, body) = task_loop.reader.next().unwrap().unwrap();
            let reply = task_loop.perform(header, body).unwrap();
            task_loop.answer(reply);
            loop {
                match reader.next().unwrap() {
                    Some((header, _)) if header.kind == Kind::Segment => announced.push(sequence),
                    Some((header, _)) => {
                        assert_eq!((header.kind, header.segments), (Kind::Value, 1));
                        break;
                    }
                    None => assert_ne!(reader.receive(connection.socket()).unwrap(), 0),
                }
            }
        }
        assert_eq!(announced, [1, 2]);
    }
}
