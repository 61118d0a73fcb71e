//! HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305): keys that
//! secrets are sealed to, and the sealing of the secrets that protocols exchange.
//!
//! Base mode says nothing about who sealed (trap 13): whoever sends a sealed secret signs the message
//! that carries it. The only file that names the `hpke` crate.

use alloc::vec::Vec;
use core::fmt;

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    domain::Label,
    group::{Secret, Suite},
    rng::DualRng,
};

/// Bytes of a sealed scalar: a point, the scalar and a tag.
pub const SEALED_SCALAR_BYTES: usize = 32 + 32 + 16;

/// The key that a device opens sealed payloads with. Wiped when dropped, never printed (INV-C3).
pub struct HpkeSecretKey {
    seed: Zeroizing<[u8; 32]>,
    secret: <X25519HkdfSha256 as hpke::Kem>::PrivateKey,
    public: HpkePublicKey,
}

/// A key for one session: it cannot be stored, and is wiped when the session drops it.
///
/// The ledger keeps ciphertexts for ever. Were shares sealed to a key that a device keeps, then that
/// key would bring every erased share back (trap 2).
pub struct SessionKey(HpkeSecretKey);

/// The key that others seal payloads to, as it stands in a roster entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct HpkePublicKey(pub [u8; 32]);

impl HpkeSecretKey {
    /// The key pair that RFC 9180's `DeriveKeyPair` makes of a 32-byte seed, which the caller drew
    /// from a secure source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let (secret, public) = X25519HkdfSha256::derive_keypair(seed.as_slice());
        Self { public: HpkePublicKey(public.to_bytes().into()), secret, seed }
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

/// What a sealed secret is for: both sides must say the same, or it does not open.
#[derive(Clone, Copy)]
pub(crate) struct SealContext<'a> {
    /// What kind of secret it is.
    pub label: Label,
    /// Which session it belongs to.
    pub session: &'a [&'a [u8]],
    /// From whom, to whom, and what it must match.
    pub aad: &'a [u8],
}

/// A scalar sealed for one holder of a session key.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedScalar([u8; SEALED_SCALAR_BYTES]);

/// A sealed secret does not open: another key, another purpose, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sealed secret does not open with this key for this purpose")]
pub struct OpenError;

/// Nothing can be sealed to this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("nothing can be sealed to this key: its owner must announce another one")]
pub struct SealError;

impl SessionKey {
    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &mut DualRng) -> Self {
        Self(HpkeSecretKey::from_seed(*rng.bytes()))
    }

    /// What is announced, and sealed to.
    #[must_use]
    pub const fn public(&self) -> HpkePublicKey {
        self.0.public
    }

    /// Ends the key. Dropping it does the same; this says so where a protocol ends.
    pub fn erase(self) {
        drop(self);
    }

    pub(crate) fn open<S: Suite>(
        &self,
        context: &SealContext<'_>,
        sealed: &SealedScalar,
    ) -> Result<Secret<S>, OpenError> {
        let info = context.label.digest(context.session);
        let plain = open(&self.0, info.as_bytes(), context.aad, &sealed.0)?;
        let bytes = plain.as_slice().try_into().map_err(|_| OpenError)?;
        Secret::from_bytes(bytes).ok_or(OpenError)
    }
}

impl SealedScalar {
    pub(crate) fn seal<S: Suite>(
        to: &HpkePublicKey,
        context: &SealContext<'_>,
        secret: &Secret<S>,
        rng: &mut DualRng,
    ) -> Result<Self, SealError> {
        let info = context.label.digest(context.session);
        let sealed = seal(to, info.as_bytes(), context.aad, secret.to_bytes().as_slice(), rng)?;
        sealed.as_slice().try_into().map(Self).map_err(|_| SealError)
    }
}

/// Seals what a program says to one device alone, for a purpose: both sides must name the same one, and
/// the same `aad`. Says nothing about who sealed it (trap 13).
///
/// # Errors
/// [`SealError`].
pub fn seal_payload(
    to: &HpkePublicKey,
    purpose: &[&[u8]],
    aad: &[u8],
    plain: &[u8],
    rng: &mut DualRng,
) -> Result<Vec<u8>, SealError> {
    seal(to, Label::Payload.digest(purpose).as_bytes(), aad, plain, rng)
}

/// Opens what was sealed for this device.
///
/// # Errors
/// [`OpenError`].
pub fn open_payload(
    key: &HpkeSecretKey,
    purpose: &[&[u8]],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open(key, Label::Payload.digest(purpose).as_bytes(), aad, sealed)
}

/// Encapsulated key and ciphertext, one after the other.
fn seal(
    to: &HpkePublicKey,
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    rng: &mut impl rand_core::CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let to =
        <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&to.0).map_err(|_| SealError)?;
    let (key, ciphertext) = hpke::single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &to, info, plain, aad, rng)
    .map_err(|_| SealError)?;
    let mut sealed = key.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

fn open(
    key: &HpkeSecretKey,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (from, ciphertext) = sealed.split_at_checked(32).ok_or(OpenError)?;
    let from =
        <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(from).map_err(|_| OpenError)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &key.secret,
        &from,
        info,
        ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| OpenError)
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(<redacted>)")
    }
}

impl fmt::Debug for SealedScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedScalar:{}", Digest::of(&self.0).short())
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

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;
    use crate::{group::Signing, vectors::Vectors};

    /// Gives the published seed of the sender's ephemeral key, then nothing.
    struct Fixed(Vec<u8>);

    impl rand_core::TryRng for Fixed {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("HPKE asks for bytes")
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("HPKE asks for bytes")
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Fixed {}

    /// RFC 9180, A.2.1: key derivation, sealing byte for byte, and opening.
    #[test]
    fn published_vector() {
        let v = Vectors::read(include_str!("../tests/vectors/rfc9180_a2_1.txt"));
        let v = v.blocks().next().unwrap();
        let key = HpkeSecretKey::from_seed(v.array("ikmR"));
        assert_eq!(key.public(), HpkePublicKey(v.array("pkRm")));
        let (info, aad, plain) = (v.hex("info"), v.hex("aad"), v.hex("pt"));
        let expected = [v.hex("enc"), v.hex("ct")].concat();
        let sealed = seal(&key.public(), &info, &aad, &plain, &mut Fixed(v.hex("ikmE")));
        assert_eq!(sealed.unwrap(), expected);
        assert_eq!(*open(&key, &info, &aad, &expected).unwrap(), plain);
        assert!(open(&key, &info, b"other", &expected).is_err());
        assert!(open(&key, &info, &aad, &expected[..31]).is_err());
    }

    /// INV-C6: a sealed secret opens for its purpose, session, sender and receiver alone.
    #[test]
    fn sealed_scalars_are_bound_to_their_context() {
        let mut rng = DualRng::from_seed([1; 32]);
        let key = SessionKey::generate(&mut rng);
        let secret = Secret::<Signing>::random(&mut rng);
        let session: &[&[u8]] = &[b"account", b"session"];
        let context = SealContext { label: Label::DkgShare, session, aad: b"1 to 2" };
        let sealed = SealedScalar::seal(&key.public(), &context, &secret, &mut rng).unwrap();
        let opened: Secret<Signing> = key.open(&context, &sealed).unwrap();
        assert_eq!(opened.scalar(), secret.scalar());
        let other: &[&[u8]] = &[b"account", b"sessiom"];
        for wrong in [
            SealContext { label: Label::ReshareSubShare, ..context },
            SealContext { session: other, ..context },
            SealContext { aad: b"1 to 3", ..context },
        ] {
            assert!(key.open::<Signing>(&wrong, &sealed).is_err());
        }
        let stranger = SessionKey::generate(&mut rng);
        assert!(stranger.open::<Signing>(&context, &sealed).is_err());
        // A low-order key would give everybody the same secret.
        assert_eq!(
            SealedScalar::seal(&HpkePublicKey([0; 32]), &context, &secret, &mut rng),
            Err(SealError)
        );
    }
}
