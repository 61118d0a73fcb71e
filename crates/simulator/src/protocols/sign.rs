//! Group signatures: the shipped choreography, with symbolic keys and with real ones.

use aura_choreography::{Dev, DeviceSet, HostCall, Seat};
use aura_coordination::{
    choreography::{
        Rested,
        sign::{Made, Purpose, Record, Request, Sign, Step, Terms},
    },
    keystore,
};
use aura_protocol_core::{decode, encode, lifecycle::EffectReply};

use crate::{
    draw::{hash_bytes, mix},
    hosts::{Host, Symbolic, dealt, real},
    plan::Promise,
    protocols::{Protocol, secret_of},
};

fn terms(signers: u8) -> Terms {
    Terms { purpose: Purpose::Redemption, epoch: 1, body: vec![7], signers }
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
        Ok(keystore::Request::Sign(request)) => step(&request),
        _ => Err("no question"),
    };
    answer.map_or_else(|why| EffectReply::Denied(why.to_owned()), EffectReply::Used)
}

fn step(request: &Request) -> Result<Vec<u8>, &'static str> {
    let Request { table, step, record, .. } = request;
    match step {
        Step::Nonces => Ok(encode(&nonces(table.me).to_le_bytes().to_vec())),
        Step::Sign
            if record.nonces.get(&table.me) == Some(&nonces(table.me).to_le_bytes().to_vec()) =>
        {
            let on = record.before_shares();
            Ok(encode(&Rested { on, bytes: share(table.me, record).to_le_bytes().to_vec() }))
        }
        Step::Sign => Err("not chosen"),
        Step::Aggregate => Ok(encode(&aggregate(record))),
        Step::Verify if record.signature == signature(record) => Ok(encode(&())),
        Step::Verify => Err("not the group's"),
        Step::End => Ok(encode(&())),
    }
}

fn nonces(dev: Dev) -> u64 {
    mix(secret_of(dev) ^ 11)
}

fn task(record: &Record) -> u64 {
    hash_bytes(12, &encode(&record.nonces))
}

fn share(dev: Dev, record: &Record) -> u64 {
    mix(secret_of(dev) ^ task(record))
}

fn signature(record: &Record) -> [u8; 64] {
    let mut signature = [0; 64];
    for (index, byte) in signature.iter_mut().enumerate() {
        *byte = mix(task(record) ^ index as u64) as u8;
    }
    signature
}

fn aggregate(record: &Record) -> Made {
    let on = record.before_shares();
    if record.shares.values().any(|it| it.on != on) {
        return Made::Differ;
    }
    let unfit = |it: &(&Dev, &Rested)| it.1.bytes != share(*it.0, record).to_le_bytes();
    let guilty: DeviceSet = record.shares.iter().filter(unfit).map(|it| *it.0).collect();
    if guilty.is_empty() { Made::Signature(signature(record)) } else { Made::Guilty(guilty) }
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| {
        let terms = decode::<Terms>(&seat.params, seat.params.len()).unwrap_or_else(|_| terms(2));
        let mut store = dealt::store(seat, u16::from(terms.signers));
        // A store that permits nothing yet has room for one thing.
        store.permit(terms.digest()).unwrap_or_default();
        store
    })
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "sign",
    about: "a group signature: two rounds, blame",
    script: &Sign,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "sign-real",
    about: "a group signature with real keys",
    script: &Sign,
    promise: Promise::MEMBERS,
    params,
    host: with_keys,
    says: None,
};
