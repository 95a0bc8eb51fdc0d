//! A bench that has its own `main`.

fn main() {
    builds::check();
    builds::check_own(|n| n + 7);
}
