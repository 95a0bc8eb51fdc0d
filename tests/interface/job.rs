//! A job in the hands of an executor's author: started, encoded, completed, dropped, aborted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, Job, MapOptions, SharedFuture, State, TaskOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{Drops, Held, LONG, Token, within};

#[test]
fn a_job_has_the_id_and_name_of_its_task() {
    let held = Held::default();
    let options = TaskOptions::new().name("fetch").retries(3).refuse_when_full().time_limit(LONG);
    let future = held.with(options).submit(|n: u8| n, 1);
    let job = held.take(0);
    assert_eq!(job.id(), future.id());
    assert_eq!(job.name(), Some("fetch"));
    assert_eq!(job.options().get_name(), Some("fetch"));
    assert_eq!((job.options().get_retries(), job.options().get_time_limit()), (3, Some(LONG)));
    assert!(job.options().get_refuse_when_full());
    assert!(format!("{job:?}").contains("fetch"));
    job.run();
    assert_eq!(future.result().unwrap(), 1);
    let _unnamed = held.submit(|n: u8| n, 1);
    assert_eq!(held.take(0).name(), None);
}

#[test]
fn a_job_starts_when_its_remote_starts_it() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    assert_eq!(future.state(), State::Pending);
    assert!(job.start());
    assert_eq!(future.state(), State::Running);
    assert!(!future.cancel());
    job.complete(Ok(&[9]));
    assert_eq!(future.result().unwrap(), 9);
}

#[test]
fn a_job_that_was_started_and_encoded_may_still_run_here() {
    let held = Held::default();
    let future = held.submit(|n: u8| n + 1, 1);
    let job = held.take(0);
    assert_eq!(job.encode().unwrap().argument(), [1]);
    assert_eq!(job.encode().unwrap().into_argument(), [1], "a job may be encoded again");
    assert_eq!(job.encode().unwrap().items(), None);
    assert!(job.start());
    job.run();
    assert_eq!(future.result().unwrap(), 2);
}

#[test]
fn a_chunk_knows_its_number_of_calls() {
    let held = Held::default();
    let chunks = held.with(MapOptions::new().chunk_size(3));
    let map = chunks.map(|n: u8| n, [7, 8, 9, 10]);
    let (first, second) = (held.take(0).encode().unwrap(), held.take(0).encode().unwrap());
    assert_eq!((first.items(), second.items()), (Some(3), Some(1)));
    assert_eq!(postcard::from_bytes::<Vec<u8>>(first.argument()).unwrap(), [7, 8, 9]);
    assert_eq!(map.map(|outcome| matches!(outcome, Err(Error::Abandoned))).collect::<Vec<_>>(), [true; 4]);
}

/// Submits three numbers as one task.
fn chunk(held: &Held, finish: impl FnOnce(Job)) -> Vec<Result<u8, Error>> {
    let chunks = held.with(MapOptions::new().chunk_size(3));
    let map = chunks.map(|n: u8| n, [7, 8, 9]);
    finish(held.take(0));
    map.collect()
}

#[track_caller]
fn assert_decode(outcome: &Result<u8, Error>, said: &str) {
    let Err(Error::Decode(decode)) = outcome else { panic!("{outcome:?}") };
    assert!(decode.to_string().contains(said), "{decode}");
}

#[test]
fn a_chunk_is_completed_item_by_item() {
    let outcomes = chunk(&Held::default(), |job| {
        assert_eq!(job.encode().unwrap().items(), Some(3));
        job.complete_items([Ok(&[14][..]), Err(Error::ShutDown), Ok(&[])]);
    });
    assert!(matches!(outcomes[..2], [Ok(14), Err(Error::ShutDown)]), "{outcomes:?}");
    assert_decode(&outcomes[2], "");
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn items_without_a_reply_say_so_and_the_others_have_theirs() {
    let outcomes = chunk(&Held::default(), |job| job.complete_items([Ok(&[14][..])]));
    assert!(matches!(outcomes[..1], [Ok(14)]), "{outcomes:?}");
    for missing in &outcomes[1..] {
        assert_decode(missing, "no reply came for it, only 1 of 3: pass one for each call of the task, in order");
    }
    assert_eq!(outcomes.len(), 3);
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    held.take(0).complete_items([]);
    assert_decode(&future.result(), "only 0 of 1");
}

#[test]
fn with_too_many_replies_no_item_has_another_ones() {
    let replies = || std::iter::repeat_with(|| Ok(&[1][..]));
    let outcomes = chunk(&Held::default(), |job| job.complete_items(replies()));
    assert_eq!(outcomes.len(), 3);
    outcomes.iter().for_each(|outcome| assert_decode(outcome, "more replies came than the task has calls (3)"));
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    held.take(0).complete_items(replies());
    assert_decode(&future.result(), "more replies came than the task has calls (1)");
}

#[test]
fn a_task_that_is_no_chunk_has_one_reply() {
    let held = Held::default();
    let (one, two) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    held.take(0).complete_items([Ok(&[9][..])]);
    held.take(0).complete_items([Err(Error::ShutDown)]);
    assert_eq!(one.result().unwrap(), 9);
    assert!(matches!(two.result(), Err(Error::ShutDown)));
}

#[test]
fn replies_that_panic_end_the_task() {
    let held = Held::default();
    let outcomes = chunk(&held, |job| {
        let replies = [Ok(&[1][..])].into_iter().chain(std::iter::from_fn(|| panic!("in an iterator")));
        let completed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.complete_items(replies)));
        completed.unwrap_err();
    });
    assert!(matches!(outcomes[..], [Err(Error::Abandoned), Err(Error::Abandoned), Err(Error::Abandoned)]));
}

#[test]
fn a_job_tells_whether_an_err_is_an_error() {
    let held = Held::default();
    let _value = held.submit(|text: String| text.parse::<u8>().map_err(|error| error.to_string()), "1".into());
    assert!(!held.take(0).is_fallible());
    let _error = held.try_submit(|text: String| text.parse::<u8>(), "1".into());
    assert!(held.take(0).is_fallible());
    let chunks = held.with(MapOptions::new().chunk_size(2));
    let _values = chunks.map(|n: u8| n, [1, 2]);
    let _errors = chunks.try_map(|text: String| text.parse::<u8>(), ["1".into(), "2".into()]);
    assert_eq!((held.take(0).is_fallible(), held.take(0).is_fallible()), (false, true));
}

#[test]
fn a_job_that_was_cancelled_does_nothing_more() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let held = Held::default();
    let submit = || held.submit(|n: usize| CALLS.fetch_add(n, Ordering::SeqCst), 1);
    let ways: [fn(Job); 6] = [
        |job| job.run(),
        |job| job.complete(Ok(&[1])),
        |job| job.complete_items(std::iter::from_fn(|| panic!("looked at"))),
        |job| job.fail(Error::ShutDown),
        drop,
        |job| {
            assert!(!job.start());
            assert!(matches!(job.encode(), Err(Error::Cancelled)));
        },
    ];
    for way in ways {
        let future = submit();
        assert!(future.cancel());
        way(held.take(0));
        assert!(matches!(future.result(), Err(Error::Cancelled)));
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 0);
}

#[test]
fn a_job_that_is_dropped_is_abandoned() {
    let held = Held::default();
    let (pending, running) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    drop(held.take(0));
    assert!(matches!(pending.result(), Err(Error::Abandoned)));
    assert!(held.take(0).start());
    assert!(matches!(running.result(), Err(Error::Abandoned)));
    let lost = held.submit(|n: u8| n, 3);
    drop(held);
    assert!(matches!(lost.result(), Err(Error::Abandoned)));
}

#[test]
fn a_job_fails_with_the_reason_it_is_given() {
    let held = Held::default();
    let (one, two) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
    held.take(0).fail(Error::ShutDown);
    assert!(matches!(one.result(), Err(Error::ShutDown)));
    held.take(0).complete(Err(Error::Abandoned));
    assert!(matches!(two.result(), Err(Error::Abandoned)));
}

#[test]
fn an_abort_of_a_running_job_runs_its_hook_after_the_job_is_done() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1).share();
    let job = held.take(0);
    assert!(job.start());
    let (send, receive) = mpsc::channel();
    let inside = future.clone();
    job.on_abort(move || send.send((inside.state(), thread::current().id())).unwrap());
    assert!(future.abort());
    assert_eq!(receive.try_recv(), Ok((State::Cancelled, thread::current().id())));
    let (send, receive) = mpsc::channel();
    job.on_abort(move || send.send(()).unwrap());
    assert_eq!(receive.try_recv(), Ok(()), "the job was aborted before");
    job.complete(Ok(&[1]));
    assert!(future.is_cancelled());
}

#[test]
fn a_hook_runs_only_if_its_task_is_aborted_while_it_runs() {
    let held = Held::default();
    let (call, calls) = mpsc::channel();
    let hooked = |drops: &Drops| {
        let future = held.submit(|n: u8| n, 1);
        let job = held.take(0);
        let (token, call) = (drops.token(), call.clone());
        job.on_abort(move || {
            drop(token);
            call.send(()).unwrap();
        });
        (future, job)
    };
    let drops = Drops::default();
    let (cancelled, job) = hooked(&drops);
    assert!(cancelled.cancel());
    assert_eq!(drops.count(), 1, "the job keeps no argument");
    drop(job);
    let (aborted, job) = hooked(&drops);
    assert!(aborted.abort(), "the job was pending");
    assert_eq!(drops.count(), 2);
    drop(job);
    let (finished, job) = hooked(&drops);
    job.run();
    assert_eq!(drops.count(), 3);
    let (again, job) = hooked(&drops);
    job.start();
    job.complete(Ok(&[1]));
    assert_eq!(drops.count(), 4);
    assert_eq!((finished.result().unwrap(), again.result().unwrap()), (1, 1));
    assert!(calls.try_recv().is_err(), "called");
}

#[test]
fn a_later_hook_replaces_an_earlier_one() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    job.start();
    let (send, receive) = mpsc::channel();
    for number in 0..3 {
        let send = send.clone();
        job.on_abort(move || send.send(number).unwrap());
    }
    future.abort();
    drop((send, job));
    assert_eq!(receive.iter().collect::<Vec<_>>(), [2]);
}

/// What a hook captures is dropped outside of every lock, as all that is the user's.
#[test]
fn a_hook_that_is_replaced_may_look_at_its_future_when_it_is_dropped() {
    struct Looks(SharedFuture<u8>, mpsc::Sender<State>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.send(self.0.state()).unwrap();
        }
    }
    let states = within(Duration::from_secs(10), || {
        let held = Held::default();
        let future = held.submit(|n: u8| n, 1).share();
        let job = held.take(0);
        job.start();
        let (send, receive) = mpsc::channel();
        for _ in 0..2 {
            let looks = Looks(future.clone(), send.clone());
            job.on_abort(move || drop(looks));
        }
        job.complete(Ok(&[1]));
        drop(send);
        receive.iter().collect::<Vec<_>>()
    });
    assert_eq!(states.len(), 2);
    assert_eq!(states[0], State::Running);
}

#[test]
fn a_hook_that_panics_does_no_harm() {
    let held = Held::default();
    let future = held.submit(|n: u8| n, 1);
    let job = held.take(0);
    job.start();
    job.on_abort(|| panic!("in a hook"));
    assert!(future.abort());
    job.on_abort(|| panic!("in a late hook"));
    assert!(future.is_cancelled());
}

static ARGUMENTS: OnceLock<Drops> = OnceLock::new();

/// Serialises as nothing and counts its drop.
struct Counted(#[expect(dead_code, reason = "its drop is what counts")] Token);
impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ().serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(ARGUMENTS.get_or_init(Drops::default).token()))
    }
}

#[test]
fn an_encoded_argument_is_dropped_when_its_task_is_done() {
    let drops = ARGUMENTS.get_or_init(Drops::default);
    let held = Held::default();
    let ends: [fn(Job, &SharedFuture<u8>); 3] =
        [|job, _| job.complete(Ok(&[1])), |job, _| job.fail(Error::ShutDown), |_job, future| assert!(future.abort())];
    for (round, end) in ends.into_iter().enumerate() {
        let future = held.submit(|_: Counted| 1_u8, Counted(drops.token())).share();
        let job = held.take(0);
        job.encode().unwrap();
        job.start();
        assert_eq!(drops.count(), round);
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |_| send.send(drops.count()).unwrap());
        end(job, &future);
        assert_eq!(receive.try_recv(), Ok(round + 1));
    }
}

#[test]
fn a_job_may_be_completed_on_any_thread() {
    within(LONG, || {
        let held = Held::default();
        for number in 0..50_u8 {
            let future = held.submit(|n: u8| n, number);
            let job = held.take(0);
            let far = thread::spawn(move || {
                let bytes = job.encode().unwrap().into_argument();
                job.start();
                job.complete(Ok(&bytes));
            });
            assert_eq!(future.result().unwrap(), number);
            far.join().unwrap();
        }
    });
}

#[test]
fn options_of_a_task_win_over_those_added_to_its_job() {
    let held = Held::default();
    let future = held.with(TaskOptions::new().name("inner")).submit(|n: u8| n, 1);
    let job = held
        .take(0)
        .with_options(TaskOptions::new().name("outer").retries(2))
        .with_options(TaskOptions::new().retries(3));
    assert_eq!((job.name(), job.options().get_retries()), (Some("inner"), 2));
    job.run();
    assert_eq!(future.result().unwrap(), 1);
    let future = held.submit(|n: u8| -> u8 { panic!("{n}") }, 1);
    held.take(0).with_options(TaskOptions::new().name("late")).run();
    match future.result() {
        Err(Error::Panicked(panic)) => assert_eq!(panic.task_name(), Some("late")),
        outcome => panic!("{outcome:?}"),
    }
}

/// The next executor on its way may add options: they hold until the job is used.
#[test]
fn a_question_and_an_abort_hook_leave_the_options_open() {
    let held = Held::default();
    let future = held.submit(|n: u8| assert_eq!(n, 0), 1);
    let job = held.take(0);
    assert!(!job.is_fallible());
    job.on_abort(|| ());
    job.with_options(TaskOptions::new().name("named late")).run();
    let Err(Error::Panicked(panicked)) = future.result() else { panic!("it panics") };
    assert_eq!(panicked.task_name(), Some("named late"));
}
