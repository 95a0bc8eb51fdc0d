//! [`Verdict`]: what becomes of a message that calls a task.
//!
//! A worker takes no more messages than it has slots, and starts what arrives at once. So a message that the broker
//! delivers again is, but for a moment, that of a task which had started on a worker that is gone. It is run again only
//! as often as its client allows: what may have had effects must not have them twice unasked.
//!
//! | in this order | verdict |
//! |---|---|
//! | it was revoked | the answer is REVOKED |
//! | it is not wanted any more: its time is over, or nobody is left to get the answer | REVOKED, or nothing |
//! | no function has its name | FAILURE |
//! | its time has not come | it is held, and not started even if it was delivered before |
//! | it was delivered before, and may be run again | it is published again, and counts one more |
//! | it was delivered before | FAILURE: the worker is lost |
//! | else | it is run |
#![forbid(unsafe_code)]

use std::time::Duration;

use concurrent_futures::{Decode, Error, Part, WorkerDied};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::call;
use crate::failure::Failure;
use crate::message::TaskMessage;

/// What a worker knows of a message besides its headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) now: Timestamp,
    pub(super) is_revoked: bool,
    /// The queue for answers is gone.
    pub(super) is_orphan: bool,
    /// It was delivered before, to this worker or another one.
    pub(super) is_redelivered: bool,
    /// How often a task is run again if its client does not say.
    pub(super) redeliver: u32,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Run,
    /// It is run after this time.
    Hold(Duration),
    /// It is published again, with one retry more.
    PublishAgain,
    Revoke {
        /// Its time is over.
        is_expired: bool,
    },
    Fail(Failure),
    /// It is forgotten.
    Skip,
}

pub(super) fn judge(message: &TaskMessage, circumstances: &Circumstances) -> Verdict {
    let Circumstances { now, is_revoked, is_orphan, is_redelivered, redeliver } = *circumstances;
    if is_revoked {
        return Verdict::Revoke { is_expired: false };
    }
    if is_orphan {
        return Verdict::Skip;
    }
    let (eta, expires) = match (time("eta", message.eta.as_deref()), time("expires", message.expires.as_deref())) {
        (Ok(eta), Ok(expires)) => (eta, expires),
        (Err(failure), _) | (_, Err(failure)) => return Verdict::Fail(failure),
    };
    if expires.is_some_and(|expires| expires <= now) {
        return Verdict::Revoke { is_expired: true };
    }
    if !call::is_known(&message.task) {
        return Verdict::Fail(Failure::of(&call::unknown(&message.task)));
    }
    if let Some(wait) = eta.and_then(|eta| Duration::try_from(eta.duration_since(now)).ok())
        && !wait.is_zero()
    {
        return Verdict::Hold(wait);
    }
    if !is_redelivered {
        return Verdict::Run;
    }
    if message.retries < message.retries_allowed.unwrap_or(redeliver) {
        return Verdict::PublishAgain;
    }
    Verdict::Fail(Failure::of(&Error::WorkerDied(WorkerDied::lost("", Some(message.task.clone())))))
}

/// Reads a time of a message. One without an offset is in UTC.
fn time(header: &str, text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    match text.parse::<Timestamp>().ok().or_else(utc) {
        Some(time) => Ok(Some(time)),
        None => {
            let text = format!("the header {header} is {text:?}, and not a time in ISO 8601");
            Err(Failure::of(&Error::Decode(Decode::new(Part::Argument, text))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use concurrent_futures::task;

    use super::{Circumstances, Verdict, judge};
    use crate::message::TaskMessage;

    #[task(name = "tests.verdict")]
    fn known(_: ()) {}

    const NOW: &str = "2026-11-29T12:00:00+00:00";

    fn message() -> TaskMessage {
        TaskMessage { id: "1".into(), task: "tests.verdict".into(), ..TaskMessage::default() }
    }

    fn circumstances() -> Circumstances {
        let now = NOW.parse().unwrap();
        Circumstances { now, is_revoked: false, is_orphan: false, is_redelivered: false, redeliver: 0 }
    }

    fn failed(verdict: Verdict) -> (String, String) {
        let Verdict::Fail(failure) = verdict else { panic!("{verdict:?}") };
        (failure.exc_type.clone(), failure.message())
    }

    #[test]
    fn a_task_that_arrives_for_the_first_time_is_run() {
        assert!(matches!(judge(&message(), &circumstances()), Verdict::Run));
    }

    #[test]
    fn a_task_that_had_started_is_run_again_only_as_often_as_its_client_says() {
        let redelivered = Circumstances { is_redelivered: true, ..circumstances() };
        let (exception, text) = failed(judge(&message(), &redelivered));
        assert_eq!((&*exception, &*text), ("WorkerLostError", "a worker was lost while it ran tests.verdict"));
        let retried = |retries| TaskMessage { retries, retries_allowed: Some(2), ..message() };
        assert!(matches!(judge(&retried(1), &redelivered), Verdict::PublishAgain));
        assert!(matches!(judge(&retried(2), &redelivered), Verdict::Fail(_)));
        let lenient = Circumstances { redeliver: 1, ..redelivered };
        assert!(matches!(judge(&message(), &lenient), Verdict::PublishAgain));
        assert!(matches!(judge(&retried(2), &lenient), Verdict::Fail(_)), "what the client says counts");
    }

    #[test]
    fn what_is_not_wanted_any_more_is_not_run() {
        let revoked = Circumstances { is_revoked: true, ..circumstances() };
        assert!(matches!(judge(&message(), &revoked), Verdict::Revoke { is_expired: false }));
        let orphan = Circumstances { is_orphan: true, ..circumstances() };
        assert!(matches!(judge(&message(), &orphan), Verdict::Skip));
        let expired = TaskMessage { expires: Some("2026-11-29T11:59:59.5+00:00".into()), ..message() };
        assert!(matches!(judge(&expired, &circumstances()), Verdict::Revoke { is_expired: true }));
        let in_time = TaskMessage { expires: Some("2026-11-29T12:00:01+00:00".into()), ..message() };
        assert!(matches!(judge(&in_time, &circumstances()), Verdict::Run));
    }

    #[test]
    fn a_task_whose_time_has_not_come_is_held_and_has_not_started() {
        for eta in ["2026-11-29T12:00:01.5+00:00", "2026-11-29T14:00:01.5+02:00", "2026-11-29T12:00:01.5"] {
            let later = TaskMessage { eta: Some(eta.into()), ..message() };
            let redelivered = Circumstances { is_redelivered: true, ..circumstances() };
            let Verdict::Hold(wait) = judge(&later, &redelivered) else { panic!("{eta}") };
            assert_eq!(wait, Duration::from_millis(1500), "{eta}");
        }
        let past = TaskMessage { eta: Some("2026-11-29T11:00:00+00:00".into()), ..message() };
        assert!(matches!(judge(&past, &circumstances()), Verdict::Run));
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let unknown = TaskMessage { task: "tests.unknown".into(), ..message() };
        let (exception, text) = failed(judge(&unknown, &circumstances()));
        assert_eq!(exception, "NotRegistered");
        assert!(text.contains("no task named \"tests.unknown\" is registered with this worker"), "{text}");
        let odd = TaskMessage { eta: Some("soon".into()), ..message() };
        let (exception, text) = failed(judge(&odd, &circumstances()));
        assert_eq!(exception, "TypeError");
        assert!(text.contains("the header eta is \"soon\", and not a time in ISO 8601"), "{text}");
    }
}
