//! The document's tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod agreement;
mod contended;
mod fold;
// The same random histories by which the ledger is tested.
#[allow(dead_code, reason = "the ledger's tests use more of it")]
#[path = "../../../journal/tests/it/history.rs"]
mod history;
mod late;
mod plain;
mod reading;
mod rules;
mod snapshots;
#[allow(dead_code, reason = "the ledger's tests use more of it")]
#[path = "../../../journal/tests/it/support.rs"]
mod support;
mod traps;
