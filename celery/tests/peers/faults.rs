//! What goes wrong between the program and the broker.
crate::tests! {}
