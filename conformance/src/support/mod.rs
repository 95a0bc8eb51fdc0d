//! Tools for tests of executors: doors and gates that hold a task, a watchdog, counters of drops, executors to test
//! with, a reader of the log, a leak check. Only tests of executors need them; they change whenever those tests do.

mod awaiting;
mod door;
mod drops;
mod executors;
mod gate;
#[cfg(target_os = "linux")]
pub mod leak_check;
mod log;
mod marks;
mod outcomes;
#[cfg(target_os = "linux")]
mod post;
mod seen;
mod watchdog;

pub use awaiting::block_on;
pub use door::{Door, enter, let_in, occupy_at_door, pass, pass_with};
#[cfg(target_os = "linux")]
pub use door::{say, wait_for_entry};
pub use drops::{Drops, PanicsOnDrop, Token};
pub use executors::{Forwarding, Held};
pub use gate::{Gate, Opener, gate, occupy, occupy_at};
pub use log::logged;
pub use marks::{mark, marks, pid};
pub(crate) use outcomes::is_expected;
pub use outcomes::{broken, panic_message, panic_text};
#[cfg(target_os = "linux")]
pub use post::{Post, call_at};
pub use seen::Seen;
pub use watchdog::{LONG, soon, within};
