//! A crate that submits the functions of another.

#[inline(never)]
pub fn functions() -> [(fn(u64) -> u64, Option<&'static str>); 9] {
    tasks::functions!()
}
