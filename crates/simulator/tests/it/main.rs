//! The simulator, tried on protocols that hold and on protocols that do not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod broken;
mod determinism;
mod faults;
mod oracles;
mod shrinking;
mod strategies;
mod yardstick;
