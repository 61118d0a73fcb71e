#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod campaign;
pub mod certificates;
pub mod draw;
pub mod engine;
pub mod explore;
pub mod hosts;
pub mod ledgers;
pub mod level;
pub mod mixed;
pub mod plan;
pub mod protocols;
pub mod runners;
pub mod shrink;
pub mod simulation;
pub mod subject;
pub mod time;
pub mod trace;

pub use simulation::Simulation;
