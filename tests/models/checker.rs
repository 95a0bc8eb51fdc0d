//! One face for both checkers, and what models tell each other with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use concurrent_futures::{Choices, Error, Future, ThreadPoolExecutor};

#[cfg(model = "loom")]
use loom as checker;
#[cfg(model = "shuttle")]
use shuttle as checker;

pub(crate) use checker::sync::{Condvar, Mutex, atomic};
use checker::thread::JoinHandle;

/// Any duration: the model chooses what expires.
pub(crate) const LATER: Duration = Duration::from_secs(1000);

/// Runs a model under every schedule with at most so many preemptions (loom), or under random ones (shuttle).
pub(crate) fn check<M: Fn() + Send + Sync + 'static>(preemptions: usize, model: M) {
    #[cfg(model = "loom")]
    exhaust(preemptions, 0, model);
    #[cfg(model = "shuttle")]
    {
        let _ = preemptions;
        sample(SMALL, model);
    }
}

/// The same, for models with `bits` choices: loom tries all combinations, shuttle draws them.
pub(crate) fn check_choices<M>(preemptions: usize, bits: u32, model: M)
where
    M: Fn(u32) + Send + Sync + 'static,
{
    #[cfg(model = "loom")]
    {
        let model = Arc::new(model);
        for choices in 0..1 << bits {
            let model = Arc::clone(&model);
            exhaust_named(name_of::<M>(), preemptions, choices, move || model(choices));
        }
    }
    #[cfg(model = "shuttle")]
    {
        let _ = preemptions;
        sample_named(name_of::<M>(), SMALL, move || model(draw() & ((1 << bits) - 1)));
    }
}

#[cfg(model = "loom")]
fn exhaust<M: Fn() + Send + Sync + 'static>(preemptions: usize, choices: u32, model: M) {
    exhaust_named(name_of::<M>(), preemptions, choices, model);
}

#[cfg(model = "loom")]
fn exhaust_named(name: &str, preemptions: usize, choices: u32, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let bound = *builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 20_000;
    let schedules = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&schedules);
    let begin = std::time::Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Choices::default().make();
        model();
    });
    let schedules = schedules.load(Ordering::Relaxed);
    let seconds = begin.elapsed().as_secs_f32();
    println!("{name}({choices}): all {schedules} schedules with up to {bound} preemptions, {seconds:.1} s");
}

/// How many schedules of each kind shuttle tries of a model that loom exhausts as well.
#[cfg(model = "shuttle")]
const SMALL: usize = 3000;

/// Runs a model under `schedules` random schedules and as many by probabilistic concurrency testing.
#[cfg(model = "shuttle")]
pub(crate) fn sample<M: Fn() + Send + Sync + 'static>(schedules: usize, model: M) {
    sample_named(name_of::<M>(), schedules, model);
}

#[cfg(model = "shuttle")]
fn sample_named(name: &str, schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    const DEPTH: usize = 3;
    let schedules = match std::env::var("MODEL_SCHEDULES") {
        Ok(number) => number.parse().expect("MODEL_SCHEDULES is a number"),
        Err(_) => schedules,
    };
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    // It takes all orderings for the strongest, and says so. That is what loom is for.
    config.silence_warnings = true;
    // None of them takes a tenth of that, but for those that run in circles.
    config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
    let begin = std::time::Instant::now();
    let model = Arc::new(move || {
        Choices::default().make();
        model();
    });
    let random = Arc::clone(&model);
    shuttle::Runner::new(RandomScheduler::new(schedules), config.clone()).run(move || random());
    shuttle::Runner::new(PctScheduler::new(DEPTH, schedules), config).run(move || model());
    let seconds = begin.elapsed().as_secs_f32();
    println!("{name}: {schedules} random and {schedules} prioritised schedules, {seconds:.1} s");
}

/// A random number that shuttle knows of, so that a failing schedule can be replayed.
#[cfg(model = "shuttle")]
pub(crate) fn draw() -> u32 {
    use shuttle::rand::RngCore;
    shuttle::rand::thread_rng().next_u32()
}

fn name_of<M>() -> &'static str {
    std::any::type_name::<M>().trim_start_matches("models::").trim_end_matches("::{{closure}}")
}

/// Starts a thread of the model.
pub(crate) fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    checker::thread::Builder::new().stack_size(1 << 16).spawn(body).unwrap()
}

/// Holds a value from when it is put until it is taken.
pub(crate) struct Channel<T>(Arc<(Mutex<Option<T>>, Condvar)>);

impl<T> Channel<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(None), Condvar::new())))
    }

    pub(crate) fn put(&self, value: T) {
        *self.0.0.lock().unwrap() = Some(value);
        self.0.1.notify_all();
    }

    /// Blocks until there is a value.
    pub(crate) fn take(&self) -> T {
        let mut channel = self.0.0.lock().unwrap();
        loop {
            match channel.take() {
                Some(value) => return value,
                None => channel = self.0.1.wait(channel).unwrap(),
            }
        }
    }
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Something that happens once. Several may wait for it.
#[derive(Clone)]
pub(crate) struct Event(Arc<(Mutex<bool>, Condvar)>);

impl Event {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub(crate) fn set(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut happened = self.0.0.lock().unwrap();
        while !*happened {
            happened = self.0.1.wait(happened).unwrap();
        }
    }
}

/// Counts. Not the checker's, so it adds no schedules and orders nothing.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a task that adds one.
    pub(crate) fn adding(&self) -> impl FnOnce() + Send + use<> {
        let tally = self.clone();
        move || tally.add()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A value whose drop is counted.
    pub(crate) fn counted(&self) -> Counted {
        Counted(self.clone())
    }
}

/// Counts its own drop.
pub(crate) struct Counted(Tally);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Awaits in this thread, which sleeps until its waker is called.
pub(crate) fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Alarm(Channel<()>);
    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.put(());
        }
    }
    let alarm = Channel::new();
    let waker = Waker::from(Arc::new(Alarm(alarm.clone())));
    let mut future = std::pin::pin!(future.into_future());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => alarm.take(),
        }
    }
}

/// Returns a task that sets `begun`, and then holds its worker until the door is open.
pub(crate) fn holding(begun: &Event, door: &Event) -> impl FnOnce() + Send + use<> {
    let (begun, door) = (begun.clone(), door.clone());
    move || {
        begun.set();
        door.wait();
    }
}

/// Makes the only worker of a pool busy until the door, which it returns, is open.
pub(crate) fn occupy(pool: &ThreadPoolExecutor) -> (Event, Future<()>) {
    let (begun, door) = (Event::new(), Event::new());
    let running = pool.spawn(holding(&begun, &door));
    begun.wait();
    (door, running)
}

/// Waits with a time limit, so that a worker does not run the task itself.
pub(crate) fn wait_asleep<T>(mut future: Future<T>) -> Result<T, Error> {
    loop {
        match future.result_timeout(LATER) {
            Ok(outcome) => return outcome,
            Err(again) => future = again,
        }
    }
}
