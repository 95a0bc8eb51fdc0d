//! What a worker says, and the tasks that it ends, as `worker` takes it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::due::Due;
use super::keeper::Stage;
use super::worker::Said;
use super::world::World;
use crate::process::scheduler::{Answered, Next};
use crate::process::worker_id::WorkerId;

impl World<'_> {
    pub(super) fn receive(&mut self, id: WorkerId, count: usize) -> Vec<Due> {
        let mut next = Vec::new();
        let said: Vec<_> = {
            let mut floor = self.floor.borrow_mut();
            let worker = floor.workers.get_mut(&id).expect("its worker is there");
            let count = count.min(worker.outgoing.len());
            worker.outgoing.drain(..count).collect()
        };
        let mut answers = Vec::new();
        for said in said {
            match (self.keeper(id).stage, said) {
                (Stage::SettingUp, Said::Ready) => {
                    self.keeper(id).stage = Stage::Serving;
                    self.keeper(id).was_ready = true;
                    let table = Arc::clone(&self.floor.borrow().workers[&id].table);
                    let mut orders = Vec::new();
                    let decided = self.decide(|scheduler, now| {
                        scheduler.ready(id, id, table, now);
                        scheduler.refill(id, false, now, &mut orders)
                    });
                    next.extend(self.proceed(id, decided, orders));
                    if self.weather.max_tasks.is_some() {
                        next.push(Due::RingAll);
                    }
                }
                (Stage::SettingUp, Said::Unfit) => {
                    self.keeper(id).is_unfit = true;
                    self.keeper(id).stage = Stage::Ending;
                }
                (Stage::Ending, Said::Ready | Said::Unfit) => {}
                (Stage::Serving | Stage::Ending, said) => answers.push(said),
                (stage, _) => panic!("an answer while {stage:?}"),
            }
        }
        if !answers.is_empty() {
            next.extend(self.settle(id, answers));
        }
        next
    }

    fn settle(&mut self, id: WorkerId, answers: Vec<Said>) -> Vec<Due> {
        let (is_dead, mut orders, mut delivered) = (self.keeper(id).is_dead, Vec::new(), Vec::new());
        let next = self.decide(|scheduler, now| {
            let since = scheduler.since(id, now);
            let mut ended = 0;
            for said in answers {
                let answered = said.answered().expect("an answer");
                ended += u32::from(answered.last);
                let remote = scheduler.settle(id, answered, now);
                delivered.extend(remote.map(|remote| Due::Deliver(remote, said)));
            }
            scheduler.observe(id, ended, now.saturating_duration_since(since));
            if is_dead { Next::End } else { scheduler.refill(id, false, now, &mut orders) }
        });
        let mut dues = self.proceed(id, next, orders);
        dues.extend(delivered);
        dues
    }
}

impl Said {
    pub(super) fn answered(&self) -> Option<Answered> {
        match *self {
            Said::Value { slot, sequence, .. } => Some(Answered { slot, sequence, last: true }),
            Said::Items { slot, sequence, last, .. } => Some(Answered { slot, sequence, last }),
            Said::Ready | Said::Unfit => None,
        }
    }
}
