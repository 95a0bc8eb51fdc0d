//! What is known of one task: what it was to do, what was done to it, and what its future came to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use concurrent_futures::{Error, Outcome, TaskOptions};
use fastrand::Rng;

use crate::settings::Settings;
use crate::tasks::{Act, Data, Order, Reply, Trap, answer_to};

#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    pub(crate) act: Act,
    number: u64,
    given: usize,
    pub(crate) asked: usize,
    pub(crate) retries: u32,
    limit: Option<Duration>,
    pub(crate) refuse_when_full: bool,
    /// `cancel` returned `true`, and the task was not aborted before.
    pub(crate) cancelled: AtomicBool,
    /// `abort` said yes.
    pub(crate) aborted: AtomicBool,
    /// How often its callback was called.
    pub(crate) calls: AtomicU32,
    /// What its callback was told: is the value right?
    pub(crate) told: Mutex<Option<Result<bool, Error>>>,
}

/// Beyond the smallest `max_message_size`, and what else goes with the data.
const TOO_LONG: usize = (1 << 20) + 64;

impl Ticket {
    pub(crate) fn new(id: u64, act: Act, random: &mut Rng) -> Self {
        let mut length = || if act == Act::Big { random.usize(..3 << 20) } else { 0 };
        let (given, asked) = (length(), length());
        let limit = match act {
            Act::Stop | Act::Hang => Some(Duration::from_millis(random.u64(20..=200))),
            _ => (random.u32(..10) == 0).then_some(Duration::from_secs(30)),
        };
        let retries = match act {
            Act::DieOnce => random.u32(1..=2),
            _ => random.u32(..8).saturating_sub(5),
        };
        Self {
            id,
            act,
            number: random.u64(..),
            given,
            asked,
            retries,
            limit,
            refuse_when_full: random.u32(..10) == 0,
            cancelled: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            calls: AtomicU32::new(0),
            told: Mutex::new(None),
        }
    }

    /// One in a map that has these options.
    pub(crate) fn item(id: u64, fatal: bool, retries: u32, random: &mut Rng) -> Self {
        let act = if fatal { Act::FatalItem } else { Act::Item };
        Self { retries, limit: None, refuse_when_full: false, ..Self::new(id, act, random) }
    }

    pub(crate) fn order(&self) -> Order {
        let even = self.number.is_multiple_of(2);
        Order {
            id: self.id,
            act: self.act,
            number: self.number,
            data: Data::new(self.number, self.given),
            given: self.given,
            asked: self.asked,
            trap: match self.act {
                Act::UnwritableArgument if even => Trap::Write,
                Act::UnwritableArgument => Trap::WritePanic,
                Act::UnreadableArgument if even => Trap::Read,
                Act::UnreadableArgument => Trap::ReadPanic,
                _ => Trap::None,
            },
        }
    }

    pub(crate) fn options(&self) -> TaskOptions {
        let mut options = TaskOptions::new().retries(self.retries);
        if let Some(limit) = self.limit {
            options = options.time_limit(limit);
        }
        if self.refuse_when_full { options.refuse_when_full() } else { options }
    }

    /// Is this the task's own doing: does it always run into a time limit?
    pub(crate) fn never_ends(&self) -> bool {
        matches!(self.act, Act::Stop | Act::Hang)
    }

    /// Does this task's argument, or else its result, exceed `max_message_size`?
    pub(crate) fn is_too_long(&self, settings: &Settings) -> bool {
        settings.max_message_size.is_some() && self.given.max(self.asked) > TOO_LONG
    }

    /// Is it so near to `max_message_size` that it may exceed it or not?
    pub(crate) fn may_be_too_long(&self, settings: &Settings) -> bool {
        settings.max_message_size.is_some_and(|limit| self.given.max(self.asked) as u64 + 64 > limit)
    }

    /// Is its argument never to reach a worker?
    pub(crate) fn is_argument_too_long(&self, settings: &Settings) -> bool {
        settings.max_message_size.is_some() && self.given > TOO_LONG
    }

    /// Its callback.
    pub(crate) fn hear(&self, outcome: &Outcome<Reply>) {
        let told = match outcome {
            Ok(reply) => Ok(self.is_right(reply)),
            Err(error) => Err(error.clone()),
        };
        *self.told.lock().unwrap() = Some(told);
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn is_right(&self, reply: &Reply) -> bool {
        reply.number == answer_to(self.number) && reply.data.is_right(self.number, self.asked)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > 0
    }
}
