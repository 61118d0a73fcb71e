//! The steps of sessions through the macros, run by sessions without I/O.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod dkd;
#[expect(dead_code, reason = "more steps come")]
mod table;
