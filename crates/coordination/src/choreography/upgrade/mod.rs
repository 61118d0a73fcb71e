//! The upgrade coordinator: how an account changes the version that it runs
//! (`05-upgrades`, section 7; RFC 140, section 4).
//!
//! A choreography ([`script`]): one text for every device and the control chain. [`UpgradeCoordinator`]
//! is one device's seat in it, one per proposal: what the ledger shows comes in as [`Input`], what is to
//! be done goes out as [`Effect`]. The quorum is counted elsewhere, over receipts that this
//! device has confirmed by its own rehearsal; the coordinator is told the count.

mod coordinator;
mod party;
pub mod script;
mod state;

pub use coordinator::{Effect, Input, UpgradeCoordinator};
pub use state::{FailureReason, UpgradeState};
