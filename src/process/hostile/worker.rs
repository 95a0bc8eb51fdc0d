//! [`HostileWorker`]: a process that is started as a worker and does what its [`Scenario`] says.
//!
//! Its entry runs before that of the crate, so that no real worker starts.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, Shutdown, send, shutdown};

use crate::process::os::{self, Memory};
use crate::process::program::entry;
use crate::process::program::image::image;
use crate::process::protocol::frame::{HEADER, Header, ItemsHead, Kind, put};
use crate::process::protocol::reader::Reader;
use crate::process::shm::table::{self, TaskTable};
use crate::process::worker::outgoing::send_descriptor;

/// Names the scenario of a hostile worker.
pub(super) const SCENARIO: &str = "CONCURRENT_FUTURES_TEST_HOSTILE_WORKER";

#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) stage: Stage,
    pub(super) fault: Fault,
    pub(super) seed: u64,
}

/// How far it behaves as a worker does, before the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Spawned,
    SettingUp,
    Serving,
    /// It has started a task.
    Working,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Exits.
    Exit,
    /// Sends random bytes, then exits.
    RandomBytes,
    /// Sends frames of random kinds, then exits.
    RandomFrames,
    /// Sends nothing, and stays alive.
    Silence,
    /// Shuts the connection, and stays alive.
    ShutSocket,
    /// Sends the header of a frame without its body, then exits.
    MissingBody,
    /// Sends frames without end.
    Flood,
    /// Overwrites the task table, and stays alive.
    CorruptTable,
    /// Replies to each task with a random frame.
    RandomReplies,
    /// The same, through the mailbox.
    RandomShortReplies,
    /// Writes again and again that its task started in the future.
    FutureStart,
    /// Replies with items that the task does not have, and stays alive.
    WrongItems,
    /// The same, and says that they are the last ones.
    WrongLastItems,
    /// Sends segments without end.
    ManySegments,
    /// Sends frames that are to be ignored, from many threads, so that there is always something to read. Exits after a
    /// while.
    Torrent,
}

pub(super) const STAGES: [Stage; 4] = [Stage::Spawned, Stage::SettingUp, Stage::Serving, Stage::Working];
const FAULTS: [Fault; 15] = [
    Fault::Exit,
    Fault::RandomBytes,
    Fault::RandomFrames,
    Fault::Silence,
    Fault::ShutSocket,
    Fault::MissingBody,
    Fault::Flood,
    Fault::CorruptTable,
    Fault::RandomReplies,
    Fault::RandomShortReplies,
    Fault::FutureStart,
    Fault::WrongItems,
    Fault::WrongLastItems,
    Fault::ManySegments,
    Fault::Torrent,
];

impl Scenario {
    /// Returns `true` if a task without a time limit ends too.
    pub(super) fn ends(self) -> bool {
        matches!(
            self.fault,
            Fault::Exit | Fault::RandomBytes | Fault::RandomFrames | Fault::MissingBody | Fault::Torrent
        )
    }

    pub(super) fn text(self) -> String {
        format!("{} {} {}", self.stage as u8, self.fault as u8, self.seed)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(|word| word.parse::<u64>().ok());
        let mut next = || words.next().flatten();
        let (stage, fault, seed) = (next()?, next()?, next()?);
        Some(Self { stage: *STAGES.get(stage as usize)?, fault: *FAULTS.get(fault as usize)?, seed })
    }
}

/// Called by the loader before what makes a worker of the process.
#[used]
// SAFETY: the section holds pointers to functions of this type, which the loader calls one after the other.
#[unsafe(link_section = ".init_array.00500")]
static ENTRY: extern "C" fn() = enter;

extern "C" fn enter() {
    // Both are there in a process that a pool has started to run a scenario.
    if !entry::is_marked() {
        return;
    }
    let Some(scenario) = std::env::var(SCENARIO).ok().as_deref().and_then(Scenario::parse) else { return };
    os::die_with_parent(std::os::unix::process::parent_id() as i32);
    // A panic is expected when the pool closes the connection, so it is not printed.
    std::panic::set_hook(Box::new(|_| {}));
    let _ = std::panic::catch_unwind(|| HostileWorker::new(scenario.seed).run(scenario));
    // SAFETY: ends the process without running any code of the program.
    unsafe { libc::_exit(7) }
}

struct HostileWorker {
    socket: OwnedFd,
    reader: Reader,
    random: fastrand::Rng,
    /// The task table, which comes with the setup.
    page: Option<(TaskTable, File)>,
}

impl HostileWorker {
    fn new(seed: u64) -> Self {
        let socket = io::stdin().as_fd().try_clone_to_owned().unwrap();
        Self { socket, reader: Reader::new(u64::MAX), random: fastrand::Rng::with_seed(seed), page: None }
    }

    fn run(mut self, scenario: Scenario) {
        if scenario.stage >= Stage::SettingUp {
            self.say(Kind::Hello, image().build_id());
        }
        if scenario.stage >= Stage::Serving {
            self.receive();
            let page = self.reader.descriptor().unwrap();
            self.page = Some((TaskTable::map(&page).unwrap(), File::from(page)));
            self.say(Kind::Ready, &[]);
        }
        let task = if scenario.stage == Stage::Working { self.start_task() } else { Header::new(Kind::Task, 0, 1, 0) };
        match scenario.fault {
            Fault::Exit => {}
            Fault::RandomBytes => self.random_bytes(),
            Fault::RandomFrames => self.random_frames(),
            Fault::Silence => loop {
                std::thread::park();
            },
            Fault::ShutSocket => shutdown(&self.socket, Shutdown::Both).unwrap(),
            Fault::MissingBody => {
                let length = [1, 70, 60_000, 1 << 20, 1 << 26, usize::MAX >> 24, usize::MAX][self.random.usize(..7)];
                let kind = self.kind();
                self.send(&Header::new(kind, 0, 1, length).to_bytes());
            }
            Fault::Flood => self.flood(),
            Fault::CorruptTable => self.corrupt_table(),
            Fault::RandomReplies => self.random_replies(task),
            Fault::RandomShortReplies => self.random_short_replies(task),
            Fault::FutureStart => loop {
                self.write_word(STARTED_AT, u64::MAX);
                std::thread::yield_now();
            },
            Fault::WrongItems | Fault::WrongLastItems => {
                let head = ItemsHead { first: 3, count: 9, last: scenario.fault == Fault::WrongLastItems };
                self.put(Kind::Items, task.slot, task.sequence, &head.to_bytes());
            }
            Fault::ManySegments => self.many_segments(),
            Fault::Torrent => self.torrent(),
        }
        while !scenario.ends() {
            std::thread::park();
        }
    }

    fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let sent = send(&self.socket, bytes, SendFlags::NOSIGNAL).unwrap();
            bytes = &bytes[sent..];
        }
    }

    fn put(&self, kind: Kind, slot: u8, sequence: u64, body: &[u8]) {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, slot, sequence, body);
        self.send(&bytes);
    }

    fn say(&self, kind: Kind, body: &[u8]) {
        self.put(kind, 0, 0, body);
    }

    fn receive(&mut self) -> Header {
        loop {
            if let Some((header, _)) = self.reader.next().unwrap() {
                return header;
            }
            assert!(
                self.reader.fill(self.socket.as_fd(), RecvFlags::empty()).unwrap() > 0,
                "the pool closed the connection"
            );
        }
    }

    fn table(&self) -> &TaskTable {
        &self.page.as_ref().unwrap().0
    }

    /// Waits for a task, and starts it.
    fn start_task(&mut self) -> Header {
        loop {
            let header = self.receive();
            if header.kind == Kind::Task && self.table().slots().start(header.slot, header.sequence, table::now()) {
                return header;
            }
        }
    }

    fn kind(&mut self) -> Kind {
        Kind::from_byte(self.random.u8(1..12)).unwrap()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = [0, 1, 9, 25, 300, 3000][self.random.usize(..6)];
        let few = self.random.bool();
        (0..length).map(|_| if few { self.random.u8(..6) } else { self.random.u8(..) }).collect()
    }

    fn random_bytes(&mut self) {
        let bytes = self.bytes();
        self.send(&bytes);
    }

    fn random_frames(&mut self) {
        for _ in 0..self.random.usize(..20) {
            let (kind, body) = (self.kind(), self.bytes());
            let (slot, sequence) = (self.random.u8(..4), self.random.u64(..8));
            self.put(kind, slot, sequence, &body);
        }
    }

    fn flood(&self) {
        loop {
            match self.random.clone().u8(..3) {
                0 => self.say(Kind::Bell, &[]),
                1 => self.put(Kind::Value, 1, 1 << 40, &[0; 1000]),
                _ => self.put(Kind::Forget, 1, 1, &[]),
            }
        }
    }

    fn corrupt_table(&mut self) {
        let length = self.page.as_ref().unwrap().1.metadata().unwrap().len();
        for _ in 0..self.random.usize(1..60) {
            let at = if self.random.bool() { self.random.u64(..1100) } else { self.random.u64(..length - 8) };
            let word = [0, 1, u64::MAX, self.random.u64(..64), self.random.u64(..)][self.random.usize(..5)];
            self.write_word(at & !7, word);
        }
        // The pool reads the table when it gets a `Bell`.
        self.say(Kind::Bell, &[]);
    }

    fn write_word(&self, at: u64, word: u64) {
        self.page.as_ref().unwrap().1.write_all_at(&word.to_le_bytes(), at).unwrap();
    }

    /// Returns a random reply.
    fn reply(&mut self) -> (Kind, Vec<u8>) {
        let mut body = self.bytes();
        let kind = [Kind::Value, Kind::Fault, Kind::Items][self.random.usize(..3)];
        if kind == Kind::Items && self.random.bool() {
            let (first, count) = (self.random.u32(..4), self.random.u32(..4));
            let head = ItemsHead { first, count, last: self.random.bool() };
            body = head.to_bytes().to_vec();
            for _ in 0..self.random.u32(..5) {
                let kind = self.kind();
                let reply = self.bytes();
                crate::process::protocol::frame::put_item(&mut body, kind, &reply);
            }
        }
        (kind, body)
    }

    fn random_replies(&mut self, mut task: Header) {
        loop {
            let (kind, body) = self.reply();
            self.table().slots().finish(task.slot, task.sequence);
            self.put(kind, task.slot, task.sequence, &body);
            if self.random.u8(..4) == 0 {
                // A second reply to the same task.
                self.put(kind, task.slot, task.sequence, &body);
            }
            task = self.start_task();
        }
    }

    fn random_short_replies(&mut self, mut task: Header) {
        loop {
            let (kind, mut body) = self.reply();
            body.truncate(400);
            let length = if self.random.u8(..4) == 0 { self.random.usize(..) } else { body.len() };
            let mut reply = Header::new(kind, task.slot, task.sequence, length).to_bytes().to_vec();
            reply.extend_from_slice(&body);
            if self.random.u8(..4) == 0 {
                reply[HEADER - 8] = self.random.u8(..);
            }
            self.table().slots().finish(task.slot, task.sequence);
            let slot = if self.random.bool() { task.slot } else { self.random.u8(..) };
            if self.table().post(slot, &reply) == Some(true) {
                self.say(Kind::Bell, &[]);
            }
            task = self.start_task();
        }
    }

    fn torrent(&self) {
        let mut bells = Vec::new();
        (0..400).for_each(|_| put(&mut bells, Kind::Bell, 0, 0, &[]));
        let until = Instant::now() + Duration::from_secs(10);
        let send = || {
            // Few enough for one message of the socket: what several threads send at once must not mix.
            while Instant::now() < until && send(&self.socket, &bells, SendFlags::NOSIGNAL) == Ok(bells.len()) {}
        };
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(send);
            }
        });
    }

    fn many_segments(&self) {
        for number in 0..100_000 {
            let memory = Memory::new(1 << 20).unwrap().for_reading().unwrap();
            send_descriptor(&self.socket, number, &memory);
        }
    }
}

/// The offset of the start time in the task table.
const STARTED_AT: u64 = 2 * 64 * 8;
