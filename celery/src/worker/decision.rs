//! [`Decision`]: what a worker does with a message that calls a task.
//!
//! A worker takes no more messages than it has slots, and starts their tasks at once. So if the broker delivers a
//! message again, its task had almost certainly started on a worker that is lost. The task is run again only as often
//! as its client allows, because it may have had effects.
//!
//! The first row that applies decides:
//!
//! | the task | decision |
//! |---|---|
//! | was revoked | the answer is REVOKED |
//! | has a client that is gone | it is skipped, without an answer |
//! | has an `eta` or `expires` that is no time | the answer is FAILURE |
//! | has expired | the answer is REVOKED |
//! | has no function in this program | the answer is FAILURE |
//! | has a time that has not come | it is held, even if its message was delivered before |
//! | has a message that was not delivered before | it is run |
//! | may be run again | its message is published again, with one more retry |
//! | may not be run again | the answer is FAILURE: its worker was lost |
#![forbid(unsafe_code)]

use std::time::Duration;

use concurrent_futures::{Decode, Error, Part};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::invocation;
use crate::failure::{FailedTask, Failure, lost};
use crate::message::TaskMessage;

/// What a decision depends on besides the headers of the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) now: Timestamp,
    pub(super) is_revoked: bool,
    /// The queue for answers is gone.
    pub(super) is_client_gone: bool,
    /// The message was delivered before, to this worker or another one.
    pub(super) is_redelivered: bool,
    /// How often a task is run again if its client does not say.
    pub(super) redeliver: u32,
}

#[derive(Debug)]
pub(super) enum Decision {
    Run,
    /// It is run after this duration.
    Hold(Duration),
    /// Its message is published again, with one more retry.
    PublishAgain,
    Revoke {
        /// The task has expired.
        is_expired: bool,
    },
    Fail(Failure),
    /// Its message is acknowledged, without an answer.
    Skip,
}

/// Decides what to do with a message, by the table at the head of the file.
pub(super) fn decide(message: &TaskMessage, conditions: &Conditions) -> Decision {
    let Conditions { now, is_revoked, is_client_gone, is_redelivered, redeliver } = *conditions;
    if is_revoked {
        return Decision::Revoke { is_expired: false };
    }
    if is_client_gone {
        return Decision::Skip;
    }
    let (eta, expires) = match (time("eta", message.eta.as_deref()), time("expires", message.expires.as_deref())) {
        (Ok(eta), Ok(expires)) => (eta, expires),
        (Err(failure), _) | (_, Err(failure)) => return Decision::Fail(failure),
    };
    if expires.is_some_and(|expires| expires <= now) {
        return Decision::Revoke { is_expired: true };
    }
    if !invocation::is_known(&message.task) {
        return Decision::Fail(Failure::of(&invocation::unknown(&message.task)));
    }
    if let Some(wait) = eta.and_then(|eta| Duration::try_from(eta.duration_since(now)).ok())
        && !wait.is_zero()
    {
        return Decision::Hold(wait);
    }
    if !is_redelivered {
        return Decision::Run;
    }
    if message.retries < message.retries_allowed.unwrap_or(redeliver) {
        return Decision::PublishAgain;
    }
    Decision::Fail(Failure::of(&lost(&FailedTask { name: &message.task, ..FailedTask::default() }, "")))
}

/// Parses a time in a header. A time without an offset is in UTC.
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

    use super::{Conditions, Decision, decide};
    use crate::message::TaskMessage;

    #[task(name = "tests.decision")]
    fn known(_: ()) {}

    const NOW: &str = "2026-11-29T12:00:00+00:00";

    fn message() -> TaskMessage {
        TaskMessage { id: "1".into(), task: "tests.decision".into(), ..TaskMessage::default() }
    }

    fn conditions() -> Conditions {
        let now = NOW.parse().unwrap();
        Conditions { now, is_revoked: false, is_client_gone: false, is_redelivered: false, redeliver: 0 }
    }

    fn failed(decision: Decision) -> (String, String) {
        let Decision::Fail(failure) = decision else { panic!("{decision:?}") };
        (failure.exc_type.clone(), failure.message())
    }

    #[test]
    fn a_task_that_arrives_for_the_first_time_is_run() {
        assert!(matches!(decide(&message(), &conditions()), Decision::Run));
    }

    #[test]
    fn a_task_that_had_started_is_run_again_only_as_often_as_its_client_says() {
        let redelivered = Conditions { is_redelivered: true, ..conditions() };
        let (exception, text) = failed(decide(&message(), &redelivered));
        assert_eq!((&*exception, &*text), ("WorkerLostError", "a worker was lost while it ran tests.decision"));
        let retried = |retries| TaskMessage { retries, retries_allowed: Some(2), ..message() };
        assert!(matches!(decide(&retried(1), &redelivered), Decision::PublishAgain));
        assert!(matches!(decide(&retried(2), &redelivered), Decision::Fail(_)));
        let lenient = Conditions { redeliver: 1, ..redelivered };
        assert!(matches!(decide(&message(), &lenient), Decision::PublishAgain));
        assert!(matches!(decide(&retried(2), &lenient), Decision::Fail(_)), "what the client says counts");
    }

    #[test]
    fn what_is_not_wanted_any_more_is_not_run() {
        let revoked = Conditions { is_revoked: true, ..conditions() };
        assert!(matches!(decide(&message(), &revoked), Decision::Revoke { is_expired: false }));
        let abandoned = Conditions { is_client_gone: true, ..conditions() };
        assert!(matches!(decide(&message(), &abandoned), Decision::Skip));
        let expired = TaskMessage { expires: Some("2026-11-29T11:59:59.5+00:00".into()), ..message() };
        assert!(matches!(decide(&expired, &conditions()), Decision::Revoke { is_expired: true }));
        let in_time = TaskMessage { expires: Some("2026-11-29T12:00:01+00:00".into()), ..message() };
        assert!(matches!(decide(&in_time, &conditions()), Decision::Run));
    }

    #[test]
    fn a_task_whose_time_has_not_come_is_held_and_has_not_started() {
        for eta in ["2026-11-29T12:00:01.5+00:00", "2026-11-29T14:00:01.5+02:00", "2026-11-29T12:00:01.5"] {
            let later = TaskMessage { eta: Some(eta.into()), ..message() };
            let redelivered = Conditions { is_redelivered: true, ..conditions() };
            let Decision::Hold(wait) = decide(&later, &redelivered) else { panic!("{eta}") };
            assert_eq!(wait, Duration::from_millis(1500), "{eta}");
        }
        let past = TaskMessage { eta: Some("2026-11-29T11:00:00+00:00".into()), ..message() };
        assert!(matches!(decide(&past, &conditions()), Decision::Run));
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let unknown = TaskMessage { task: "tests.unknown".into(), ..message() };
        let (exception, text) = failed(decide(&unknown, &conditions()));
        assert_eq!(exception, "NotRegistered");
        assert!(text.contains("no task named \"tests.unknown\" is registered with this worker"), "{text}");
        let odd = TaskMessage { eta: Some("soon".into()), ..message() };
        let (exception, text) = failed(decide(&odd, &conditions()));
        assert_eq!(exception, "TypeError");
        assert!(text.contains("the header eta is \"soon\", and not a time in ISO 8601"), "{text}");
    }
}
