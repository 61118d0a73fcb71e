//! What a participant that lies can make: it has every library that we have.

use aura_crypto::{DualRng, HpkePublicKey, SealedScalar};
use aura_protocol_core::{Digest, encode};
use borsh::BorshSerialize;
use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use hpke::{
    Deserializable as _, OpModeS, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};

/// Adds a point of order eight to an encoded Ed25519 point.
pub fn add_torsion(bytes: &mut [u8]) {
    let point = CompressedEdwardsY(bytes[..].try_into().unwrap()).decompress().unwrap();
    bytes.copy_from_slice((point + EIGHT_TORSION[1]).compress().as_bytes());
}

/// Seals any small number for anybody, with whatever context its receiver expects.
pub fn seal(
    to: HpkePublicKey,
    info: Digest,
    aad: &impl BorshSerialize,
    number: &[u8; 31],
    rng: &mut DualRng,
) -> SealedScalar {
    let to = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&to.0).unwrap();
    let mut scalar = [0; 32];
    scalar[..30].copy_from_slice(&number[..30]);
    let (key, ciphertext) = hpke::single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &to, info.as_bytes(), &scalar, &encode(aad), rng)
    .unwrap();
    let bytes = [key.to_bytes().as_slice(), &ciphertext].concat();
    borsh::from_slice(&bytes).unwrap()
}
