//! The trace file, in the format of Chrome's trace viewer, which Perfetto opens.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bars::Bar;
use crate::rows::Row;

/// Writes the file. In it, an executor is a process, a worker is a thread, and the tasks that wait are above them.
pub(crate) fn write(path: &Path, rows: &[Row<'_>]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, &json!({ "traceEvents": events(rows), "displayTimeUnit": "ms" }))?;
    file.flush()
}

fn events(rows: &[Row<'_>]) -> Vec<Value> {
    let mut events = Vec::new();
    // Tells the waits of tasks apart, of which several may begin in the same microsecond.
    let mut id = 0;
    let executors = rows.chunk_by(|one, next| one.executor == next.executor);
    for (process, group) in (1..).zip(executors) {
        let executor = group[0].executor;
        events.push(json!({ "ph": "M", "name": "process_name", "pid": process, "args": { "name": executor } }));
        for (thread, row) in (1..).zip(group) {
            let name = json!({ "name": row.worker });
            events.push(json!({ "ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": name }));
            for bar in &row.bars {
                id += 1;
                let about = json!({
                    "function": bar.function, "outcome": bar.outcome, "queued_us": micros(bar.queued),
                });
                events.push(json!({
                    "ph": "X", "cat": "run", "name": title(bar), "pid": process, "tid": thread,
                    "ts": micros(bar.started()), "dur": micros(bar.ran), "args": about,
                }));
                // Many tasks wait at the same time. Perfetto draws such asynchronous events below each other.
                for (phase, at) in [("b", bar.submitted), ("e", bar.started())] {
                    events.push(json!({
                        "ph": phase, "cat": "queue", "name": "in the queue", "id": id,
                        "pid": process, "tid": 0, "ts": micros(at), "args": { "task": title(bar) },
                    }));
                }
            }
        }
    }
    events
}

/// The name that the task was given, or that of its function.
pub(crate) fn title(bar: &Bar) -> &str {
    if bar.name.is_empty() { &bar.function } else { &bar.name }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
