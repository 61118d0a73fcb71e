//! Sessions and upgrades as state machines.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod clock;
mod context;
mod context_limits;
mod dkd;
mod dkg;
mod hall;
mod kills;
mod locking;
mod native;
mod recovery;
mod replay;
mod resharing;
mod sign;
mod upgrade;
mod waiting;
