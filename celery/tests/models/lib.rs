//! Model checks of the client: its real code, under random schedules of shuttle, with a broker and workers made up.
//!
//! ```sh
//! RUSTFLAGS='--cfg model="shuttle"' CARGO_TARGET_DIR=target/shuttle cargo test --release --manifest-path celery/tests/models/Cargo.toml -- model:: --show-output
//! ```
//!
//! What is checked is `Shared` with its window, as callers, the link and the completing threads use it, and the real futures
//! of the core. Only the link is a model: it takes what real links take, in an order that shuttle draws. State and schedules
//! are too many for loom. `MODEL_SCHEDULES` changes how many are tried.
//!
//! | race | model |
//! |---|---|
//! | publish, confirm, start, answer, a second answer, in every order, with several callers | `answers_in_any_order` |
//! | cancel against submit, publish, a connection that is lost, another cancel | `cancel_*` |
//! | abort against submit, publish, start, answer, another abort | `abort_against_everything` |
//! | a broker that refuses messages, connections that are lost with and without what was sent | `reconnect_against_everything` |
//! | callers that wait for room against answers, cancels and the close | `room_against_everything` |
//! | close and `cancel_pending` against submit, answers and each other | `close_against_everything`, `shutdown_now_against_everything` |
//! | a connection that is lost for good | `broken_against_everything` |
//! | chunks, whose messages take each their own way | `chunks` |
//!
//! `mutations.sh` breaks the client in one place at a time, and shows that the models fail:
//!
//! | mutation | what is broken |
//! |---|---|
//! | `answer-before-confirm-lost` | an answer that comes before the confirmation of its message does not count |
//! | `cancel-wins-twice` | what was cancelled exactly while its job was away is published |
//! | `cancel-of-what-was-sent` | the cancel of a published message is called exact |
//! | `reconnect-forgets` | what a lost connection had not confirmed is not published again |
//! | `confirmed-sent-again` | what it had confirmed is |
//! | `room-freed-twice` | the answer to a message that waits again frees the room of another one |
//! | `answer-while-the-job-is-away` | a task whose answers are complete before its job is back is never done |
//! | `job-away-dropped` | a job that comes back after its task was taken out is dropped, which fails it in the wrong way |
//! | `end-before-the-last-job` | the link ends while a caller brings a finished job to those who complete it |
//! | `last-job-wakes-nobody` | the link never ends then |
//! | `link-left-asleep`, `callers-left-asleep` | a change wakes not all that wait for it |
#![cfg(all(test, model = "shuttle"))]
// Not everything that the client's files have is used here.
#![allow(dead_code)]

/// That of the core, which has more than is used here. Its choices are never made, so no time is up.
#[allow(unused_imports)]
#[path = "../../../src/sync/model.rs"]
mod sync;

/// The client's files, at the places where they find each other.
#[path = "../../src"]
mod src {
    pub(crate) mod answer;
    pub(crate) mod args;
    pub(crate) mod json;
    pub(crate) mod keywords;
    pub(crate) mod size;

    pub(crate) mod client {
        pub(crate) mod orders;
        pub(crate) mod prepared;
        pub(crate) mod remote;
        pub(crate) mod shared;
        pub(crate) mod submitting;
        pub(crate) mod window;
        pub(crate) mod workers;
    }
}

use src::keywords::Keywords;
use src::{answer, args, client, json, size};

mod alarm;
/// That of the core's models, which has more than is used here.
#[allow(unused_imports)]
#[path = "../../../tests/models/checker.rs"]
mod checker;
mod link;
mod model;
mod schedules;
