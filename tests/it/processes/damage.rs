//! Tasks that damage their worker: descriptors, output, children, limits.
