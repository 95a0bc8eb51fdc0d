//! The life of one pool: settings, tasks, trouble, an end, and then the reckoning.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use concurrent_futures::{
    Backend, Executor, Future, MapOptions, ProcessPoolExecutor, ReturnWhen, SharedFuture, TaskOptions, WithContext,
    as_completed, wait,
};
use concurrent_futures_conformance::support::leak_check::survivors;
use fastrand::Rng;

use crate::judge::{Interventions, Judge};
use crate::killer::Killer;
use crate::resources;
use crate::settings::Settings;
use crate::tasks::{Act, Common, Reply, perform, perform_in, read_notes};
use crate::ticket::Ticket;

/// The kinds of tasks, and how many of a hundred.
const KINDS: [(Act, u32); 19] = [
    (Act::Answer, 34),
    (Act::Sleep, 14),
    (Act::Big, 8),
    (Act::Print, 1),
    (Act::Nest, 2),
    (Act::Panic, 5),
    (Act::Fail, 5),
    (Act::Exit, 4),
    (Act::Abort, 3),
    (Act::Kill, 3),
    (Act::Overflow, 1),
    (Act::Stop, 2),
    (Act::Hang, 2),
    (Act::DieOnce, 4),
    (Act::Allocate, 1),
    (Act::UnwritableArgument, 2),
    (Act::UnreadableArgument, 2),
    (Act::UnwritableResult, 3),
    (Act::UnreadableResult, 3),
];

#[derive(Clone, Copy, Debug)]
enum End {
    Drop,
    DropInPanic,
    Shutdown,
    ShutdownNow,
    CloseAndJoin,
    Detach,
}

pub(crate) struct Life {
    /// Where its tasks note their runs.
    notes: PathBuf,
    settings: Settings,
    end: End,
    interventions: Interventions,
    tickets: Mutex<Vec<Arc<Ticket>>>,
    /// Futures that two threads hold.
    shared: Mutex<Vec<(Arc<Ticket>, SharedFuture<Reply>)>>,
    stage: Mutex<&'static str>,
    random: Mutex<Rng>,
    maps: AtomicUsize,
}

impl Life {
    pub(crate) fn new(notes: PathBuf, mut random: Rng) -> Self {
        let ends = [End::Drop, End::DropInPanic, End::Shutdown, End::ShutdownNow, End::CloseAndJoin, End::Detach];
        Self {
            notes,
            settings: Settings::random(&mut random),
            end: random.choice(ends).expect("there are some"),
            interventions: Interventions::default(),
            tickets: Mutex::default(),
            shared: Mutex::default(),
            stage: Mutex::new("born"),
            random: Mutex::new(random),
            maps: AtomicUsize::new(0),
        }
    }

    fn fork(&self) -> Rng {
        self.random.lock().unwrap().fork()
    }

    fn enter(&self, stage: &'static str) {
        *self.stage.lock().unwrap() = stage;
    }

    /// From the first worker to the last. What was wrong with it.
    pub(crate) fn lead(&self) -> Vec<String> {
        let pool = self.settings.build(&self.notes);
        let (over, news) = channel::<()>();
        std::thread::scope(|scope| {
            let (notes, settings, interventions) = (&*self.notes, &self.settings, &self.interventions);
            let killer = Killer { notes, settings, interventions, random: self.fork() };
            scope.spawn(move || killer.run(&news));
            let futures = self.work(&pool);
            self.end(pool);
            self.collect(futures);
            drop(over);
        });
        self.reckon()
    }

    /// Submits tasks, while another thread cancels, aborts and closes.
    fn work(&self, pool: &ProcessPoolExecutor) -> Vec<(Arc<Ticket>, Future<Reply>)> {
        self.enter("work");
        let mut random = self.fork();
        let (over, news) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| self.meddle(pool, news));
            let mut futures = Vec::new();
            let mut context = pool.with_context(Common::random(&mut random));
            for _ in 0..random.usize(20..=150) {
                futures.extend(self.submit(&context, pool, &mut random));
                self.trouble(&mut futures, &mut random);
                if random.u32(..30) == 0 {
                    self.map(&context, pool, &mut random);
                }
                if random.u32(..10) == 0 {
                    context = pool.with_context(Common::random(&mut random));
                }
            }
            if random.bool() {
                for (ticket, future) in &futures {
                    future.wait();
                    assert!(ticket.is_done(), "done before its callback");
                }
            }
            drop(over);
            futures
        })
    }

    fn ticket(&self, make: impl FnOnce(u64) -> Ticket) -> Arc<Ticket> {
        let mut tickets = self.tickets.lock().unwrap();
        let ticket = Arc::new(make(tickets.len() as u64));
        tickets.push(Arc::clone(&ticket));
        ticket
    }

    fn submit(
        &self,
        context: &WithContext<'_, ProcessPoolExecutor, Common>,
        pool: &ProcessPoolExecutor,
        random: &mut Rng,
    ) -> Option<(Arc<Ticket>, Future<Reply>)> {
        let total = KINDS.iter().map(|(_, weight)| weight).sum::<u32>();
        let mut drawn = random.u32(..total);
        let kind = KINDS.iter().find(|(_, weight)| {
            let found = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            found
        });
        let ticket = self.ticket(|id| Ticket::new(id, kind.expect("the index is in range").0, random));
        let future = match random.bool() {
            true => context.with(ticket.options()).try_submit(perform_in, ticket.order()),
            false => pool.with(ticket.options()).try_submit(perform, ticket.order()),
        };
        let listener = Arc::clone(&ticket);
        future.add_done_callback(move |outcome| listener.hear(outcome));
        if random.u32(..10) > 0 {
            return Some((ticket, future));
        }
        self.shared.lock().unwrap().push((ticket, future.share()));
        None
    }

    /// Does something to one of the futures.
    fn trouble(&self, futures: &mut Vec<(Arc<Ticket>, Future<Reply>)>, random: &mut Rng) {
        if futures.is_empty() {
            return;
        }
        let position = random.usize(..futures.len());
        let (ticket, future) = &futures[position];
        match random.u32(..40) {
            0..2 if !ticket.is_done() && future.cancel() => ticket.cancelled.store(true, Ordering::SeqCst),
            2..4 if !ticket.is_done() && future.abort() => ticket.aborted.store(true, Ordering::SeqCst),
            4 => futures.swap_remove(position).1.detach(),
            5 => {
                future.wait_timeout(Duration::from_millis(random.u64(..20)));
            }
            6 => {
                let _ = (future.state(), future.to_string());
            }
            _ => {}
        }
    }

    /// Runs a map, in chunks or as the pool likes, some of whose items end their worker.
    fn map(
        &self,
        context: &WithContext<'_, ProcessPoolExecutor, Common>,
        pool: &ProcessPoolExecutor,
        random: &mut Rng,
    ) {
        self.maps.fetch_add(1, Ordering::SeqCst);
        let retries = random.u32(..2);
        let fatal = random.u32(2..40);
        let items: Vec<_> = (0..random.usize(1..200))
            .map(|_| self.ticket(|id| Ticket::item(id, random.u32(..fatal) == 0, retries, random)))
            .collect();
        let mut options = MapOptions::new();
        if random.bool() {
            options = options.chunk_size(random.usize(1..=32));
        }
        if random.bool() {
            options = options.buffer_size(random.usize(1..=64));
        }
        let retrying = TaskOptions::new().retries(retries);
        let orders = items.iter().map(|item| item.order());
        let outcomes = match random.bool() {
            true => context.with(retrying).with(options).try_map(perform_in, orders),
            false => pool.with(retrying).with(options).try_map(perform, orders),
        };
        let wanted = if random.u32(..4) == 0 { random.usize(..=items.len()) } else { items.len() };
        for (item, outcome) in items.iter().zip(outcomes).take(wanted) {
            item.hear(&outcome);
        }
        // Items of a dropped map count as reported: the map reports no outcome for them.
        for item in &items[wanted..] {
            item.aborted.store(true, Ordering::SeqCst);
            item.hear(&Err(concurrent_futures::Error::Cancelled));
        }
    }

    /// A thread that also has the pool, and some of the futures.
    fn meddle(&self, pool: &ProcessPoolExecutor, over: Receiver<()>) {
        let mut random = self.fork();
        loop {
            let pause = Duration::from_millis(random.u64(1..=100));
            if over.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let shared = random.choice(&*self.shared.lock().unwrap()).cloned();
            match (random.u32(..100), shared) {
                // Of two calls that said yes, the first has done it.
                (0..20, Some((ticket, future))) if !ticket.is_done() && future.cancel() => {
                    ticket.cancelled.store(true, Ordering::SeqCst);
                }
                (20..30, Some((ticket, future))) if !ticket.is_done() && future.abort() => {
                    ticket.aborted.store(true, Ordering::SeqCst);
                }
                (60..68, _) => {
                    self.interventions.workers_ended.fetch_add(1, Ordering::SeqCst);
                    if random.bool() { pool.kill_workers() } else { pool.terminate_workers() }
                }
                (34..36, _) => {
                    self.interventions.withdrawn.fetch_add(1, Ordering::SeqCst);
                    pool.cancel_pending();
                }
                (36, _) => {
                    self.interventions.closed.fetch_add(1, Ordering::SeqCst);
                    pool.close();
                }
                (37, _) => {
                    self.interventions.closed.fetch_add(1, Ordering::SeqCst);
                    self.interventions.withdrawn.fetch_add(1, Ordering::SeqCst);
                    pool.shutdown_now();
                }
                (38..60, _) => {
                    let stats = pool.stats();
                    assert!(stats.idle <= stats.workers, "{stats:?}");
                }
                _ => {}
            }
        }
    }

    fn end(&self, pool: ProcessPoolExecutor) {
        self.enter("end");
        self.interventions.closed.fetch_add(1, Ordering::SeqCst);
        match self.end {
            End::Drop => drop(pool),
            End::Shutdown => pool.shutdown(),
            End::Detach => pool.detach(),
            End::ShutdownNow => {
                self.interventions.withdrawn.fetch_add(1, Ordering::SeqCst);
                pool.shutdown_now();
            }
            End::CloseAndJoin => {
                pool.close();
                assert!(pool.join(Some(Duration::MAX)), "it waits for the end");
            }
            End::DropInPanic => {
                self.interventions.withdrawn.fetch_add(1, Ordering::SeqCst);
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    let _pool = pool;
                    resume_unwind(Box::new("on purpose"));
                }));
                assert!(unwound.is_err());
            }
        }
    }

    /// Waits for all outcomes, in one way or another.
    fn collect(&self, futures: Vec<(Arc<Ticket>, Future<Reply>)>) {
        self.enter("collect");
        let mut random = self.fork();
        let agrees = |ticket: &Ticket, failed: bool| {
            let told = ticket.told.lock().unwrap();
            assert_eq!(told.as_ref().map(Result::is_err), Some(failed), "its callback was told otherwise: {ticket:?}");
        };
        if random.bool() {
            for (ticket, future) in as_completed(futures) {
                agrees(&ticket, future.result().is_err());
            }
        } else {
            for (ticket, future) in wait(futures, None, ReturnWhen::AllCompleted).done {
                agrees(&ticket, future.error().is_some());
            }
        }
        for (ticket, future) in self.shared.lock().unwrap().drain(..) {
            agrees(&ticket, future.result().is_err());
        }
    }

    /// The outcomes, and what is left.
    fn reckon(&self) -> Vec<String> {
        self.enter("reckon");
        let mut complaints = Vec::new();
        // A pool that was left ends by itself, and a nested one after its parent; any other has ended.
        if !matches!(self.end, End::Detach) {
            let left = resources::workers(&self.notes);
            complaints.extend(left.iter().map(|pid| format!("the worker {pid} is left")));
        }
        let left = survivors(resources::processes(&self.notes));
        complaints.extend(left.iter().map(|pid| format!("the process {pid} is left")));
        let mut runs = BTreeMap::<u64, Vec<u32>>::new();
        for (id, pid) in read_notes(&self.notes) {
            runs.entry(id).or_default().push(pid);
        }
        let judge = Judge { settings: &self.settings, interventions: &self.interventions, runs };
        let tickets = self.tickets.lock().unwrap();
        complaints.extend(judge.complaints(&tickets));
        if !complaints.is_empty() {
            complaints.push(self.describe_deeds());
        }
        // A file that was never made, of a pool without a run, is none to remove.
        let _ = std::fs::remove_file(&self.notes);
        self.enter("over");
        complaints
    }

    pub(crate) fn count(&self, counts: &mut crate::Counts) {
        for ticket in self.tickets.lock().unwrap().iter() {
            let told = ticket.told.lock().unwrap();
            let outcome = match told.as_ref() {
                None => "nothing".into(),
                Some(Ok(_)) => "returned".into(),
                Some(Err(error)) => format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
            };
            *counts.entry((format!("{:?}", ticket.act), outcome)).or_default() += 1;
        }
        let mut add = |kind: &str, what: &str, count| *counts.entry((kind.into(), what.into())).or_default() += count;
        add("(pools)", &format!("{:?}", self.end), 1);
        add("(pools)", "maps", self.maps.load(Ordering::SeqCst));
        add("(interventions)", "killed", self.interventions.killed.lock().unwrap().len());
        add("(interventions)", "stopped", self.interventions.stopped.load(Ordering::SeqCst));
        add("(interventions)", "workers_ended", self.interventions.workers_ended.load(Ordering::SeqCst));
        add("(interventions)", "withdrawn", self.interventions.withdrawn.load(Ordering::SeqCst));
    }

    fn describe_deeds(&self) -> String {
        format!("{:?}, {:?}, {:?}", self.settings, self.end, self.interventions)
    }

    /// Printed if the pool does not end.
    pub(crate) fn describe(&self) -> String {
        let tickets = self.tickets.try_lock();
        let open: Vec<_> =
            tickets.iter().flat_map(|tickets| tickets.iter()).filter(|ticket| !ticket.is_done()).collect();
        let stage = self.stage.lock().unwrap();
        let workers = resources::processes(&self.notes);
        format!("stage {stage}, workers {workers:?}, {}, not done: {open:#?}", self.describe_deeds())
    }
}
