//! The search of one log: the function that the executors run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::request::Request;

/// How a gzip file begins.
const MAGIC: [u8; 2] = [0x1F, 0x8B];
/// No request that a web server takes makes a line as long as this.
const LONGEST_LINE: u64 = 1 << 20;

/// Says what to search. Goes to the worker, wherever that is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    /// Leave out lines that are not in the format, rather than give up.
    pub(crate) skip_bad_lines: bool,
}

/// Says what was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) hosts: BTreeSet<String>,
    pub(crate) lines: u64,
    pub(crate) bad_lines: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    #[error("it cannot be read: {0}; check that you may read it")]
    Unreadable(io::Error),
    #[error("it is no gzip file; compress it with gzip, or take it out of the directory")]
    NotGzip,
    #[error("it ends in the middle, after line {lines}; it was not copied or written to its end: get it again")]
    Truncated { lines: u64 },
    #[error("it is damaged after line {lines}: {cause}; get it again")]
    Damaged { lines: u64, cause: io::Error },
    #[error(
        "line {number} is not in the common or combined log format: {line:?}; correct it, or leave such lines out with \
         --skip-bad-lines"
    )]
    BadLine { number: u64, line: String },
}

/// Finds the hosts that fetched /robots.txt. Never has more of the log in memory than a line.
pub(crate) fn search(log: Log) -> Result<Found, SearchError> {
    let mut file = BufReader::new(File::open(&log.path).map_err(SearchError::Unreadable)?);
    if !file.fill_buf().map_err(SearchError::Unreadable)?.starts_with(&MAGIC) {
        return Err(SearchError::NotGzip);
    }
    let mut text = BufReader::new(MultiGzDecoder::new(file));
    let mut found = Found::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = text.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if length.map_err(|cause| broken_off(cause, found.lines))? == 0 {
            return Ok(found);
        }
        found.lines += 1;
        match Request::parse(line.trim_ascii_end()) {
            Some(Request { host, path: Some(b"/robots.txt") }) => {
                let host = String::from_utf8_lossy(host);
                if !found.hosts.contains(&*host) {
                    found.hosts.insert(host.into_owned());
                }
            }
            Some(_) => {}
            None if log.skip_bad_lines => found.bad_lines += 1,
            None => return Err(SearchError::BadLine { number: found.lines, line: beginning(&line) }),
        }
    }
}

fn broken_off(cause: io::Error, lines: u64) -> SearchError {
    match cause.kind() {
        ErrorKind::UnexpectedEof => SearchError::Truncated { lines },
        ErrorKind::InvalidInput | ErrorKind::InvalidData => SearchError::Damaged { lines, cause },
        _ => SearchError::Unreadable(cause),
    }
}

/// Enough of a line to recognise it.
fn beginning(line: &[u8]) -> String {
    const ENOUGH: usize = 60;
    let text = String::from_utf8_lossy(line.trim_ascii_end());
    let mut beginning: String = text.chars().take(ENOUGH).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    beginning
}

#[cfg(test)]
mod tests {
    //! What is found, and what is said of files that are not as they should be.
    use std::io::Write;

    #[cfg(automatic)]
    use concurrent_futures::{Executor, ProcessPoolExecutor};
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{Found, Log, SearchError, search};

    const GOOD: &str = "a - - [x] \"GET /robots.txt HTTP/1.1\" 200 68\nb - - [x] \"GET / HTTP/1.1\" 200 5\n";

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn searched(content: &[u8], skip_bad_lines: bool) -> Result<Found, SearchError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log.1.gz");
        std::fs::write(&path, content).unwrap();
        search(Log { path, skip_bad_lines })
    }

    #[test]
    fn only_who_fetched_robots_txt_is_found() {
        // Two compressed files one after the other are one compressed file.
        let twice = [gzip(GOOD), gzip(&GOOD.replace("a -", "c -"))].concat();
        let hosts = ["a", "c"].map(String::from).into();
        assert_eq!(searched(&twice, false).unwrap(), Found { hosts, lines: 4, bad_lines: 0 });
        assert_eq!(searched(&gzip(""), false).unwrap(), Found::default());
    }

    #[test]
    fn files_that_are_not_whole_are_named_for_what_they_are() {
        let whole = gzip(&GOOD.repeat(100));
        for no_gzip in [b"".as_slice(), b"hello", GOOD.as_bytes()] {
            assert!(matches!(searched(no_gzip, true), Err(SearchError::NotGzip)));
        }
        for length in [2, 10, whole.len() / 2, whole.len() - 1] {
            let error = searched(&whole[..length], true).unwrap_err();
            assert!(matches!(error, SearchError::Truncated { .. }), "{length}: {error}");
        }
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        let error = searched(&damaged, true).unwrap_err();
        assert!(matches!(error, SearchError::Damaged { lines: 200, .. }), "{error}");
        let error = search(Log { path: "/nowhere/access.log.1.gz".into(), skip_bad_lines: false }).unwrap_err();
        assert!(matches!(error, SearchError::Unreadable(_)), "{error}");
    }

    #[cfg(automatic)]
    #[test]
    fn an_error_in_a_worker_process_costs_one_log() {
        let directory = tempfile::tempdir().unwrap();
        let logs = [gzip(GOOD), b"hello".to_vec(), gzip(GOOD)].into_iter().enumerate().map(|(number, content)| {
            let path = directory.path().join(format!("access.log.{number}.gz"));
            std::fs::write(&path, content).unwrap();
            Log { path, skip_bad_lines: false }
        });
        let outcomes: Vec<_> = ProcessPoolExecutor::new(2).try_map(search, logs).collect();
        let [first, second, third]: [_; 3] = outcomes.try_into().unwrap();
        assert_eq!((first.unwrap().lines, third.unwrap().lines), (2, 2));
        assert_eq!(second.unwrap_err().to_string(), SearchError::NotGzip.to_string());
    }

    #[test]
    fn a_bad_line_is_shown_or_left_out() {
        let bad = gzip(&format!("{GOOD}nonsense\n{GOOD}"));
        let error = searched(&bad, false).unwrap_err();
        assert!(matches!(&error, SearchError::BadLine { number: 3, line } if line == "nonsense"), "{error}");
        let found = searched(&bad, true).unwrap();
        assert_eq!((found.hosts.len(), found.lines, found.bad_lines), (1, 5, 1));
        // A line without an end does not fill the memory.
        let endless = gzip(&"x".repeat(3 << 20));
        assert_eq!(searched(&endless, true).unwrap().bad_lines, 3);
    }
}
