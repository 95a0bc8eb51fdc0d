//! The servers of flags: three kinds that run here, and one on the web.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::ValueEnum;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

use crate::country::Country;
use crate::picture;

const REMOTE: &str = "https://www.fluentpython.com/data/flags";
const DELAY: Duration = Duration::from_secs(1);
/// The share of answers that are failures.
const FAILURES: f32 = 0.25;

/// Which server to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerKind {
    /// Here, and answers after one second
    Delay,
    /// Here, and answers at once
    Local,
    /// As `delay`, but a quarter of the answers are failures of the server
    Error,
    /// <https://www.fluentpython.com/data/flags>
    Remote,
}

/// Serves flags for as long as it lives.
#[derive(Debug)]
pub(crate) struct Server {
    base: String,
    /// Its own threads, so that it takes nothing from the workers of the executor. None if the server is elsewhere.
    runtime: Option<Runtime>,
}

/// How a server that runs here answers.
#[derive(Clone, Copy, Debug)]
struct Manners {
    delay: Duration,
    seed: Option<u64>,
}

impl Server {
    /// Starts a server on a free port, if it is one that runs here.
    pub(crate) fn start(kind: ServerKind, seed: u64) -> io::Result<Self> {
        let manners = match kind {
            ServerKind::Delay => Manners { delay: DELAY, seed: None },
            ServerKind::Local => Manners { delay: Duration::ZERO, seed: None },
            ServerKind::Error => Manners { delay: DELAY, seed: Some(seed) },
            ServerKind::Remote => return Ok(Self { base: REMOTE.into(), runtime: None }),
        };
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("flag-server").enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            // Room for all the workers to knock at the same moment.
            socket.listen(1024)?
        };
        let base = format!("http://{}/data/flags", listener.local_addr()?);
        let routes = Router::new().route("/data/flags/{directory}/{file}", get(answer)).with_state(manners);
        runtime.spawn(axum::serve(listener, routes).into_future());
        Ok(Self { base, runtime: Some(runtime) })
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Where it has the flag of a country, if it has one.
    pub(crate) fn url(&self, country: Country) -> String {
        let code = country.to_lowercase();
        format!("{}/{code}/{code}.gif", self.base)
    }

    /// The countries that it has flags of.
    pub(crate) fn countries(&self) -> Vec<Country> {
        if self.runtime.is_some() { picture::countries() } else { Country::remote() }
    }
}

async fn answer(State(manners): State<Manners>, Path((directory, file)): Path<(String, String)>) -> Response {
    let due = Instant::now() + manners.delay;
    let country = file.strip_suffix(".gif").filter(|code| *code == directory).and_then(|code| code.parse().ok());
    let answer = match country {
        Some(country) => answer_about(country, manners.seed),
        None => StatusCode::NOT_FOUND.into_response(),
    };
    sleep_until(due).await;
    answer
}

fn answer_about(country: Country, seed: Option<u64>) -> Response {
    if let Some(failure) = seed.and_then(|seed| failure(country, seed)) {
        return failure.into_response();
    }
    match picture::draw(country) {
        Some(Ok(picture)) => ([(header::CONTENT_TYPE, "image/gif")], picture).into_response(),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// How the server fails on a country. It depends on the seed alone, not on who comes first.
fn failure(country: Country, seed: u64) -> Option<StatusCode> {
    let mut chance = fastrand::Rng::with_seed(seed.rotate_left(16) ^ country.number());
    let kinds = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    (chance.f32() < FAILURES).then(|| kinds[chance.usize(..kinds.len())])
}

#[cfg(test)]
mod tests {
    //! Failures come often enough, and again.
    use super::failure;
    use crate::country::Country;

    #[test]
    fn a_seed_repeats_a_quarter_of_failures() {
        let failed = |seed| Country::every().into_iter().filter(|&cc| failure(cc, seed).is_some()).count();
        for seed in 0..50 {
            assert_eq!(failed(seed), failed(seed));
            // 676 throws at a quarter: 169, and seven standard deviations to each side.
            assert!((90..=250).contains(&failed(seed)), "{}", failed(seed));
        }
        assert_ne!(failed(1), failed(2));
    }
}
