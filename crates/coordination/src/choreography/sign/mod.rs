//! Group signatures (`04-crypto`): any `t_sign` devices sign for the account.
//!
//! A device signs what it was permitted to and nothing else ([`KeyStore::permit`]), with nonces that are
//! written down as spent before its share leaves. A share that does not fit names its signer; one that
//! was made with other nonces than the others heard of names nobody. What stalls or fails begins anew,
//! as another session with other nonces and without whoever is guilty. A group of one signs alone, by the
//! same steps: its nonces are empty, and its share is the signature.
//!
//! As a part of another session it also signs for others than the current holders ([`Group`]), before
//! everybody who takes part.
//!
//! [`KeyStore::permit`]: crate::keystore::KeyStore::permit

pub mod script;
mod work;

pub use script::Sign;
pub use work::{Group, Made, Purpose, Record, Request, Step, Terms};
