//! Releases, consent, migrations and receipts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod account;
mod activation;
mod consent;
mod install;
mod migration;
mod publisher;
mod quorum;
mod receipt;
mod release;
mod revert;
