#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod domain;
pub mod hpke;
pub mod keys;

pub use domain::{Context, Domain};
pub use hpke::{HpkePublicKey, HpkeSecretKey};
pub use keys::{KeyError, PublicKey, SecretKey, Signature, SignatureError};
