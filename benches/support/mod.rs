//! What benches have in common: contestants that take turns, a table of what they took, and looks at processes.

pub(crate) mod contest;
pub(crate) mod proc;
