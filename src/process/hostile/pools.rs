//! A pool that does not keep to the rules: its worker goes, and says that it has lost it.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::fuzz::{bytes, cases, number};
use crate::process::connection::Connection;
use crate::process::contexts::NO_CONTEXT;
use crate::process::program::call::FunctionAddress;
use crate::process::program::entry::{self, StartFailure};
use crate::process::program::image::program;
use crate::process::protocol::frame::fuzz::kind;
use crate::process::protocol::frame::{Header, Kind, TaskHead, put};
use crate::process::protocol::setup::Setup;
use crate::process::worker::exit::LOST;
use crate::task::bound::{Bound, InContext};
use crate::task::encoded::Entry;
use crate::task::function::Infallible;
use crate::task::shared_context::SharedContext;

#[derive(Clone, Debug)]
enum Say {
    Bytes(Vec<u8>),
    Frame(Kind, u8, u64, Vec<u8>),
    /// A head without what it is the head of.
    Head(Kind, u64),
    /// A task, ready to be begun.
    Task {
        slot: u8,
        items: Option<(u32, u32)>,
        of: u32,
        /// The number of its context, which may never have come.
        context: Option<u64>,
        is_there: bool,
        argument: Vec<u8>,
    },
}

fn say() -> impl Strategy<Value = Say> {
    let items = prop::option::of((0..5_u32, 0..5_u32));
    prop_oneof![
        1 => bytes(200).prop_map(Say::Bytes),
        2 => (kind(), any::<u8>(), number(), bytes(100)).prop_map(|(kind, slot, sequence, body)| Say::Frame(kind, slot, sequence, body)),
        1 => (kind(), number()).prop_map(|(kind, length)| Say::Head(kind, length)),
        2 => (any::<bool>(), 0..3_u64, bytes(20)).prop_map(|(comes, number, body)| {
            Say::Frame(if comes { Kind::Context } else { Kind::Drop }, 0, number, body)
        }),
        4 => (any::<u8>(), items, 0..5_u32, prop::option::of(0..3_u64), any::<bool>(), bytes(60)).prop_map(
            |(slot, items, of, context, is_there, argument)| Say::Task { slot, items, of, context, is_there, argument }
        ),
    ]
}

fn framed(body: Vec<u8>) -> Vec<u8> {
    let mut frame = Vec::new();
    put(&mut frame, Kind::Setup, 0, 0, &body);
    frame
}

/// What the worker is set up with: as it should be, or anything.
fn setup() -> impl Strategy<Value = Vec<u8>> {
    let initializer = prop::option::of((0..4096_u64, 1 << 50..1_u64 << 60, bytes(20)));
    let good = (any::<String>(), number(), initializer).prop_map(|(name, most, initializer)| {
        let name = name.replace('\0', "");
        let setup: Setup =
            (name, most, None, initializer.map(|(_, function, argument)| (function, function, argument)));
        postcard::to_stdvec(&setup).unwrap()
    });
    prop_oneof![6 => good.prop_map(framed), 1 => bytes(60).prop_map(framed), 1 => bytes(60)]
}

/// A worker that has this for its connection.
fn worker(connection: impl Into<Stdio>) -> Command {
    let mut command = Command::new(program());
    command.stdin(connection).stdout(Stdio::null()).stderr(Stdio::null());
    entry::announce(&mut command);
    command
}

fn start(setup: Vec<u8>) -> (Connection, Child) {
    // Nothing cannot be sent with a descriptor.
    let setup = if setup.is_empty() { vec![0] } else { setup };
    let (connection, theirs) = Connection::new(setup).unwrap();
    let child = worker(theirs).spawn().unwrap();
    connection.flush();
    (connection, child)
}

/// The code it exits with, once it has.
fn code(mut child: Child) -> Option<i32> {
    let pid = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let long = Timespec { tv_sec: 30, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pid, PollFlags::IN)], Some(&long)).unwrap() == 1;
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(ended, "the worker hangs");
    status.code()
}

fn add_up(numbers: Vec<u8>) -> u8 {
    numbers.into_iter().fold(0, u8::wrapping_add)
}

fn add_up_from(first: &u8, numbers: Vec<u8>) -> u8 {
    numbers.into_iter().fold(*first, u8::wrapping_add)
}

fn bytes_of(say: &Say, sequence: u64, connection: &Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    match say {
        Say::Bytes(noise) => bytes.extend_from_slice(noise),
        Say::Frame(kind, slot, sequence, body) => put(&mut bytes, *kind, *slot, *sequence, body),
        Say::Head(kind, length) => {
            let header = Header { length: *length, ..Header::new(*kind, 0, 0, 0) };
            bytes.extend_from_slice(&header.to_bytes());
        }
        Say::Task { slot, items, of, context, is_there, argument } => {
            let entry = match context {
                None => Entry::of(&Infallible(add_up as fn(Vec<u8>) -> u8)),
                Some(_) => Entry::of(&Bound { function: InContext(add_up_from), context: SharedContext::new(0) }),
            };
            let call = FunctionAddress::of(entry).unwrap();
            // Where there is no function, in no program.
            let enter = if *is_there { call.enter } else { 1 << 50 };
            let (first, context) = (items.map_or(0, |(first, _)| first), context.unwrap_or(NO_CONTEXT));
            let head = TaskHead {
                id: sequence,
                enter,
                function: call.function,
                context,
                items: items.map_or(0, |_| *of),
                first,
            };
            connection.table.slots().ready(*slot, sequence, *items);
            put(&mut bytes, Kind::Task, *slot, sequence, &[&head.to_bytes()[..], argument].concat());
        }
    }
    bytes
}

proptest! {
    #![proptest_config(cases(25))]

    #[test]
    fn a_worker_exits_when_its_pool_sends_nonsense(setup in setup(), said in prop::collection::vec(say(), 0..6)) {
        let (connection, child) = start(setup);
        for (sequence, say) in (1..).zip(&said) {
            let bytes = bytes_of(say, sequence, &connection);
            // It may have gone already.
            if send(connection.socket(), &bytes, SendFlags::NOSIGNAL).is_err() {
                break;
            }
            connection.table.note_order();
        }
        connection.say_no_more();
        let code = code(child);
        prop_assert!(matches!(code, Some(0 | LOST)), "{code:?}");
    }
}

/// Also without a word.
#[test]
fn a_worker_exits_with_a_silent_pool() {
    for setup in [vec![0], vec![0xff; 40], Header::new(Kind::Setup, 0, 0, 0).to_bytes().to_vec()] {
        let (connection, child) = start(setup);
        drop(connection);
        assert_eq!(code(child), Some(LOST));
    }
}

/// The code that a worker exits with, and what it prints.
fn last_words(connection: impl Into<Stdio>) -> (Option<i32>, String) {
    let output = worker(connection).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_worker_that_loses_its_pool_says_why() {
    let setup: Setup = ("a worker".into(), 1000, None, None);
    let (connection, theirs) = Connection::new(framed(postcard::to_stdvec(&setup).unwrap())).unwrap();
    connection.flush();
    send(connection.socket(), &[0xff; 24], SendFlags::NOSIGNAL).unwrap();
    let (code, text) = last_words(theirs);
    assert_eq!(code, Some(LOST));
    assert_eq!(text, "concurrent-futures: a worker process lost its connection: a frame of an unknown kind\n");
}

#[test]
fn a_worker_that_cannot_send_says_why_unless_its_pool_has_gone() {
    // A socket that is not connected.
    let directory = tempfile::tempdir().unwrap();
    let unconnected = UnixListener::bind(directory.path().join("socket")).unwrap();
    let (code, text) = last_words(OwnedFd::from(unconnected));
    assert_eq!(code, Some(LOST));
    assert!(text.starts_with("concurrent-futures: a worker process cannot reach its pool: "), "{text}");
    let (connection, theirs) = Connection::new(vec![0]).unwrap();
    drop(connection);
    assert_eq!(last_words(theirs), (Some(LOST), String::new()));
}

#[test]
fn a_process_without_a_socket_is_no_worker() {
    assert_eq!(last_words(Stdio::null()), (Some(StartFailure::Socket.code()), String::new()));
}

#[test]
fn a_process_of_another_parent_is_no_worker() {
    let (_wire, theirs) = Connection::new(vec![0]).unwrap();
    let marked = worker(Stdio::null());
    let mut shell = Command::new("/bin/sh");
    // It does not end with the program's name, so the shell stays to be the parent.
    shell.args(["-c", r#""$@"; exit $?"#, "sh"]).arg(program().canonicalize().unwrap()).args(marked.get_args());
    let status = shell.stdin(theirs).status().unwrap();
    assert_eq!(status.code(), Some(StartFailure::Parent.code()));
}
