//! The directory of flags: files appear whole or not at all, whichever thread or process writes them.
//!
//! A flag is written in the workshop, a hidden directory in that of the flags, and then moved out. So this process can
//! let nothing more be saved, by whomever, without asking them: it takes the workshop away. What was saved stands on
//! the disk; it need not be counted by those who did it. A program that is killed leaves its workshop behind, and in it
//! what was half-written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use tempfile::{Builder, TempDir};

use crate::country::Country;

/// The store of this process, while it is open. Workers need to know no more than the places.
static OPEN: Mutex<Option<Store>> = Mutex::new(None);

#[derive(Debug)]
struct Store {
    dest: PathBuf,
    workshop: TempDir,
    /// What is to be saved, and when a file of that name was written that was there before.
    expected: Vec<(Country, Option<SystemTime>)>,
}

/// Makes the directory, if files can be written there, and a workshop in it, whose path it returns.
pub(crate) fn open(dest: &Path, countries: &[Country]) -> io::Result<PathBuf> {
    if dest.exists() && !dest.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    fs::create_dir_all(dest)?;
    let workshop = Builder::new().prefix(".flags-").tempdir_in(dest)?;
    let path = workshop.path().to_owned();
    let expected = countries.iter().map(|&country| (country, written(dest, country))).collect();
    *OPEN.lock() = Some(Store { dest: dest.to_owned(), workshop, expected });
    Ok(path)
}

/// Where the flag of a country is saved.
pub(crate) fn path(dest: &Path, country: Country) -> PathBuf {
    dest.join(format!("{}.gif", country.to_lowercase()))
}

/// Writes a flag in the workshop and then moves it to its path.
pub(crate) fn save(workshop: &Path, path: &Path, picture: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    let unfinished = workshop.join(name);
    let saved = File::create_new(&unfinished)
        .and_then(|mut file| file.write_all(picture))
        .and_then(|()| fs::rename(&unfinished, path));
    if saved.is_err() {
        // The error says more than whether there was a file to remove.
        let _ = fs::remove_file(&unfinished);
    }
    saved
}

/// Lets nothing be saved from here on, and forgets what is half-written; returns what was saved. Closed: nothing.
pub(crate) fn close() -> Vec<Country> {
    let Some(Store { dest, workshop, expected }) = OPEN.lock().take() else { return Vec::new() };
    let path = workshop.keep();
    // Under a new name nobody finds it, and so nobody puts a file into it while it is cleared. If that fails, a hidden
    // directory stays behind: no reason to keep the user from what was saved.
    let cleared = path.with_extension("closed");
    let _ = fs::rename(&path, &cleared).and_then(|()| fs::remove_dir_all(&cleared));
    let saved = expected.into_iter().filter(|&(country, before)| written(&dest, country) != before);
    saved.map(|(country, _)| country).collect()
}

/// When the flag of a country was written, if there is one.
fn written(dest: &Path, country: Country) -> Option<SystemTime> {
    path(dest, country).metadata().and_then(|file| file.modified()).ok()
}

#[cfg(test)]
mod tests {
    //! What is saved before the end, and what after.
    use super::{close, open, path, save};

    #[test]
    fn what_was_saved_is_known_and_nothing_more_can_be() {
        let dest = tempfile::tempdir().unwrap();
        let [old, new, late] = ["BR", "IN", "US"].map(|code| code.parse().unwrap());
        std::fs::write(path(dest.path(), old), "there before").unwrap();
        let workshop = open(dest.path(), &[old, new, late]).unwrap();
        save(&workshop, &path(dest.path(), new), b"GIF89a").unwrap();
        std::fs::write(workshop.join("half-written"), "GIF8").unwrap();
        assert_eq!(close(), [new]);
        assert_eq!(close(), []);
        save(&workshop, &path(dest.path(), late), b"GIF89a").unwrap_err();
        assert_eq!(dest.path().read_dir().unwrap().count(), 2);
    }
}
