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
//! | cancel against start | `task::cancel_against_start`, `queue::cancel_against_pop` |
//! | finish against cancel | `task::finish_against_cancel`, `task::two_cancels_and_a_finish` |
//! | finish against take | `task::finish_against_take`, `task::abandon_against_take`, `task::finish_against_two_waiters` |
//! | callback against finish and cancel | `task::callback_against_finish`, `task::callback_against_cancel_and_finish`, `task::callback_against_abort` |
//! | callback against take, and a wait | `task::callback_against_read_and_take`, `task::callback_against_take_of_a_shared_future`, `task::callback_against_waits_of_others` |
//! | two callbacks on a done future | `task::two_callbacks_on_a_done_future`, `task::two_callbacks_on_a_done_shared_future` |
//! | waker against finish, cancel and abort | `task::waker_against_*`, `task::two_wakers_against_finish`, `task::two_waiters_against_abort` |
//! | a poll again, or the drop of an await, against finish | `task::a_new_waker_against_finish`, `task::drop_of_an_await_against_finish` |
//! | drop of the handle against start, finish, callback, time limit, shutdown | `task::drop_of_the_handle_against_*`, `queue::drop_of_the_handle_against_run`, `ending::time_limit_against_callback_and_drop_of_the_handle`, `ending::shutdown_now_against_drop_of_the_handle` |
//! | what follows a future: its hand-over and an error of an input against cancel and abort, and two inputs against a wait | `task::hand_over_against_cancel_of_what_follows`, `task::entrust_against_cancel`, `task::entrust_against_abort`, `task::an_error_of_an_input_against_cancel`, `task::two_inputs_end_against_a_wait` |
//! | abort against start, finish, panic, cancel, its hook | `task::abort_against_*`, `task::two_aborts_against_finish`, `queue::abort_against_finish`, `queue::panic_against_abort`, `task::cancel_against_abort` |
//! | time limit against finish, abort, callback, another's callback, a failed start | `ending::time_limit_*`, `storm::time_limits_among_other_tasks` |
//! | refusal against cancel and claim | `queue::failed_start_against_cancel`, `nesting::claim_against_breakdown` |
//! | `wait` against finish and cancel | `waiting::wait_*`, `waiting::first_*`, `waiting::two_waits_for_one_future` |
//! | `as_completed` against finish and cancel | `waiting::as_completed_*`, `waiting::push_*`, `waiting::unfinished_*` |
//! | a timeout against finish | `waiting::timeout*` |
//! | push against a worker going to sleep | `queue::push_against_going_to_sleep`, `queue::two_pushes_against_going_to_sleep` |
//! | two pushes, two workers (and no third) | `queue::two_clients_and_one_worker`, `queue::two_tasks_that_meet*`, `storm::four_tasks_that_meet` |
//! | a worker that takes from the front of a long queue against another one, push, cancel, shutdown, a worker that sleeps | `front::*` |
//! | a task that is left in the inbox against a worker that empties it, goes to sleep or waits, a second worker, cancel, close, shutdown, `stats`, another submitter | `inbox::*`, `queue::two_tasks_that_meet_after_sleep` |
//! | keep-alive expiry against push, another expiry, a failed start | `queue::expiry_against_*` |
//! | keep-alive expiry against claim, spare worker, close | `nesting::claim_against_expiry`, `nesting::spare_worker_against_expiry`, `ending::close_against_expiry` |
//! | thread start failure against push, cancel, close | `queue::failed_start_*`, `ending::close_against_a_failed_start`, `storm::failed_starts_among_clients` |
//! | full queue against start, cancel, close, shutdown, failed start, claim, breakdown | `queue::blocked_submitter_*`, `queue::two_blocked_submitters_*`, `nesting::claim_makes_room_*`, `ending::broken_against_a_blocked_submitter`, `storm::a_full_queue_*` |
//! | claim against pop, cancel, abort, push, a wake, another claim | `nesting::claim_against_*`, `nesting::two_claims_of_one_task`, `storm::cancels_claims_and_pops` |
//! | nested submit and wait | `nesting::nested_*`, `storm::deep_nesting`, `storm::nesting_in_every_way` |
//! | waits where too little of the stack is left | `nesting::levels_on_stacks_*`, `nesting::hasten_where_*` |
//! | a task that is hastened against pop, claim, cancel, shutdown | `nesting::hasten_against_*`, `nesting::what_is_hastened_*`, `nesting::spare_worker_for_*` |
//! | spare worker coming and going, against push, failed start, breakdown, close, another one | `nesting::spare_worker_*` |
//! | close against push, sleep, wake | `ending::close_against_push`, `ending::close_against_going_to_sleep`, `ending::close_against_two_sleepers`, `ending::close_against_a_wake`, `ending::close_against_a_sleeper_that_is_needed`, `ending::detach_against_queued_tasks` |
//! | close against nested submit | `ending::close_against_nested_*`, `storm::tasks_that_submit_while_closing` |
//! | close against the timer's start, and the failure of that | `ending::close_against_push_with_a_time_limit` |
//! | join against the last worker, another close | `ending::join_against_the_last_of_two_workers`, `ending::two_shutdowns` |
//! | `shutdown_now` against run, push, claim | `ending::shutdown_now_*`, `nesting::claim_against_shutdown_now`, `storm::clients_and_a_shutdown` |
//! | initializer panic against push, sleep, wake, close, another one | `ending::broken_*` |
//! | drop of the executor in its own task or callback, against another drop, and a sleeper | `ending::drop_in_its_own_*`, `storm::last_handles_dropped_anywhere` |
//! | end of a scope against its tasks | `scope::end_*`, `scope::outcome_against_end`, `scope::cancel_against_end`, `scope::abort_of_a_running_task_against_end`, `scope::panic_of_a_task_against_end`, `scope::spawn_from_a_task_against_end`, `storm::scopes_*` |
//! | end of a scope against shutdown and breakdown | `scope::cancel_pending_against_end`, `scope::broken_against_end` |
//! | end of a scope in a task: claim against pop, and a spawn that has not pushed | `scope::scope_inside_a_task`, `scope::spawn_from_a_task_against_claim_at_the_end` |
//! | panic of a scope's body | `scope::panic_of_the_body_*` |
//! | items of a shared map against each other, their input, their collector, and its timeout | `sharing::items_*`, `sharing::two_workers_*`, `sharing::input_*`, `sharing::an_item_and_the_input_*`, `sharing::a_range_that_is_divided*`, `sharing::outcomes_in_any_order_*`, `sharing::parts_of_a_range_in_any_order`, `sharing::the_time_of_the_map_against_its_items`, `storm::maps` |
//! | cancel of what is pending against a map worker that sends for another | `sharing::cancel_pending_against_a_worker_that_sends_for_another` |
//! | a task that is submitted between the items of a shared map | `sharing::a_task_between_the_items_of_a_map` |
//! | items that sleep against what is held back | `sharing::an_item_that_waits_for_*`, `sharing::a_task_of_the_pool_in_an_item`, `storm::map_inside_a_task` |
//! | drop, cancel, shutdown, breakdown, failed start, another map against a shared map | `sharing::drop_of_the_map_*`, `sharing::cancel_pending_*`, `sharing::shutdown_now_*`, `sharing::close_*`, `sharing::broken_against_items`, `sharing::a_worker_that_does_not_start`, `sharing::two_maps_of_one_pool` |
//! | end of an attempt, and the pause after it, against cancel, abort, close, and a worker that waits | `retry::cancel_against_the_end_of_an_attempt`, `retry::abort_against_*`, `retry::close_against_a_pause`, `retry::an_attempt_against_a_worker_that_waits_for_it` |
//! | start against revoke, abort, a revoke for the task before, a look at its time | `slots::start_against_*`, `slots::stop_against_start_and_finish` |
//! | time limit and abort against finish, in a worker process | `slots::finish_against_kill`, `slots::time_limit_against_start_and_answer` |
//! | death of a worker process against abort and halve | `slots::death_against_stop`, `chunks::death_in_a_chunk_against_halve` |
//! | a slot given against what its worker sees, and has posted | `slots::start_sees_the_items_of_its_task`, `mailbox::a_slot_is_given_again` |
//! | halve of a chunk against its items, another halve, curtail, the next chunk | `chunks::halve_against_*`, `chunks::two_halves_against_take_item` |
//! | short reply against a reader going to sleep, or awake | `mailbox::post_*`, `mailbox::two_posts_against_going_to_sleep`, `mailbox::one_of_several_replies_is_read` |
//! | waiter that looks against the monitor, another waiter, the answer to another task | `read_right::a_waiter_against_the_monitor`, `read_right::a_waiter_against_another_waiter`, `read_right::two_waiters_for_one_task`, `read_right::a_waiter_against_the_answer_to_another_task` |
//! | cancel, abort, time limit, callback against a waiter that looks | `read_right::a_waiter_against_cancel`, `read_right::a_waiter_against_abort`, `read_right::a_waiter_against_a_time_limit`, `read_right::a_waiter_against_a_callback` |
//! | end of a worker process, join against a waiter that has read | `read_right::a_waiter_against_the_end_of_the_worker`, `read_right::join_against_a_waiter` |
//!
//! The other pairs cannot race, or are one of these:
//!
//! - Take, `detach` and `share` take the handle by value, so nothing that is asked of a handle meets them, nor a submit, which makes it.
//!   `share` touches nothing of the task.
//! - Two that register with a task (waker, wait-set, callback), and a registration against start: each is one turn of the task's lock, and
//!   none waits. Wait-sets and wakers are in one list, so what holds of one against an end holds of both.
//! - A panic is a finish. A time limit counts from the start, so it meets no start and no cancel of what is pending; nor does a second one.
//! - What ends a task does so in `Task::end`, under the lock of the task: a breakdown, a close and a failed start differ in what they do to
//!   the queue only. `cancel_pending` is a cancel of each task; so two of them, or one and a drop, are two cancels.
//! - Keep-alive expiry against breakdown, or a drop in a task: each lets the worker leave, in the same turn of the queue's lock. A worker
//!   that goes has found no task, so it makes no room; and a start that makes room is the same on a spare worker.
//! - The drop of the last handle, wherever it is, is a close. No push meets it, which takes a handle, and no task is left to a broken pool.
//! - Maps with chunks, a buffer or a time limit, and those of a bounded queue, are futures of their own.
//! - The pool changes a slot (revoke, kill, halve, curtail, ready) under its one lock; start, take, finish and death
//!   are done by one thread of the worker. The two words of a slot do not depend on each other but for a halve.
#![cfg(all(test, any(model = "loom", model = "shuttle")))]

mod checker;
mod chunks;
mod ending;
mod front;
mod inbox;
mod mailbox;
mod nesting;
mod queue;
mod read_right;
mod retry;
mod scope;
mod sharing;
mod slots;
#[cfg(model = "shuttle")]
mod storm;
mod table;
mod task;
mod waiting;
