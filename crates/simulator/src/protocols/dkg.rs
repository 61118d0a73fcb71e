//! Key generation: the shipped choreography, with symbolic keys and with real ones.

use aura_choreography::{Dev, DeviceSet, HostCall, Seat};
use aura_coordination::{
    choreography::{
        Rested,
        dkg::{Delivery, Dkg, Record, Report, Request, Step, Terms},
    },
    keystore::{self, KeyStore},
};
use aura_protocol_core::{Digest, decode, encode, lifecycle::EffectReply};

use crate::{
    draw::{hash_bytes, mix},
    hosts::{Host, Symbolic, owner, real},
    plan::Promise,
    protocols::{Protocol, secret_of},
};

/// Share indices that are no places.
pub(crate) fn params(devices: u8, threshold: u8) -> Vec<u8> {
    let indices = (0..devices).map(|it| u16::from(it) * 3 + 2).collect();
    encode(&Terms { epoch: 1, threshold: u16::from(threshold), indices })
}

/// What a key store answers, with numbers in the place of points: a commitment is any number but those
/// that end with three bits, and the shares of its polynomial follow from it.
pub fn answer(call: &HostCall) -> EffectReply {
    let HostCall::Use { bytes, .. } = call else {
        return EffectReply::Denied("a key store does not do this".to_owned());
    };
    let answer = match decode(bytes, bytes.len()) {
        Ok(keystore::Request::Generate(request)) => step(&request),
        _ => Err("no question"),
    };
    answer.map_or_else(|why| EffectReply::Denied(why.to_owned()), EffectReply::Used)
}

const DIFFER: &str = "others heard something else";

fn step(request: &Request) -> Result<Vec<u8>, &'static str> {
    let Request { table, terms, step, record } = request;
    let me = table.me;
    match step {
        Step::Enter => Ok(encode(&key(me))),
        Step::Commit => {
            let bytes = commitment(me).to_le_bytes().to_vec();
            Ok(encode(&Rested { on: record.before_commits(), bytes }))
        }
        Step::Deliver => Ok(encode(&deliver(table.devices.len(), me, record))),
        Step::Check | Step::Recheck => Ok(encode(&check(me, record))),
        Step::Justify => justify(me, usize::from(terms.threshold), record),
        Step::Accept => accept(table.devices.len(), record),
        Step::End => Ok(encode(&())),
    }
}

fn key(dev: Dev) -> [u8; 32] {
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = mix(secret_of(dev) ^ index as u64) as u8;
    }
    key
}

fn commitment(dev: Dev) -> u64 {
    mix(secret_of(dev) ^ 1) & !7 | 6
}

/// The share of this commitment's polynomial for a device.
fn share(commitment: u64, to: Dev) -> u64 {
    mix(commitment ^ u64::from(to.0) ^ 2)
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn committed(record: &Record, dev: Dev) -> Option<u64> {
    number(&record.commits.get(&dev)?.bytes).filter(|it| it & 7 != 7)
}

fn deliver(devices: usize, me: Dev, record: &Record) -> Delivery {
    let on = record.before_commits();
    if record.commits.values().any(|it| it.on != on) {
        return Delivery::Differ;
    }
    let unfit = |it: &Dev| committed(record, *it).is_none();
    let guilty: DeviceSet = record.commits.keys().copied().filter(unfit).collect();
    if !guilty.is_empty() {
        return Delivery::Accuse(guilty);
    }
    let others = DeviceSet::all(devices).without(me);
    let own = commitment(me);
    Delivery::Sealed(others.iter().map(|to| (to, share(own, to).to_le_bytes().to_vec())).collect())
}

/// Whether a dealer showed the share that it had to.
fn has_shown(record: &Record, accused: Dev, by: Dev) -> bool {
    let answers = record.answers.get(&accused).map_or(&[][..], |it| &it.bytes);
    let answers = decode::<Vec<(Dev, u64)>>(answers, answers.len()).unwrap_or_default();
    committed(record, accused).is_some_and(|it| answers.contains(&(by, share(it, by))))
}

fn check(me: Dev, record: &Record) -> Report {
    let on = record.before_answers();
    if record.answers.values().any(|it| it.on != on) {
        return Report::Differ;
    }
    let pairs = record
        .complaints
        .iter()
        .flat_map(|(by, about)| about.iter().filter(move |it| it != by).map(move |it| (*by, it)));
    let pairs = pairs.filter(|_| !record.answers.is_empty());
    let guilty: DeviceSet =
        pairs.filter(|(by, it)| !has_shown(record, *it, *by)).map(|it| it.1).collect();
    if !guilty.is_empty() {
        return Report::Accuse(guilty);
    }
    let fits = |from: Dev| {
        let sealed = record.sealed.get(&from).and_then(|it| number(it));
        has_shown(record, from, me) || sealed == committed(record, from).map(|it| share(it, me))
    };
    let unfit: DeviceSet =
        record.commits.keys().copied().filter(|it| *it != me && !fits(*it)).collect();
    match unfit.is_empty() {
        true => Report::Confirm(word(me, transcript(record)).to_le_bytes().to_vec()),
        false => Report::Complain(unfit),
    }
}

fn justify(me: Dev, threshold: usize, record: &Record) -> Result<Vec<u8>, &'static str> {
    let about_me = record.complaints.iter().filter(|(by, about)| **by != me && about.contains(me));
    let answers: Vec<(Dev, u64)> =
        about_me.map(|it| (*it.0, share(commitment(me), *it.0))).collect();
    if threshold <= answers.len() {
        return Err("answering would publish the polynomial");
    }
    Ok(encode(&Rested { on: record.before_answers(), bytes: encode(&answers) }))
}

fn transcript(record: &Record) -> u64 {
    hash_bytes(3, &encode(&(&record.keys, &record.commits)))
}

fn word(dev: Dev, transcript: u64) -> u64 {
    mix(transcript ^ u64::from(dev.0) ^ 4)
}

fn accept(devices: usize, record: &Record) -> Result<Vec<u8>, &'static str> {
    let transcript = transcript(record);
    let signed = |it: Dev| record.words.get(&it).and_then(|it| number(it));
    let agreed = DeviceSet::all(devices).iter().all(|it| signed(it) == Some(word(it, transcript)));
    if agreed { Ok(encode(&Digest::of(&transcript.to_le_bytes()))) } else { Err(DIFFER) }
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| KeyStore::new(owner(seat)))
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "dkg",
    about: "key generation: all members or nobody, complaints, blame",
    script: &Dkg,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "dkg-real",
    about: "key generation with real keys",
    script: &Dkg,
    promise: Promise::MEMBERS,
    params,
    host: with_keys,
    says: None,
};
