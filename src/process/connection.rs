//! [`Connection`]: the pool's end of the connection to one worker, for all threads that send to it.
//!
//! A thread that gives a task to a worker sends it itself, without blocking. What the socket does not accept stays in
//! the queue, and the worker's monitor sends it when there is room. Only the monitor receives. Short answers do not
//! come over the socket, see [`ReadRight`].
//!
//! The queue and the socket are guarded by one lock, so both are in one file.
#![forbid(unsafe_code)]

use std::collections::{HashSet, VecDeque};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg, shutdown};
use rustix::process::Signal;

use super::child::Child;
use super::contexts::{EncodedContext, NO_CONTEXT, Releases};
use super::os::{self, Bell, Lifeline};
use super::protocol::frame::{self, HEADER, Header, Kind, NOT_SENT, TaskHead};
use super::scheduler::Dispatch;
use super::shm::segments::SegmentRef;
use super::shm::table::{ReadRight, TaskTable};
use super::task::RemoteTask;
use crate::sync::Mutex;

/// Arguments up to this length are copied behind their heads, so that many tasks share one buffer.
const COPIED: usize = 16 << 10;

/// How many buffers are passed to the kernel in one call.
const PIECES: usize = 16;

pub(super) struct Connection {
    socket: OwnedFd,
    /// The contexts to drop in the worker, and the bell, which wakes the monitor.
    releases: Arc<Releases>,
    lifeline: Lifeline,
    queue: Mutex<WriteQueue>,
    pub(super) table: Arc<TaskTable>,
    /// The right to read the mailbox in the table.
    pub(super) right: ReadRight,
    /// Set once the worker was spawned.
    child: OnceLock<Child>,
    /// Why the worker could not be signalled, if that has failed.
    signal_error: OnceLock<Errno>,
}

#[derive(Default)]
struct WriteQueue {
    buffers: VecDeque<WriteBuf>,
    /// How many bytes of the first buffer were sent.
    sent: usize,
    /// The segments of the pool that the worker has descriptors of.
    known: HashSet<u32>,
    /// The contexts that the worker has.
    contexts: HashSet<u64>,
    /// Set when the other side is gone. Nothing is queued then.
    closed: bool,
    /// The memory of a buffer that was sent, for reuse.
    spare: Vec<u8>,
}

enum WriteBuf {
    Bytes(Vec<u8>),
    /// A frame with one or two descriptors, which are sent with its first byte.
    Descriptor(Vec<u8>, Arc<OwnedFd>, Option<OwnedFd>),
    /// The argument of a task, which is too long to copy.
    Argument(Arc<RemoteTask>),
    /// An encoded context, which is too long to copy.
    Context(Arc<EncodedContext>),
}

impl WriteBuf {
    fn bytes(&self) -> &[u8] {
        match self {
            WriteBuf::Bytes(bytes) | WriteBuf::Descriptor(bytes, ..) => bytes,
            WriteBuf::Argument(remote) => &remote.argument,
            WriteBuf::Context(context) => &context.encoded,
        }
    }
}

impl Connection {
    /// Creates a connection, and the socket for the worker's end. `setup` and the task table are sent first.
    pub(super) fn new(setup: Vec<u8>) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (ours, theirs) = (os::above_streams(ours.into())?, os::above_streams(theirs.into())?);
        os::prepare(&ours)?;
        let (table, memory) = TaskTable::create()?;
        let (lifeline, end) = Lifeline::new()?;
        let first = WriteBuf::Descriptor(setup, Arc::new(memory), end);
        let queue = WriteQueue { buffers: VecDeque::from([first]), ..WriteQueue::default() };
        let connection = Self {
            socket: ours,
            releases: Releases::new(Bell::new()?),
            lifeline,
            queue: Mutex::new(queue),
            table: Arc::new(table),
            right: ReadRight::default(),
            child: OnceLock::new(),
            signal_error: OnceLock::new(),
        };
        Ok((connection, theirs))
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.releases.bell.as_fd()
    }

    pub(super) fn set_child(&self, child: Child) {
        self.child.get_or_init(|| child);
    }

    pub(super) fn child(&self) -> Option<&Child> {
        self.child.get()
    }

    /// Sends tasks, or queues what the socket does not accept. Returns `true` if something is left in the queue, which
    /// the monitor has to send.
    pub(super) fn send(&self, orders: impl IntoIterator<Item = Dispatch>) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        for order in orders {
            queue.put(order, &self.releases);
        }
        let left = self.push(&mut queue);
        drop(queue);
        self.table.note_order();
        left
    }

    /// Tells the worker which segments will not be used again.
    pub(super) fn forget(&self, numbers: &[u32]) {
        let mut queue = self.queue.lock();
        for number in numbers {
            if queue.known.remove(number) {
                let (kind, number) = (Kind::Forget, u64::from(*number));
                frame::put(queue.tail(), kind, 0, number, &[]);
            }
        }
        let left = self.push(&mut queue);
        drop(queue);
        if left {
            self.ring();
        }
    }

    /// Puts a `Drop` into the queue for each context that the worker no longer needs. Returns `true` if there were any:
    /// their segments may have gone.
    pub(super) fn end_contexts(&self) -> bool {
        let released = self.releases.take();
        if !released.is_empty() {
            let mut queue = self.queue.lock();
            for number in &released {
                if queue.contexts.remove(number) {
                    frame::put(queue.tail(), Kind::Drop, 0, *number, &[]);
                }
            }
        }
        !released.is_empty()
    }

    /// Sends what the socket accepts of the queue. Returns `true` if something is left.
    pub(super) fn flush(&self) -> bool {
        self.push(&mut self.queue.lock())
    }

    /// Sends what the socket accepts of the queue. Returns `true` if something is left.
    fn push(&self, queue: &mut WriteQueue) -> bool {
        match queue.flush(self.socket()) {
            Ok(sent) => !sent,
            // There is no worker yet, and what is queued stays queued. The monitor tries again when there is one.
            Err(_) if self.child.get().is_none() => true,
            Err(error) => {
                // The monitor notices the end of the worker, and gives its tasks to others.
                *queue = WriteQueue { closed: true, ..WriteQueue::default() };
                if !matches!(error, Errno::PIPE | Errno::CONNRESET) {
                    // The system does not let us send, but the worker is alive and would wait for ever.
                    self.signal(Signal::KILL);
                }
                false
            }
        }
    }

    /// Wakes the monitor.
    pub(super) fn ring(&self) {
        self.releases.bell.ring();
    }

    /// Resets the bell after the monitor has woken.
    pub(super) fn reset_bell(&self) {
        self.releases.bell.reset();
    }

    /// Tells the worker that nothing more will come. The worker can still send.
    pub(super) fn say_no_more(&self) {
        // This fails only if the worker is gone already.
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Drops the queue, and from now on whatever is sent.
    pub(super) fn close(&self) {
        let was = {
            let mut queue = self.queue.lock();
            std::mem::replace(&mut *queue, WriteQueue { closed: true, ..WriteQueue::default() })
        };
        drop(was);
    }

    /// Sends a signal to the worker and the processes of its group, unless the worker was reaped. If the system
    /// refuses, the worker is cut off: its main thread then ends it from inside, and the monitor finds the connection
    /// hung up.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(child) = self.child.get()
            && let Err(signal_error) = child.signal(signal)
        {
            self.signal_error.get_or_init(|| signal_error);
            self.cut_off();
        }
    }

    /// Returns why the worker could not be signalled, if that has failed.
    pub(super) fn signal_error(&self) -> Option<Errno> {
        self.signal_error.get().copied()
    }

    /// Makes the worker believe that its pool is gone. What it has sent before can still be received.
    pub(super) fn cut_off(&self) {
        // This fails only if the worker is gone already.
        let _ = shutdown(&self.socket, Shutdown::Both);
        self.lifeline.cut();
    }
}

impl WriteQueue {
    fn put(&mut self, order: Dispatch, releases: &Arc<Releases>) {
        let Dispatch { remote, slot, sequence } = order;
        if let Some(context) = &remote.context {
            self.put_context(context, releases);
        }
        self.put_segments(&remote.segments);
        let (count, first) = match (&remote.items, remote.range()) {
            (Some(_), Some((first, end))) => (end, first),
            _ => (0, 0),
        };
        let head = TaskHead {
            id: remote.id().to_u64(),
            enter: remote.call.enter,
            function: remote.call.function,
            context: remote.context.as_ref().map_or(NO_CONTEXT, |context| context.number),
            items: count,
            first,
        };
        let chunk = remote.items.as_ref().map(|items| {
            let mut start = if first == 0 { 0 } else { items.ends[first as usize - 1] };
            let mut body = Vec::with_capacity(remote.argument.len() - start + 4 * (items.ends.len() - first as usize));
            let own = &items.ends[..count as usize];
            for (position, end) in own.iter().enumerate().skip(first as usize) {
                if items.refusal(position).is_some() {
                    body.extend_from_slice(&NOT_SENT.to_le_bytes());
                } else {
                    body.extend_from_slice(&((end - start) as u32).to_le_bytes());
                    body.extend_from_slice(&remote.argument[start..*end]);
                }
                start = *end;
            }
            body
        });
        let argument = chunk.as_deref().unwrap_or(&remote.argument);
        let header = Header::new(Kind::Task, slot, sequence, TaskHead::LENGTH + argument.len());
        let header = Header { observed: remote.is_observed, ..header };
        let copied = chunk.is_some() || argument.len() <= COPIED;
        let bytes = self.tail();
        bytes.reserve(HEADER + TaskHead::LENGTH + if copied { argument.len() } else { 0 });
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(&head.to_bytes());
        if copied {
            bytes.extend_from_slice(argument);
        } else {
            self.buffers.push_back(WriteBuf::Argument(remote));
        }
    }

    /// Puts the descriptors of the segments that the worker does not have yet into the queue.
    fn put_segments(&mut self, segments: &[SegmentRef]) {
        for SegmentRef { number, memory, .. } in segments {
            if self.known.insert(*number) {
                let mut frame = Vec::new();
                frame::put(&mut frame, Kind::Segment, 0, (*number).into(), &[]);
                self.buffers.push_back(WriteBuf::Descriptor(frame, Arc::clone(memory), None));
            }
        }
    }

    /// Puts a context into the queue, unless the worker has it.
    fn put_context(&mut self, context: &Arc<EncodedContext>, releases: &Arc<Releases>) {
        if !self.contexts.insert(context.number) {
            return;
        }
        context.note_sent(releases);
        self.put_segments(&context.segments);
        let (encoded, bytes) = (&context.encoded, self.tail());
        bytes.extend_from_slice(&Header::new(Kind::Context, 0, context.number, encoded.len()).to_bytes());
        if encoded.len() <= COPIED {
            bytes.extend_from_slice(encoded);
        } else {
            self.buffers.push_back(WriteBuf::Context(Arc::clone(context)));
        }
    }

    /// Returns the last buffer of bytes, to append to.
    fn tail(&mut self) -> &mut Vec<u8> {
        if !matches!(self.buffers.back(), Some(WriteBuf::Bytes(_))) {
            let spare = std::mem::take(&mut self.spare);
            self.buffers.push_back(WriteBuf::Bytes(spare));
        }
        match self.buffers.back_mut() {
            Some(WriteBuf::Bytes(bytes)) => bytes,
            _ => unreachable!("bytes were put at the end a moment ago"),
        }
    }

    /// Sends what the socket accepts. Returns `true` if everything was sent.
    fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        while !self.buffers.is_empty() {
            match self.send_some(socket) {
                Ok(sent) => self.advance(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn send_some(&self, socket: BorrowedFd<'_>) -> Result<usize, Errno> {
        if let Some(WriteBuf::Descriptor(bytes, descriptor, second)) = self.buffers.front()
            && self.sent == 0
        {
            return send_with(socket, &[IoSlice::new(bytes)], descriptor, second.as_ref());
        }
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slice, buffer) in slices.iter_mut().zip(&self.buffers) {
            // A descriptor begins a message of its own.
            if count > 0 && matches!(buffer, WriteBuf::Descriptor(..)) {
                break;
            }
            let from = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&buffer.bytes()[from..]);
            count += 1;
        }
        sendmsg(socket, &slices[..count], &mut SendAncillaryBuffer::default(), FLAGS)
    }

    fn advance(&mut self, mut sent: usize) {
        const KEPT: usize = 64 << 10;
        while let Some(first) = self.buffers.front() {
            let left = first.bytes().len() - self.sent;
            if sent < left {
                self.sent += sent;
                return;
            }
            sent -= left;
            self.sent = 0;
            if let Some(WriteBuf::Bytes(mut bytes)) = self.buffers.pop_front()
                && bytes.capacity() <= KEPT
            {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(os::NO_SIGNAL);

fn send_with(
    socket: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    first: &OwnedFd,
    second: Option<&OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [first.as_fd(), second.unwrap_or(first).as_fd()];
    let count = if second.is_some() { 2 } else { 1 };
    control.push(SendAncillaryMessage::ScmRights(&descriptors[..count]));
    sendmsg(socket, slices, &mut control, FLAGS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::protocol::reader::Reader;

    #[test]
    fn what_cannot_be_sent_before_there_is_a_worker_is_kept() {
        let (connection, theirs) = Connection::new(vec![0; 3]).unwrap();
        drop(theirs);
        assert!(connection.flush(), "the monitor tries again");
        assert!(!connection.queue.lock().closed);
    }

    #[test]
    fn a_descriptor_arrives_with_its_frame_behind_others() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut queue = WriteQueue::default();
        frame::put(queue.tail(), Kind::Bell, 0, 0, &[]);
        let mut segment = Vec::new();
        frame::put(&mut segment, Kind::Segment, 0, 7, &[]);
        let memory = Arc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        queue.buffers.push_back(WriteBuf::Descriptor(segment, memory, None));
        frame::put(queue.tail(), Kind::Bell, 0, 0, &[]);
        assert!(queue.flush(ours.as_fd()).unwrap());
        let mut reader = Reader::new(1 << 16);
        let mut kinds = Vec::new();
        while kinds.len() < 3 {
            reader.receive(theirs.as_fd()).unwrap();
            while let Some((header, _)) = reader.next().unwrap() {
                kinds.push(header.kind);
                if header.kind == Kind::Segment {
                    reader.descriptor().unwrap();
                }
            }
        }
        assert_eq!(kinds, [Kind::Bell, Kind::Segment, Kind::Bell]);
    }
}
