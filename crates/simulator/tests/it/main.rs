//! The simulator, tried on protocols that hold and on protocols that do not; and the explorer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
mod broken;
mod certificates;
mod conformance;
mod determinism;
mod explore;
mod explore_reduction;
mod explore_scripts;
mod explore_stateright;
mod faults;
mod identity;
mod ledgers;
mod mixed;
mod motion;
mod oracles;
mod poll;
mod shrinking;
mod strategies;
mod yardstick;
