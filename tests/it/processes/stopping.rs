//! Time limits, aborts, signals, shutdowns.
