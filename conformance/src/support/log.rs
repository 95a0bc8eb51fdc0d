//! The log records of the crate.

use std::sync::{Mutex, Once};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Returns the records logged since the first call that contain `part`. Filter by a text that only one test uses.
///
/// # Panics
///
/// Panics if the program has another logger.
pub fn logged(part: &str) -> Vec<(Level, String)> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&RECORDS).expect("no other logger");
        log::set_max_level(LevelFilter::Debug);
    });
    let records = RECORDS.0.lock().unwrap();
    records.iter().filter(|(_, text)| text.contains(part)).cloned().collect()
}

struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("concurrent_futures")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Formatted before the lock is taken: formatting a task's error runs the test's own code.
            let text = record.args().to_string();
            self.0.lock().unwrap().push((record.level(), text));
        }
    }

    fn flush(&self) {}
}
