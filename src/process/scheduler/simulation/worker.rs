//! [`Worker`]: a simulated process. It takes one step at a time, and may die between any two.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;

use super::fake_task::{call_at, call_of};
use super::oracle::SharedOracle;
use crate::error::Error;
use crate::process::monitor::event::Reply;
use crate::process::protocol::frame::{Kind, put_item};
use crate::process::protocol::reply;
use crate::process::scheduler::{Answered, Dispatch};
use crate::process::shm::table::TaskTable;
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;

/// All simulated processes, and the clock that they share with the pool.
pub(super) struct Processes {
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) clock: u64,
    pub(super) oracle: SharedOracle,
    pub(super) rng: Rng,
    /// A worker dies at one in this many steps; 0 means never.
    pub(super) deaths: u32,
}

pub(super) struct Worker {
    pub(super) table: Arc<TaskTable>,
    /// The tasks that were sent to it.
    pub(super) inbox: VecDeque<Frame>,
    /// The messages that it has sent and its monitor has not read.
    pub(super) outgoing: VecDeque<Message>,
    /// Set if nothing more will come.
    pub(super) no_more: bool,
    /// Set if it was sent a signal that it will not survive.
    pub(super) killed: bool,
    pub(super) is_alive: bool,
    /// Set if it does not continue, for no visible reason.
    pub(super) hangs: bool,
    pub(super) is_unfit: bool,
    at: At,
}

/// A task on the connection.
pub(super) struct Frame {
    remote: Arc<RemoteTask>,
    slot: u8,
    sequence: u64,
    /// For a chunk or batch: its first item without a known outcome, and its number of items.
    items: Option<(u32, u32)>,
}

impl From<Dispatch> for Frame {
    fn from(Dispatch { remote, slot, sequence }: Dispatch) -> Self {
        let items = remote.range();
        // If it was taken back before it was sent, another worker may have run it since: this one will not begin it.
        let is_its = matches!(*remote.place.lock(), Place::Sent { sequence: last, .. } if last == sequence);
        let has_some = items.is_none_or(|(first, end)| first < end) || remote.is_curtailed();
        assert!(has_some || !is_its, "a worker is sent a batch without items");
        Self { remote, slot, sequence, items }
    }
}

pub(super) enum Message {
    Hello,
    Ready,
    Unfit,
    Value { slot: u8, sequence: u64, bytes: [u8; 4] },
    Items { slot: u8, sequence: u64, first: u32, count: u32, last: bool, bytes: Vec<u8> },
}

impl Reply for Message {
    fn answered(&self) -> Answered {
        match *self {
            Self::Value { slot, sequence, .. } => Answered { slot, sequence, last: true },
            Self::Items { slot, sequence, last, .. } => Answered { slot, sequence, last },
            Self::Hello | Self::Ready | Self::Unfit => unreachable!("not a reply"),
        }
    }
}

enum At {
    Spawned,
    SettingUp,
    Receiving,
    /// Takes this many more steps until its result.
    Task(Frame, u32),
    Items(Frame, Batch),
    /// Has a result that was not sent yet.
    Done(Frame, Option<Batch>),
    /// Waits to be killed: the pool has decided so.
    Parked(Frame, Option<Batch>),
}

/// Replies to items that were not sent yet.
#[derive(Default)]
struct Batch {
    item: Option<u32>,
    first: u32,
    count: u32,
    bytes: Vec<u8>,
}

impl Worker {
    pub(super) fn new(table: Arc<TaskTable>, is_unfit: bool) -> Self {
        table.begin_journal(0, 0);
        let (inbox, outgoing, at) = (VecDeque::new(), VecDeque::new(), At::Spawned);
        Self { table, inbox, outgoing, no_more: false, killed: false, is_alive: true, hangs: false, is_unfit, at }
    }

    pub(super) fn can_step(&self) -> bool {
        let goes_on = match &self.at {
            At::Receiving => self.no_more || !self.inbox.is_empty(),
            At::Parked(..) => false,
            _ => true,
        };
        self.is_alive && (self.killed || (goes_on && !self.hangs))
    }

    /// Returns `true` if it runs a call.
    pub(super) fn runs(&self) -> bool {
        self.is_alive && matches!(self.at, At::Task(..) | At::Items(..))
    }

    fn die(&mut self, oracle: &SharedOracle) {
        self.is_alive = false;
        let at_work = match &self.at {
            At::Task(frame, _) | At::Done(frame, None) | At::Parked(frame, None) => frame.call(None),
            At::Items(frame, batch) | At::Parked(frame, Some(batch)) => {
                batch.item.and_then(|item| frame.call(Some(item)))
            }
            _ => None,
        };
        if let Some(call) = at_work {
            oracle.lock().calls[call].die();
        }
        self.inbox.clear();
    }
}

impl Frame {
    /// Returns the number of its call, or of one of its items; `None` if that was not sent.
    fn call(&self, item: Option<u32>) -> Option<usize> {
        match item {
            None => Some(call_of(&self.remote.argument)),
            Some(item) => call_at(&self.remote, item as usize),
        }
    }
}

impl Processes {
    /// Lets one worker take its next step.
    pub(super) fn step(&mut self, id: WorkerId) {
        let Self { workers, clock, oracle, rng, deaths } = self;
        let Some(worker) = workers.get_mut(&id).filter(|worker| worker.can_step()) else { return };
        if worker.killed || (*deaths > 0 && rng.u32(..*deaths) == 0) {
            return worker.die(oracle);
        }
        worker.at = match std::mem::replace(&mut worker.at, At::Receiving) {
            At::Spawned => {
                worker.outgoing.push_back(Message::Hello);
                At::SettingUp
            }
            At::SettingUp => {
                worker.outgoing.push_back(if worker.is_unfit { Message::Unfit } else { Message::Ready });
                worker.is_alive = !worker.is_unfit;
                At::Receiving
            }
            At::Receiving => match worker.inbox.pop_front() {
                None => {
                    worker.is_alive = false;
                    At::Receiving
                }
                Some(frame) => worker.begin(id, frame, *clock, oracle, rng),
            },
            At::Task(frame, left @ 1..) => At::Task(frame, left - 1),
            At::Task(frame, 0) if worker.table.slots_without_hook().finish(frame.slot, frame.sequence) => {
                At::Done(frame, None)
            }
            At::Task(frame, 0) => At::Parked(frame, None),
            At::Items(frame, batch) => worker.go_on(id, frame, batch, oracle, rng),
            At::Done(frame, None) => {
                let (slot, sequence) = (frame.slot, frame.sequence);
                let call = frame.call(None).expect("a task has an argument");
                oracle.lock().calls[call].leave();
                worker.outgoing.push_back(Message::Value { slot, sequence, bytes: (call as u32).to_le_bytes() });
                At::Receiving
            }
            At::Done(frame, Some(mut batch)) => {
                worker.send(&frame, &mut batch, true);
                At::Receiving
            }
            at @ At::Parked(..) => at,
        };
        // Only with a time limit: nothing would end another task that hangs.
        let limited = |worker: &Worker| match &worker.at {
            At::Task(frame, _) | At::Done(frame, _) => frame.remote.limit().is_some(),
            At::Receiving => worker.inbox.front().is_some_and(|frame| frame.remote.limit().is_some()),
            _ => false,
        };
        worker.hangs = rng.u32(..64) == 0 && limited(worker);
    }
}

impl Worker {
    fn begin(&mut self, id: WorkerId, frame: Frame, clock: u64, oracle: &SharedOracle, rng: &mut Rng) -> At {
        if !self.table.slots_without_hook().start(frame.slot, frame.sequence, clock) {
            return At::Receiving;
        }
        match frame.items {
            None => {
                let call = frame.call(None).expect("a task has an argument");
                oracle.lock().calls[call].begin(id);
                At::Task(frame, rng.u32(..4))
            }
            Some((first, _)) => {
                self.table.begin_journal(frame.sequence, first);
                At::Items(frame, Batch { first, ..Batch::default() })
            }
        }
    }

    /// Takes an item, or notes the reply to the one that was taken.
    fn go_on(&mut self, id: WorkerId, frame: Frame, mut batch: Batch, oracle: &SharedOracle, rng: &mut Rng) -> At {
        let Some(item) = batch.item.take() else {
            let Some(item) = self.table.slots_without_hook().take_item(frame.slot) else {
                let is_ours = self.table.slots_without_hook().finish(frame.slot, frame.sequence);
                return if is_ours { At::Done(frame, Some(batch)) } else { At::Parked(frame, Some(batch)) };
            };
            assert!(frame.items.is_some_and(|(_, end)| item < end), "a worker takes an item that was not sent");
            assert_eq!(item, batch.first + batch.count, "an item is passed over");
            if let Some(call) = frame.call(Some(item)) {
                oracle.lock().calls[call].begin(id);
            }
            batch.item = Some(item);
            return At::Items(frame, batch);
        };
        // As if the journal was full.
        if batch.count > 0 && rng.u32(..8) == 0 {
            self.send(&frame, &mut batch, false);
            batch = Batch { first: item, ..Batch::default() };
            self.table.begin_journal(frame.sequence, item);
        }
        let start = batch.bytes.len();
        let call = frame.call(Some(item));
        match call {
            Some(call) => put_item(&mut batch.bytes, Kind::Value, &(call as u32).to_le_bytes()),
            None => put_item(&mut batch.bytes, Kind::Fault, &reply::to_bytes(&Error::Abandoned)),
        }
        batch.count += 1;
        // As if the reply did not fit into the journal: then it is sent.
        if rng.u32(..8) == 0 {
            self.send(&frame, &mut batch, false);
            batch = Batch { first: item + 1, ..Batch::default() };
            self.table.begin_journal(frame.sequence, item + 1);
        } else {
            assert!(self.table.write_journal(&batch.bytes[start..]));
        }
        if let Some(call) = call {
            oracle.lock().calls[call].leave();
        }
        At::Items(frame, batch)
    }

    fn send(&mut self, frame: &Frame, batch: &mut Batch, last: bool) {
        let Frame { slot, sequence, .. } = *frame;
        let Batch { first, count, .. } = *batch;
        self.outgoing.push_back(Message::Items {
            slot,
            sequence,
            first,
            count,
            last,
            bytes: std::mem::take(&mut batch.bytes),
        });
    }
}
