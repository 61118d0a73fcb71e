//! What all versions of the counter share: a session in which each participant adds one number.
//!
//! A version differs from another in what it makes of the numbers once all are there; that, and
//! only that, is in the version's own package ([`Edition`]). The layouts of the records are here,
//! because the migration reads one and writes the other.
//!
//! **Invariants**
//! - INV-G1: the order in which events arrive changes neither the outcome nor the last state.
//! - INV-G2: an error leaves the session as it was.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod edition;
pub mod record;
pub mod session;

pub use edition::{Counter, Edition};
pub use record::{SCHEMA_1, SCHEMA_2, Sum, session_key};
pub use session::Session;
