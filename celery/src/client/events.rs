//! How the link receives the events of workers, while a task or a caller needs them.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use serde::Deserialize;

use super::link::{Link, Lost, next};
use super::session::Session;
use super::shared::State;
use crate::failure::{FailedTask, lost};

/// How long a task runs before the link watches whether its worker is alive. Most tasks have ended by then.
const SHORT: Duration = Duration::from_secs(5);

/// How long a worker may be silent. It sends a heartbeat every two seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a worker that is silent is remembered: its messages about its tasks may come late.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// How often the link checks for workers that are silent.
const CHECK: Duration = Duration::from_secs(2);

/// An event that a worker has published.
#[derive(Deserialize)]
struct Event {
    hostname: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Link {
    /// Receives the events of workers whenever they are needed: while a task has run for a while that would hang if its
    /// worker died, and while a caller waits for workers.
    pub(super) async fn listen(&self, session: &Session) -> Result<(), Lost> {
        let runs = |state: &mut State| state.window.at_workers().next().is_some().then_some(());
        let awaited = |state: &mut State| state.workers.are_awaited().then_some(());
        loop {
            let long = async {
                self.shared.until(runs).await;
                Timer::after(SHORT).await;
            };
            long.or(self.shared.until(awaited)).await;
            let (channel, events) = match session.events().await {
                Ok(events) => events,
                Err(error) if session.is_connected() => {
                    log::warn!(
                        "events of workers cannot be received, so the death of a worker is not noticed: {error}"
                    );
                    return std::future::pending().await;
                }
                Err(error) => return Err(error.into()),
            };
            let is_over = async {
                let is_needed = |state: &mut State| runs(state).or(awaited(state));
                self.shared.until(|state| is_needed(state).is_none().then_some(())).await;
                Ok(())
            };
            self.receive_events(events).or(self.check_for_silence()).or(is_over).await?;
            self.shared.change(|state| state.workers.forget());
            channel.close(200, "".into()).await?;
        }
    }

    async fn receive_events(&self, mut events: Consumer) -> Result<(), Lost> {
        loop {
            let delivery = next(events.next().await)?;
            let Ok(event) = serde_json::from_slice::<Event>(&delivery.data) else { continue };
            if event.kind != "worker-offline" {
                self.shared.change(|state| {
                    let questions = state.workers.heard(&event.hostname, Instant::now());
                    state.orders.questions.extend(questions);
                });
            }
        }
    }

    /// Ends the tasks of workers that have become silent.
    async fn check_for_silence(&self) -> Result<(), Lost> {
        loop {
            Timer::after(CHECK).await;
            let silent = self.shared.look(|state| {
                let is_silent =
                    |worker: &str| state.workers.last_heard(worker).is_some_and(|last| last.elapsed() > SILENCE);
                let silent = state.window.at_workers().filter(|(_, worker)| is_silent(worker));
                silent.map(|(id, worker)| (id, worker.to_owned())).collect::<Vec<_>>()
            });
            if let Some(time) = Instant::now().checked_sub(FORGOTTEN) {
                self.shared.forget_workers(time);
            }
            for (id, worker) in silent {
                let Some((call, _)) = self.shared.look(|state| state.window.call(id)) else { continue };
                let task = FailedTask { name: &call.task, time_limit: call.time_limit, worker: Some(&worker) };
                let hint = format!("nothing has been heard of it for {SILENCE:?}");
                self.shared.answered(id, Err(lost(&task, &hint)));
            }
        }
    }
}
