//! [`Due`]: what follows from a decision once the lock is free. Anything may come before it is done.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::errand::open_calls;
use super::worker::Said;
use super::world::World;
use crate::error::Error;
use crate::process::flight::Flight;
use crate::process::supervisor::{LinkId, Order, Victim};

pub(super) enum Due {
    /// Frames, and whether the worker's thread is rung for then.
    Send(LinkId, Vec<Order>, bool),
    /// Takes up to so many messages.
    Receive(usize),
    /// Looks for what there is to do.
    Look,
    Deliver(Arc<Flight>, Said),
    /// The same by who has waited for it.
    Read(Arc<Flight>, Said),
    Refuse(Vec<Arc<Flight>>, Option<Error>),
    Died,
    Mourn(Victim),
    Requeue(Arc<Flight>),
    Bury(Arc<Flight>, Error),
    Expire(Arc<Flight>),
    Kill(LinkId),
    Break,
    RingAll,
    Forget,
}

impl Due {
    /// For a trace.
    pub(super) fn name(&self) -> String {
        let calls = |flight: &Flight| open_calls(flight);
        match self {
            Self::Send(id, orders, _) => {
                let orders: Vec<_> = orders.iter().map(|order| (order.sequence, calls(&order.flight))).collect();
                format!("send {orders:?} to {}", id.0)
            }
            Self::Receive(count) => format!("receive {count}"),
            Self::Look => "look".into(),
            Self::Deliver(flight, _) => format!("deliver {:?}", calls(flight)),
            Self::Read(flight, _) => format!("read {:?}", calls(flight)),
            Self::Refuse(flights, error) => {
                format!("refuse {:?}: {error:?}", flights.iter().map(|flight| calls(flight)).collect::<Vec<_>>())
            }
            Self::Died => "died".into(),
            Self::Mourn(victim) => format!("mourn {:?}", calls(&victim.flight)),
            Self::Requeue(flight) => format!("requeue {:?}", calls(flight)),
            Self::Bury(flight, _) => format!("bury {:?}", calls(flight)),
            Self::Expire(flight) => format!("expire {:?}", calls(flight)),
            Self::Kill(id) => format!("kill {}", id.0),
            Self::Break => "break".into(),
            Self::RingAll => "ring all".into(),
            Self::Forget => "forget".into(),
        }
    }
}

impl World<'_> {
    /// Does what a thread outside is about to do.
    pub(super) fn perform(&mut self, due: Due) {
        self.trace(|| due.name());
        match due {
            Due::Send(id, orders, rings) => {
                self.send(id, orders);
                if rings {
                    self.ring(id);
                }
            }
            Due::Refuse(flights, error) => self.refuse(&flights, error.as_ref()),
            Due::Kill(id) => self.kill(id),
            Due::Read(flight, said) => {
                self.deliver(flight, said, true);
                self.supervisor.end_reading();
            }
            Due::RingAll => self.ring_all(),
            _ => unreachable!("a keeper does that"),
        }
    }

    pub(super) fn refuse(&mut self, flights: &[Arc<Flight>], error: Option<&Error>) {
        for flight in flights {
            self.call_off(flight);
            match error {
                None => {
                    flight.withdraw();
                }
                Some(error) => flight.fail(error),
            }
        }
    }
}
