//! Tests of the transport as its callers see it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod conformance;
mod hostile;
mod lies;
mod locations;
mod memory;
mod modules;
mod provider;
mod quic;
mod server;
mod world;
