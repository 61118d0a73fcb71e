//! Protocols that Aura itself runs.

pub mod built_in;
pub mod dkd;
pub mod dkg;
pub mod locking;
pub mod sign;
mod table;
pub mod upgrade;

pub use table::{Heard, Rested, Table};
