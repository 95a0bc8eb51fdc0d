//! Workers that do not come up, and initializers.
