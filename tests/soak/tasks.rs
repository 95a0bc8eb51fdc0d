//! What tasks do, in the worker: they note that they run, and then return, fail or die as they are told.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{abort, exit};
use std::sync::OnceLock;
use std::time::Duration;

use concurrent_futures::{Bytes, Executor, ProcessPoolExecutor};
use fastrand::Rng;
use rustix::process::{Resource, Signal, getpid, getrlimit, kill_process};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where tasks note their runs: a variable in the environment of the workers of one pool.
pub(crate) const NOTES: &str = "SOAK_NOTES";

pub(crate) const EXIT_CODE: i32 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    Answer,
    Sleep,
    /// Megabytes in and out.
    Big,
    Print,
    /// Uses a pool of its own.
    Nest,
    Panic,
    Fail,
    Exit,
    Abort,
    Kill,
    Overflow,
    /// Stops its process. It has a time limit.
    Stop,
    /// Never ends. It has a time limit.
    Hang,
    /// Dies at its first run. It has retries.
    DieOnce,
    /// Asks for more memory than there may be.
    Allocate,
    /// One of many in a map.
    Item,
    /// One of many in a map that ends its worker.
    FatalItem,
    UnwritableArgument,
    UnreadableArgument,
    UnwritableResult,
    UnreadableResult,
}

/// Bytes that cross in one of two ways.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Data {
    Plain(Vec<u8>),
    /// In shared memory, if they are many.
    Bytes(Bytes),
}

impl Data {
    /// So many bytes that belong to this number, to cross in the way that belongs to it.
    pub(crate) fn new(number: u64, length: usize) -> Self {
        let bytes = vec![number as u8; length];
        if number.is_multiple_of(3) { Self::Plain(bytes) } else { Self::Bytes(bytes.into()) }
    }

    pub(crate) fn is_right(&self, number: u64, length: usize) -> bool {
        let bytes: &[u8] = match self {
            Self::Plain(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        };
        bytes.len() == length && bytes.iter().all(|byte| *byte == number as u8)
    }
}

/// The context of many tasks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Common {
    number: u64,
    length: usize,
    data: Data,
}

impl Common {
    /// Short, long, or so long that it is in shared memory.
    pub(crate) fn random(random: &mut Rng) -> Self {
        let (number, most) = (random.u64(..256), [100, 100_000, 600_000][random.usize(..3)]);
        let length = random.usize(..most);
        Self { number, length, data: Data::new(number, length) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) act: Act,
    pub(crate) number: u64,
    pub(crate) data: Data,
    pub(crate) given: usize,
    /// How many bytes it is to return.
    pub(crate) asked: usize,
    pub(crate) trap: Trap,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) number: u64,
    pub(crate) data: Data,
    trap: Trap,
}

/// A value that may fail, or panic, in serde.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    None,
    Write,
    WritePanic,
    Read,
    ReadPanic,
}

impl Trap {
    pub(crate) const MESSAGE: &str = "this is a trap";
}

impl Serialize for Trap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Trap::Write => Err(S::Error::custom(Self::MESSAGE)),
            Trap::WritePanic => std::panic::resume_unwind(Box::new(Self::MESSAGE)),
            Trap::None => serializer.serialize_u8(0),
            Trap::Read => serializer.serialize_u8(1),
            Trap::ReadPanic => serializer.serialize_u8(2),
        }
    }
}

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Trap::None),
            1 => Err(D::Error::custom(Self::MESSAGE)),
            _ => std::panic::resume_unwind(Box::new(Self::MESSAGE)),
        }
    }
}

pub(crate) fn answer_to(number: u64) -> u64 {
    number.wrapping_mul(3).wrapping_add(1)
}

/// The initializer: panics say nothing, there will be many.
pub(crate) fn be_quiet(_: ()) {
    std::panic::set_hook(Box::new(|_| {}));
}

pub(crate) fn perform(order: Order) -> Result<Reply, String> {
    let Order { id, act, number, data, given, asked, .. } = order;
    note(id);
    let mut trap = Trap::None;
    match act {
        Act::Sleep => std::thread::sleep(Duration::from_millis(number % 30)),
        Act::Print => {
            print!(".");
        }
        Act::Nest => {
            let doubled = ProcessPoolExecutor::new(1).submit(|n: u64| n.wrapping_mul(2), number).result();
            let doubled = doubled.map_err(|error| format!("nested: {error}"))?;
            assert_eq!(doubled, number.wrapping_mul(2));
        }
        Act::Panic => std::panic::resume_unwind(Box::new(format!("task {id} panics"))),
        Act::Fail => return Err(format!("task {id} fails")),
        Act::Exit | Act::FatalItem => exit(EXIT_CODE),
        Act::Abort => abort(),
        Act::Kill => signal_self(Signal::KILL),
        Act::Overflow => {
            overflow(number);
        }
        Act::Stop => {
            signal_self(Signal::STOP);
            hang();
        }
        Act::Hang => hang(),
        Act::DieOnce => {
            let notes = read_notes(Path::new(&std::env::var_os(NOTES).expect("the pool sets it")));
            if notes.iter().filter(|(noted, _)| *noted == id).count() == 1 {
                exit(EXIT_CODE);
            }
        }
        Act::Allocate => {
            // More than the pool's limit, if it has one, or else than there are addresses.
            let bytes = if getrlimit(Resource::As).current.is_some() { 8 << 30 } else { 1 << 47 };
            std::hint::black_box(Vec::<u8>::with_capacity(bytes));
        }
        Act::UnwritableResult => trap = if number.is_multiple_of(2) { Trap::Write } else { Trap::WritePanic },
        Act::UnreadableResult => trap = if number.is_multiple_of(2) { Trap::Read } else { Trap::ReadPanic },
        Act::Answer | Act::Big | Act::Item | Act::UnwritableArgument | Act::UnreadableArgument => {}
    }
    if !data.is_right(number, given) {
        return Err("the argument is damaged".into());
    }
    Ok(Reply { number: answer_to(number), data: Data::new(number, asked), trap })
}

/// Performs an order like [`perform`], and checks the context.
pub(crate) fn perform_in(common: &Common, order: Order) -> Result<Reply, String> {
    let is_right = common.data.is_right(common.number, common.length);
    let reply = perform(order);
    if is_right { reply } else { Err("the context is damaged".into()) }
}

fn hang() {
    loop {
        std::thread::park();
    }
}

fn signal_self(signal: Signal) {
    kill_process(getpid(), signal).expect("a process may signal itself");
}

#[expect(unconditional_recursion, reason = "it is what the task is for")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + frame[0]
}

/// Notes that the task runs in this process. One `write` to a file opened for appending is never mixed with another.
fn note(id: u64) {
    static NOTES_FILE: OnceLock<File> = OnceLock::new();
    let mut file = NOTES_FILE.get_or_init(|| {
        let path = std::env::var_os(NOTES).expect("the pool sets it");
        OpenOptions::new().append(true).create(true).open(path).expect("notes can be written")
    });
    let mut line = [0; 16];
    line[..8].copy_from_slice(&id.to_le_bytes());
    line[8..].copy_from_slice(&u64::from(std::process::id()).to_le_bytes());
    file.write_all(&line).expect("notes can be written");
}

/// The runs that were noted: the id of the task, and the process.
pub(crate) fn read_notes(path: &Path) -> Vec<(u64, u32)> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let (lines, rest) = bytes.as_chunks::<16>();
    assert!(rest.is_empty(), "a note was torn");
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    lines.iter().map(|line| (number(&line[..8]), number(&line[8..]) as u32)).collect()
}
