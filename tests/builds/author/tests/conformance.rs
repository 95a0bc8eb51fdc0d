use std::process::ExitCode;

use author::{FreshThreads, Workers};
use concurrent_futures_conformance::{backend, run};

fn main() -> ExitCode {
    run([
        backend("fresh_threads", |_| FreshThreads::default())
            .without_queue()
            .without_cancel_pending()
            .without_stats()
            .without_time_limits()
            .without_submitter(),
        backend("workers", Workers::new).without_stats().without_time_limits().without_submitter(),
    ])
}
