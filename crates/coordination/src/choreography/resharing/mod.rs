//! Resharing (`04-crypto`, section 3): the same keys among other holders, with another threshold.
//!
//! One text for everybody ([`script`]); what needs a secret is done by the device's
//! [key store](crate::keystore).
//!
//! - The coordinator takes the lock that everything of its kind shares, by the word of the old holders;
//!   whoever comes second finds it taken.
//! - Everybody who receives announces a key that lives as long as the session. As many old holders as
//!   their threshold deal, all named by one decision.
//! - A dealer that does not share its own share, or with another degree, is blamed from what it published.
//!   Whoever gets a share that does not fit complains; the dealer shows it, and is blamed by everybody
//!   if it does not fit.
//! - Every receiver proves that it has its share. Then the new holders sign together, and the old ones:
//!   that is the end, and what the account's control chain certifies.
//! - Until it does, nothing has changed: the old shares work on, and a session that fails leaves nothing
//!   behind but a released lock ([`Unchanged`]). Once it does, they are gone
//!   ([`KeyStore::adopt`], [`KeyStore::retire`]).
//!
//! Guardians get their shares by the same steps, and recovery is a resharing from them. An account of one
//! device grows by it.
//!
//! **Invariants**
//! - INV-RS1: a resharing keeps the public keys, raises the sharing's number by what its terms say, and
//!   counts only once it is adopted.
//! - INV-RS2: a session that does not finish changes no device's shares, number or keys.
//! - INV-RS3: nobody is blamed who dealt as the rules say, whoever lies.
//!
//! [`KeyStore::adopt`]: crate::keystore::KeyStore::adopt
//! [`KeyStore::retire`]: crate::keystore::KeyStore::retire

mod failure;
pub mod script;
mod work;

pub use failure::Unchanged;
pub use script::Resharing;
pub use work::{
    Agreement, Findings, Outcome, Record, Request, Reshared, Sharings, Side, Step, Terms,
};
