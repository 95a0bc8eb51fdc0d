//! A thread that signals workers from outside.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use concurrent_futures_conformance::support::leak_check::is_child;
use fastrand::Rng;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::judge::Interventions;
use crate::resources;
use crate::settings::Settings;
use crate::tasks::read_notes;

pub(crate) struct Killer<'a> {
    pub(crate) notes: &'a Path,
    pub(crate) settings: &'a Settings,
    pub(crate) interventions: &'a Interventions,
    pub(crate) random: Rng,
}

impl Killer<'_> {
    /// Runs until the other end of the channel is dropped.
    pub(crate) fn run(mut self, over: &Receiver<()>) {
        // Three workers in a row that die before they are ready break a pool, and one that dies in an initializer.
        let mut starting = if self.settings.initializer { 0 } else { 2 };
        loop {
            let pause = Duration::from_millis(self.random.u64(5..=200));
            if over.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let mut workers = resources::workers(self.notes);
            if starting > 0 && self.random.u32(..4) == 0 {
                starting -= 1;
            } else {
                let started: Vec<_> = read_notes(self.notes).into_iter().map(|(_, pid)| pid).collect();
                workers.retain(|pid| started.contains(pid));
            }
            if let Some(worker) = self.random.choice(workers) {
                self.signal(worker);
            }
        }
    }

    fn signal(&mut self, pid: u32) {
        let Some(process) = Pid::from_raw(pid as i32) else { return };
        let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return };
        // From here on the number cannot be that of another process without our being told by `pidfd_send_signal`.
        if !is_child(pid) {
            return;
        }
        // Nobody else would end a task whose worker is stopped.
        let stop = self.settings.time_limit.is_some() && self.random.u32(..4) == 0;
        let signal = if stop {
            self.interventions.stopped.fetch_add(1, Ordering::SeqCst);
            Signal::STOP
        } else {
            self.interventions.killed.lock().unwrap().insert(pid);
            if self.random.bool() { Signal::KILL } else { Signal::TERM }
        };
        // It may have ended just now.
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}
