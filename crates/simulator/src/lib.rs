#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod campaign;
pub mod draw;
pub mod engine;
pub mod explore;
pub mod ledgers;
pub mod level;
pub mod plan;
pub mod protocols;
pub mod shrink;
pub mod subject;
pub mod trace;
