//! The signature predicate, the domain frame and the redaction of secrets.

use aura_crypto::{
    Context, Domain, HpkeSecretKey, KeyError, PublicKey, SecretKey, Signature, SignatureError,
};
use aura_protocol_core::AccountId;
use proptest::prelude::*;

fn context() -> Context {
    Context { domain: Domain::Unit, account: AccountId::from_bytes([3; 32]), epoch: 5 }
}

/// INV-C1: each part of the context is bound.
#[test]
fn a_signature_serves_one_purpose() {
    let key = SecretKey::from_seed([1; 32]);
    let signature = key.sign(&context(), b"body");
    assert_eq!(key.public().verify(&context(), b"body", &signature), Ok(()));
    for other in [
        Context { domain: Domain::Vote, ..context() },
        Context { account: AccountId::from_bytes([4; 32]), ..context() },
        Context { epoch: 6, ..context() },
    ] {
        assert_eq!(key.public().verify(&other, b"body", &signature), Err(SignatureError));
    }
    assert_eq!(key.public().verify(&context(), b"other", &signature), Err(SignatureError));
}

/// INV-C2: keys of small order, with a torsion part, or in a second encoding are refused.
#[test]
fn unusual_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Torsion));
    assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Torsion));
    // p + 1 encodes the identity a second time.
    let mut second = [0xff; 32];
    second[0] = 0xee;
    second[31] = 0x7f;
    assert_eq!(PublicKey::from_bytes(&second), Err(KeyError::NotAPoint));
    // A vector of the published speccheck set: a public key of mixed order.
    let mixed = hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa");
    assert!(PublicKey::from_bytes(&mixed).is_err());
    let mixed = hex("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d");
    assert_eq!(PublicKey::from_bytes(&mixed), Err(KeyError::Torsion));
}

/// INV-C2: a signature whose scalar is not reduced is refused.
#[test]
fn a_second_signature_cannot_be_made_from_the_first() {
    // The group order, little-endian.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let key = SecretKey::from_seed([2; 32]);
    let signature = key.sign(&context(), b"body");
    let mut malleated = signature.0;
    let mut carry = 0u16;
    for (byte, add) in malleated[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert!(key.public().verify(&context(), b"body", &Signature(malleated)).is_err());
}

/// INV-C3
#[test]
fn secrets_are_not_printed() {
    let text =
        format!("{:?} {:?}", SecretKey::from_seed([9; 32]), HpkeSecretKey::from_seed([9; 32]));
    assert_eq!(text, "SecretKey(<redacted>) HpkeSecretKey(<redacted>)");
}

#[test]
fn hpke_keys_follow_the_seed() {
    let key = HpkeSecretKey::from_seed([1; 32]);
    assert_eq!(key.public(), HpkeSecretKey::from_seed(*key.danger_seed()).public());
    assert_ne!(key.public(), HpkeSecretKey::from_seed([2; 32]).public());
}

fn hex(text: &str) -> [u8; 32] {
    *text.parse::<aura_protocol_core::Digest>().unwrap().as_bytes()
}

proptest! {
    /// INV-C1: no flipped bit of message or signature verifies.
    #[test]
    fn flipped_bits_do_not_verify(body in prop::collection::vec(any::<u8>(), 1..64), bit in 0usize..8,
        at in any::<prop::sample::Index>()) {
        let key = SecretKey::from_seed([1; 32]);
        let signature = key.sign(&context(), &body);
        let mut other = body.clone();
        other[at.index(body.len())] ^= 1 << bit;
        prop_assert!(key.public().verify(&context(), &other, &signature).is_err());
        let mut forged = signature.0;
        forged[at.index(64)] ^= 1 << bit;
        prop_assert!(key.public().verify(&context(), &body, &Signature(forged)).is_err());
    }
}
