//! How the units of a ledger are signed, and how that is checked.
//!
//! A device's ledger is a `Ledger<Strict>`, which is what `Ledger` alone means: every signature goes
//! through the one strict predicate (INV-C2). A simulation may name another scheme, and its ledger is
//! then of another type, which nothing that runs a device takes.

use std::fmt::Debug;

use aura_crypto::{Context, PublicKey, SecretKey, Signature, SignatureError};

/// A way to sign units. Only units: decisions are always signed strictly.
pub trait UnitScheme: Debug + Send + Sync + 'static {
    /// Whether events with this tag can be read. Devices read all that their build knows; a simulation may
    /// have devices of an older one.
    #[must_use]
    fn reads(_tag: u8) -> bool {
        true
    }

    /// The signature of `key` over `body` in `context`.
    fn sign(key: &SecretKey, context: &Context, body: &[u8]) -> Signature;

    /// Whether `signature` is that of `key` over `body` in `context`.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not.
    fn verify(
        key: &PublicKey,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError>;
}

/// Ed25519 with one strict acceptance predicate: what devices use.
#[derive(Debug, Clone, Copy)]
pub enum Strict {}

impl UnitScheme for Strict {
    fn sign(key: &SecretKey, context: &Context, body: &[u8]) -> Signature {
        key.sign(context, body)
    }

    fn verify(
        key: &PublicKey,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        key.verify(context, body, signature)
    }
}
