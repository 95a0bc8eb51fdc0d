//! What costs the task that did it, and nothing else.
