//! Recovery: the shipped choreography, with symbolic keys and with real ones.

use aura_choreography::{Dev, HostCall, Seat};
use aura_coordination::{
    choreography::{
        recovery::{Recovery, Request, Step, Terms},
        resharing::Side,
    },
    keystore::{self, KeyStore},
};
use aura_crypto::Holders;
use aura_protocol_core::{DeviceId, UnixTime, decode, encode, lifecycle::EffectReply};

use crate::{
    draw::{hash_bytes, mix},
    hosts::{Host, Symbolic, guarded, owner, real},
    level::device_id,
    plan::Promise,
    protocols::{Protocol, reshare, secret_of},
};

/// The first half guards the account, and it goes to the second half. The first guardian leads.
pub(crate) fn terms(devices: &[DeviceId], round: u32) -> Terms {
    let (guardians, new) = devices.split_at(devices.len().div_ceil(2));
    let side = |holders, epoch, devices: &[DeviceId]| {
        let threshold = (devices.len() as u16).min(2);
        let devices = devices.iter().zip(1..).map(|(it, index)| (*it, index)).collect();
        Side { holders, epoch, threshold, devices }
    };
    let mut reshare = reshare::terms(devices, 2, reshare::no_sharings());
    reshare.from = side(Holders::Guardians, 2, guardians);
    reshare.to = side(Holders::Devices, 3, new);
    reshare.lock.signers = reshare.from.threshold as u8;
    Terms { reshare, round }
}

fn params(devices: u8, _: u8) -> Vec<u8> {
    let devices: Vec<DeviceId> = (0..devices).map(|it| device_id(Dev(it))).collect();
    encode(&terms(&devices, 0))
}

/// The keys of the guardians, as a simulated resharing makes them.
fn real_params(devices: u8, _: u8) -> Vec<u8> {
    let devices: Vec<DeviceId> = (0..devices).map(|it| device_id(Dev(it))).collect();
    let mut terms = terms(&devices, 0);
    if let Some(public) = guarded::sharings(&terms.reshare.from) {
        terms.reshare.sharings = public;
    }
    encode(&terms)
}

/// What a key store answers, with numbers in the place of signatures: everybody's time is over.
pub fn answer(call: &HostCall) -> EffectReply {
    let HostCall::Use { bytes, .. } = call else { return reshare::answer(call) };
    let Ok(keystore::Request::Recover(request)) = decode(bytes, bytes.len()) else {
        return reshare::answer(call);
    };
    step(&request).map_or_else(|why| EffectReply::Denied(why.to_owned()), EffectReply::Used)
}

fn step(request: &Request) -> Result<Vec<u8>, &'static str> {
    let (terms, table) = (&request.terms, &request.table);
    let guards = |dev: Dev| {
        let device = table.devices.get(usize::from(dev.0));
        device.is_some_and(|it| terms.reshare.from.devices.contains_key(it))
    };
    match request.step {
        Step::Approve if guards(table.me) => Ok(encode(&approval(table.me, terms))),
        Step::Approve => Err("no guardian"),
        Step::Release if guards(table.me) => {
            let approvals = request.record.approvals.iter();
            let holds = |it: &(&Dev, &Vec<u8>)| guards(*it.0) && *it.1 == approval(*it.0, terms);
            let enough = usize::from(terms.approvals()) <= approvals.filter(holds).count();
            if enough { Ok(encode(&())) } else { Err("too few approved") }
        }
        Step::Ripe | Step::Release | Step::End => Ok(encode(&())),
    }
}

fn approval(dev: Dev, terms: &Terms) -> Vec<u8> {
    let number = mix(secret_of(dev) ^ hash_bytes(41, terms.digest().as_bytes()));
    number.to_le_bytes().to_vec()
}

fn symbolic(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(answer))
}

fn with_keys(seat: &Seat, saved: Option<&[u8]>) -> Box<dyn Host> {
    real(seat, saved, |seat| {
        let Ok(terms) = decode::<Terms>(&seat.params, seat.params.len()) else {
            return KeyStore::new(owner(seat));
        };
        let mut store = guarded::store(seat, &terms.reshare.from);
        store.set_recovery_delay(3600);
        store.observe_time(UnixTime(1_000_000));
        let leads = seat.devices.get(usize::from(seat.me.0)) == Some(&terms.reshare.coordinator);
        let lock = &terms.reshare.lock;
        // A store that knows no lock and permits nothing yet has room for one lock and two permissions.
        let known = store.observe_lock(&lock.lock, lock.view.clone(), leads);
        let permitted = known.and_then(|()| {
            let guards = terms.reshare.from.devices.keys().any(|it| *it == owner(seat).device);
            store.permit(if guards { terms.digest() } else { terms.reshare.digest() })
        });
        permitted.unwrap_or_default();
        store
    })
}

/// As simulations know it.
pub static PROTOCOL: Protocol = Protocol {
    name: "recover",
    about: "the shipped recovery: guardians approve, wait, and reshare to new devices",
    script: &Recovery,
    promise: Promise::MEMBERS,
    params,
    host: symbolic,
    says: None,
};

/// With real keys.
pub static REAL: Protocol = Protocol {
    name: "recover-real",
    about: "the shipped recovery with real keys",
    script: &Recovery,
    promise: Promise::MEMBERS,
    params: real_params,
    host: with_keys,
    says: None,
};
