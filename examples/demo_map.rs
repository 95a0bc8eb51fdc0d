//! Shows when `map` starts work, and in which order results come.
//!
//! Five tasks on three threads. The last task sleeps for the shortest time, and still its result comes last: results
//! come in the order of the arguments. All tasks are submitted before the first result is asked for; two of them wait
//! for a thread.

use std::io::{self, Write};
use std::process::exit;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{Error, ThreadPoolExecutor, task};

/// One of these makes the demonstration slow enough to watch.
const MOMENT: Duration = Duration::from_millis(250);

fn main() -> Result<(), Error> {
    say("main: Script starting");
    let executor = ThreadPoolExecutor::builder().max_workers(3).thread_name_prefix("worker").build();
    let executor = executor.expect("three workers are a good number");
    let mut results = executor.map(loiter, (0..5).rev());
    say("main: The map is there, and its tasks are under way. Waiting for results");
    for position in 0..5 {
        if let Some(result) = results.next() {
            say(&format!("main: Result {position} is {}", result?));
        }
    }
    say("main: Script ending");
    Ok(())
}

/// Does nothing for `moments`, and says so, further to the right the more it loiters.
fn loiter(moments: u32) -> u32 {
    let context = task::current();
    let worker = context.as_ref().and_then(|context| context.worker_name()).unwrap_or("main");
    let indent = "\t".repeat(moments as usize);
    let pause = MOMENT * moments;
    say(&format!("{worker}: {indent}loiter({moments}): doing nothing for {pause:?}..."));
    thread::sleep(pause);
    say(&format!("{worker}: {indent}loiter({moments}): done"));
    moments * 10
}

/// Prints a line with the time since the first one. If nobody reads it, the demonstration is over.
fn say(line: &str) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64();
    if writeln!(io::stdout(), "[{elapsed:.3}] {line}").is_err() {
        exit(1);
    }
}
