//! One download: the function that the executors run.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::StatusCode;

use crate::country::Country;
use crate::store;

/// Says what to download. Goes to the worker, wherever that is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) country: Country,
    pub(crate) url: String,
    pub(crate) workshop: PathBuf,
    pub(crate) dest: PathBuf,
}

/// Says what became of it. That there is no such flag is an answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Saved { bytes: usize },
    NotFound,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the server cannot be reached: {cause}", cause = cause(.0))]
    Unreachable(ureq::Error),
    #[error("the server answered {0}")]
    Refused(StatusCode),
    #[error("the answer broke off: {cause}", cause = cause(.0))]
    Incomplete(ureq::Error),
    #[error("the answer is no GIF picture")]
    NotAPicture,
    #[error("{path} cannot be written: {cause}", path = path.display())]
    Unwritable { path: PathBuf, cause: io::Error },
}

/// Fetches a flag and saves it.
pub(crate) fn download(task: Task) -> Result<Status, DownloadError> {
    let mut request = agent().get(&task.url);
    if task.url.starts_with("http://127.0.0.1") {
        // What asks for a proxy does not mean the servers that run here.
        request = request.config().proxy(None).build();
    }
    let mut response = request.call().map_err(DownloadError::Unreachable)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Status::NotFound),
        status => return Err(DownloadError::Refused(status)),
    }
    let picture = response.body_mut().read_to_vec().map_err(DownloadError::Incomplete)?;
    if !picture.starts_with(b"GIF8") {
        return Err(DownloadError::NotAPicture);
    }
    let path = store::path(&task.dest, task.country);
    store::save(&task.workshop, &path, &picture).map_err(|cause| DownloadError::Unwritable { path, cause })?;
    Ok(Status::Saved { bytes: picture.len() })
}

fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "it took too long".into(),
        error => error.to_string(),
    }
}

/// The one client of this process, so that connections are used again.
fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        const PLENTY: usize = 1000;
        Agent::config_builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "-example/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .max_idle_connections(PLENTY)
            .max_idle_connections_per_host(PLENTY)
            .build()
            .into()
    })
}

#[cfg(test)]
mod tests {
    //! Outcomes: saved whole, not found, failed.
    #[cfg(automatic)]
    use concurrent_futures::{Executor, ProcessPoolExecutor};
    use tempfile::tempdir;

    use super::{DownloadError, Status, Task, download};
    #[cfg(automatic)]
    use crate::country::Country;
    use crate::server::{Server, ServerKind};
    #[cfg(automatic)]
    use crate::store;

    #[test]
    fn a_flag_is_saved_and_a_missing_one_is_no_error() {
        let server = Server::start(ServerKind::Local, 0).unwrap();
        let (workshop, dest) = (tempdir().unwrap(), tempdir().unwrap());
        let get = |code: &str| {
            let country = code.parse().unwrap();
            let (workshop, dest) = (workshop.path().into(), dest.path().into());
            download(Task { country, url: server.url(country), workshop, dest }).unwrap()
        };
        let Status::Saved { bytes } = get("BR") else { panic!("Brazil has a flag") };
        assert_eq!(get("ZZ"), Status::NotFound);
        let saved: Vec<_> = dest.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(saved, ["br.gif"]);
        let size = dest.path().join("br.gif").metadata().unwrap().len();
        assert_eq!(size, bytes as u64);
    }

    #[cfg(automatic)]
    #[test]
    fn worker_processes_save_flags_where_threads_would() {
        let server = Server::start(ServerKind::Local, 0).unwrap();
        let dest = tempdir().unwrap();
        let countries: Vec<Country> = ["BR", "IN", "US"].map(|code| code.parse().unwrap()).into();
        let workshop = tempdir().unwrap();
        let place = |&country: &Country| {
            let (workshop, dest) = (workshop.path().into(), dest.path().into());
            Task { country, url: server.url(country), workshop, dest }
        };
        let tasks: Vec<Task> = countries.iter().map(place).collect();
        let processes = ProcessPoolExecutor::new(2);
        for (country, status) in countries.iter().zip(processes.try_map(download, tasks)) {
            let size = store::path(dest.path(), *country).metadata().unwrap().len();
            assert_eq!(status.unwrap(), Status::Saved { bytes: size as usize });
        }
    }

    #[test]
    fn a_failed_download_leaves_nothing() {
        let server = Server::start(ServerKind::Local, 0).unwrap();
        let (workshop, dest) = (tempdir().unwrap(), tempdir().unwrap());
        let country = "BR".parse().unwrap();
        let get = |url| download(Task { country, url, workshop: workshop.path().into(), dest: dest.path().into() });
        // In the place of the file there is a directory.
        std::fs::create_dir(dest.path().join("br.gif")).unwrap();
        let url = server.url(country);
        let error = get(url.clone()).unwrap_err();
        assert!(matches!(error, DownloadError::Unwritable { .. }), "{error}");
        assert_eq!(dest.path().read_dir().unwrap().count(), 1);
        assert_eq!(workshop.path().read_dir().unwrap().count(), 0);
        // A port that was free a moment ago: nobody answers there.
        drop(server);
        let error = get(url).unwrap_err();
        assert!(error.to_string().starts_with("the server cannot be reached"), "{error}");
    }
}
