//! How models are run, and what their threads tell each other with.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use concurrent_futures::Choices;
use shuttle::rand::RngCore;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::{Condvar, Mutex};

/// How many schedules of each kind are tried of a model.
const SCHEDULES: usize = 2500;

/// Runs a model under random schedules, and as many by probabilistic concurrency testing.
pub(crate) fn check<M: Fn() + Send + Sync + 'static>(model: M) {
    check_often(1, model);
}

/// The same with so many times as many schedules, for what is rare.
pub(crate) fn check_often<M: Fn() + Send + Sync + 'static>(times: usize, model: M) {
    const DEPTH: usize = 3;
    let schedules = match std::env::var("MODEL_SCHEDULES") {
        Ok(number) => number.parse::<usize>().expect("MODEL_SCHEDULES is a number"),
        Err(_) => SCHEDULES,
    } * times;
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    // It takes all orderings for the strongest, and says so.
    config.silence_warnings = true;
    config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
    let begin = std::time::Instant::now();
    let model = Arc::new(move || {
        Choices::default().make();
        model();
    });
    let random = Arc::clone(&model);
    shuttle::Runner::new(RandomScheduler::new(schedules), config.clone()).run(move || random());
    shuttle::Runner::new(PctScheduler::new(DEPTH, schedules), config).run(move || model());
    let name = std::any::type_name::<M>().trim_end_matches("::{{closure}}");
    println!("{name}: twice {schedules} schedules, {:.1} s", begin.elapsed().as_secs_f32());
}

/// Returns a random number below `end` that shuttle knows of, so that a failing schedule can be replayed.
pub(crate) fn below(end: usize) -> usize {
    shuttle::rand::thread_rng().next_u32() as usize % end
}

/// Lets others go first, some of the way.
pub(crate) fn dawdle() {
    (0..below(30)).for_each(|_| shuttle::thread::yield_now());
}

/// Starts a thread of the model.
pub(crate) fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> shuttle::thread::JoinHandle<T> {
    shuttle::thread::Builder::new().stack_size(1 << 16).spawn(body).unwrap()
}

/// Wakes a thread that polls.
pub(crate) struct Alarm(Mutex<bool>, Condvar);

impl Alarm {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(false), Condvar::new()))
    }

    /// Polls a future once.
    pub(crate) fn poll<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> Option<T> {
        let waker = Waker::from(Arc::clone(self));
        match std::pin::pin!(future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Sleeps until it is woken, or does not sleep if it was woken since the last time.
    pub(crate) fn sleep(&self) {
        let mut rings = self.0.lock().unwrap();
        while !*rings {
            rings = self.1.wait(rings).unwrap();
        }
        *rings = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}
