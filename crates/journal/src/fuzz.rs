//! Every decoder of what others send, as a plain function over bytes: for fuzzers and their corpora.
//!
//! Each function returns when the bytes are refused, and panics when something that was accepted is not
//! the one encoding of itself.

use aura_protocol_core::{decode, encode, limits::FRAME_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    ForkProof, Unit,
    control::{
        Certificate, CertifiedEntry, ChainProof, ControlChain, ControlMessage, LedgerProof, Vote,
    },
    snapshot::Base,
    sync::{BasePart, Frontier, Hello, SyncMessage},
};

/// A decoder under its name.
pub type Target = (&'static str, fn(&[u8]));

fn decoder<T: BorshDeserialize + BorshSerialize>(bytes: &[u8]) {
    if let Ok(value) = decode::<T>(bytes, FRAME_BYTES_MAX) {
        assert!(encode(&value) == bytes, "a second encoding was accepted");
    }
}

fn unit(bytes: &[u8]) {
    if let Ok(unit) = Unit::from_bytes(bytes) {
        assert!(encode(&unit) == bytes, "a second encoding was accepted");
    }
}

fn base(bytes: &[u8]) {
    if let Ok(base) = Base::from_bytes(bytes) {
        assert!(base.to_bytes() == bytes, "a second encoding was accepted");
    }
}

fn message(bytes: &[u8]) {
    if let Ok(message) = SyncMessage::from_bytes(bytes) {
        assert!(message.to_bytes() == bytes, "a second encoding was accepted");
    }
}

/// A first entry that somebody shows.
fn chain(bytes: &[u8]) {
    if let Ok(entry) = decode::<CertifiedEntry>(bytes, FRAME_BYTES_MAX) {
        let chain = ControlChain::from_entries([entry.clone()]);
        assert!(chain.is_err() || encode(&entry) == bytes, "a second encoding was accepted");
    }
}

/// A proof that somebody shows to a device that has nothing to hold it against.
fn chain_proof(bytes: &[u8]) {
    if let Ok(proof) = decode::<ChainProof>(bytes, FRAME_BYTES_MAX) {
        let _verdict = proof.verify();
        assert!(encode(&proof) == bytes, "a second encoding was accepted");
    }
}

fn statement(bytes: &[u8]) {
    if let Ok(proof) = LedgerProof::from_bytes(bytes) {
        assert!(encode(&proof) == bytes, "a second encoding was accepted");
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    ("unit", unit),
    ("fork-proof", decoder::<ForkProof>),
    ("vote", decoder::<Vote>),
    ("control-message", decoder::<ControlMessage>),
    ("certificate", decoder::<Certificate>),
    ("certified-entry", decoder::<CertifiedEntry>),
    ("chain", chain),
    ("chain-proof", chain_proof),
    ("ledger-proof", statement),
    ("base", base),
    ("base-part", decoder::<BasePart>),
    ("frontier", decoder::<Frontier>),
    ("hello", decoder::<Hello>),
    ("sync-message", message),
];
