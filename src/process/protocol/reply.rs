//! The replies of a worker: results as they are, and errors taken apart in the worker and rebuilt in the pool.
#![forbid(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{
    BoxError, Broken, BuildError, Decode, Encode, Error, Exit, Failed, Full, Panic, Panicked, Part, TimeLimit, Timeout,
    TooLarge, WorkerDied,
};
use crate::panics;
use crate::sync::Mutex;

const PANICKED: u8 = 0;
const FAILED: u8 = 1;
const ENCODE: u8 = 2;
const DECODE: u8 = 3;
const TOO_LARGE: u8 = 4;
const OTHER: u8 = 5;
const CANCELLED: u8 = 6;
const TIME_LIMIT: u8 = 7;
const WORKER_DIED: u8 = 8;
const BROKEN: u8 = 9;
const SHUT_DOWN: u8 = 10;
const FULL: u8 = 11;
const TIMEOUT: u8 = 12;
const BUILD: u8 = 13;
const ABANDONED: u8 = 14;

/// How many causes of an error are sent and accepted: each is inside the one before, and the sender may be damaged.
const CAUSES: usize = 64;

/// The texts of a panic: message, location, worker, name of the task, backtrace.
type PanicTexts = (String, Option<String>, Option<String>, Option<String>, Option<String>);

/// What is known about a worker that died: name, process id, how it ended, function, hint, name of the task.
type DeathParts = (String, Option<u32>, ExitParts, Option<String>, Option<String>, Option<String>);

/// The exit code, or the signal.
type ExitParts = (Option<i32>, Option<String>);

/// Encodes the error of a task.
pub(in crate::process) fn to_bytes(error: &Error) -> Vec<u8> {
    let text = |text: Option<&str>| text.map(String::from);
    match error {
        Error::Panicked(panic) => {
            let message = panic.message().to_owned();
            let (place, worker, backtrace) = (panic.location(), panic.worker_name(), panic.backtrace());
            put(PANICKED, &(message, text(place), text(worker), text(panic.task_name()), text(backtrace)))
        }
        Error::Failed(failed) => put(FAILED, &(failed.type_name(), chain_of(failed))),
        Error::Encode(encode) => put(ENCODE, &(part_to_byte(encode.part()), encode.message())),
        Error::Decode(decode) => put(DECODE, &(part_to_byte(decode.part()), decode.message())),
        Error::TooLarge(large) => put(TOO_LARGE, &(large.size(), large.limit(), large.part().map(part_to_byte))),
        // From other tasks, whose futures this one has waited for.
        Error::Cancelled => put(CANCELLED, &()),
        Error::TimeLimit(late) => put(TIME_LIMIT, &(late.limit(), late.task_name())),
        Error::WorkerDied(died) => {
            let exit = exit_to_parts(died.exit());
            put(WORKER_DIED, &(died.worker_name(), died.pid(), exit, died.function(), died.hint(), died.task_name()))
        }
        Error::Broken(broken) => put(BROKEN, &chain_of(broken.cause())),
        Error::ShutDown => put(SHUT_DOWN, &()),
        Error::Full(full) => put(FULL, &(full.limit() as u64)),
        Error::Timeout(timeout) => {
            put(TIMEOUT, &(timeout.unfinished() as u64, timeout.total() as u64, timeout.timeout()))
        }
        Error::Build(refusal) => put(BUILD, &refusal.texts()),
        Error::Abandoned => put(ABANDONED, &()),
    }
}

fn put<T: Serialize>(kind: u8, parts: &T) -> Vec<u8> {
    // Texts and numbers can always be encoded.
    postcard::to_extend(parts, vec![kind]).unwrap_or_else(|_| vec![OTHER])
}

/// Returns the messages of an error and its sources. Both are user code: where one panics, a text says so in its place.
fn chain_of(error: &dyn StdError) -> Vec<String> {
    let (mut chain, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next.take()
        && chain.len() < CAUSES
    {
        let message = panics::catch(|| Ok(error.to_string()));
        chain.push(message.unwrap_or_else(|panic| format!("(its message cannot be shown: {panic})")));
        match panics::catch(|| Ok(error.source())) {
            Ok(source) => next = source,
            Err(panic) => chain.push(format!("(its cause cannot be shown: {panic})")),
        }
    }
    chain
}

/// Rebuilds the error that a worker took apart. The bytes may be anything, if a task has damaged the worker.
pub(in crate::process) fn from_bytes(bytes: &[u8]) -> Error {
    read(bytes).unwrap_or_else(|| Error::Broken(Broken::new("a worker process sent an error that cannot be read")))
}

fn read(bytes: &[u8]) -> Option<Error> {
    let (kind, parts) = bytes.split_first()?;
    Some(match *kind {
        PANICKED => {
            let (message, location, worker, task, backtrace): PanicTexts = parse(parts)?;
            let boxed = |text: Option<String>| text.map(String::into_boxed_str);
            Error::Panicked(Panicked::new(Panic {
                message: message.into(),
                location: boxed(location),
                worker: boxed(worker),
                task: boxed(task),
                backtrace: boxed(backtrace),
                payload: Mutex::new(None),
            }))
        }
        FAILED => {
            let (type_name, chain): (String, Vec<String>) = parse(parts)?;
            Error::Failed(Failed::named(Crossed::from_chain(chain)?, type_name.into()))
        }
        ENCODE => {
            let (part, message): (u8, String) = parse(parts)?;
            Error::Encode(Encode::new(part_from_byte(part)?, message))
        }
        DECODE => {
            let (part, message): (u8, String) = parse(parts)?;
            Error::Decode(Decode::new(part_from_byte(part)?, message))
        }
        TOO_LARGE => {
            let (size, limit, part): (u64, u64, Option<u8>) = parse(parts)?;
            let large = TooLarge::new(size, limit);
            Error::TooLarge(match part {
                Some(part) => large.with_part(part_from_byte(part)?),
                None => large,
            })
        }
        OTHER => Error::Broken(Broken::new(parse::<String>(parts)?)),
        CANCELLED => Error::Cancelled,
        TIME_LIMIT => {
            let (limit, name): (Duration, Option<String>) = parse(parts)?;
            Error::TimeLimit(TimeLimit::new(limit)).named(name.as_deref())
        }
        WORKER_DIED => {
            let (worker, pid, exit, function, hint, name): DeathParts = parse(parts)?;
            let mut died = WorkerDied::new(worker, exit_from_parts(exit), function);
            if let Some(pid) = pid {
                died = died.with_pid(pid);
            }
            if let Some(hint) = hint {
                died = died.with_hint(hint);
            }
            Error::WorkerDied(died).named(name.as_deref())
        }
        BROKEN => Error::Broken(Broken::new(Crossed::from_chain(parse(parts)?)?)),
        SHUT_DOWN => Error::ShutDown,
        FULL => Error::Full(Full::new(usize::try_from(parse::<u64>(parts)?).ok()?)),
        TIMEOUT => {
            let (unfinished, total, after): (u64, u64, Duration) = parse(parts)?;
            Error::Timeout(Timeout::new(usize::try_from(unfinished).ok()?, usize::try_from(total).ok()?, after))
        }
        BUILD => {
            let (parameter, requirement, value): (String, String, String) = parse(parts)?;
            Error::Build(BuildError::from_texts(parameter, requirement, value))
        }
        ABANDONED => Error::Abandoned,
        _ => return None,
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

fn exit_to_parts(exit: &Exit) -> ExitParts {
    match exit {
        Exit::Code(code) => (Some(*code), None),
        Exit::Signal(name) => (None, Some(name.clone())),
        Exit::Unknown => (None, None),
    }
}

fn exit_from_parts(parts: ExitParts) -> Exit {
    match parts {
        (Some(code), _) => Exit::Code(code),
        (None, Some(name)) => Exit::Signal(name),
        (None, None) => Exit::Unknown,
    }
}

fn part_to_byte(part: Part) -> u8 {
    match part {
        Part::Argument => 0,
        Part::Result => 1,
        Part::Function => 2,
        Part::Context => 3,
    }
}

fn part_from_byte(byte: u8) -> Option<Part> {
    Some(match byte {
        0 => Part::Argument,
        1 => Part::Result,
        2 => Part::Function,
        3 => Part::Context,
        _ => return None,
    })
}

/// An error from another process: its message, and its source.
#[derive(Debug)]
struct Crossed {
    message: String,
    source: Option<Box<Crossed>>,
}

impl Crossed {
    fn from_chain(mut chain: Vec<String>) -> Option<BoxError> {
        chain.truncate(CAUSES);
        let link = |source, message| Some(Box::new(Self { message, source }));
        chain.into_iter().rev().fold(None, link).map(|error| error as BoxError)
    }
}

impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Crossed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as &dyn StdError)
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_as_they_were_written() {
        let errors = [
            Error::Failed(Failed::new(std::io::Error::other("the disk is full"))),
            Error::Encode(Encode::new(Part::Result, "no")),
            Error::Decode(Decode::new(Part::Argument, "no")),
            Error::Decode(Decode::new(Part::Context, "no")),
            Error::TooLarge(TooLarge::new(7, 5)),
            Error::TooLarge(TooLarge::new(7, 5).with_part(Part::Context)),
            Error::Cancelled,
            Error::TimeLimit(TimeLimit::new(Duration::from_millis(7))).named(Some("resize")),
            Error::WorkerDied(WorkerDied::new("w", Exit::Signal("SIGSEGV".into()), None)),
            Error::WorkerDied(WorkerDied::new("w", Exit::Code(3), Some("f".into())).with_pid(7).with_hint("why"))
                .named(Some("resize")),
            Error::WorkerDied(WorkerDied::new("w", Exit::Unknown, None).with_pid(7)),
            Error::Broken(Broken::new("no more threads")),
            Error::ShutDown,
            Error::Full(Full::new(7)),
            Error::Timeout(Timeout::new(2, 4, Duration::from_secs(2))),
            Error::Build(BuildError::new("max_workers", "at least 1", 0)),
            Error::Abandoned,
        ];
        for error in errors {
            let back = from_bytes(&to_bytes(&error));
            assert_eq!((back.variant(), back.to_string()), (error.variant(), error.to_string()));
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for bytes in [&[][..], &[PANICKED], &[FAILED, 0, 0], &[DECODE, 9, 0], &[77, 1], &[TOO_LARGE, 255]] {
            assert!(matches!(from_bytes(bytes), Error::Broken(_)), "{bytes:?}");
        }
    }
}
