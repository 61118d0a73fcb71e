//! Every decoder of what others send, as a plain function over bytes: for fuzzers and their corpora.
//!
//! Each function returns when the bytes are refused, and panics when something that was accepted is
//! not the one encoding of itself.

use crate::{
    Derivation, Message, Sharing, Signing,
    certificate::{DeviceCertificate, Enrolment},
    complaint::{Complaint, Justification},
    dkd::{Claim, Initiation, Reveal},
    dkg::{Broadcast, Delivery, Terms},
    envelope::Signed,
    fence::Grant,
    repair::{RepairPlan, Split, Sum},
    reshare::{Ack, Dealing, Plan},
    rotation::SignedRotation,
    seal::{self, StorageKey},
    sign::{NonceCommitment, SignatureShare, SigningTask},
};

/// A decoder under its name.
pub type Target = (&'static str, fn(&[u8]));

fn decoder<T: Message>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert!(value.to_bytes() == bytes, "a second encoding was accepted");
    }
}

fn storage(bytes: &[u8]) {
    let key = StorageKey::from_keyring([7; 32]);
    assert!(key.open(b"fuzz", bytes).is_err() || seal::source_of(bytes).is_ok());
}

fn key_file(bytes: &[u8]) {
    assert!(StorageKey::from_key_file(bytes).is_err() || bytes.len() == seal::KEY_FILE_BYTES);
}

/// All of them.
pub const TARGETS: &[Target] = &[
    ("sharing-signing", decoder::<Sharing<Signing>>),
    ("sharing-derivation", decoder::<Sharing<Derivation>>),
    ("enrolment", decoder::<Enrolment>),
    ("device-certificate", decoder::<DeviceCertificate>),
    ("signed-complaint", decoder::<Signed<Complaint>>),
    ("signed-justification", decoder::<Signed<Justification>>),
    ("dkg-terms", decoder::<Terms>),
    ("dkg-broadcast-signing", decoder::<Broadcast<Signing>>),
    ("dkg-broadcast-derivation", decoder::<Broadcast<Derivation>>),
    ("dkg-delivery", decoder::<Delivery>),
    ("nonce-commitment", decoder::<NonceCommitment>),
    ("signing-task", decoder::<SigningTask>),
    ("signature-share", decoder::<SignatureShare>),
    ("reshare-plan", decoder::<Plan>),
    ("reshare-dealing-signing", decoder::<Dealing<Signing>>),
    ("reshare-dealing-derivation", decoder::<Dealing<Derivation>>),
    ("reshare-ack", decoder::<Ack>),
    ("repair-plan", decoder::<RepairPlan>),
    ("repair-split-signing", decoder::<Split<Signing>>),
    ("repair-split-derivation", decoder::<Split<Derivation>>),
    ("repair-sum", decoder::<Sum>),
    ("dkd-initiation", decoder::<Initiation>),
    ("dkd-reveal", decoder::<Reveal>),
    ("dkd-claim", decoder::<Claim>),
    ("lock-grant", decoder::<Grant>),
    ("key-rotation", decoder::<SignedRotation>),
    ("storage", storage),
    ("key-file", key_file),
];
