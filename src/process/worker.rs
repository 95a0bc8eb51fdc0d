//! What a worker process does: it says hello, gets set up, and runs one task after the other until no more will come.
//!
//! Two threads: one, named as a worker, receives, runs and answers. The main thread waits for the parent to go away; then the
//! process ends, whatever the other is in the middle of.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::call::Call;
use super::frame::{self, HEADER, Header, ITEM_OVERHEAD, ItemsHead, Kind, Reader, TaskHead, put, put_item};
use super::image::image;
use super::reply;
use super::slots::{JOURNAL, Slots};
use crate::error::{Decode, Error, Part, TooLarge};
use crate::id::FutureId;
use crate::{panics, task};

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
    let begun = begin(&socket).and_then(|(worker, setup)| {
        let name = setup.0.clone();
        std::thread::Builder::new().name(name).spawn(move || {
            // Nothing of a task's comes through here; if it does, the worker must not stand there as if it was at work.
            let run = AssertUnwindSafe(|| worker.run(setup));
            let code = panic::catch_unwind(run).unwrap_or_else(|_| std::process::abort());
            std::process::exit(code)
        })
    });
    if let Err(error) = begun {
        complain(&format!("a worker process cannot begin: {error}"));
        std::process::exit(LOST);
    }
    // No event is asked for: what comes unasked is that the other end is gone.
    while let Err(Errno::INTR) = poll(&mut [PollFd::new(&*socket, PollFlags::empty())], None) {}
    std::process::exit(LOST)
}

/// Receives the setup, and the slots that come with it.
fn begin(socket: &Arc<OwnedFd>) -> io::Result<(Worker, Setup)> {
    let mut reader = Reader::new(u64::MAX);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0; HEADER];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(socket, &mut [io::IoSliceMut::new(&mut first)], &mut control, flags) {
            Err(Errno::INTR) => {}
            received => break received?.bytes,
        }
    };
    reader.push(&first[..received]);
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let slots = Slots::map(descriptor.ok_or_else(|| frame::broken("no slots came with the setup"))?)?;
    let body = loop {
        if let Some((_, body)) = reader.next()? {
            break body;
        }
        if reader.fill(socket.as_fd(), RecvFlags::empty())? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let setup: Setup =
        postcard::from_bytes(reader.body(body)).map_err(|_| frame::broken("a setup that cannot be read"))?;
    let worker = Worker { socket: Arc::clone(socket), reader, slots, max_frame: setup.1, reply: Vec::new() };
    Ok((worker, setup))
}

struct Worker {
    socket: Arc<OwnedFd>,
    reader: Reader,
    slots: Slots,
    max_frame: u64,
    /// The memory of the last reply, for the next.
    reply: Vec<u8>,
}

impl Worker {
    /// Runs tasks until no more will come; then the code to exit with.
    fn run(mut self, setup: Setup) -> i32 {
        let (_, max_frame, memory_limit, initializer) = setup;
        self.reader.set_limit(max_frame.saturating_add(frame::OVERHEAD));
        if let Err(error) = self.prepare(memory_limit, initializer) {
            self.say(Kind::Unfit, &reply::to_bytes(&error));
            return 0;
        }
        self.say(Kind::Ready, &[]);
        loop {
            match self.reader.next() {
                Ok(Some((header, body))) => self.perform(header, body),
                Ok(None) => match self.reader.fill(self.socket.as_fd(), RecvFlags::empty()) {
                    Ok(0) => return 0,
                    Ok(_) => {}
                    Err(error) => return self.lost(&error),
                },
                Err(error) => return self.lost(&error),
            }
        }
    }

    fn prepare(&mut self, memory_limit: Option<u64>, initializer: Option<Initializer>) -> Result<(), Error> {
        if let Some(bytes) = memory_limit {
            limit_memory(bytes).map_err(|error| {
                Error::Broken(crate::Broken::new(format!("the memory of a worker cannot be limited: {error}")))
            })?;
        }
        if let Some((enter, function, argument)) = initializer {
            call(enter, function, &argument, Vec::new())?;
        }
        Ok(())
    }

    fn say(&self, kind: Kind, body: &[u8]) {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, 0, 0, body);
        send_all(&self.socket, &bytes);
    }

    fn lost(&self, error: &io::Error) -> i32 {
        complain(&format!("a worker process lost its connection: {error}"));
        LOST
    }

    /// Runs a task, unless it was taken back, and answers.
    fn perform(&mut self, header: Header, body: std::ops::Range<usize>) {
        let Header { slot, sequence, .. } = header;
        if header.kind != Kind::Task || !self.slots.start(slot, sequence) {
            return;
        }
        let body = self.reader.body(body);
        let Some((head, argument)) = TaskHead::parse(body) else {
            return;
        };
        let mut bytes = std::mem::take(&mut self.reply);
        bytes.clear();
        let id = FutureId::from_u64(head.id);
        let bytes = task::enter_remote(id, || match head.items {
            0 => self.one(head, argument, slot, sequence, bytes),
            _ => self.many(head, argument, slot, sequence, bytes),
        });
        self.reply = bytes;
        self.reply.shrink_to(KEPT);
    }

    fn one(&self, head: TaskHead, argument: &[u8], slot: u8, sequence: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(HEADER, 0);
        let (kind, mut bytes) =
            match call(head.enter, head.function, argument, bytes).and_then(|bytes| self.sized(bytes)) {
                Ok(bytes) => (Kind::Value, bytes),
                Err(error) => {
                    let mut bytes = vec![0; HEADER];
                    bytes.extend_from_slice(&reply::to_bytes(&error));
                    (Kind::Fault, bytes)
                }
            };
        self.finish(slot, sequence);
        let header = Header { length: (bytes.len() - HEADER) as u64, sequence, kind, slot };
        bytes[..HEADER].copy_from_slice(&header.to_bytes());
        send_all(&self.socket, &bytes);
        bytes
    }

    /// Refuses a reply that is too long.
    fn sized(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        match (bytes.len() - HEADER) as u64 {
            size if size > self.max_frame => Err(Error::TooLarge(TooLarge::new(size, self.max_frame))),
            _ => Ok(bytes),
        }
    }

    /// Runs the items of a chunk that nobody takes back. Each reply is in the journal before the next item begins, and
    /// is sent when the journal is full.
    fn many(&self, head: TaskHead, mut arguments: &[u8], slot: u8, sequence: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        let mut batch = Batch { worker: self, slot, sequence, first: head.first, count: 0, bytes: &mut bytes };
        batch.begin(head.first);
        let mut scratch = Vec::new();
        while let Some(item) = self.slots.take_item(slot) {
            let Some(argument) = next_argument(&mut arguments) else {
                break;
            };
            scratch.clear();
            scratch.resize(HEADER, 0);
            let result = call(head.enter, head.function, argument, scratch)
                .and_then(|bytes| self.sized(bytes))
                .and_then(|bytes| match u32::try_from(bytes.len()) {
                    Ok(_) => Ok(bytes),
                    Err(_) => Err(Error::TooLarge(TooLarge::new(bytes.len() as u64, u32::MAX.into()))),
                });
            scratch = match result {
                Ok(reply) => {
                    batch.add(item, Kind::Value, &reply[HEADER..]);
                    reply
                }
                Err(error) => {
                    batch.add(item, Kind::Fault, &reply::to_bytes(&error));
                    Vec::new()
                }
            };
            scratch.shrink_to(KEPT);
        }
        self.finish(slot, sequence);
        batch.send(true);
        bytes
    }

    /// The reply is there; but not if the pool has decided to kill this process meanwhile.
    fn finish(&self, slot: u8, sequence: u64) {
        // Whoever sees the result also sees what was printed. A stream that is closed is the task's own doing.
        let _ = io::stdout().flush();
        if !self.slots.finish(slot, sequence) {
            loop {
                std::thread::park();
            }
        }
    }
}

/// Replies to items of a chunk that were not sent.
struct Batch<'a> {
    worker: &'a Worker,
    slot: u8,
    sequence: u64,
    first: u32,
    count: u32,
    bytes: &'a mut Vec<u8>,
}

impl Batch<'_> {
    /// What comes before the replies.
    const HEADS: usize = HEADER + ItemsHead::LENGTH;

    fn begin(&mut self, first: u32) {
        self.first = first;
        self.count = 0;
        self.bytes.clear();
        self.bytes.resize(Self::HEADS, 0);
        self.worker.slots.begin_journal(self.sequence, first);
    }

    fn add(&mut self, item: u32, kind: Kind, reply: &[u8]) {
        if self.bytes.len() - Self::HEADS + reply.len() + ITEM_OVERHEAD > JOURNAL && self.count > 0 {
            self.send(false);
            self.begin(item);
        }
        let start = self.bytes.len();
        put_item(self.bytes, kind, reply);
        self.count += 1;
        if !self.worker.slots.write_journal(&self.bytes[start..]) {
            // Longer than the journal: it is safe once it is sent.
            self.send(false);
            self.begin(item + 1);
        }
    }

    fn send(&mut self, last: bool) {
        let body = (self.bytes.len() - HEADER) as u64;
        let header = Header { length: body, sequence: self.sequence, kind: Kind::Items, slot: self.slot };
        let head = ItemsHead { first: self.first, count: self.count, last };
        self.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        self.bytes[HEADER..Self::HEADS].copy_from_slice(&head.to_bytes());
        send_all(&self.worker.socket, self.bytes);
    }
}

fn next_argument<'a>(arguments: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = frame::u32_at(arguments, 0)? as usize;
    let (argument, rest) = arguments[4..].split_at_checked(length)?;
    *arguments = rest;
    Some(argument)
}

fn call(enter: u64, function: u64, argument: &[u8], reply: Vec<u8>) -> Result<Vec<u8>, Error> {
    Call::make(enter, function, argument, reply).unwrap_or_else(|| {
        let message = "there is no such function in the program of the worker";
        Err(Error::Decode(Decode::new(Part::Function, message)))
    })
}

/// Sends everything, or ends the process: without its parent it has nothing to do.
fn send_all(socket: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => {
                if error != Errno::PIPE && error != Errno::CONNRESET {
                    complain(&format!(
                        "a worker process cannot send its result: {error}; was its socket closed by a task?"
                    ));
                }
                std::process::exit(LOST);
            }
        }
    }
}

/// There is no logger in a worker that nobody has set.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "concurrent-futures: {text}");
}

/// Limits the address space to what it is now and so many bytes more.
fn limit_memory(bytes: u64) -> io::Result<()> {
    let size = std::fs::read_to_string("/proc/self/statm")?;
    let pages = size.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| frame::broken("/proc/self/statm has no size"))?;
    let limit = pages.saturating_mul(rustix::param::page_size() as u64).saturating_add(bytes);
    let Rlimit { maximum, .. } = getrlimit(Resource::As);
    let current = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
    Ok(setrlimit(Resource::As, Rlimit { current, maximum })?)
}
