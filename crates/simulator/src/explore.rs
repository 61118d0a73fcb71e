//! Exhaustive exploration of the running code.
