//! What a worker process does: it says hello, gets set up, and runs one task after the other until no more will come.
//!
//! One thread, named as a worker, receives, runs and answers; [`runner`] says what others there are, to be there when it is not. The
//! main thread waits for the parent to go away; then the process ends, whatever the others are in the middle of.
#![forbid(unsafe_code)]

mod chunk;
pub(super) mod outgoing;
mod runner;

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::net::RecvFlags;

use super::os;
use super::out_of_memory;
use super::program::call::{FunctionAddress, Made};
use super::program::fork;
use super::program::image::image;
use super::protocol::frame::{self, HEADER, Header, Kind, Reader, TaskHead, put};
use super::protocol::reply;
use super::shm::segments::{SegmentRef, WorkerOutOfBand};
use super::shm::table::{self, JOURNAL, TRIES, TaskTable};
use crate::bytes::OutOfBand;
use crate::error::{Decode, Error, Part, TooLarge};
use crate::id::FutureId;
use crate::{panics, task};
use chunk::Batch;
use outgoing::{send_all, send_descriptor};

/// The code a worker exits with that lost its connection.
pub(super) const LOST: i32 = 74;

/// What a pool tells a new worker: its name, the longest argument or result, the bytes of address space it may take in
/// addition, and the initializer.
pub(super) type Setup = (String, u64, Option<u64>, Option<Initializer>);

/// The two functions of a call, and the encoded argument.
pub(super) type Initializer = (u64, u64, Vec<u8>);

/// What a worker keeps of the memory that a result needed.
const KEPT: usize = 1 << 20;

pub(super) fn main(socket: OwnedFd) -> ! {
    panics::install_hook();
    let socket = Arc::new(socket);
    let mut hello = Vec::new();
    put(&mut hello, Kind::Hello, 0, 0, image().build_id());
    send_all(&socket, &hello);
    let begun = begin(&socket).and_then(|(mut worker, setup)| {
        // It came with the setup, behind the task table.
        let lifeline = worker.reader.descriptor().ok();
        runner::start(worker, setup)?;
        Ok(lifeline)
    });
    match begun {
        Ok(lifeline) => {
            os::outlive(&socket, lifeline);
            os::end_group();
        }
        Err(error) => complain(&format!("a worker process cannot begin: {error}")),
    }
    // Whatever a task is in the middle of: what runs at a proper exit could wait for that.
    fork::exit_at_once(LOST)
}

/// Ends the process, and before it what tasks have started: the pool would, but it may be gone before it has seen our end.
fn leave(code: i32) -> ! {
    os::end_rest_of_group();
    std::process::exit(code)
}

/// Receives the setup, and the task table that come with it.
fn begin(socket: &Arc<OwnedFd>) -> io::Result<(Box<Worker>, Setup)> {
    let mut reader = Reader::new(u64::MAX);
    let body = loop {
        if let Some((_, body)) = reader.next()? {
            break body;
        }
        if reader.fill(socket.as_fd(), RecvFlags::empty())? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    // For as long as the process lives, which is as long as the worker does: a signal may come later than anything is dropped.
    let table: &'static TaskTable = Box::leak(Box::new(TaskTable::map(reader.descriptor()?)?));
    let setup: Setup =
        postcard::from_bytes(reader.body(body)).map_err(|_| frame::broken("a setup that cannot be read"))?;
    let carriage = Arc::<WorkerOutOfBand>::default();
    let worker = Worker {
        socket: Arc::clone(socket),
        reader,
        table,
        max_message_size: setup.1,
        reply: Vec::new(),
        due: None,
        out_of_band: Arc::clone(&carriage) as _,
        carriage,
        announced: HashSet::new(),
        handed_over: 0,
        seen: 0,
    };
    Ok((Box::new(worker), setup))
}

struct Worker {
    socket: Arc<OwnedFd>,
    reader: Reader,
    table: &'static TaskTable,
    max_message_size: u64,
    /// The memory of the last reply, for the next.
    reply: Vec<u8>,
    /// What a task has come to, until it is sent.
    due: Option<Reply>,
    carriage: Arc<WorkerOutOfBand>,
    out_of_band: Arc<dyn OutOfBand>,
    /// The segments that the pool has a descriptor of.
    announced: HashSet<u32>,
    /// How many went out with replies.
    handed_over: u64,
    /// How often the pool had sent something when that was last received.
    seen: u64,
}

/// What is to be said of a task that has run.
struct Reply {
    slot: u8,
    sequence: u64,
    outcome: Outcome,
}

enum Outcome {
    One {
        kind: Kind,
        /// Behind the room for the header.
        bytes: Vec<u8>,
        /// The segments that go along.
        taken: Vec<u32>,
        /// It has kept bytes of the pool's segments.
        kept: bool,
    },
    /// What was not sent of a chunk.
    Items(Batch),
}

impl Worker {
    /// Gets ready. If it cannot, it says so, and the code to exit with is returned.
    fn set_up(&mut self, setup: Setup) -> Option<i32> {
        let (_, _, memory_limit, initializer) = setup;
        if let Err(error) = self.prepare(memory_limit, initializer) {
            self.say(Kind::Unfit, &reply::to_bytes(&error));
            return Some(0);
        }
        self.say(Kind::Ready, &[]);
        None
    }

    /// Runs tasks until no more will come; then the code to exit with. `None`: another thread has taken the worker, in the middle
    /// of a flush.
    fn serve(mut self: Box<Self>, desk: &runner::Desk) -> Option<i32> {
        loop {
            if let Some(reply) = self.due.take() {
                self.answer(reply);
            }
            match self.reader.next() {
                Ok(Some((header, body))) => match header.kind {
                    Kind::Task => {
                        self.due = self.perform(header, body);
                        if self.due.is_some() {
                            // Whoever sees the result also sees what was printed.
                            self = desk.flush(self)?;
                        }
                    }
                    Kind::Segment => {
                        if let Err(error) = self.learn(header) {
                            return Some(self.lost(&error));
                        }
                    }
                    Kind::Forget => self.carriage.forget(header.sequence as u32),
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
                Error::Broken(crate::Broken::new(format!("the memory of a worker cannot be limited: {error}")))
            })?;
            out_of_memory::watch(self.table);
        }
        if let Some((enter, function, argument)) = initializer {
            call(enter, function, &argument, Vec::new(), &self.out_of_band)?;
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
    fn perform(&mut self, header: Header, body: std::ops::Range<usize>) -> Option<Reply> {
        let Header { slot, sequence, .. } = header;
        if !self.table.words().start(slot, sequence, table::now()) {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.reply);
        bytes.clear();
        let (head, argument) = TaskHead::parse(self.reader.body(body))?;
        let id = FutureId::from_u64(head.id);
        let outcome = task::enter_remote(id, || match head.items {
            0 => self.one(head, argument, bytes),
            _ => Outcome::Items(self.many(head, argument, slot, sequence, bytes)),
        });
        Some(Reply { slot, sequence, outcome })
    }

    /// Sends what a task has come to.
    fn answer(&mut self, reply: Reply) {
        let Reply { slot, sequence, outcome } = reply;
        if !self.table.words().finish(slot, sequence) {
            // The pool has decided to kill this process.
            loop {
                std::thread::park();
            }
        }
        let (bytes, taken) = match outcome {
            Outcome::Items(batch) => (batch.finish(self), Vec::new()),
            Outcome::One { kind, mut bytes, taken, kept } => {
                let header = Header::new(kind, slot, sequence, bytes.len() - HEADER);
                let header = Header { segments: taken.len() as u8, kept, ..header };
                bytes[..HEADER].copy_from_slice(&header.to_bytes());
                self.send(slot, &bytes, &taken);
                (bytes, taken)
            }
        };
        self.reply = bytes;
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

    /// Sends a frame behind the segments that go along, by the shortest way.
    fn send(&self, slot: u8, bytes: &[u8], taken: &[u32]) {
        for SegmentRef { number, memory, .. } in self.carriage.store.references(taken) {
            if !self.announced.contains(&number) {
                send_descriptor(&self.socket, number, &memory);
            }
        }
        // What needs descriptors comes behind them.
        let posted = if taken.is_empty() { self.table.post(slot, bytes) } else { None };
        match posted {
            Some(true) => self.say(Kind::Bell, &[]),
            Some(false) => {}
            None => {
                send_all(&self.socket, bytes);
                self.table.note_answer();
            }
        }
    }

    /// Maps a segment of the pool.
    fn learn(&mut self, header: Header) -> io::Result<()> {
        let memory = self.reader.descriptor()?;
        self.carriage.learn(header.sequence as u32, memory);
        Ok(())
    }

    /// Has a task kept bytes of the pool's segments?
    fn has_kept(&self) -> bool {
        let read = std::mem::take(&mut *self.carriage.read.lock());
        !read.is_empty() && self.carriage.known.are_kept(&read)
    }

    fn one(&self, head: TaskHead, argument: &[u8], mut bytes: Vec<u8>) -> Outcome {
        bytes.resize(HEADER, 0);
        self.carriage.store.collected(self.table.collected());
        self.carriage.room.store(u8::MAX, Ordering::Relaxed);
        let made = call(head.enter, head.function, argument, bytes, &self.out_of_band);
        let (kind, (bytes, taken)) = match made.and_then(|(bytes, taken)| self.sized(bytes, taken)) {
            Ok(made) => (Kind::Value, made),
            Err(error) => {
                let mut bytes = vec![0; HEADER];
                bytes.extend_from_slice(&self.fault(&error));
                (Kind::Fault, (bytes, Vec::new()))
            }
        };
        Outcome::One { kind, bytes, taken, kept: self.has_kept() }
    }

    /// An error as bytes, unless that is too long: a message may be as long as a result.
    fn fault(&self, error: &Error) -> Vec<u8> {
        let bytes = reply::to_bytes(error);
        let (size, limit) = (bytes.len() as u64, self.max_message_size.max(JOURNAL as u64));
        if size > limit { reply::to_bytes(&Error::TooLarge(TooLarge::new(size, limit))) } else { bytes }
    }

    /// Refuses a reply that is too long.
    fn sized(&self, bytes: Vec<u8>, taken: Vec<u32>) -> Made {
        let segments = if taken.is_empty() { Vec::new() } else { self.carriage.store.references(&taken) };
        let size = bytes.len() - HEADER + segments.iter().map(|segment| segment.length).sum::<usize>();
        match size as u64 {
            size if size > self.max_message_size => {
                self.carriage.store.release(&segments, false);
                Err(Error::TooLarge(TooLarge::new(size, self.max_message_size)))
            }
            _ => Ok((bytes, taken)),
        }
    }
}

/// Calls a function of the program. A forked copy of the worker that comes back from it ends here: the pool knows nothing of it, and it
/// would run and answer the worker's tasks as well.
fn call(enter: u64, function: u64, argument: &[u8], reply: Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Made {
    let worker = std::process::id();
    let made = FunctionAddress::make(enter, function, argument, reply, out_of_band);
    if std::process::id() != worker {
        fork::exit_at_once(0);
    }
    made.unwrap_or_else(|| {
        let message = "there is no such function in the program of the worker";
        Err(Error::Decode(Decode::new(Part::Function, message)))
    })
}

/// There is no logger in a worker that nobody has set. A thread of a task's may keep standard error locked, so this asks for no lock.
fn complain(text: &str) {
    let _ = rustix::io::write(io::stderr(), format!("concurrent-futures: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::Bytes;
    use crate::process::connection::Connection;
    use crate::task::call::Infallible;

    /// One that runs what it is told to in this process, and the pool's end.
    fn worker() -> (Box<Worker>, Connection) {
        let setup: Setup = ("a worker".into(), u64::MAX, None, None);
        let mut frame = Vec::new();
        put(&mut frame, Kind::Setup, 0, 0, &postcard::to_stdvec(&setup).unwrap());
        let (connection, theirs) = Connection::new(frame).unwrap();
        assert!(!connection.flush());
        (begin(&Arc::new(theirs)).unwrap().0, connection)
    }

    fn zeros(length: usize) -> Bytes {
        vec![0; length].into()
    }

    #[test]
    fn a_segment_is_used_again_when_the_pool_has_copied_it_and_not_before() {
        let (mut worker, connection) = worker();
        let mut reader = Reader::new(u64::MAX);
        let call = FunctionAddress::of(Infallible(zeros as fn(usize) -> Bytes)).unwrap();
        let mut announced = Vec::new();
        for (sequence, collected) in [(1, 0), (2, 0), (3, 2)] {
            connection.table.collect(collected);
            connection.table.words().ready(0, sequence, None);
            let head = TaskHead { id: sequence, enter: call.enter, function: call.function, items: 0, first: 0 };
            let body = [&head.to_bytes()[..], &postcard::to_stdvec(&(1_usize << 20)).unwrap()].concat();
            let mut task = Vec::new();
            put(&mut task, Kind::Task, 0, sequence, &body);
            send(connection.socket(), &task, SendFlags::empty()).unwrap();
            worker.receive().unwrap();
            let (header, body) = worker.reader.next().unwrap().unwrap();
            let reply = worker.perform(header, body).unwrap();
            worker.answer(reply);
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
