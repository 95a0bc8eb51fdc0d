//! Tools for tests of executors: doors and gates that hold a task, a watchdog, counters of drops, executors to test
//! with, a reader of the log, a leak check. Only tests of executors need them; they change whenever those tests do.

mod awaiting;
#[cfg(target_os = "linux")]
mod checkpoint;
mod door;
mod drops;
mod executors;
mod gate;
#[cfg(target_os = "linux")]
pub mod leak_check;
mod log;
mod marks;
mod outcomes;
mod seen;
mod watchdog;

pub use awaiting::{WakeCounter, block_on};
#[cfg(target_os = "linux")]
pub use checkpoint::{Checkpoint, stop_at};
pub use door::{Door, enter, let_in, occupy_at_door, pass, pass_with};
#[cfg(target_os = "linux")]
pub use door::{say, wait_for_entry};
pub use drops::{Drops, PanicsOnDrop, Token};
pub use executors::{DropsJobs, Forwarding, Held};
pub use gate::{Gate, Opener, gate, occupy, occupy_at};
pub use log::logged;
pub use marks::{mark, marks, pid};
pub(crate) use outcomes::is_expected;
pub use outcomes::{broken, panic_message, panic_text};
pub use seen::Seen;
pub use watchdog::{LONG, soon, within};
