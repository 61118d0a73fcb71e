//! The upgrade coordinator: how an account changes the version that it runs
//! (`05-upgrades`, section 7; RFC 140, section 4).
//!
//! A pure state machine, one per proposal and device. What the ledger shows comes in as [`Input`];
//! what is to be done goes out as [`Effect`]. The quorum is counted elsewhere, over receipts that this
//! device has confirmed by its own rehearsal; the coordinator is told the count.

mod coordinator;
mod state;

pub use coordinator::{Effect, Input, UpgradeCoordinator};
pub use state::{FailureReason, UpgradeState};
