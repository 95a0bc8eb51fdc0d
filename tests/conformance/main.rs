//! What holds for every executor, on those of this crate, in every form that they come in.
//!
//!     cargo test --test conformance                       # everything
//!     cargo test --test conformance -- processes::        # one kind of executor
//!     cargo test --test conformance -- --test-threads=1   # and each point leaves nothing: no descriptor, thread or process
//!
//! README.md has the table of all that Python promises, with the tests of each promise.
#![forbid(unsafe_code)]

mod forms;
mod guide;
#[cfg(feature = "remote")]
mod json;

use std::process::ExitCode;
use std::sync::Arc;

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, InlineExecutor, ThreadPoolExecutor};
use concurrent_futures_conformance::support::Forwarding;
use concurrent_futures_conformance::{backend, run};

use forms::{ByJobs, Lent, Logged, View};

fn main() -> ExitCode {
    run([
        backend("threads", ThreadPoolExecutor::new),
        backend("forwarded_threads", |workers| Forwarding(ThreadPoolExecutor::new(workers))),
        backend("threads_by_jobs", |workers| ByJobs(ThreadPoolExecutor::new(workers))).without_submitter(),
        backend("logged_threads", |workers| Logged(ThreadPoolExecutor::new(workers))),
        backend("view_of_threads", |workers| View(ThreadPoolExecutor::new(workers))),
        backend("lent_threads", |workers| Lent(ThreadPoolExecutor::new(workers))),
        backend("shared_threads", |workers| Arc::new(ThreadPoolExecutor::new(workers)) as Arc<dyn Backend>),
        #[cfg(automatic)]
        backend("processes", ProcessPoolExecutor::new),
        #[cfg(automatic)]
        backend("forwarded_processes", |workers| Forwarding(ProcessPoolExecutor::new(workers))),
        #[cfg(automatic)]
        backend("logged_processes", |workers| Logged(ProcessPoolExecutor::new(workers))),
        #[cfg(automatic)]
        backend("processes_by_jobs", |workers| ByJobs(ProcessPoolExecutor::new(workers))).without_submitter(),
        #[cfg(feature = "remote")]
        backend("by_json", json::ByJson::new)
            .without_stats()
            .without_time_limits()
            .without_submitter()
            .runs_listed_functions_only(),
        guide::workers_of_the_guide(),
        backend("inline", |_| InlineExecutor::new())
            .runs_inside_submit()
            .without_cancel_pending()
            .without_stats()
            .without_time_limits(),
        backend("stateless_inline", |_| InlineExecutor)
            .runs_inside_submit()
            .never_closes()
            .without_cancel_pending()
            .without_stats()
            .without_time_limits(),
    ])
}
