//! In tests nothing can be called in `main`.

#[test]
fn a_test_may_have_worker_processes() {
    builds::check();
}

#[test]
fn so_may_another_at_the_same_time() {
    builds::check_own(|n| n + 7);
}
