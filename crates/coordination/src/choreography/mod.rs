//! Protocols that Aura itself runs.

pub mod built_in;
pub mod dkg;
pub mod locking;
pub mod recovery;
mod report;
pub mod resharing;
pub mod sign;
pub mod upgrade;

/// Key derivation, which is also a guest.
pub use aura_derivation as dkd;
pub(crate) use aura_derivation::table;
pub use report::Report;
pub use table::{Heard, Rested, Table};
