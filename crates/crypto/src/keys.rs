//! Ed25519 keys with one strict acceptance predicate (INV-C2).
//!
//! On the published edge cases the usual Ed25519 verifiers accept five different sets; replicas that
//! mixed them would disagree for ever. Here a public key is parsed once, canonically, and refused
//! when it is of small order or has a torsion part; signatures go through `verify_strict` alone.

use core::fmt;

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize, io};
use ed25519_dalek::Signer as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Context;

/// An Ed25519 secret key. Wiped when dropped, never printed (INV-C3).
pub struct SecretKey(ed25519_dalek::SigningKey);

/// A parsed, full-order Ed25519 public key in canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// An Ed25519 signature, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

/// Why 32 bytes are no usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// They are no point of the curve, or not its canonical encoding.
    #[error("not the canonical encoding of a curve point")]
    NotAPoint,
    /// The point has a small-order part, so that several keys would accept one signature.
    #[error("the point has a small-order part")]
    Torsion,
}

/// A signature does not verify under this key, for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct SignatureError;

impl SecretKey {
    /// The key of a 32-byte seed, which the caller drew from a secure source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The seed, for storage under the owner's protection.
    #[must_use]
    pub fn danger_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// A signature over `body`, valid in `context` only (INV-C1).
    #[must_use]
    pub fn sign(&self, context: &Context, body: &[u8]) -> Signature {
        Signature(self.0.sign(&context.frame(body)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(<redacted>)")
    }
}

impl PublicKey {
    /// Parses and checks a key (INV-C2).
    ///
    /// # Errors
    /// [`KeyError`], which says what is wrong with the point.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if key.is_weak() || !point.is_torsion_free() {
            return Err(KeyError::Torsion);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of its encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether `signature` is this key's over `body` in `context`.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not; no reason, since none is safe to act on.
    pub fn verify(
        &self,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(&context.frame(body), &signature).map_err(|_| SignatureError)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::from_bytes(*self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey:{}", Digest::from_bytes(*self.as_bytes()).short())
    }
}

impl BorshSerialize for PublicKey {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.as_bytes().serialize(writer)
    }
}

impl BorshDeserialize for PublicKey {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = <[u8; 32]>::deserialize_reader(reader)?;
        Self::from_bytes(&bytes).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, alloc::format!("public key: {error}"))
        })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature:{}", Digest::of(&self.0).short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Vectors;

    /// INV-C2: the twelve edge cases that tell Ed25519 verifiers apart. The library's plain predicate
    /// accepts five of them, its strict one still accepts a key and a nonce of mixed order; ours,
    /// with its torsion-free keys, accepts none.
    #[test]
    fn edge_cases_have_one_accept_set() {
        use ed25519_dalek::{Verifier as _, VerifyingKey};
        let vectors = Vectors::read(include_str!("../tests/vectors/speccheck.txt"));
        let mut sets = [(); 3].map(|()| alloc::string::String::new());
        for it in vectors.blocks() {
            let (key, message) = (it.array("pbk"), it.hex("msg"));
            let signature = ed25519_dalek::Signature::from_bytes(&it.array("sig"));
            let library = VerifyingKey::from_bytes(&key);
            let accepted = [
                PublicKey::from_bytes(&key)
                    .is_ok_and(|it| it.0.verify_strict(&message, &signature).is_ok()),
                library.as_ref().is_ok_and(|it| it.verify_strict(&message, &signature).is_ok()),
                library.as_ref().is_ok_and(|it| it.verify(&message, &signature).is_ok()),
            ];
            for (set, accepted) in sets.iter_mut().zip(accepted) {
                set.push(if accepted { 'V' } else { 'x' });
            }
        }
        assert_eq!(sets, ["xxxxxxxxxxxx", "xxxVxxxxxxxx", "VVVVxxxxxxxV"]);
    }
}
