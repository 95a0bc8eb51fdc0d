//! Starting and ending the threads of a pool.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::Pool;
use super::counts::Counts;
use super::queue::{self, Queue};
use crate::error::{Broken, Error};
use crate::stack;
use crate::sync::{MutexGuard, thread};
use crate::thread::worker;

impl Pool {
    /// Starts a worker that is counted already.
    pub(super) fn start(&self, number: usize, counts: Arc<Counts>) {
        let pool = self.me();
        let spawned = self.spawn(format!("{}-{number}", self.settings.prefix), move || {
            queue::set_coming();
            worker::run(&pool, number, &counts);
        });
        let mut queue = self.lock();
        queue.starting -= 1;
        match spawned {
            Ok(handle) => {
                if queue.left_early.remove(&number) {
                    queue.leaving.push(handle);
                } else {
                    queue.handles.insert(number, handle);
                }
                queue.forget_ended();
                drop(queue);
            }
            Err(error) => {
                queue.workers -= 1;
                queue.coming -= 1;
                queue.retire(number);
                // Sleeping workers cannot run anything.
                let asleep = queue.blocked + queue.waiting;
                let unstarted = if queue.workers <= asleep { queue.take_all() } else { VecDeque::new() };
                let last = queue.is_last();
                drop(queue);
                if last {
                    self.timer.stop();
                }
                self.refuse(unstarted, &Error::Broken(Broken::new(format!("no thread can be started: {error}"))));
            }
        }
        self.ended.notify_all();
    }

    pub(super) fn spawn(
        &self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let size = self.settings.stack_size.unwrap_or_else(stack::usual_size);
        thread::Builder::new().name(name).stack_size(size).spawn(move || {
            stack::begin(size);
            body();
        })
    }

    pub(super) fn leave(&self, mut queue: MutexGuard<'_, Queue>, number: usize) {
        queue.shut_inbox();
        queue.workers -= 1;
        queue.retire(number);
        match queue.handles.remove(&number) {
            Some(handle) => queue.leaving.push(handle),
            None => {
                queue.left_early.insert(number);
            }
        }
        let action = queue.decide();
        let over = queue.is_over();
        let last = queue.is_last();
        self.release(queue, action);
        if over {
            self.work.notify_all();
        }
        if last {
            self.timer.stop();
        }
        self.ended.notify_all();
    }

    pub(super) fn start_timer(&self) -> Result<(), Error> {
        let started = self.timer.start(|body| {
            self.queue.lock().timer_runs = true;
            let pool = self.me();
            let spawned = self.spawn(format!("{}-timer", self.settings.prefix), move || body(pool));
            let mut queue = self.queue.lock();
            match spawned {
                Ok(handle) => queue.leaving.push(handle),
                Err(error) => {
                    queue.timer_runs = false;
                    return Err(error);
                }
            }
            Ok(())
        });
        started.map_err(|error| {
            self.ended.notify_all();
            Error::Broken(Broken::new(format!("no thread can be started to watch the time limit: {error}")))
        })
    }
}
