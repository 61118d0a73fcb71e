#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod script;
pub mod table;
mod work;

pub use script::Dkd;
pub use table::{Heard, Table};
pub use work::{Commitment, Derived, Made, Purpose, Record, Request, Step, Terms};
