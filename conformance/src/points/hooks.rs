//! Hooks on jobs: an executor around this one is told of the start and the end of each task.

use std::sync::{Arc, Mutex};

use concurrent_futures::{Backend, Error, Executor, Job};

use crate::functions::{double, parse};
use crate::points::{Make, Points};
use crate::support::{Door, occupy_at_door};

pub(crate) const POINTS: Points = points![
    hooks_are_called_once_at_the_start_and_at_the_end_of_a_task,
    a_task_that_is_cancelled_before_its_start_only_ends: Queue,
];

/// Passes jobs on, and notes the calls of their hooks.
struct Observed(Box<dyn Backend>, Arc<Mutex<Vec<String>>>);

impl Observed {
    fn around(backend: Box<dyn Backend>) -> Self {
        Self(backend, Arc::default())
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.1.lock().unwrap())
    }
}

impl Backend for Observed {
    fn execute(&self, job: Job) {
        let (start, done) = (Arc::clone(&self.1), Arc::clone(&self.1));
        job.on_start(move |times| {
            assert!(times.started().is_some() && times.ended().is_none());
            start.lock().unwrap().push("start".into());
        });
        job.on_done(move |outcome, times| {
            assert!(times.ended().is_some());
            let text = outcome.map_or_else(Error::to_string, |()| "value".into());
            done.lock().unwrap().push(text);
        });
        self.0.execute(job);
    }
    crate::pass_on!();
}

fn hooks_are_called_once_at_the_start_and_at_the_end_of_a_task(make: &Make) {
    let observed = Observed::around(make(1));
    assert_eq!(observed.submit(double, 1).result().unwrap(), 2);
    let told = observed.told();
    // An executor need not say when it starts a task.
    assert!(told == ["start", "value"] || told == ["value"], "{told:?}");
    let error = observed.try_submit(parse, "one".into()).result().unwrap_err();
    assert_eq!(observed.told().pop(), Some(error.to_string()));
}

fn a_task_that_is_cancelled_before_its_start_only_ends(make: &Make) {
    let observed = Observed::around(make(1));
    let door = Door::new();
    let running = occupy_at_door(&*observed.0, &door);
    let cancelled = observed.submit(double, 1);
    assert!(cancelled.cancel());
    assert_eq!(observed.told(), [Error::Cancelled.to_string()]);
    door.open();
    running.result().unwrap();
}
