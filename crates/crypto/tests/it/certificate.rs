//! Device certificates: four keys, each held by the device, admitted by the account.

use aura_crypto::{
    Context, Domain, HpkePublicKey, HpkeSecretKey, Message as _, SecretKey, Signing,
    certificate::{CertificateError, DeviceCertificate, Enrolment, EnrolmentSecrets},
};
use aura_protocol_core::AccountId;

use super::world::{self, account, context, indices, rng};

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn enrolment(unit: &SecretKey, vote: &SecretKey, transport: &SecretKey) -> Enrolment {
    let hpke = HpkeSecretKey::from_seed([4; 32]).public();
    Enrolment::new(EnrolmentSecrets { unit, vote, transport }, hpke, account(), 3)
}

/// INV-C7
#[test]
fn a_certificate_holds_for_its_device_and_account() {
    let (unit, vote, transport, issuer) = (key(1), key(2), key(3), key(9));
    let enrolled = enrolment(&unit, &vote, &transport);
    let certificate = DeviceCertificate::issue(enrolled.clone(), &issuer, account(), 3).unwrap();
    let keys = certificate.verify(&issuer.public(), account(), 3).unwrap();
    assert_eq!(keys.vote, vote.public());
    let again = DeviceCertificate::from_bytes(&certificate.to_bytes()).unwrap();
    assert_eq!(again, certificate);
    let possession = Err(CertificateError::Possession);
    assert_eq!(certificate.verify(&issuer.public(), account(), 4), possession);
    let elsewhere = AccountId::from_bytes([8; 32]);
    assert_eq!(certificate.verify(&issuer.public(), elsewhere, 3), possession);
    let issuer = Err(CertificateError::Issuer);
    assert_eq!(certificate.verify(&key(8).public(), account(), 3), issuer);
}

/// INV-C7: nobody enrols a key that it does not hold, or one key twice.
#[test]
fn keys_are_held_and_distinct() {
    let (unit, vote, transport) = (key(1), key(2), key(3));
    let honest = enrolment(&unit, &vote, &transport);
    for at in 0..3 {
        let mut stolen = honest.clone();
        let others = key(7).public();
        *[&mut stolen.keys.unit, &mut stolen.keys.vote, &mut stolen.keys.transport][at] = others;
        assert_eq!(stolen.verify(account(), 3), Err(CertificateError::Possession), "{at}");
    }
    let mut swapped = honest.clone();
    swapped.keys.hpke = HpkePublicKey([5; 32]);
    assert_eq!(swapped.verify(account(), 3), Err(CertificateError::Possession));
    let twice = enrolment(&unit, &unit, &transport);
    assert_eq!(twice.verify(account(), 3), Err(CertificateError::SharedKey));
    let refused = DeviceCertificate::issue(twice, &key(9), account(), 3);
    assert_eq!(refused, Err(CertificateError::SharedKey));
}

/// INV-C2: a key with a small-order part does not even parse.
#[test]
fn odd_keys_are_not_enrolled() {
    let honest = enrolment(&key(1), &key(2), &key(3));
    let mut bytes = honest.to_bytes();
    super::forge::add_torsion(&mut bytes[32..64]);
    assert!(Enrolment::from_bytes(&bytes).is_err());
}

/// The group key may admit a device.
#[test]
fn a_quorum_admits_a_device() {
    let mut rng = rng(1);
    let group = world::generate::<Signing>(2, &indices([1, 2, 3]), &mut rng);
    let enrolled = enrolment(&key(1), &key(2), &key(3));
    let context = Context { domain: Domain::DeviceCertificate, epoch: 3, ..context() };
    let body = DeviceCertificate::body(&enrolled);
    let signature = world::sign(&group, &group.quorum(), &context, &body, &mut rng);
    let certificate = DeviceCertificate::from_parts(enrolled, signature);
    let issuer = group.sharing.public_key().unwrap();
    assert!(certificate.verify(&issuer, account(), 3).is_ok());
}
