//! Arguments, results and errors on their way.
