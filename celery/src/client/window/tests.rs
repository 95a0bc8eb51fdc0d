//! The window, with a number in place of each job.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use concurrent_futures::{Error, FutureId, promise};

use super::{Call, Outgoing, Overdue, Reply, Revoked, Window};
use crate::answer::Started;
use crate::args::Written;

const GRACE: Duration = Duration::from_secs(30);

fn new_id() -> FutureId {
    promise::<()>().1.id()
}

fn call() -> Call {
    Call {
        task: "f".into(),
        shadow: None,
        queue: "q".into(),
        time_limit: None,
        retries: 0,
        traceparent: None,
        refuse_when_full: false,
    }
}

fn written() -> Result<Written, Error> {
    Ok(Written { args: "[]".into(), kwargs: "{}".into() })
}

/// Takes in a task of so many messages.
fn add(window: &mut Window<u32>, job: u32, messages: usize) -> FutureId {
    let id = new_id();
    window.enter(id, Arc::new(call()), (0..messages).map(|_| written()).collect());
    assert!(matches!(window.put(id, job), Ok(None)));
    id
}

fn ok(text: &str) -> Reply {
    Ok(text.to_owned())
}

fn texts(replies: Vec<Reply>) -> Vec<String> {
    replies.into_iter().map(|reply| reply.unwrap_or_else(|error| format!("{error:?}"))).collect()
}

fn started(name: &str) -> Started {
    Started { hostname: name.into(), pid: 1 }
}

#[test]
fn only_so_many_messages_are_published_in_the_order_of_submission() {
    let mut window = Window::new(2);
    let ids: Vec<_> = (0..3).map(|job| add(&mut window, job, 1)).collect();
    let (first, second) = (window.next().unwrap(), window.next().unwrap());
    assert!(window.next().is_none());
    let finished = window.answered(first.id, ok("1")).unwrap();
    assert_eq!((finished.job, texts(finished.replies)), (0, vec!["1".to_owned()]));
    let third = window.next().unwrap();
    assert_eq!(window.answered(third.id, ok("3")).unwrap().job, 2);
    assert_eq!(window.answered(second.id, ok("2")).unwrap().job, 1);
    assert!(!window.is_empty(), "nobody has taken the jobs yet");
    (0..3).for_each(|_| window.handed_over());
    assert!(window.is_empty() && window.answered(first.id, ok("again")).is_none());
    drop(ids);
}

#[test]
fn a_chunk_ends_with_its_last_answer() {
    let mut window = Window::new(9);
    let id = new_id();
    let unwritten = Err(Error::Abandoned);
    window.enter(id, Arc::new(call()), vec![written(), unwritten, written()]);
    assert!(window.next().is_none(), "the job is not there yet");
    assert!(matches!(window.put(id, 7), Ok(None)));
    let (first, last) = (window.next().unwrap(), window.next().unwrap());
    assert!(window.answered(last.id, ok("c")).is_none());
    let finished = window.answered(first.id, ok("a")).unwrap();
    assert_eq!((finished.job, texts(finished.replies)), (7, ["a", "Abandoned", "c"].map(String::from).to_vec()));
}

#[test]
fn what_was_not_published_is_cancelled_exactly() {
    let mut window = Window::new(1);
    let (running, waiting) = (add(&mut window, 1, 1), add(&mut window, 2, 1));
    let published = window.next().unwrap().id;
    assert_eq!(window.revoke(waiting).0, Revoked { is_exact: true, published: vec![] });
    assert!(window.put(waiting, 2).is_ok(), "a job that was away comes back between the two steps");
    assert_eq!(window.left(waiting), (Some(2), vec![]));
    assert!(window.answered(published, ok("")).is_some() && window.next().is_none());
    assert_eq!(window.revoke(running).0, Revoked::default());
}

#[test]
fn what_was_published_is_cancelled_by_its_worker_even_if_it_waits_again() {
    let mut window = Window::new(1);
    let id = add(&mut window, 1, 1);
    let published = window.next().unwrap().id;
    window.disconnected();
    assert_eq!(window.revoke(id).0, Revoked { is_exact: false, published: vec![published] });
    assert!(window.answered(published, Err(Error::Cancelled)).is_some() && window.tasks.is_empty());
    assert!(window.next().is_none());
}

#[test]
fn of_a_chunk_what_was_not_published_is_cancelled_and_the_rest_goes_on() {
    let mut window = Window::new(1);
    let id = add(&mut window, 1, 3);
    let published = window.next().unwrap().id;
    assert_eq!(window.revoke(id).0, Revoked { is_exact: false, published: vec![published] });
    let finished = window.answered(published, ok("a")).unwrap();
    assert_eq!(texts(finished.replies), ["a", "Cancelled", "Cancelled"]);
}

#[test]
fn what_the_broker_has_not_confirmed_is_sent_again_first() {
    let mut window = Window::new(2);
    let _ids: Vec<_> = (0..3).map(|job| add(&mut window, job, 1)).collect();
    let (first, second) = (window.next().unwrap(), window.next().unwrap());
    window.confirmed(second.id);
    window.disconnected();
    assert_eq!(window.next().unwrap().id, first.id);
    assert!(window.next().is_none(), "the broker keeps the second one");
}

#[test]
fn a_worker_that_starts_a_task_has_it_told_once() {
    let mut window = Window::new(2);
    let id = add(&mut window, 1, 2);
    let (first, second) = (window.next().unwrap().id, window.next().unwrap().id);
    let now = Instant::now();
    assert_eq!(window.started(first, started("a"), now, GRACE), Some((id, 1)));
    assert!(window.put(id, 1).is_ok());
    assert_eq!(window.started(second, started("b"), now, GRACE), None);
    assert_eq!((window.running(), window.at_workers().count()), (1, 2));
    assert!(window.stop(id));
    let (job, mut to_stop) = window.left(id);
    to_stop.sort();
    let mut both = vec![first, second];
    both.sort();
    assert_eq!((job, to_stop, window.running()), (Some(1), both, 0));
    assert_eq!(window.put(id, 1).err(), Some(1));
}

#[test]
fn a_task_is_overdue_after_its_limit_and_what_was_withdrawn_after_a_while() {
    let mut window = Window::new(3);
    let limited = Call { time_limit: Some(Duration::from_secs(1)), ..call() };
    let id = new_id();
    window.enter(id, Arc::new(limited), vec![written()]);
    assert!(window.put(id, 1).is_ok());
    let _pending = add(&mut window, 2, 1);
    let (first, second) = (window.next().unwrap().id, window.next().unwrap().id);
    let now = Instant::now();
    let (id, job) = window.started(first, started("a"), now, GRACE).unwrap();
    assert!(window.put(id, job).is_ok());
    let soon = now + Duration::from_secs(2);
    let (published, finished) = window.withdraw(soon);
    assert_eq!((published, finished.len()), (vec![second], 0));
    assert_eq!(window.deadline(), Some(soon));
    assert_eq!(window.overdue(now), None);
    assert_eq!(window.overdue(soon), Some((second, Overdue::Withdrawn)));
    assert_eq!(window.overdue(now + GRACE), None);
    assert_eq!(window.overdue(now + GRACE + Duration::from_secs(1)), Some((first, Overdue::TimeLimit)));
    assert_eq!(window.deadline(), None);
}

/// Numbers from a seed, which are no worse than others for this.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Runs a client through random events. Each task comes out once, with an answer for each message, and nothing is left.
fn simulate(seed: u64) {
    let mut random = Random(seed);
    let in_flight = 1 + random.below(4);
    let mut window = Window::new(in_flight);
    let mut sizes = HashMap::new();
    let mut futures: HashMap<FutureId, u32> = HashMap::new();
    let mut out = HashSet::new();
    // What the broker and the workers have, and whether it is confirmed. A lost connection may leave two of one
    // message.
    let mut sent: Vec<(Outgoing, bool)> = Vec::new();
    let finish = |out: &mut HashSet<u32>, sizes: &HashMap<u32, usize>, job: u32, replies: usize| {
        assert!(out.insert(job), "{job} came out twice");
        assert_eq!(sizes[&job], replies);
    };
    for job in 0..200 {
        match random.below(10) {
            0..4 => {
                let size = 1 + random.below(3);
                sizes.insert(job, size);
                futures.insert(add(&mut window, job, size), job);
            }
            4 => {
                window.disconnected();
                sent.retain(|(_, is_confirmed)| *is_confirmed || job % 2 == 0);
            }
            5 => {
                if let Some((&id, &job)) = futures.iter().nth(random.below(futures.len().max(1))) {
                    let (revoked, finished) = window.revoke(id);
                    if let Some(finished) = finished {
                        finish(&mut out, &sizes, finished.job, finished.replies.len());
                    } else if revoked.is_exact {
                        assert!(revoked.published.is_empty());
                        assert_eq!(window.left(id).0, Some(job));
                        assert!(out.insert(job));
                    }
                }
            }
            6 => {
                let aborted = futures.iter().nth(random.below(futures.len().max(1))).map(|(id, job)| (*id, *job));
                if let Some((id, job)) = aborted
                    && window.stop(id)
                {
                    assert_eq!(window.left(id).0, Some(job));
                    assert!(out.insert(job));
                }
            }
            7 if !sent.is_empty() => {
                let at = random.below(sent.len());
                window.confirmed(sent[at].0.id);
                sent[at].1 = true;
            }
            8 if !sent.is_empty() => {
                let at = random.below(sent.len());
                if let Some((id, job)) = window.started(sent[at].0.id, started("w"), Instant::now(), GRACE) {
                    assert!(matches!(window.put(id, job), Ok(None)));
                }
            }
            _ => {}
        }
        while let Some(outgoing) = window.next() {
            sent.push((outgoing, false));
        }
        let unanswered = window.messages.values().filter(|message| message.place != super::Place::Waiting).count();
        assert!(unanswered == window.out && unanswered <= in_flight);
        assert_eq!(
            window.at_workers().count(),
            window.messages.values().filter(|message| message.worker.is_some()).count()
        );
        if !sent.is_empty() && random.below(2) == 0 {
            let (answered, _) = sent.swap_remove(random.below(sent.len()));
            if let Some(finished) = window.answered(answered.id, ok("")) {
                finish(&mut out, &sizes, finished.job, finished.replies.len());
            }
        }
    }
    while !window.tasks.is_empty() {
        while let Some(outgoing) = window.next() {
            sent.push((outgoing, false));
        }
        // What was confirmed and lost all the same comes back as if it had not been.
        let (answered, _) = sent.pop().expect("something is left that nobody will answer");
        if let Some(finished) = window.answered(answered.id, ok("")) {
            finish(&mut out, &sizes, finished.job, finished.replies.len());
        }
    }
    assert_eq!(out.len(), sizes.len());
    assert!(window.messages.is_empty() && window.waiting.is_empty() && window.deadlines.is_empty());
    assert!(window.at_workers.is_empty());
    assert_eq!((window.out, window.running), (0, 0));
}

#[test]
fn every_task_comes_out_once_whatever_happens() {
    (0..500).for_each(simulate);
}
