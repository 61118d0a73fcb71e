//! Protocols that Aura itself runs.

pub mod dkg;
mod table;
pub mod upgrade;

pub use table::{Heard, Table};
