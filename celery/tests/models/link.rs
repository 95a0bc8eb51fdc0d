//! A link with a broker and workers, all made up: it takes what a client submits, and does with it what can happen.
//!
//! As the real link, it is one thread. Between two looks at what the client has for it, something happens at the broker or
//! at the worker. It knows what real ones could not: which numbers were cancelled, so must never run nor arrive any more, and
//! what was confirmed, so must not arrive twice. A cancel is exact before the message is sent, and by the word of the worker
//! after that.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use concurrent_futures::Error;
use uuid::Uuid;

use crate::alarm::Alarm;
use crate::answer::Started;
use crate::client::orders::Orders;
use crate::client::shared::{Shared, State};
use crate::client::window::{Outgoing, Overdue};
use crate::schedules::below;

/// What can happen besides that messages are taken, confirmed, started and answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Troubles {
    /// How often the connection is lost.
    pub(crate) losses: usize,
    /// How often the broker does not take a message.
    pub(crate) refusals: usize,
    /// How often an answer comes twice.
    pub(crate) copies: usize,
    /// The last loss is for good.
    pub(crate) breaks: bool,
}

/// What the threads of a model tell the link. Not the checker's, so it adds no schedules; never held where they change.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Numbers>>);

#[derive(Default)]
struct Numbers {
    /// What the worker has begun.
    begun: HashSet<u32>,
    cancelled: HashSet<u32>,
}

impl Log {
    fn with<R>(&self, look: impl FnOnce(&mut Numbers) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, number: u32) {
        self.with(|numbers| assert!(!numbers.cancelled.contains(&number), "{number} was cancelled, and is published"));
    }

    fn begin(&self, number: u32) {
        self.with(|numbers| {
            assert!(!numbers.cancelled.contains(&number), "{number} was cancelled, and runs");
            numbers.begun.insert(number);
        });
    }

    /// Notes that a caller was told that a number has not run and never will.
    pub(crate) fn never(&self, number: u32) {
        self.with(|numbers| {
            assert!(!numbers.begun.contains(&number), "{number} was cancelled, and has run");
            numbers.cancelled.insert(number);
        });
    }
}

/// A message at the broker, or at a worker.
struct Message {
    id: Uuid,
    number: u32,
    is_started: bool,
    is_revoked: bool,
}

pub(crate) struct Link {
    shared: Arc<Shared>,
    log: Log,
    troubles: Troubles,
    in_flight: usize,
    /// What was published on this connection and is not confirmed, with its number.
    unconfirmed: Vec<(Uuid, u32)>,
    confirmed: HashSet<Uuid>,
    answered: HashSet<Uuid>,
    /// What the client has sent, and has neither an answer to nor taken back.
    out: BTreeSet<Uuid>,
    messages: Vec<Message>,
    /// What the worker is not to start any more.
    revoked: HashSet<Uuid>,
}

enum Next {
    Publish(Outgoing),
    Order(Orders),
    End,
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>, log: Log, troubles: Troubles) -> Self {
        let in_flight = shared.settings.in_flight;
        Self {
            shared,
            log,
            troubles,
            in_flight,
            unconfirmed: Vec::new(),
            confirmed: HashSet::new(),
            answered: HashSet::new(),
            out: BTreeSet::new(),
            messages: Vec::new(),
            revoked: HashSet::new(),
        }
    }

    /// Serves until the client is closed and nothing is left to do, or until the connection breaks for good.
    pub(crate) fn run(mut self) {
        let alarm = Alarm::new();
        let shared = Arc::clone(&self.shared);
        loop {
            if self.is_busy() && below(2) == 0 {
                if self.happen() {
                    continue;
                }
                shared.fail_all("the broker is gone".into());
                break;
            }
            match alarm.poll(shared.until(next)) {
                Some(Next::Publish(outgoing)) => self.publish(&outgoing),
                Some(Next::Order(orders)) => self.order(&orders),
                Some(Next::End) => {
                    // The worker goes on.
                    self.messages
                        .iter()
                        .filter(|message| !message.is_revoked)
                        .for_each(|left| self.log.begin(left.number));
                    break;
                }
                None if self.is_busy() => {}
                None => alarm.sleep(),
            }
        }
        shared.end();
    }

    fn is_busy(&self) -> bool {
        !(self.messages.is_empty() && self.unconfirmed.is_empty())
    }

    fn publish(&mut self, outgoing: &Outgoing) {
        let Outgoing { id, arguments, .. } = outgoing;
        let number = arguments.args.trim_matches(['[', ']']).parse().unwrap();
        self.log.publish(number);
        assert!(!self.confirmed.contains(id), "{number} was confirmed, and is published again");
        assert!(!self.answered.contains(id), "{number} was answered, and is published again");
        self.out.insert(*id);
        assert!(self.out.len() <= self.in_flight, "more is published than may be");
        self.unconfirmed.push((*id, number));
        self.arrive(*id, number);
    }

    /// A copy of a message that runs is dropped.
    fn arrive(&mut self, id: Uuid, number: u32) {
        if !self.is_started(id) {
            self.messages.push(Message { id, number, is_started: false, is_revoked: self.revoked.contains(&id) });
        }
    }

    fn is_started(&self, id: Uuid) -> bool {
        self.messages.iter().any(|message| message.id == id && message.is_started)
    }

    /// The worker obeys. What is terminated has left the client.
    fn order(&mut self, orders: &Orders) {
        self.out.retain(|id| !orders.terminated.contains(id));
        let revoked: Vec<_> = orders.revoked.iter().filter(|id| !self.is_started(**id)).collect();
        self.revoked.extend(revoked);
        for message in &mut self.messages {
            message.is_revoked |= self.revoked.contains(&message.id) || orders.terminated.contains(&message.id);
        }
    }

    /// Has something happen. Returns `false` if the connection is lost for good.
    fn happen(&mut self) -> bool {
        match below(10) {
            0..3 => self.confirm(),
            3..5 => self.start(),
            5..8 => self.answer(),
            8 => return self.lose(),
            _ => self.withdraw(),
        }
        true
    }

    /// The broker confirms in the order of publishing, but not before its workers have heard of a message.
    fn confirm(&mut self) {
        if self.unconfirmed.is_empty() {
            return;
        }
        let (id, _) = self.unconfirmed.remove(0);
        if self.troubles.refusals > 0 && below(2) == 0 && self.forget_unstarted(id) {
            self.troubles.refusals -= 1;
            self.out.remove(&id);
            self.shared.change(|state| state.window.not_taken(id));
        } else {
            self.confirmed.insert(id);
            self.shared.change(|state| state.window.confirmed(id));
        }
    }

    /// Has the broker lose a message that no worker has. Returns `false` if there is none.
    fn forget_unstarted(&mut self, id: Uuid) -> bool {
        let at = self.messages.iter().position(|message| message.id == id && !message.is_started);
        at.map(|at| self.messages.swap_remove(at)).is_some()
    }

    fn start(&mut self) {
        let Some(at) = self.any_message() else { return };
        let Message { id, number, is_revoked, .. } = self.messages[at];
        if is_revoked {
            return;
        }
        self.log.begin(number);
        self.messages[at].is_started = true;
        self.messages.retain(|message| message.id != id || message.is_started);
        self.shared.started(id, Started { hostname: "w".into(), pid: 1 });
    }

    fn answer(&mut self) {
        let Some(at) = self.any_message() else { return };
        let Message { id, number, is_revoked, .. } = self.messages.swap_remove(at);
        if !is_revoked {
            self.log.begin(number);
        }
        let reply = || if is_revoked { Err(Error::Cancelled) } else { Ok(number.to_string()) };
        self.answered.insert(id);
        self.out.remove(&id);
        self.shared.answered(id, reply());
        if self.troubles.copies > 0 && below(2) == 0 {
            self.troubles.copies -= 1;
            self.shared.answered(id, reply());
        }
    }

    fn any_message(&self) -> Option<usize> {
        (!self.messages.is_empty()).then(|| below(self.messages.len()))
    }

    /// The connection is lost, with some of what was not confirmed.
    fn lose(&mut self) -> bool {
        if self.troubles.losses == 0 {
            return true;
        }
        self.troubles.losses -= 1;
        if self.troubles.losses == 0 && self.troubles.breaks {
            return false;
        }
        for (id, _) in mem::take(&mut self.unconfirmed) {
            if below(2) == 0 {
                self.forget_unstarted(id);
            }
            self.out.remove(&id);
        }
        self.shared.change(|state| state.window.disconnected());
        true
    }

    /// What was withdrawn is overdue.
    fn withdraw(&mut self) {
        let later = Instant::now() + Duration::from_secs(1000);
        if let Some((id, Overdue::Withdrawn)) = self.shared.change(|state| state.window.overdue(later)) {
            self.answered.insert(id);
            self.out.remove(&id);
            self.shared.answered(id, Err(Error::Cancelled));
        }
    }
}

fn next(state: &mut State) -> Option<Next> {
    if let Some(orders) = state.orders.take() {
        return Some(Next::Order(orders));
    }
    let outgoing = state.window.next().map(Next::Publish);
    outgoing.or_else(|| state.is_over().then_some(Next::End))
}
