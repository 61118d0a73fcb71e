#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod blame;
pub mod certificate;
pub mod complaint;
pub mod dkd;
pub mod dkg;
pub mod domain;
pub mod envelope;
pub mod fence;
mod frost;
#[doc(hidden)]
pub mod fuzz;
mod group;
mod hash;
pub mod hpke;
pub mod keys;
pub mod lottery;
pub mod message;
mod polynomial;
mod proof;
pub mod repair;
pub mod reshare;
mod rng;
pub mod rotation;
pub mod seal;
pub mod sharing;
pub mod sign;
pub mod sole;
#[cfg(test)]
mod vectors;
mod voprf;

pub use blame::{Blame, Fault};
pub use domain::{Context, Domain, Label};
pub use group::{Derivation, Element, KeyKind, PublicScalar, Signing, Suite};
pub use hpke::{
    HpkePublicKey, HpkeSecretKey, SealedScalar, SessionKey, open_payload, seal_payload,
};
pub use keys::{KeyError, PublicKey, SecretKey, Signature, SignatureError};
pub use message::Message;
pub use polynomial::{Commitment, ShareIndex};
pub use proof::LogProof;
pub use rng::DualRng;
pub use sharing::{Holders, KeyShare, Sharing, SharingError};
