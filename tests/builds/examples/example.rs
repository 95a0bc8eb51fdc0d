//! An example is a program.

fn main() {
    builds::check();
    builds::check_own(|n| n + 7);
}
