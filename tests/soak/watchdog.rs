//! Names what hangs, and ends the program.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::life::Life;

/// A round takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn guard<R>(lives: &[Arc<Life>], round: impl FnOnce() -> R) -> R {
    let (over, news) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if news.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                for life in lives {
                    eprintln!("soak: no end after {PATIENCE:?}: {}", life.describe());
                }
                std::process::abort();
            }
        });
        let result = round();
        drop(over);
        result
    })
}
