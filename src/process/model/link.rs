//! The thread that looks after a worker, as `link` has it.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::pool::Pool;
use super::protocol::frame::{Header, Kind, Reader};
use super::receiver::Keeper;
use crate::error::Error;

pub(super) struct Link<'a> {
    pool: &'a Pool,
    keeper: Keeper,
    hung_up: bool,
    answers: Vec<(Header, Vec<u8>)>,
}

struct Event {
    exited: bool,
    rung: bool,
    readable: bool,
    mail: bool,
    expired: bool,
}

impl<'a> Link<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        Self { pool, keeper: Keeper::new(Reader::default()), hung_up: false, answers: Vec::new() }
    }

    /// Until the worker is buried.
    pub(super) fn look_after(&mut self) {
        loop {
            let event = self.sleep();
            if event.exited {
                break;
            }
            if event.rung || event.mail {
                self.parse();
            }
            if event.readable {
                self.receive();
            }
            if event.expired {
                self.expire();
            }
        }
        self.bury();
    }

    fn sleep(&mut self) -> Event {
        let has_mail = self.pool.connection.lay_down(&mut self.keeper);
        let event = self.poll(has_mail);
        self.pool.connection.take_up(&mut self.keeper, event.rung, event.readable);
        event
    }

    fn poll(&self, mail: bool) -> Event {
        let listens = !self.hung_up && self.keeper.listens();
        self.pool.connection.socket.tell(|told| told.kept = true);
        self.pool.connection.socket.poll(|told| {
            let (exited, rung, readable) = (told.exited, told.rung, listens && told.is_heard());
            (exited || rung || readable || mail || told.expired).then(|| {
                let expired = std::mem::take(&mut told.expired);
                Event { exited, rung, readable, mail, expired }
            })
        })
    }

    fn receive(&mut self) {
        let Some(reader) = &mut self.keeper.reader else { return };
        match reader.receive(&self.pool.connection.socket) {
            Ok(0) => self.hung_up = true,
            Ok(_) => self.parse(),
            Err(_) => {}
        }
    }

    fn parse(&mut self) {
        let Some(mut reader) = self.keeper.reader.take() else { return };
        let table = &self.pool.connection.table;
        for slot in table.mail().take() {
            let mut body = Vec::new();
            let (header, _) = table.read_letter(slot, &mut body).expect("a letter comes with a flag");
            self.answers.push((header, body));
        }
        self.settle();
        while let Ok(Some((header, body))) = reader.next() {
            if header.kind != Kind::Bell {
                self.answers.push((header, reader.body(body).to_vec()));
            }
        }
        self.settle();
        self.keeper.reader = Some(reader);
    }

    fn settle(&mut self) {
        for (header, body) in std::mem::take(&mut self.answers) {
            let remote = self.pool.scheduler.lock().settle(header.slot, header.sequence);
            if let Some(remote) = remote {
                remote.complete(header.kind, &body, &());
            }
        }
    }

    fn expire(&self) {
        let expired = self.pool.scheduler.lock().expire();
        if let Some(remote) = expired {
            self.pool.kill_the_doomed();
            remote.task.start();
            remote.task.expire(Duration::ZERO);
        }
    }

    fn bury(&mut self) {
        let connection = Arc::clone(&self.pool.connection);
        self.keeper.recall(&connection.receiver);
        loop {
            self.parse();
            let reader = self.keeper.reader.as_mut().expect("the helper has given it back");
            if !matches!(reader.receive(&connection.socket), Ok(1..)) {
                break;
            }
        }
        let left = self.pool.scheduler.lock().died();
        for sent in left {
            sent.remote.fail(Error::Abandoned);
        }
        self.pool.scheduler.lock().forget();
        self.pool.ended.notify_all();
    }
}
