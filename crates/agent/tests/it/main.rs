//! A device as its callers see it: its pure node under every disorder, and the whole over real QUIC.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod acts;
mod attacks;
mod built_ins;
mod carry;
mod census;
mod checks;
mod clock;
mod control;
mod device;
mod field;
mod guardians;
mod hostile;
mod joins;
mod keys;
mod leaving;
mod locations;
mod main_job;
mod motions;
mod publisher;
mod puppet;
mod recovery;
mod recovery_code;
mod refusals;
mod resharing;
mod reverts;
mod rights;
mod sessions;
mod snapshots;
mod unread;
mod upgrades;
mod upkeep;
mod vote_keys;
mod world;
