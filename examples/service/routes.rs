//! From a request to a task, and from its outcome to an answer.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use concurrent_futures::{BuildError, Error, Executor, ProcessPoolExecutor, TaskOptions};
use tokio::net::TcpListener;

use crate::work::{Work, perform};

/// How long a task may run.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// How much memory a worker may use.
const MEMORY_LIMIT: u64 = 512 << 20;

/// Makes a pool whose queue has room for two tasks a worker.
pub(crate) fn pool(workers: usize) -> Result<ProcessPoolExecutor, BuildError> {
    ProcessPoolExecutor::builder()
        .max_workers(workers)
        .max_pending(2 * workers)
        .time_limit(TIME_LIMIT)
        .memory_limit(MEMORY_LIMIT)
        .build()
}

/// Serves until `stopped` is ready, then answers the requests that it has, and ends the workers.
pub(crate) async fn serve(
    listener: TcpListener,
    pool: Arc<ProcessPoolExecutor>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/sum/{number}", get(|pool, Path(number)| answer(pool, Work::Sum(number))))
        .route("/crash", get(|pool| answer(pool, Work::Crash)))
        .route("/spin", get(|pool| answer(pool, Work::Spin)))
        .route("/hog", get(|pool| answer(pool, Work::Hog)))
        .with_state(Arc::clone(&pool));
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await?;
    pool.shutdown_async().await;
    Ok(())
}

async fn answer(State(pool): State<Arc<ProcessPoolExecutor>>, work: Work) -> Response {
    let future = pool.with(TaskOptions::new().refuse_when_full()).try_submit(perform, work);
    // When the client gives up, axum drops this, and the task is aborted: its worker is free for others.
    match future.abort_on_drop().await {
        Ok(sum) => sum.to_string().into_response(),
        Err(error) => (status(&error), [(header::RETRY_AFTER, "1")], error.to_string()).into_response(),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Full(_) | Error::ShutDown => StatusCode::SERVICE_UNAVAILABLE,
        Error::TimeLimit(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
