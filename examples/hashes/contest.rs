//! The same work on each executor, and how long it took.

use std::time::{Duration, Instant};

#[cfg(processes)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, Error, Executor, InlineExecutor, ThreadPoolExecutor};

use crate::buffer::{Buffer, Digest, digest};

/// An executor with a number of workers.
pub(crate) struct Contestant {
    pub(crate) kind: &'static str,
    pub(crate) workers: usize,
    executor: Box<dyn Backend>,
}

/// How a contestant did.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) kind: &'static str,
    pub(crate) workers: usize,
    /// The median of all rounds.
    pub(crate) time: Duration,
    /// How many times as fast as the first contestant.
    pub(crate) speed_up: f64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ContestError {
    #[error("{kind} with {workers} workers: {error}")]
    Failed { kind: &'static str, workers: usize, error: Error },
    #[error("{kind} with {workers} workers: the digests are not those of sequential")]
    Different { kind: &'static str, workers: usize },
}

/// Everyone who takes part, the sequential executor first. The one place that knows the executors.
pub(crate) fn contestants(max_workers: usize) -> Vec<Contestant> {
    let mut contestants = vec![Contestant { kind: "sequential", workers: 1, executor: Box::new(InlineExecutor) }];
    for workers in worker_counts(max_workers) {
        let executor = Box::new(ThreadPoolExecutor::new(workers));
        contestants.push(Contestant { kind: "threads", workers, executor });
    }
    #[cfg(processes)]
    for workers in worker_counts(max_workers) {
        let executor = Box::new(ProcessPoolExecutor::new(workers));
        contestants.push(Contestant { kind: "processes", workers, executor });
    }
    contestants
}

/// 1, 2, 4 .. and the greatest itself.
fn worker_counts(max_workers: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(1_usize), |workers| workers.checked_mul(2));
    doubled.take_while(|&workers| workers < max_workers).chain([max_workers]).collect()
}

/// Lets everyone hash all buffers once a round, in turn, so that what disturbs the computer for a while disturbs all.
/// A round before the first starts the workers and is not counted.
pub(crate) fn compete(
    contestants: &[Contestant],
    buffers: &[Buffer],
    rounds: usize,
) -> Result<Vec<Standing>, ContestError> {
    let mut times = vec![Vec::new(); contestants.len()];
    let mut expected = None;
    for _ in 0..=rounds {
        for (contestant, times) in contestants.iter().zip(&mut times) {
            let &Contestant { kind, workers, ref executor } = contestant;
            let (digests, time) =
                run(&**executor, buffers).map_err(|error| ContestError::Failed { kind, workers, error })?;
            if *expected.get_or_insert_with(|| digests.clone()) != digests {
                return Err(ContestError::Different { kind, workers });
            }
            times.push(time);
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(|times| median(times[1..].to_vec())).collect();
    let standing = |(contestant, &time): (&Contestant, &Duration)| Standing {
        kind: contestant.kind,
        workers: contestant.workers,
        time,
        speed_up: medians[0].as_secs_f64() / time.as_secs_f64(),
    };
    Ok(contestants.iter().zip(&medians).map(standing).collect())
}

/// Hashes all buffers. This is all that executors see of the work.
fn run(executor: &dyn Backend, buffers: &[Buffer]) -> Result<(Vec<Digest>, Duration), Error> {
    let started = Instant::now();
    let digests = executor.map(digest, buffers.to_vec()).collect::<Result<_, _>>()?;
    Ok((digests, started.elapsed()))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    //! Who takes part, and who wins.
    use std::time::Duration;

    use super::{compete, contestants, median, worker_counts};
    use crate::buffer::Buffer;

    #[test]
    fn worker_counts_double_up_to_the_greatest() {
        assert_eq!(worker_counts(1), [1]);
        assert_eq!(worker_counts(4), [1, 2, 4]);
        assert_eq!(worker_counts(6), [1, 2, 4, 6]);
    }

    #[test]
    fn a_median_does_not_see_what_is_far_out() {
        assert_eq!(median([900, 1, 3].map(Duration::from_secs).to_vec()), Duration::from_secs(3));
    }

    #[test]
    fn all_contestants_agree_and_have_a_standing() {
        let buffers: Vec<Buffer> = (0..8).map(|seed| Buffer { seed, size: 1000 }).collect();
        let mut contestants = contestants(2);
        // Elsewhere `init` is called by `main`, which a test does not have.
        contestants.retain(|contestant| cfg!(automatic) || contestant.kind != "processes");
        let standings = compete(&contestants, &buffers, 1).unwrap();
        assert_eq!(standings.len(), contestants.len());
        assert!(standings.iter().all(|standing| standing.time > Duration::ZERO));
        assert!((standings[0].speed_up - 1.0).abs() < f64::EPSILON);
    }
}
