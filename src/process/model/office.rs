//! [`Office`]: what models do with all this.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::os::Told;
use super::pool::Pool;
use super::protocol::frame::{Header, Kind};
use super::task::RemoteTask;
use crate::error::Error;
use crate::executor::Backend;
use crate::job::Job;

/// An executor with one worker. What that does, and the thread that looks after it, are threads of the model.
#[derive(Clone)]
pub struct Office(Arc<Pool>);

/// Which way an answer takes.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// By mail.
    Letter,
    /// By the socket.
    Frame,
    /// By the socket, and no helper takes it.
    Large,
}

impl Office {
    /// One in whose system an ear can be shut, or not.
    pub fn new(has_lid: bool) -> Self {
        let pool = Pool::new();
        if !has_lid {
            pool.connection.socket.look(|told| told.has_no_lid = true);
        }
        Self(pool)
    }

    /// Looks after the worker until it is buried.
    pub fn keep(&self) {
        Link::new(&self.0).look_after();
    }

    /// Waits until the keeper has left its place to who wants to help: there is none before.
    pub fn wait_for_keeper(&self) {
        self.0.connection.socket.poll(|told| told.kept.then_some(()));
    }

    /// The worker waits for a task.
    pub fn next(&self) -> (u8, u64) {
        self.0.connection.socket.poll(|told| told.orders.pop_front())
    }

    /// The worker begins it. `false`: it was taken back.
    pub fn start(&self, (slot, sequence): (u8, u64)) -> bool {
        self.0.connection.table.words().start(slot, sequence, 0)
    }

    /// The worker ends it, and answers with its sequence number, unless it is to be killed.
    pub fn answer(&self, (slot, sequence): (u8, u64), size: Size) {
        let connection = &self.0.connection;
        if !connection.table.words().finish(slot, sequence) {
            return;
        }
        let length = if matches!(size, Size::Large) { u64::MAX } else { 1 };
        let header = Header { length, sequence, kind: Kind::Value, slot, segments: 0 };
        let answer = (header, vec![sequence as u8]);
        let frame = match size {
            Size::Frame | Size::Large => answer,
            Size::Letter if connection.table.post(answer) => (Header { kind: Kind::Bell, ..header }, Vec::new()),
            Size::Letter => return,
        };
        connection.socket.tell(|told| told.frames.push_back(frame));
        connection.table.note_answer();
    }

    /// The worker runs its next task. `false`: it was taken back.
    pub fn work(&self, size: Size) -> bool {
        let task = self.next();
        let started = self.start(task);
        if started {
            self.answer(task, size);
        }
        started
    }

    /// The worker ends.
    pub fn exit(&self) {
        self.0.connection.socket.tell(Told::exit);
    }

    /// The worker ends, and something that it has started holds its socket.
    pub fn exit_alone(&self) {
        self.0.connection.socket.tell(|told| told.exited = true);
    }

    /// The time of the first task is up.
    pub fn expire(&self) {
        self.0.connection.socket.tell(|told| told.expired = true);
    }

    /// How many tasks have ended.
    pub fn completed(&self) -> usize {
        self.0.completed()
    }

    /// Nobody helps, and nothing is left of it that would wake the next who does.
    pub fn is_quiet(&self) -> bool {
        self.0.connection.socket.is_quiet()
    }
}

impl Backend for Office {
    fn execute(&self, job: Job) {
        let task = job.into_task();
        let remote = RemoteTask::new(Arc::clone(&task), Arc::clone(&self.0));
        if task.attach(Arc::clone(&remote) as _) && !self.0.send(&remote) {
            task.fail(Error::Abandoned);
        }
    }

    fn max_workers(&self) -> usize {
        1
    }

    fn close(&self) {}

    fn join(&self, _: Option<Duration>) -> bool {
        let mut scheduler = self.0.scheduler.lock();
        while !scheduler.is_empty() {
            self.0.ended.wait(&mut scheduler);
        }
        true
    }
}
