//! How simulated ledgers sign: as devices do, or with a keyed hash that costs next to nothing.

use aura_crypto::{Context, PublicKey, SecretKey, Signature, SignatureError};
use aura_journal::{
    Strict, UnitScheme,
    control::{CertifiedEntry, ChainError, ControlChain},
};

use crate::draw::hash_bytes;

/// How a simulated ledger signs its units.
pub trait Signing: UnitScheme {
    /// The chain that these entries are, after a restart; `founded` is the one that the account began
    /// with.
    ///
    /// # Errors
    /// When they are no chain.
    fn chain(
        founded: &ControlChain,
        entries: &[CertifiedEntry],
    ) -> Result<ControlChain, ChainError>;
}

impl Signing for Strict {
    fn chain(_: &ControlChain, entries: &[CertifiedEntry]) -> Result<ControlChain, ChainError> {
        ControlChain::from_entries(entries.iter().cloned())
    }
}

/// A hash keyed by the public key: whoever knows the scheme could forge it, and no liar of a
/// simulation does. It finds wrong authors and changed units, as a signature does.
#[derive(Debug, Clone, Copy)]
pub enum Keyed {}

impl Keyed {
    fn tag(key: &PublicKey, context: &Context, body: &[u8]) -> Signature {
        let seed = hash_bytes(context.domain as u64 ^ context.epoch << 16, key.as_bytes());
        let hash = hash_bytes(hash_bytes(seed, context.account.as_bytes()), body);
        let mut tag = [0; 64];
        for (place, byte) in tag.iter_mut().zip(hash.to_le_bytes()) {
            *place = byte;
        }
        Signature(tag)
    }
}

impl UnitScheme for Keyed {
    fn sign(key: &SecretKey, context: &Context, body: &[u8]) -> Signature {
        Self::tag(&key.public(), context, body)
    }

    fn verify(
        key: &PublicKey,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        if Self::tag(key, context, body) == *signature { Ok(()) } else { Err(SignatureError) }
    }
}

impl Signing for Keyed {
    fn chain(
        founded: &ControlChain,
        entries: &[CertifiedEntry],
    ) -> Result<ControlChain, ChainError> {
        // Its certificates are real, and were verified when the account was founded.
        if founded.entries() == entries {
            Ok(founded.clone())
        } else {
            Strict::chain(founded, entries)
        }
    }
}

#[cfg(test)]
mod tests {
    use aura_crypto::Domain;
    use aura_protocol_core::AccountId;

    use super::*;

    #[test]
    fn a_tag_is_of_one_key_one_purpose_and_one_body() {
        let [one, other] = [1, 2].map(|it| SecretKey::from_seed([it; 32]));
        let context =
            Context { domain: Domain::Unit, account: AccountId::from_bytes([3; 32]), epoch: 4 };
        let tag = Keyed::sign(&one, &context, b"body");
        let verify = |key: &SecretKey, context: &Context, body: &[u8]| {
            Keyed::verify(&key.public(), context, body, &tag).is_ok()
        };
        assert!(verify(&one, &context, b"body"));
        assert!(!verify(&other, &context, b"body"));
        assert!(!verify(&one, &context, b"bodies"));
        assert!(!verify(&one, &Context { epoch: 5, ..context }, b"body"));
        let account = AccountId::from_bytes([9; 32]);
        assert!(!verify(&one, &Context { account, ..context }, b"body"));
        // It is nothing that a device would take.
        assert!(one.public().verify(&context, b"body", &tag).is_err());
    }
}
