//! Key derivation (`04-crypto`, section 4): the same key from any quorum, and nobody else's.
//!
//! The opener blinds what is asked for and proves what it is; each device commits to its evaluation
//! before it reveals it, and whose commitments count is decided once. Any reveals that hold make the key,
//! as long as there are enough; whoever revealed something else is skipped, and named if too few are
//! left. The key itself never enters a script: each device that helped opens the blind and keeps the key
//! for its owner ([`KeyStore::take_derived`]).
//!
//! [`KeyStore::take_derived`]: crate::keystore::KeyStore::take_derived

pub mod script;
mod work;

pub use script::Dkd;
pub use work::{Commitment, Derived, Made, Purpose, Record, Request, Step, Terms};
