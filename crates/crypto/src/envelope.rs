//! Signed messages: one encoding, one purpose, one signature.
//!
//! A message travels as its canonical bytes. It is decoded, encoded again and compared before its
//! signature is looked at, so two replicas can never hold one message under two hashes. Nothing that a
//! library encodes is ever hashed or signed.

use aura_protocol_core::{AccountId, DecodeError, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{
    domain::{Context, Domain},
    keys::{PublicKey, SecretKey, Signature, SignatureError},
    message::Message,
};

/// What can be signed: its type says for what.
pub trait Body: Message {
    /// The domain of its signatures.
    const DOMAIN: Domain;
}

/// A message with its author's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed<T> {
    body: T,
    signature: Signature,
}

/// Why a signed message is refused. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not the canonical encoding of such a message.
    #[error("signed message: {0}")]
    Encoding(#[from] DecodeError),
    /// The signature is not its author's, or for something else.
    #[error("signed message: {0}")]
    Signature(#[from] SignatureError),
}

impl<T: Body> Message for Signed<T> {
    const BYTES_MAX: usize = T::BYTES_MAX + 64;
}

impl<T: Body> Signed<T> {
    /// Signs `body` for `account` in configuration `epoch`.
    #[must_use]
    pub fn new(body: T, key: &SecretKey, account: AccountId, epoch: u64) -> Self {
        let context = Context { domain: T::DOMAIN, account, epoch };
        Self { signature: key.sign(&context, &encode(&body)), body }
    }

    /// The message in `bytes`, when it is canonical and `author` signed it for this account and
    /// configuration (INV-C1, INV-C5).
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn open(
        bytes: &[u8],
        author: &PublicKey,
        account: AccountId,
        epoch: u64,
    ) -> Result<T, EnvelopeError> {
        let signed = Self::from_bytes(bytes)?;
        signed.verify(author, account, epoch)
    }

    /// The message, when `author` signed it for this account and configuration.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`].
    pub fn verify(
        self,
        author: &PublicKey,
        account: AccountId,
        epoch: u64,
    ) -> Result<T, EnvelopeError> {
        let context = Context { domain: T::DOMAIN, account, epoch };
        author.verify(&context, &encode(&self.body), &self.signature)?;
        Ok(self.body)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
    struct Note(BTreeMap<u8, u8>);

    impl Message for Note {
        const BYTES_MAX: usize = 32;
    }

    impl Body for Note {
        const DOMAIN: Domain = Domain::Complaint;
    }

    /// INV-C5: other encodings of the same message are refused before the signature is looked at.
    #[test]
    fn only_the_canonical_bytes_open() {
        let key = SecretKey::from_seed([1; 32]);
        let account = AccountId::from_bytes([2; 32]);
        let note = Note([(1, 2), (3, 4)].into());
        let signed = Signed::new(note.clone(), &key, account, 7);
        let bytes = signed.to_bytes();
        let open = |bytes: &[u8]| Signed::<Note>::open(bytes, &key.public(), account, 7);
        assert_eq!(open(&bytes), Ok(note));
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert!(matches!(open(&trailing), Err(EnvelopeError::Encoding(_))));
        let mut unsorted = bytes.clone();
        unsorted.swap(4, 6);
        unsorted.swap(5, 7);
        assert!(matches!(open(&unsorted), Err(EnvelopeError::Encoding(_))));
        let mut changed = bytes.clone();
        changed[5] ^= 1;
        assert!(matches!(open(&changed), Err(EnvelopeError::Signature(_))));
        assert!(Signed::<Note>::open(&bytes, &key.public(), account, 8).is_err());
        let large = Signed::new(Note((0..40).map(|it| (it, it)).collect()), &key, account, 7);
        assert!(matches!(
            open(&large.to_bytes()),
            Err(EnvelopeError::Encoding(DecodeError::TooLong { .. }))
        ));
    }
}
