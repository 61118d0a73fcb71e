//! Properties of the vocabulary: negotiation and byte vectors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod boundary;
mod negotiation;
mod session_compare;
mod session_local;
mod session_text;
mod vectors;
