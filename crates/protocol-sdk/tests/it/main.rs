//! What a guest author relies on: the constant descriptor, and the dispatch behind the exports.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod descriptor;
mod dispatch;
