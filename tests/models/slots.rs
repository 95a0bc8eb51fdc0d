//! The slots that a pool shares with a worker: which side wins a task.

use std::sync::Arc;

use concurrent_futures::{Mailbox, Progress, TaskSlots};

use crate::checker::{Channel, Mutex, check, check_choices, spawn};

/// The slot of a task.
pub(crate) const SLOT: u8 = 1;
/// The sequence number of the task that is there first.
pub(crate) const TASK: u64 = 7;

/// What both sides map, with a task in it.
pub(crate) fn page(items: Option<(u32, u32)>) -> (Arc<TaskSlots<2>>, Arc<TaskSlots<2>>) {
    let slots = Arc::new(TaskSlots::new());
    slots.ready(SLOT, TASK, items);
    (Arc::clone(&slots), slots)
}

#[test]
fn start_against_revoke() {
    check(5, || {
        let (theirs, slots) = page(None);
        let worker = spawn(move || theirs.start(SLOT, TASK, 0));
        let revoked = slots.revoke(SLOT, TASK);
        assert_ne!(worker.join().unwrap(), revoked, "exactly one side wins the task");
    });
}

#[test]
fn start_against_two_revokes() {
    check(5, || {
        let (theirs, slots) = page(None);
        let worker = spawn(move || theirs.start(SLOT, TASK, 0));
        let other = Arc::clone(&slots);
        let other = spawn(move || other.revoke(SLOT, TASK));
        let won = [slots.revoke(SLOT, TASK), other.join().unwrap(), worker.join().unwrap()];
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    });
}

#[test]
fn start_against_a_revoke_meant_for_the_task_before() {
    check(4, || {
        let (theirs, slots) = page(None);
        let (report, frame) = (Channel::new(), Channel::new());
        let (reported, next) = (report.clone(), frame.clone());
        let worker = spawn(move || {
            let first = theirs.start(SLOT, TASK, 0);
            assert!(!first || theirs.finish(SLOT, TASK));
            report.put(first);
            (first, theirs.start(SLOT, next.take(), 0))
        });
        let late = Arc::clone(&slots);
        let late = spawn(move || late.revoke(SLOT, TASK));
        let revoked = slots.revoke(SLOT, TASK);
        if !revoked {
            reported.take();
        }
        slots.ready(SLOT, TASK + 1, None);
        frame.put(TASK + 1);
        let (first, second) = worker.join().unwrap();
        let won = [first, revoked, late.join().unwrap()];
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        assert!(second, "the next task was not revoked");
    });
}

#[test]
fn finish_against_kill() {
    check(5, || {
        let (theirs, slots) = page(None);
        let worker = spawn(move || theirs.start(SLOT, TASK, 0) && theirs.finish(SLOT, TASK));
        let killed = slots.kill(SLOT, TASK);
        assert_ne!(worker.join().unwrap(), killed, "a killed worker sends no reply");
    });
}

#[test]
fn stop_against_start_and_finish() {
    check(5, || {
        let (theirs, slots) = page(None);
        let worker = spawn(move || {
            let started = theirs.start(SLOT, TASK, 0);
            (started, started && theirs.finish(SLOT, TASK))
        });
        let revoked = slots.revoke(SLOT, TASK);
        let killed = !revoked && slots.kill(SLOT, TASK);
        let (started, finished) = worker.join().unwrap();
        assert_eq!((started, finished), (!revoked, !revoked && !killed));
    });
}

#[test]
fn time_limit_against_start_and_answer() {
    check(4, || {
        let (theirs, slots) = page(None);
        // The lock of the scheduler: is the task still the worker's?
        let sent = Arc::new(Mutex::new(true));
        let settling = Arc::clone(&sent);
        let worker = spawn(move || {
            let answers = theirs.start(SLOT, TASK, 0) && theirs.finish(SLOT, TASK);
            answers && std::mem::take(&mut *settling.lock().unwrap())
        });
        let mut sent = sent.lock().unwrap();
        let stopped = *sent
            && match slots.progress(SLOT, TASK) {
                Progress::Ready => slots.revoke(SLOT, TASK),
                Progress::Running(_) => slots.kill(SLOT, TASK),
                Progress::Done => slots.kill_done(SLOT, TASK),
                Progress::Strange => unreachable!(),
            };
        *sent &= !stopped;
        drop(sent);
        assert_ne!(worker.join().unwrap(), stopped, "the task has exactly one end");
    });
}

#[test]
fn start_sees_the_items_of_its_task() {
    check(5, || {
        let slots = Arc::new(TaskSlots::<2>::new());
        slots.ready(SLOT, TASK - 1, Some((0, 0)));
        let theirs = Arc::clone(&slots);
        let worker = spawn(move || theirs.start(SLOT, TASK, 0).then(|| theirs.take_item(SLOT)));
        slots.ready(SLOT, TASK, Some((2, 3)));
        assert!(matches!(worker.join().unwrap(), None | Some(Some(2))));
    });
}

/// The right task is blamed for a death at any step of the worker, while another thread aborts the task.
#[test]
fn death_against_stop() {
    check_choices(4, 2, |steps| {
        let (theirs, slots) = page(None);
        let mailbox = Arc::new(Mailbox::default());
        let outgoing = Arc::clone(&mailbox);
        let worker = spawn(move || {
            // It starts, finishes, and posts its answer, or does not come so far.
            let started = steps > 0 && theirs.start(SLOT, TASK, 0);
            let finished = started && steps > 1 && theirs.finish(SLOT, TASK);
            let posted = finished && steps > 2;
            if posted {
                outgoing.post(SLOT);
            }
            (started, posted)
        });
        let revoked = slots.revoke(SLOT, TASK);
        let killed = !revoked && slots.kill(SLOT, TASK);
        let (started, posted) = worker.join().unwrap();
        if revoked || killed {
            assert_eq!((started, posted), (killed, false));
            return;
        }
        // Its answer is read first.
        let answered = mailbox.take().any(|slot| slot == SLOT);
        assert_eq!(answered, posted);
        let untouched = !answered && slots.revoke(SLOT, TASK);
        assert_eq!(untouched, !started, "a started task is not retried, and a task that was not started is not blamed");
    });
}

#[test]
fn start_against_a_read_of_the_start_time() {
    check(5, || {
        let (theirs, slots) = page(None);
        assert!(slots.start(SLOT, TASK, 10) && slots.finish(SLOT, TASK));
        slots.ready(SLOT, TASK + 1, None);
        let worker = spawn(move || theirs.start(SLOT, TASK + 1, 20));
        match slots.progress(SLOT, TASK + 1) {
            Progress::Running(since) => assert_eq!(since, 20, "the time of the previous task"),
            progress => assert_eq!(progress, Progress::Ready),
        }
        assert!(worker.join().unwrap());
    });
}
