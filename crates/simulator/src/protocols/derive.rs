//! Key derivation: the shipped choreography, with symbolic keys and with real ones.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet, HostCall, Seat};
use aura_coordination::{
    choreography::dkd::{Commitment, Derived, Dkd, Made, Record, Request, Step, Terms},
    keystore,
};
use aura_protocol_core::{Digest, decode, encode, lifecycle::EffectReply};

use crate::{
    draw::{hash_bytes, mix},
    hosts::{Host, Symbolic, dealt, real},
    plan::Promise,
    protocols::{Protocol, secret_of},
};

fn terms(devices: u8) -> Terms {
    Terms { context: b"simulated".to_vec(), key_version: 0, devices }
}

pub(crate) fn params(_: u8, threshold: u8) -> Vec<u8> {
    encode(&terms(threshold))
}

/// What a key store answers, with numbers in the place of points.
pub fn answer(call: &HostCall) -> EffectReply {
    let HostCall::Use { bytes, .. } = call else {
        return EffectReply::Denied("a key store does not do this".to_owned());
    };
    let answer = match decode(bytes, bytes.len()) {
        Ok(keystore::Request::Derive(request)) => step(&request),
        _ => Err("no question"),
    };
    answer.map_or_else(|why| EffectReply::Denied(why.to_owned()), EffectReply::Used)
}

/// What is asked for, blinded.
fn initiation() -> Vec<u8> {
    mix(21).to_le_bytes().to_vec()
}

fn step(request: &Request) -> Result<Vec<u8>, &'static str> {
    let Request { table, step, record, terms } = request;
    let me = table.me;
    match step {
        Step::Initiate => Ok(encode(&initiation())),
        Step::Commit | Step::Reveal | Step::Derive if record.initiation != initiation() => {
            Err("not what was agreed on")
        }
        Step::Commit => {
            let key = [me.0; 32];
            Ok(encode(&Commitment { key, digest: Digest::of(&reveal(me)) }))
        }
        Step::Reveal => Ok(encode(&reveal(me))),
        Step::Derive => Ok(encode(&derive(record, usize::from(terms.devices)))),
        Step::Open => match &record.derived {
            None => Ok(encode(&())),
            Some(it) if *it == derived(record) => Ok(encode(&())),
            Some(_) => Err("not the key that was derived"),
        },
        Step::End => Ok(encode(&())),
    }
}

fn reveal(dev: Dev) -> Vec<u8> {
    mix(secret_of(dev) ^ hash_bytes(22, &initiation())).to_le_bytes().to_vec()
}

/// The same, whoever helped.
fn derived(record: &Record) -> Derived {
    let blinds: BTreeMap<Dev, Vec<u8>> =
        record.commits.iter().map(|(dev, it)| (*dev, it.key.to_vec())).collect();
    Derived { blinds, claim: mix(23).to_le_bytes().to_vec() }
}

fn derive(record: &Record, needed: usize) -> Made {
    let holds = |(dev, said): (&Dev, &Vec<u8>)| {
        let commit = record.commits.get(dev);
        *said == reveal(*dev) && commit.is_some_and(|it| it.digest == Digest::of(said))
    };
    let valid: DeviceSet = record.reveals.iter().filter(|it| holds(*it)).map(|it| *it.0).collect();
    if needed <= valid.len() {
        return Made::Derived(derived(record));
    }
    Made::Guilty(record.reveals.keys().copied().filter(|it| !valid.contains(*it)).collect())
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| {
        let terms = decode::<Terms>(&seat.params, seat.params.len()).unwrap_or_else(|_| terms(2));
        let mut store = dealt::store(seat, u16::from(terms.devices));
        // A store that permits nothing yet has room for one thing.
        store.permit(terms.digest()).unwrap_or_default();
        store
    })
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "derive",
    about: "the shipped key derivation: whoever reveals something else is skipped or named",
    script: &Dkd,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "derive-real",
    about: "the shipped key derivation with real keys",
    script: &Dkd,
    promise: Promise::MEMBERS,
    params,
    host: with_keys,
    says: None,
};
