#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod control;
pub mod event;
pub mod ledger;
pub mod store;
pub mod sync;
pub mod unit;

pub use unit::{Unit, UnitBody};
