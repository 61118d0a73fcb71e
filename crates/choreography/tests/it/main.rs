//! The steps of sessions through the macros, run by sessions without I/O.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod addressed;
mod certified;
mod decline;
mod dkd;
mod hosted;
mod local;
mod parts;
mod payload;
mod plain;
mod replay;
mod rounds;
mod runs;
mod table;
mod types;
mod ui;
mod veto;
