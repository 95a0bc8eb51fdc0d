//! [`Part`]: what a process does that was started as a worker.
//!
//! It comes before the entry of the crate, and takes the worker's place.
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

/// Names the part of a villain.
pub(super) const PART: &str = "CONCURRENT_FUTURES_TEST_VILLAIN";

#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) stage: Stage,
    pub(super) deed: Deed,
    pub(super) seed: u64,
}

/// How far it plays the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Spawned,
    SettingUp,
    Serving,
    /// It has a task, and has begun it.
    Working,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Goes.
    Leave,
    /// Sends any bytes, and goes.
    Write,
    /// Sends frames of any kind, and goes.
    Frames,
    /// Says nothing, and stays.
    Wait,
    /// Shuts the connection, and stays.
    Shut,
    /// Sends the head of a frame that never comes, and goes.
    Promise,
    /// Sends and never stops.
    Flood,
    /// Writes over the page that it shares, and stays.
    Scribble,
    /// Answers each task, in a way that nobody can expect.
    Answer,
    /// Likewise, by mail.
    Letters,
    /// Says that it has begun in a time to come, over and over.
    Postpone,
    /// Answers with a part of what was not asked for, and stays.
    Mumble,
    /// Likewise, and says that this was all.
    Conclude,
    /// Sends one segment after the other.
    Segments,
    /// Sends from many threads what is to be ignored, so that there is always something to read, and goes after a time.
    Torrent,
}

pub(super) const STAGES: [Stage; 4] = [Stage::Spawned, Stage::SettingUp, Stage::Serving, Stage::Working];
const DEEDS: [Deed; 15] = [
    Deed::Leave,
    Deed::Write,
    Deed::Frames,
    Deed::Wait,
    Deed::Shut,
    Deed::Promise,
    Deed::Flood,
    Deed::Scribble,
    Deed::Answer,
    Deed::Letters,
    Deed::Postpone,
    Deed::Mumble,
    Deed::Conclude,
    Deed::Segments,
    Deed::Torrent,
];

impl Part {
    /// Does a task end that has no time limit?
    pub(super) fn ends(self) -> bool {
        matches!(self.deed, Deed::Leave | Deed::Write | Deed::Frames | Deed::Promise | Deed::Torrent)
    }

    pub(super) fn text(self) -> String {
        format!("{} {} {}", self.stage as u8, self.deed as u8, self.seed)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(|word| word.parse::<u64>().ok());
        let mut next = || words.next().flatten();
        let (stage, deed, seed) = (next()?, next()?, next()?);
        Some(Self { stage: *STAGES.get(stage as usize)?, deed: *DEEDS.get(deed as usize)?, seed })
    }
}

/// Called by the loader before what makes a worker of the process.
#[used]
// SAFETY: the section holds pointers to functions of this type, which the loader calls one after the other.
#[unsafe(link_section = ".init_array.00500")]
static ENTRY: extern "C" fn() = enter;

extern "C" fn enter() {
    // Both are there in a process that a pool has started to play a part.
    if !entry::is_marked() {
        return;
    }
    let Some(part) = std::env::var(PART).ok().as_deref().and_then(Part::parse) else { return };
    os::die_with_parent(std::os::unix::process::parent_id() as i32);
    // It fails when the pool has had enough of it, which is nothing to tell of.
    std::panic::set_hook(Box::new(|_| {}));
    let _ = std::panic::catch_unwind(|| Villain::new(part.seed).play(part));
    // SAFETY: ends the process, without running anything of the program's.
    unsafe { libc::_exit(7) }
}

struct Villain {
    socket: OwnedFd,
    reader: Reader,
    random: fastrand::Rng,
    /// What it was sent with the setup.
    page: Option<(TaskTable, File)>,
}

impl Villain {
    fn new(seed: u64) -> Self {
        let socket = io::stdin().as_fd().try_clone_to_owned().unwrap();
        Self { socket, reader: Reader::new(u64::MAX), random: fastrand::Rng::with_seed(seed), page: None }
    }

    fn play(mut self, part: Part) {
        if part.stage >= Stage::SettingUp {
            self.say(Kind::Hello, image().build_id());
        }
        if part.stage >= Stage::Serving {
            self.hear();
            let page = self.reader.descriptor().unwrap();
            self.page = Some((TaskTable::map(&page).unwrap(), File::from(page)));
            self.say(Kind::Ready, &[]);
        }
        let task = if part.stage == Stage::Working { self.begin() } else { Header::new(Kind::Task, 0, 1, 0) };
        match part.deed {
            Deed::Leave => {}
            Deed::Write => self.write(),
            Deed::Frames => self.frames(),
            Deed::Wait => loop {
                std::thread::park();
            },
            Deed::Shut => shutdown(&self.socket, Shutdown::Both).unwrap(),
            Deed::Promise => {
                let length = [1, 70, 60_000, 1 << 20, 1 << 26, usize::MAX >> 24, usize::MAX][self.random.usize(..7)];
                let kind = self.kind();
                self.send(&Header::new(kind, 0, 1, length).to_bytes());
            }
            Deed::Flood => self.flood(),
            Deed::Scribble => self.scribble(),
            Deed::Answer => self.answer(task),
            Deed::Letters => self.letters(task),
            Deed::Postpone => loop {
                self.write_word(STARTED_AT, u64::MAX);
                std::thread::yield_now();
            },
            Deed::Mumble | Deed::Conclude => {
                let head = ItemsHead { first: 3, count: 9, last: part.deed == Deed::Conclude };
                self.put(Kind::Items, task.slot, task.sequence, &head.to_bytes());
            }
            Deed::Segments => self.segments(),
            Deed::Torrent => self.torrent(),
        }
        while !part.ends() {
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

    fn hear(&mut self) -> Header {
        loop {
            if let Some((header, _)) = self.reader.next().unwrap() {
                return header;
            }
            assert!(self.reader.fill(self.socket.as_fd(), RecvFlags::empty()).unwrap() > 0, "it is over");
        }
    }

    fn table(&self) -> &TaskTable {
        &self.page.as_ref().unwrap().0
    }

    /// Waits for a task, and begins it.
    fn begin(&mut self) -> Header {
        loop {
            let header = self.hear();
            if header.kind == Kind::Task && self.table().words().start(header.slot, header.sequence, table::now()) {
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

    fn write(&mut self) {
        let bytes = self.bytes();
        self.send(&bytes);
    }

    fn frames(&mut self) {
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

    fn scribble(&mut self) {
        let length = self.page.as_ref().unwrap().1.metadata().unwrap().len();
        for _ in 0..self.random.usize(1..60) {
            let at = if self.random.bool() { self.random.u64(..1100) } else { self.random.u64(..length - 8) };
            let word = [0, 1, u64::MAX, self.random.u64(..64), self.random.u64(..)][self.random.usize(..5)];
            self.write_word(at & !7, word);
        }
        // It looks at what was written.
        self.say(Kind::Bell, &[]);
    }

    fn write_word(&self, at: u64, word: u64) {
        self.page.as_ref().unwrap().1.write_all_at(&word.to_le_bytes(), at).unwrap();
    }

    /// What an answer to this task may look like.
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

    fn answer(&mut self, mut task: Header) {
        loop {
            let (kind, body) = self.reply();
            self.table().words().finish(task.slot, task.sequence);
            self.put(kind, task.slot, task.sequence, &body);
            if self.random.u8(..4) == 0 {
                // Twice.
                self.put(kind, task.slot, task.sequence, &body);
            }
            task = self.begin();
        }
    }

    fn letters(&mut self, mut task: Header) {
        loop {
            let (kind, mut body) = self.reply();
            body.truncate(400);
            let length = if self.random.u8(..4) == 0 { self.random.usize(..) } else { body.len() };
            let mut letter = Header::new(kind, task.slot, task.sequence, length).to_bytes().to_vec();
            letter.extend_from_slice(&body);
            if self.random.u8(..4) == 0 {
                letter[HEADER - 8] = self.random.u8(..);
            }
            self.table().words().finish(task.slot, task.sequence);
            let slot = if self.random.bool() { task.slot } else { self.random.u8(..) };
            if self.table().post(slot, &letter) == Some(true) {
                self.say(Kind::Bell, &[]);
            }
            task = self.begin();
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

    fn segments(&self) {
        for number in 0..100_000 {
            let memory = Memory::new(1 << 20).unwrap().for_reading().unwrap();
            send_descriptor(&self.socket, number, &memory);
        }
    }
}

/// Where the page says when its task has begun.
const STARTED_AT: u64 = 2 * 64 * 8;
