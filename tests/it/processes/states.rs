//! Everything a future does, while its task is elsewhere.
