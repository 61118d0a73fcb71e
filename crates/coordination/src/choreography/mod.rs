//! Protocols that Aura itself runs.

pub mod upgrade;
