//! The directory of flags: files appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::path::Path;

use parking_lot::{Mutex, RwLock};
use tempfile::{Builder, NamedTempFile};

use crate::country::Country;

/// May files be written? Held for reading while one is, so that closing waits for those that are half-written.
static OPEN: RwLock<bool> = RwLock::new(true);

/// What was saved, in this order.
static SAVED: Mutex<Vec<Country>> = Mutex::new(Vec::new());

/// Makes the directory, and finds out whether files can be written there.
pub(crate) fn prepare(directory: &Path) -> io::Result<()> {
    if directory.exists() && !directory.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    fs::create_dir_all(directory)?;
    temporary_file(directory)?.close()
}

/// Writes a flag under a name of its own and then gives it the right one.
pub(crate) fn save(country: Country, path: &Path, picture: &[u8]) -> io::Result<()> {
    let open = OPEN.read();
    if !*open {
        return Err(io::Error::other("the program is about to end"));
    }
    let mut file = temporary_file(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(picture)?;
    file.persist(path)?;
    SAVED.lock().push(country);
    Ok(())
}

/// Lets nothing be written from here on; returns what was saved. Waits for files that are being written.
pub(crate) fn close() -> Vec<Country> {
    *OPEN.write() = false;
    mem::take(&mut SAVED.lock())
}

/// A file that goes away unless it is given a name. Who may read it is for the umask to say, as with any other file.
fn temporary_file(directory: &Path) -> io::Result<NamedTempFile> {
    let create = |path: &Path| File::options().write(true).create_new(true).open(path);
    Builder::new().prefix(".flag-").suffix(".part").make_in(directory, create)
}
