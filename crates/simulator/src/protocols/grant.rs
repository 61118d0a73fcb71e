//! Locks: the shipped choreography, with symbolic keys and with real ones.

use std::collections::BTreeMap;

use aura_choreography::{HostCall, Seat};
use aura_coordination::{
    choreography::locking::{Locking, Terms, View},
    keystore,
};
use aura_protocol_core::{Digest, Epoch, decode, encode, lifecycle::EffectReply};

use crate::{
    hosts::{ACCOUNT, Host, Symbolic, dealt, real},
    plan::Promise,
    protocols::{Protocol, sign},
};

/// The first grant of a lock that nobody held yet.
pub(crate) fn terms(signers: u8) -> Terms {
    let seed = Digest::of(b"the last checkpoint");
    let view = View { account: ACCOUNT, seed, fence: 1, recent: BTreeMap::new() };
    Terms { lock: b"keys".to_vec(), view, number: 1, epoch: 1, expires: Epoch(50), signers }
}

pub(crate) fn params(_: u8, threshold: u8) -> Vec<u8> {
    encode(&terms(threshold))
}

/// What a key store answers: everybody wants the lock, and signs with numbers.
pub fn answer(call: &HostCall) -> EffectReply {
    match call {
        HostCall::Use { bytes, .. } => match decode(bytes, bytes.len()) {
            Ok(keystore::Request::Lock(_)) => EffectReply::Used(encode(&true)),
            _ => sign::answer(call),
        },
        _ => sign::answer(call),
    }
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| {
        let terms = decode::<Terms>(&seat.params, seat.params.len()).unwrap_or_else(|_| terms(2));
        let mut store = dealt::store(seat, u16::from(terms.signers));
        // A store that knows no lock yet has room for one.
        store.observe_lock(&terms.lock, terms.view, true).unwrap_or_default();
        store
    })
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "grant",
    about: "the shipped lock: everybody draws, a quorum signs the grant",
    script: &Locking,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "grant-real",
    about: "the shipped lock with real keys",
    script: &Locking,
    promise: Promise::MEMBERS,
    params,
    host: with_keys,
    says: None,
};
