//! Model checks: the real code, under every schedule (loom) or a large sample of them (shuttle).
//!
//! ```sh
//! RUSTFLAGS='--cfg model="loom"' CARGO_TARGET_DIR=target/loom cargo test --release --manifest-path tests/models/Cargo.toml -- --show-output
//! RUSTFLAGS='--cfg model="shuttle"' CARGO_TARGET_DIR=target/shuttle cargo test --release --manifest-path tests/models/Cargo.toml -- --show-output
//! ```
//!
//! Each model says how many schedules it saw. `LOOM_MAX_PREEMPTIONS` and `MODEL_SCHEDULES` change the bounds that
//! stand in the models. Everything runs under both checkers, but `storm`, which is too large for loom. What a model
//! leaves to chance (which timed wait expires, which thread fails to start) loom goes through in full, for the first
//! few. `mutations.sh` shows that the models can fail.
//!
//! | race | models |
//! |---|---|
//! | cancel against start | `cell::cancel_against_start`, `queue::cancel_against_pop` |
//! | finish against cancel | `cell::finish_against_cancel`, `cell::two_cancels_and_a_finish` |
//! | finish against take | `cell::finish_against_take`, `cell::abandon_against_take`, `cell::finish_against_two_that_look` |
//! | callback against finish and cancel | `cell::callback_against_finish`, `cell::callback_against_cancel_and_finish`, `cell::callback_against_abort` |
//! | callback against take | `cell::callback_against_look_and_take`, `cell::callback_against_take_of_a_shared_future` |
//! | two callbacks on a done future | `cell::two_callbacks_on_a_done_future` |
//! | waker against finish and cancel | `cell::waker_against_finish`, `cell::waker_against_cancel`, `cell::two_wakers_against_finish` |
//! | drop of the handle against finish | `cell::drop_of_the_handle_against_finish`, `cell::drop_of_the_handle_against_its_callback`, `queue::drop_of_the_handle_against_run` |
//! | abort against start and finish | `cell::abort_against_start`, `cell::abort_against_finish`, `cell::two_aborts_against_finish`, `queue::abort_against_finish` |
//! | time limit against finish | `ending::time_limit_against_finish`, `storm::time_limits_among_other_tasks` |
//! | `wait` against finish and cancel | `waiting::wait_*`, `waiting::first_*`, `waiting::two_waits_for_one_future` |
//! | `as_completed` against finish and cancel | `waiting::as_completed_*`, `waiting::push_*`, `waiting::unfinished_*` |
//! | a timeout against finish | `waiting::timeout*` |
//! | push against a worker going to sleep | `queue::push_against_going_to_sleep`, `queue::two_pushes_against_going_to_sleep` |
//! | two pushes, two workers | `queue::two_tasks_that_meet*`, `storm::four_tasks_that_meet` |
//! | keep-alive expiry against push | `queue::expiry_against_*` |
//! | thread start failure against push | `queue::failed_start_*`, `storm::failed_starts_among_clients` |
//! | full queue against start, cancel, close, claim, breakdown | `queue::blocked_submitter_*`, `queue::two_blocked_submitters_*`, `nesting::claim_makes_room_*`, `ending::broken_against_a_blocked_submitter` |
//! | claim against pop, cancel, abort | `nesting::claim_against_*`, `storm::cancels_claims_and_pops` |
//! | nested submit and wait | `nesting::nested_*`, `storm::deep_nesting`, `storm::nesting_in_every_way` |
//! | spare worker coming and going | `nesting::spare_worker_*` |
//! | close against push and sleep | `ending::close_against_push`, `ending::close_against_going_to_sleep`, `ending::close_against_two_sleepers` |
//! | close against nested submit | `ending::close_against_nested_*`, `storm::tasks_that_submit_while_closing` |
//! | join against the last worker | `ending::join_against_the_last_of_two_workers`, `ending::two_shutdowns` |
//! | `shutdown_now` against run and push | `ending::shutdown_now_*`, `storm::clients_and_a_shutdown` |
//! | initializer panic against push | `ending::broken_*` |
//! | drop of the executor in its own task or callback | `ending::drop_in_its_own_*`, `storm::last_handles_dropped_anywhere` |
//! | end of a scope against its tasks | `scope::end_*`, `scope::cancel_against_end`, `scope::abort_of_a_running_task_against_end`, `scope::spawn_from_a_task_against_end` |
//! | panic of a scope's body | `scope::panic_of_the_body_against_tasks` |
//! | items of a shared map against each other, their collector, and its timeout | `sharing::items_*`, `sharing::two_workers_*`, `sharing::a_task_of_the_pool_in_an_item`, `sharing::the_time_of_the_map_against_its_items` |
//! | drop, cancel, shutdown, failed start against a shared map | `sharing::drop_of_the_map_*`, `sharing::cancel_pending_*`, `sharing::shutdown_now_*`, `sharing::close_*`, `sharing::a_worker_that_does_not_start` |
//! | start against revoke, abort, a revoke for the task before | `slots::start_against_*`, `slots::stop_against_start_and_finish` |
//! | time limit and abort against finish, in a worker process | `slots::finish_against_kill`, `slots::time_limit_against_start_and_answer` |
//! | death of a worker process against abort and halve | `slots::death_against_stop`, `chunks::death_in_a_chunk_against_halve` |
//! | a slot given against what its worker sees, and has posted | `slots::start_sees_what_it_was_given`, `mail::a_slot_is_given_again` |
//! | halve of a chunk against its items, another halve, curtail, the next chunk | `chunks::halve_against_*`, `chunks::two_halves_against_take_item` |
//! | letter against a reader going to sleep, or awake | `mail::post_*`, `mail::two_posts_against_going_to_sleep`, `mail::a_letter_among_others` |
//! | letter against a reader that changes hands | `receiver::help_against_the_answer_to_another_task`, `receiver::help_and_then_none` |
//! | helper against the keeper that wakes, deaf or not, and the ways that an answer takes | `receiver::help_against_a_keeper_that_wakes`, `receiver::help_and_then_none` |
//! | helper against the answer to another task, against another helper | `receiver::help_against_the_answer_to_another_task`, `receiver::help_against_another_helper`, `receiver::two_helpers_of_one_task` |
//! | cancel, abort, time limit, callback against a helper that sleeps | `receiver::help_against_cancel`, `receiver::help_against_abort`, `receiver::help_against_a_time_limit`, `receiver::help_against_a_callback` |
//! | death of a worker process against a helper, recall against his sleep | `receiver::help_against_the_end_of_the_worker` |
//! | join, and the burial before it, against a helper that completes | `receiver::join_against_a_helper` |
#![cfg(all(test, any(model = "loom", model = "shuttle")))]

mod cell;
mod checker;
mod chunks;
mod ending;
mod mail;
mod nesting;
mod queue;
mod receiver;
mod scope;
mod sharing;
mod slots;
#[cfg(model = "shuttle")]
mod storm;
mod waiting;
