//! Descriptors of a model: what is readable, and who sleeps at it.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::protocol::frame::Frame;
use crate::sync::{Condvar, Mutex};

/// The socket of a worker, and whatever else is polled along with it.
#[derive(Clone)]
pub(super) struct Line(Arc<(Mutex<Told>, Condvar)>);

pub(super) type Socket = Line;

#[derive(Default)]
pub(super) struct Told {
    /// To the worker.
    pub(super) orders: VecDeque<(u8, u64)>,
    /// From the worker.
    pub(super) frames: VecDeque<Frame>,
    /// The worker is gone.
    pub(super) exited: bool,
    /// And so is its end of the socket, unless something that it has started holds it.
    pub(super) hung_up: bool,
    /// The keeper sleeps, or did.
    pub(super) kept: bool,
    /// The keeper's bell was rung.
    pub(super) rung: bool,
    /// The helper's bell was rung.
    relieved: bool,
    /// The keeper's alarm has gone off.
    pub(super) expired: bool,
    is_shut: bool,
    /// As where there is no way to shut an ear.
    pub(super) has_no_lid: bool,
}

impl Told {
    /// The worker ends.
    pub(super) fn exit(&mut self) {
        (self.exited, self.hung_up) = (true, true);
    }

    /// Can something be read from the socket?
    fn is_readable(&self) -> bool {
        !self.frames.is_empty() || self.hung_up
    }

    /// Can something be read from the ear? That a worker has hung up is heard through a lid.
    pub(super) fn is_heard(&self) -> bool {
        self.is_readable() && !self.is_shut || self.hung_up
    }
}

std::thread_local! {
    static MADE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

impl Line {
    /// Makes one, which the next bell is at.
    pub(super) fn new() -> Self {
        let line = Self(Arc::new((Mutex::default(), Condvar::new())));
        MADE.set(Some(line.clone()));
        line
    }

    pub(super) fn tell<R>(&self, note: impl FnOnce(&mut Told) -> R) -> R {
        let result = note(&mut self.0.0.lock());
        self.0.1.notify_all();
        result
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Told) -> R) -> R {
        look(&mut self.0.0.lock())
    }

    /// Is the helper's bell silent, and the ear open?
    pub(super) fn is_quiet(&self) -> bool {
        self.look(|told| !told.relieved && !told.is_shut)
    }

    /// Sleeps until there is something.
    pub(super) fn poll<R>(&self, mut look: impl FnMut(&mut Told) -> Option<R>) -> R {
        let mut told = self.0.0.lock();
        loop {
            match look(&mut told) {
                Some(seen) => return seen,
                None => self.0.1.wait(&mut told),
            }
        }
    }
}

/// As the real one.
pub(super) fn sleep(socket: &Socket, _: &Bell) -> Option<bool> {
    socket.poll(|told| (told.relieved || told.is_readable()).then_some((!told.relieved).then_some(true)))
}

/// The helper's.
pub(super) struct Bell(Line);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(MADE.take().expect("there is a line without a bell")))
    }

    pub(super) fn ring(&self) {
        self.0.tell(|told| told.relieved = true);
    }

    pub(super) fn hush(&self) {
        self.0.look(|told| told.relieved = false);
    }
}

pub(super) struct Ear;

impl Ear {
    pub(super) fn new(_socket: &Socket) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn shut(&self, socket: &Socket) -> bool {
        socket.look(|told| {
            told.is_shut = !told.has_no_lid;
            told.is_shut
        })
    }

    pub(super) fn open(&self, socket: &Socket) {
        socket.tell(|told| told.is_shut = false);
    }
}
