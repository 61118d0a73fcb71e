//! Protocols that Aura itself runs.

pub mod built_in;
pub mod dkd;
pub mod dkg;
pub mod locking;
pub mod recovery;
mod report;
pub mod resharing;
pub mod sign;
mod table;
pub mod upgrade;

pub use report::Report;
pub use table::{Heard, Rested, Table};
