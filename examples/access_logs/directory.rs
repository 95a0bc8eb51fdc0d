//! The directory of logs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// In a directory of generated logs, says so, and what they contain.
const MARK: &str = "generated.txt";

#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("{0} is not there; name the directory of the logs, or make some with --generate 8")]
    Missing(String),
    #[error("{0} is no directory; name the directory of the logs, not one of them")]
    NotADirectory(String),
    #[error("there is no *.gz in {0}; name the directory of the logs, or make some with --generate 8")]
    Empty(String),
    #[error("{0} has files that were not generated; name a new directory, or an empty one, for --generate")]
    Occupied(String),
    #[error("{path} cannot be used: {cause}; check that you may, or name another directory")]
    Unusable { path: String, cause: std::io::Error },
}

impl DirectoryError {
    fn new(directory: &Path, cause: std::io::Error) -> Self {
        let path = directory.display().to_string();
        match cause.kind() {
            ErrorKind::NotFound => Self::Missing(path),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::NotADirectory(path),
            _ => Self::Unusable { path, cause },
        }
    }
}

/// The compressed logs of a directory, by name. Servers keep error logs beside them: those are left out.
pub(crate) fn logs(directory: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let mut logs = files(directory)?;
    logs.retain(|path| path.extension().is_some_and(|ending| ending == "gz") && !name(path).starts_with("error"));
    if logs.is_empty() {
        return Err(DirectoryError::Empty(directory.display().to_string()));
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Makes room for generated logs: a new directory, an empty one, or one whose logs were generated before.
pub(crate) fn clear(directory: &Path) -> Result<(), DirectoryError> {
    let unusable = |cause| DirectoryError::new(directory, cause);
    // What is not there is made, if it can be.
    fs::create_dir_all(directory).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => DirectoryError::Unusable { path: directory.display().to_string(), cause },
        _ => unusable(cause),
    })?;
    let files = files(directory)?;
    if !files.is_empty() && !files.iter().any(|path| name(path) == MARK) {
        return Err(DirectoryError::Occupied(directory.display().to_string()));
    }
    // First of all, so that a directory where generating was interrupted is known for what it is.
    mark(directory, "unfinished")?;
    for path in files.iter().filter(|path| name(path).starts_with("access.log.")) {
        fs::remove_file(path).map_err(unusable)?;
    }
    Ok(())
}

/// Stores what the generated logs contain beside them.
pub(crate) fn mark(directory: &Path, content: &str) -> Result<(), DirectoryError> {
    fs::write(directory.join(MARK), format!("{content}\n")).map_err(|cause| DirectoryError::new(directory, cause))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let unusable = |cause| DirectoryError::new(directory, cause);
    let entries = directory.read_dir().map_err(unusable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unusable)).collect()
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

#[cfg(test)]
mod tests {
    //! Which files are logs, and which directories are ours.
    use super::{DirectoryError, clear, logs, mark};

    #[test]
    fn compressed_logs_are_listed_but_not_those_of_errors() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(logs(directory.path()), Err(DirectoryError::Empty(_))));
        for name in ["access.log", "error.log.1.gz", "b.access.log.1.gz", "access.log.1.gz"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let expected = ["access.log.1.gz", "b.access.log.1.gz"].map(|name| directory.path().join(name));
        assert_eq!(logs(directory.path()).unwrap(), expected);
        assert!(matches!(logs(&expected[0]), Err(DirectoryError::NotADirectory(_))));
        assert!(matches!(logs(&directory.path().join("missing")), Err(DirectoryError::Missing(_))));
    }

    #[test]
    fn only_generated_logs_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log.1.gz");
        std::fs::write(&log, "").unwrap();
        assert!(matches!(clear(directory.path()), Err(DirectoryError::Occupied(_))));
        assert!(log.exists());
        mark(directory.path(), "").unwrap();
        clear(directory.path()).unwrap();
        assert!(!log.exists());
    }
}
