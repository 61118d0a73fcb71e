//! The journal's tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod catch_up;
mod clock;
mod control_awake;
mod control_chain;
mod control_fixture;
mod control_proof;
mod control_statement;
mod control_sync;
mod control_voter;
mod control_votes;
mod convergence;
mod deadlines;
mod forks;
mod fuzz;
mod guardians;
mod history;
mod hostile_sync;
mod import;
mod medium;
mod old_stores;
mod recovery;
mod repair;
mod room;
mod snapshot;
mod snapshot_bytes;
mod state;
mod store;
mod store_faults;
mod subscribe;
mod support;
mod unit_vectors;
mod unread;
mod vectors;
mod vote_keys;
mod zoo;
