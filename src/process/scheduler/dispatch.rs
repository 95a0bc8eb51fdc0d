//! How workers get their tasks, and what they are to do when there is none.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::{Link, Sent, Stage};
use super::{AHEAD_BYTES, Answered, LinkId, Next, Order, Scheduler};
use crate::process::slots::Slots;
use crate::process::task::{Place, RemoteTask};

impl<W: Clone> Scheduler<W> {
    /// The process of a worker was spawned.
    pub(in crate::process) fn attach(&mut self, id: LinkId, wire: W) {
        if let Some(link) = self.links.get_mut(&id) {
            link.wire = Some(wire);
        }
    }

    /// Lets a worker go that is not ready yet, if there is nothing for it and will be nothing.
    pub(in crate::process) fn dismiss(&mut self, id: LinkId) -> bool {
        let over = self.is_over();
        let Some(link) = self.links.get_mut(&id).filter(|link| over && link.stage == Stage::Starting) else {
            return false;
        };
        link.expected = true;
        self.move_to(id, Stage::Leaving);
        true
    }

    /// The worker is ready for tasks.
    pub(in crate::process) fn ready(&mut self, id: LinkId, wire: W, slots: Arc<Slots>, now: Instant) {
        self.early_deaths.clear();
        self.start_again = None;
        if let Some(link) = self.links.get_mut(&id) {
            link.wire = Some(wire);
            link.slots = Some(slots);
            link.since = now;
            self.move_to(id, Stage::Serving);
        }
    }

    /// Notes an answer, and says whose it is. The last of a task takes it from the worker.
    pub(in crate::process) fn settle(&mut self, id: LinkId, answer: Answered, now: Instant) -> Option<Arc<RemoteTask>> {
        let Answered { slot, sequence, last } = answer;
        let link = self.links.get_mut(&id)?;
        let is_it = |sent: &Sent| sent.slot == slot && sent.sequence == sequence;
        if !last {
            return link.in_flight.iter().find(|sent| is_it(sent)).map(|sent| Arc::clone(&sent.remote));
        }
        let remote = link.take(is_it, now)?;
        *remote.place.lock() = Place::Done;
        Some(remote)
    }

    /// When the worker was given the first of its tasks, or had that left; or since when it has none.
    pub(in crate::process) fn since(&self, id: LinkId, now: Instant) -> Instant {
        self.links.get(&id).map_or(now, |link| link.since)
    }

    /// Notes that so many tasks took so long.
    pub(in crate::process) fn observe(&mut self, id: LinkId, tasks: u32, took: Duration) {
        if let Some(link) = self.links.get_mut(&id) {
            link.pace.observe(tasks, took);
        }
    }

    /// Gives a worker that serves what it can take, and says what it is to do.
    pub(in crate::process) fn refill(
        &mut self,
        id: LinkId,
        expired: bool,
        now: Instant,
        orders: &mut Vec<Order>,
    ) -> Next {
        let Some(link) = self.links.get(&id) else {
            return Next::End;
        };
        if link.stage != Stage::Serving {
            return Next::End;
        }
        let serving = self.active.max(1);
        let share = self.waiting().div_ceil(serving).max(1);
        let may_begin = !link.in_flight.is_empty() || self.has_seat();
        let mut room = link.room().min(share + link.in_flight.len()).saturating_sub(link.in_flight.len());
        while may_begin && room > 0 && self.fits(id) {
            let Some(remote) = self.pop() else { break };
            orders.push(self.assign(id, remote, now));
            room -= 1;
        }
        if may_begin && self.links[&id].in_flight.is_empty() && self.links[&id].budget > 0 && self.broken.is_none() {
            self.steal(id, now, orders);
            if self.links[&id].in_flight.is_empty() {
                self.divide(id, now, orders);
            }
        }
        let link = &self.links[&id];
        if !link.in_flight.is_empty() {
            self.idle.retain(|other| *other != id);
            return Next::Work(link.deadline());
        }
        if may_begin {
            // One that has none has none to give: two that stand by would wake each other over and over.
            self.free_seat(id);
        }
        let link = &self.links[&id];
        // It was to be replaced, and a task was taken back from it when its replacement was on the way.
        let is_surplus = link.counts() && self.active > self.limits.max_workers;
        let is_done = self.is_closed() || self.broken.is_some() || expired || link.budget == 0;
        if is_surplus || is_done && self.may_leave(id) {
            self.idle.retain(|other| *other != id);
            self.move_to(id, Stage::Leaving);
            return Next::Leave;
        }
        if !may_begin || self.links[&id].budget == 0 {
            return Next::Wait;
        }
        if !self.idle.contains(&id) {
            self.idle.push(id);
        }
        Next::Idle(self.links[&id].since)
    }

    /// Where a task is, if its worker has no other, and nothing waits for one.
    pub(in crate::process) fn only(&self, remote: &RemoteTask) -> Option<(LinkId, W, u8, u64)> {
        let Place::Sent { link: id, slot, sequence, .. } = *remote.place.lock() else {
            return None;
        };
        let link = self.links.get(&id).filter(|link| link.stage == Stage::Serving && link.in_flight.len() == 1)?;
        let wire = link.wire.clone().filter(|_| self.waiting() == 0)?;
        Some((id, wire, slot, sequence))
    }

    /// Takes a worker's [only](Self::only) task from it, which it has answered to somebody who is no thread of the pool: his end of
    /// [reading](Self::end_reading) is waited for. Does the worker rest?
    pub(in crate::process) fn settle_only(
        &mut self,
        id: LinkId,
        slot: u8,
        sequence: u64,
        now: Instant,
    ) -> (Option<Arc<RemoteTask>>, bool) {
        let took = now.saturating_duration_since(self.since(id, now));
        let remote = self.settle(id, Answered { slot, sequence, last: true }, now);
        self.observe(id, 1, took);
        if remote.is_some() {
            self.begin_reading();
        }
        (remote, self.rest(id))
    }

    /// Notes that a worker has nothing to do. `false`: there is something, or it may leave, and its thread has to look.
    fn rest(&mut self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let is_idle = link.stage == Stage::Serving && link.in_flight.is_empty() && link.budget > 0;
        let is_over = self.closed || self.broken.is_some();
        let is_shared =
            |link: &Link<W>| link.in_flight.len() > 1 || link.in_flight.iter().any(|sent| sent.remote.is_divisible());
        let has_more = self.waiting() > 0 || self.links.values().any(is_shared);
        let rests = is_idle && !is_over && !has_more;
        if rests && !self.idle.contains(&id) {
            self.idle.push(id);
        }
        rests
    }

    /// One that has had as many tasks as it may have stays until its replacement is there, if there is to be one.
    pub(super) fn may_leave(&self, id: LinkId) -> bool {
        if self.broken.is_some() {
            return true;
        }
        if self.links[&id].budget > 0 {
            // There may be tasks for it that only wait for a seat.
            return self.waiting() == 0;
        }
        let stays = |link: &&Link<W>| link.stage == Stage::Serving && link.budget == 0 && link.in_flight.is_empty();
        self.links.values().filter(stays).count() > self.starting
    }

    pub(super) fn fits(&self, id: LinkId) -> bool {
        let link = &self.links[&id];
        let next = self.queue.iter().find(|remote| matches!(*remote.place.lock(), Place::Queued));
        let Some((last, next)) = link.in_flight.back().zip(next) else { return link.in_flight.is_empty() };
        let is_in_turn = match link.in_flight.iter().filter(|sent| sent.remote.task().is_none()).count() {
            0 => true,
            1 => last.remote.ticket() == next.ticket(),
            _ => false,
        };
        is_in_turn && link.bytes + next.argument.len() <= AHEAD_BYTES
    }

    pub(super) fn pop(&mut self) -> Option<Arc<RemoteTask>> {
        while let Some(remote) = self.queue.pop_front() {
            if matches!(*remote.place.lock(), Place::Queued) {
                self.sweep();
                return Some(remote);
            }
            self.dead -= 1;
        }
        None
    }

    pub(super) fn assign(&mut self, id: LinkId, remote: Arc<RemoteTask>, now: Instant) -> Order {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let link = self.links.get_mut(&id).expect("tasks are given to links that are there");
        let slots = Arc::clone(link.slots.as_ref().expect("a link that serves has slots"));
        let slot = link.free.trailing_zeros() as u8;
        link.free &= !(1 << slot);
        slots.words().ready(slot, sequence, remote.range());
        *remote.place.lock() = Place::Sent { link: id, slot, sequence, slots };
        if link.in_flight.is_empty() {
            link.since = now;
        }
        link.bytes += remote.argument.len();
        link.budget -= 1;
        link.in_flight.push_back(Sent { remote: Arc::clone(&remote), slot, sequence });
        if link.budget == 0 {
            self.active -= 1;
        }
        Order { remote, slot, sequence }
    }

    /// Takes half of what another worker has not begun of a portion.
    fn divide(&mut self, id: LinkId, now: Instant, orders: &mut Vec<Order>) {
        let rest = self.links.iter().filter(|(other, link)| **other != id && link.stage == Stage::Serving);
        // Not only the first: the worker may be at the next one, and what it has said of the first on its way.
        let sent = rest.flat_map(|(_, link)| link.in_flight.iter().map(|sent| (sent, &link.slots)));
        let mut rest = sent.filter_map(|(sent, slots)| {
            let slots = slots.as_ref()?;
            let range = sent.remote.range().filter(|_| sent.remote.is_divisible())?;
            let (from, to) = slots.words().halve(sent.slot, sent.sequence, range)?;
            sent.remote.divide(from, to)
        });
        if let Some(rest) = rest.next() {
            orders.push(self.assign(id, rest, now));
        }
    }

    /// Takes half of what another worker was sent ahead, from its end.
    pub(super) fn steal(&mut self, id: LinkId, now: Instant, orders: &mut Vec<Order>) {
        let ahead = |link: &Link<W>| link.in_flight.len().saturating_sub(1);
        let others = self.links.iter().filter(|(other, link)| **other != id && ahead(link) > 0);
        let mut victims: Vec<_> = others.map(|(other, link)| (ahead(link), *other)).collect();
        victims.sort_unstable();
        let mut stolen = Vec::new();
        // The richest may be at the last of them already, and what it has said of those before on its way.
        while stolen.is_empty()
            && let Some((ahead, victim)) = victims.pop()
        {
            for _ in 0..ahead.div_ceil(2) {
                if let Some(remote) = self.links.get_mut(&victim).and_then(|link| link.take_back(now)) {
                    stolen.push(remote);
                    self.refund(victim);
                }
            }
        }
        for remote in stolen.into_iter().rev() {
            if self.links[&id].free != 0 && self.links[&id].budget > 0 {
                orders.push(self.assign(id, remote, now));
            } else {
                self.requeue(remote);
            }
        }
    }
}
