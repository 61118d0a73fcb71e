//! Protocols run from end to end, with participants that lie, and every trap with its guard.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod certificate;
mod derivation;
mod dkg;
mod forge;
mod fuzz;
mod keys;
mod locks;
mod metamorphic;
mod recovery;
mod repair;
mod reshare;
mod rotation;
mod seal;
mod secrets;
mod sign;
mod world;
