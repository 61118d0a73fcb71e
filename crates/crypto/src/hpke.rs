//! HPKE keys (RFC 9180, DHKEM(X25519, HKDF-SHA256)): what secrets are sealed to.
//!
//! The only file that names the `hpke` crate.

use core::fmt;

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize};
use hpke::{Kem as _, Serializable as _, kem::X25519HkdfSha256};
use zeroize::Zeroizing;

/// The key that a device opens sealed payloads with. Wiped when dropped, never printed (INV-C3).
pub struct HpkeSecretKey {
    seed: Zeroizing<[u8; 32]>,
    public: HpkePublicKey,
}

/// The key that others seal payloads to, as it stands in a roster entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct HpkePublicKey(pub [u8; 32]);

impl HpkeSecretKey {
    /// The key pair that RFC 9180's `DeriveKeyPair` makes of a 32-byte seed, which the caller drew
    /// from a secure source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let (_, public) = X25519HkdfSha256::derive_keypair(seed.as_slice());
        Self { public: HpkePublicKey(public.to_bytes().into()), seed }
    }

    /// The seed, for storage under the owner's protection.
    #[must_use]
    pub fn danger_seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> HpkePublicKey {
        self.public
    }
}

impl fmt::Debug for HpkeSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkeSecretKey(<redacted>)")
    }
}

impl fmt::Debug for HpkePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HpkePublicKey:{}", Digest::from_bytes(self.0).short())
    }
}
