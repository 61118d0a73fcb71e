//! Recovery (`04-crypto`, section 5): guardians bring an account back to new devices, and no machine ever
//! holds its keys.
//!
//! When guardians were set up, the devices reshared to them, with a polynomial of its own. A recovery is a
//! [resharing](crate::choreography::resharing) from them to the new devices, with a wait before it.
//!
//! - Every guardian approves for itself, after its person confirmed out of band whose devices these are.
//!   An approval holds for one session and one set of new devices.
//! - Each guardian then waits for its *own* clock, which it keeps and which never goes back: its key
//!   store gives nothing away before ([`Refusal::NotYet`]), whatever the session says.
//! - Meanwhile any device of the account, and any guardian, may object, and nothing comes of it. After an
//!   objection guardians wait twice as long and one more of them has to approve; an objection of one
//!   device then stops nothing any more, so that a stolen device cannot keep its owner out for ever. What
//!   still does is the account's control chain: a certified veto ([`KeyStore::forbid`]).
//! - What the coordinator says is believed by no guardian: each counts the approvals itself before its store
//!   lets the session reshare.
//!
//! What no wait prevents: as many guardians as needed, if they collude, have the keys.
//!
//! **Invariants**
//! - INV-RC1: an honest guardian takes part in the resharing only after it approved it, as many guardians
//!   as needed approved the same, its own clock says that the time is over, and no objection that counts
//!   was seen.
//! - INV-RC2: an approval is good for the session, the new devices and the round that it was given for.
//!
//! [`Refusal::NotYet`]: crate::keystore::Refusal::NotYet
//! [`KeyStore::forbid`]: crate::keystore::KeyStore::forbid

pub mod script;
mod work;

pub use script::Recovery;
pub use work::{Record, Request, Step, Terms};
