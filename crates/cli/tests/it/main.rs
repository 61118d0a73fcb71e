//! The `aura` binary as people and programs use it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod account;
mod aura;
mod damage;
mod device;
mod document;
mod help;
mod in_use;
mod key;
mod protocol;
mod refusal;
mod resharing;
mod statements;
mod usage;
