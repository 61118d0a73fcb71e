//! How simulated ledgers sign: as devices do, or with a keyed hash that costs next to nothing.

use std::sync::Arc;

use aura_crypto::{Context, PublicKey, SecretKey, Signature, SignatureError};
use aura_journal::{
    Strict, UnitScheme,
    control::{CertifiedEntry, ChainError, ControlChain},
};

use crate::draw::mix;

/// How a simulated ledger signs its units.
pub trait Signing: UnitScheme {
    /// What is durable of a chain.
    type Stored;

    /// What is durable of this chain.
    fn store(chain: &Arc<ControlChain>) -> Self::Stored;

    /// The chain after a restart.
    ///
    /// # Errors
    /// When that is no chain.
    fn restore(stored: Self::Stored) -> Result<Arc<ControlChain>, ChainError>;
}

impl Signing for Strict {
    type Stored = Vec<CertifiedEntry>;

    fn store(chain: &Arc<ControlChain>) -> Vec<CertifiedEntry> {
        chain.entries().to_vec()
    }

    fn restore(stored: Vec<CertifiedEntry>) -> Result<Arc<ControlChain>, ChainError> {
        ControlChain::from_entries(stored).map(Arc::new)
    }
}

/// A hash keyed by the public key: whoever knows the scheme could forge it, and no liar of a
/// simulation does. It finds wrong authors and changed units, as a signature does.
#[derive(Debug, Clone, Copy)]
pub enum Keyed {}

impl Keyed {
    fn tag(key: &PublicKey, context: &Context, body: &[u8]) -> Signature {
        let seed = mix(context.domain as u64 ^ context.epoch << 16);
        let parts = [key.as_bytes().as_slice(), context.account.as_bytes(), body];
        let hash = parts.into_iter().fold(seed, folded);
        let mut tag = [0; 64];
        for (place, byte) in tag.iter_mut().zip(hash.to_le_bytes()) {
            *place = byte;
        }
        Signature(tag)
    }
}

/// A hash of some bytes, sixteen at a time: of all that is not what a ledger does, as little as can be.
fn folded(seed: u64, bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, it| sum << 8 | u64::from(*it));
    let (mut hash, (pairs, rest)) = (seed ^ bytes.len() as u64, bytes.as_chunks::<16>());
    for pair in pairs {
        let both = u128::from_le_bytes(*pair);
        hash = fold(both as u64 ^ hash, (both >> 64) as u64 ^ hash.rotate_left(32));
    }
    let (low, high) = rest.split_at(rest.len().min(8));
    mix(fold(word(low) ^ hash, word(high) ^ hash.rotate_left(32)))
}

/// Both halves of a product, folded.
fn fold(low: u64, high: u64) -> u64 {
    let (low, high) = (low ^ 0x9e37_79b9_7f4a_7c15, high ^ 0xd1b5_4a32_d192_ed03);
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
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

/// Its certificates are real, and were verified when it was made.
impl Signing for Keyed {
    type Stored = Arc<ControlChain>;

    fn store(chain: &Arc<ControlChain>) -> Arc<ControlChain> {
        Arc::clone(chain)
    }

    fn restore(stored: Arc<ControlChain>) -> Result<Arc<ControlChain>, ChainError> {
        Ok(stored)
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
        for bit in 0..8 * 40 {
            let mut bytes = [7; 40];
            let tag = Keyed::sign(&one, &context, &bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Keyed::verify(&one.public(), &context, &bytes, &tag).is_err(), "bit {bit}");
        }
        // It is nothing that a device would take.
        assert!(one.public().verify(&context, b"body", &tag).is_err());
    }
}
