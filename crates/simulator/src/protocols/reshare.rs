//! Resharing: the shipped choreography, with symbolic keys and with real ones.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet, HostCall, Seat};
use aura_coordination::{
    choreography::{
        Report, Rested, locking,
        resharing::{
            Agreement, Findings, Outcome, Record, Request, Resharing, Sharings, Side, Step, Terms,
        },
    },
    keystore::{self, KeyStore},
};
use aura_crypto::Holders;
use aura_protocol_core::{DeviceId, Digest, Epoch, decode, encode, lifecycle::EffectReply};

use crate::{
    draw::{hash_bytes, mix},
    hosts::{Host, Symbolic, dealt, owner, real},
    level::device_id,
    plan::Promise,
    protocols::{Protocol, grant, secret_of},
};

/// All but the last hold shares, and all but the first will. The first coordinates.
pub(crate) fn terms(devices: &[DeviceId], threshold: u8, sharings: Sharings) -> Terms {
    let old = devices.split_last().map_or(devices, |it| it.1);
    let new = devices.split_first().map_or(devices, |it| it.1);
    let side = |epoch, devices: &[DeviceId], index: fn(u16) -> u16| {
        let threshold = u16::from(threshold).min(devices.len() as u16);
        let devices = devices.iter().zip(0..).map(|(it, place)| (*it, index(place))).collect();
        Side { holders: Holders::Devices, epoch, threshold, devices }
    };
    // Those that hold shares have the indices of simulated key generations.
    let (from, to) = (side(1, old, |it| it * 3 + 2), side(2, new, |it| it * 2 + 1));
    let coordinator = devices.first().copied().unwrap_or(DeviceId::from_bytes([0; 32]));
    let mut lock = grant::terms(from.threshold as u8);
    (lock.lock, lock.expires) = (locking::KEYS.to_vec(), Epoch(300));
    Terms { coordinator, lock, from, to, sharings }
}

/// Sharings that nobody looks into.
pub(crate) fn no_sharings() -> Sharings {
    Sharings { signing: Vec::new(), derivation: Vec::new() }
}

fn devices(count: u8) -> Vec<DeviceId> {
    (0..count).map(|it| device_id(Dev(it))).collect()
}

fn params(count: u8, threshold: u8) -> Vec<u8> {
    encode(&terms(&devices(count), threshold, no_sharings()))
}

/// The keys of the first devices, as a simulated key generation makes them.
fn real_params(count: u8, threshold: u8) -> Vec<u8> {
    let devices = devices(count);
    let draft = terms(&devices, threshold, no_sharings());
    let old: Vec<DeviceId> = draft.from.devices.keys().copied().collect();
    let public = dealt::keys(&old, draft.from.threshold, |keys| Sharings {
        signing: aura_crypto::Message::to_bytes(&keys.signing.1),
        derivation: aura_crypto::Message::to_bytes(&keys.derivation.1),
    });
    encode(&terms(&devices, threshold, public.unwrap_or_else(no_sharings)))
}

/// What a key store answers, with numbers in the place of points: a commitment is any number but those
/// that end with three bits, and the sub-shares of its polynomial follow from it.
pub fn answer(call: &HostCall) -> EffectReply {
    let HostCall::Use { bytes, .. } = call else { return grant::answer(call) };
    let request = match decode(bytes, bytes.len()) {
        Ok(keystore::Request::Reshare(request)) => request,
        // Whoever coordinates wants the lock, and nobody else.
        Ok(keystore::Request::Lock(it)) => {
            return EffectReply::Used(encode(&(it.table.me == Dev(0))));
        }
        _ => return grant::answer(call),
    };
    step(&request).map_or_else(|why| EffectReply::Denied(why.to_owned()), EffectReply::Used)
}

const DIFFER: &str = "others heard something else";

fn step(request: &Request) -> Result<Vec<u8>, &'static str> {
    let Request { table, record, .. } = request;
    let me = table.me;
    match request.step {
        Step::Enter => Ok(encode(&key(me))),
        Step::Offer => Ok(encode(&())),
        Step::Deal if !record.dealers.contains(me) => Err("not chosen"),
        Step::Deal => {
            let shares: Dealing = (commitment(me), sealed(me, record));
            Ok(encode(&Rested { on: record.before_dealings(), bytes: encode(&shares) }))
        }
        Step::Check | Step::Recheck => Ok(encode(&findings(request))),
        Step::Justify => justify(request),
        Step::Accept => accept(request),
        Step::End => Ok(encode(&())),
    }
}

/// To what somebody deals, and what for whom.
type Dealing = (u64, BTreeMap<Dev, u64>);

fn key(dev: Dev) -> [u8; 32] {
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = mix(secret_of(dev) ^ 31 ^ (index as u64) << 8) as u8;
    }
    key
}

fn commitment(dev: Dev) -> u64 {
    mix(secret_of(dev) ^ 32) & !7 | 6
}

fn share(commitment: u64, to: Dev) -> u64 {
    mix(commitment ^ u64::from(to.0) ^ 33)
}

fn sealed(dealer: Dev, record: &Record) -> BTreeMap<Dev, u64> {
    record.keys.keys().map(|to| (*to, share(commitment(dealer), *to))).collect()
}

/// What somebody dealt, if it keeps the rules.
fn dealing(record: &Record, dealer: Dev) -> Option<Dealing> {
    let bytes = &record.dealings.get(&dealer)?.bytes;
    let dealing: Dealing = decode(bytes, bytes.len()).ok()?;
    (dealing.0 & 7 != 7 && dealing.1.keys().eq(record.keys.keys())).then_some(dealing)
}

/// Whether a dealer showed the sub-share that it had to.
fn has_shown(record: &Record, accused: Dev, by: Dev) -> bool {
    let answers = record.answers.get(&accused).map_or(&[][..], |it| &it.bytes);
    let answers = decode::<Vec<(Dev, u64)>>(answers, answers.len()).unwrap_or_default();
    dealing(record, accused).is_some_and(|it| answers.contains(&(by, share(it.0, by))))
}

fn findings(request: &Request) -> Findings {
    let (record, me) = (&request.record, request.table.me);
    let (dealt, answered) = (record.before_dealings(), record.before_answers());
    if record.dealings.values().any(|it| it.on != dealt)
        || record.answers.values().any(|it| it.on != answered)
    {
        return Report::Differ.into();
    }
    let unfit = |it: &Dev| dealing(record, *it).is_none();
    let mut guilty: DeviceSet = record.dealers.iter().filter(unfit).collect();
    for (by, accused) in record.pairs().filter(|_| !record.answers.is_empty()) {
        if record.dealers.contains(accused) && !has_shown(record, accused, by) {
            guilty = guilty.with(accused);
        }
    }
    if !guilty.is_empty() {
        return Report::Accuse(guilty).into();
    }
    let fits = |from: &Dev| {
        let dealing = dealing(record, *from);
        let sealed = dealing.as_ref().and_then(|it| it.1.get(&me).copied());
        has_shown(record, *from, me) || sealed == dealing.map(|it| share(it.0, me))
    };
    let receives = record.keys.contains_key(&me);
    let unfit: DeviceSet = record.dealers.iter().filter(|it| receives && !fits(it)).collect();
    let agreement = agreement(record);
    let report = match unfit.is_empty() {
        true => Report::Confirm(word(me, &agreement).to_le_bytes().to_vec()),
        false => Report::Complain(unfit),
    };
    Findings { report, outcome: Some(Outcome { agreement, signing: Vec::new() }) }
}

fn agreement(record: &Record) -> Agreement {
    let transcript = Digest::of(&encode(&(&record.keys, record.dealers, &record.dealings)));
    Agreement { name: Digest::of(transcript.as_bytes()), transcript }
}

fn word(dev: Dev, agreement: &Agreement) -> u64 {
    mix(hash_bytes(34, agreement.transcript.as_bytes()) ^ u64::from(dev.0))
}

fn justify(request: &Request) -> Result<Vec<u8>, &'static str> {
    let (record, me) = (&request.record, request.table.me);
    let about_me = record.pairs().filter(|it| it.1 == me).map(|it| it.0);
    let answers: Vec<(Dev, u64)> = about_me.map(|by| (by, share(commitment(me), by))).collect();
    if usize::from(request.terms.to.threshold) <= answers.len() {
        return Err("answering would publish the polynomial");
    }
    Ok(encode(&Rested { on: record.before_answers(), bytes: encode(&answers) }))
}

fn accept(request: &Request) -> Result<Vec<u8>, &'static str> {
    let record = &request.record;
    let agreement = agreement(record);
    let has = |dev: &Dev| {
        let word = word(*dev, &agreement).to_le_bytes();
        record.words.get(dev).is_some_and(|it| *it == word)
    };
    let agreed = record.agreed == Some(agreement) && record.keys.keys().all(has);
    if agreed { Ok(encode(&())) } else { Err(DIFFER) }
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| {
        let Ok(terms) = decode::<Terms>(&seat.params, seat.params.len()) else {
            return KeyStore::new(owner(seat));
        };
        let old: Vec<DeviceId> = terms.from.devices.keys().copied().collect();
        let mut store = dealt::store_among(seat, &old, terms.from.threshold);
        let wants = seat.devices.get(usize::from(seat.me.0)) == Some(&terms.coordinator);
        // A store that knows no lock and permits nothing yet has room for one.
        let known = store.observe_lock(&terms.lock.lock, terms.lock.view.clone(), wants);
        known.and_then(|()| store.permit(terms.digest())).unwrap_or_default();
        store
    })
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "reshare",
    about: "the shipped resharing: a lock, dealers, complaints, blame, and both groups sign",
    script: &Resharing,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "reshare-real",
    about: "the shipped resharing with real keys",
    script: &Resharing,
    promise: Promise::MEMBERS,
    params: real_params,
    host: with_keys,
    says: None,
};
