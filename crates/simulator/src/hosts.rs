//! Who answers what a simulated device's script asks of its host.

pub(crate) mod dealt;
pub(crate) mod guarded;

use std::collections::BTreeMap;

use aura_choreography::{HostCall, Seat};
use aura_coordination::keystore::{KeyStore, Owner, Refusal};
use aura_crypto::{DualRng, SecretKey};
use aura_protocol_core::{
    AccountId, DeviceId, Digest, Outcome, ProtocolName, decode, encode, lifecycle::EffectReply,
};

use crate::draw::hash_bytes;

/// What a device's host can be asked, and what of it is durable.
pub trait Host: Send {
    /// Answers a call.
    fn reply(&mut self, call: &HostCall) -> EffectReply;
    /// What is durable, from which a host is made again after a crash.
    fn save(&self) -> Vec<u8>;
}

/// Makes a device's host: anew, or from what was durable.
pub type MakeHost = fn(&Seat, Option<&[u8]>) -> Box<dyn Host>;

/// A function of the call alone: nothing of it has to be durable.
pub struct Symbolic(pub fn(&HostCall) -> EffectReply);

impl Host for Symbolic {
    fn reply(&mut self, call: &HostCall) -> EffectReply {
        (self.0)(call)
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// No records, and using a right is a hash.
#[must_use]
pub fn plain(_: &Seat, _: Option<&[u8]>) -> Box<dyn Host> {
    Box::new(Symbolic(|call| match call {
        HostCall::Use { bytes, .. } => {
            EffectReply::Used(hash_bytes(1, bytes).to_le_bytes().to_vec())
        }
        HostCall::Read(_) => EffectReply::Record(None),
        HostCall::List { .. } => EffectReply::Records(Vec::new()),
        _ => EffectReply::Denied("a simulated host does not do this".to_owned()),
    }))
}

/// As [`plain`], where every session that runs as a part of another ends as `ends` says. All devices
/// learn the same of it, but every fourth, which stops waiting where it may.
#[must_use]
pub fn with_parts(seat: &Seat, ends: fn(&ProtocolName, &[u8]) -> Outcome) -> Box<dyn Host> {
    let is_impatient = seat.me.0 % 4 == 3;
    Box::new(Parts { others: plain(seat, None), is_impatient, ends })
}

struct Parts {
    others: Box<dyn Host>,
    is_impatient: bool,
    ends: fn(&ProtocolName, &[u8]) -> Outcome,
}

impl Host for Parts {
    fn reply(&mut self, call: &HostCall) -> EffectReply {
        match call {
            HostCall::Run { within: Some(_), .. } if self.is_impatient => {
                EffectReply::Denied("it took too long".to_owned())
            }
            HostCall::Run { protocol, params, .. } => {
                EffectReply::SubProtocol((self.ends)(protocol, params))
            }
            other => self.others.reply(other),
        }
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A device's key store, with real keys.
pub struct RealKeys {
    store: KeyStore,
    device: DeviceId,
    /// How often the device has started, and how often it drew: no stream of randomness is used twice.
    lives: u32,
    draws: u32,
}

/// The account of all simulated key stores.
pub(crate) const ACCOUNT: AccountId = AccountId::from_bytes([0xac; 32]);

/// Whose the store of a seat is.
#[must_use]
pub fn owner(seat: &Seat) -> Owner {
    // A seat is among its devices.
    let nobody = DeviceId::from_bytes([0; 32]);
    let device = seat.devices.get(usize::from(seat.me.0)).copied().unwrap_or(nobody);
    owner_of(&seat.devices, device)
}

/// The same, of a device among others.
pub(crate) fn owner_of(devices: &[DeviceId], device: DeviceId) -> Owner {
    let unit = |device: &DeviceId| {
        SecretKey::from_seed(*Digest::tagged("simulated unit key", &[device.as_bytes()]).as_bytes())
    };
    let roster: BTreeMap<_, _> = devices.iter().map(|it| (*it, unit(it).public())).collect();
    Owner { account: ACCOUNT, device, unit: unit(&device), roster }
}

/// A host with a key store; `first` makes one for a device's first life.
pub fn real(seat: &Seat, saved: Option<&[u8]>, first: fn(&Seat) -> KeyStore) -> Box<dyn Host> {
    let device = owner(seat).device;
    let restored = saved.and_then(|bytes| {
        let (lives, draws, store) = decode::<(u32, u32, Vec<u8>)>(bytes, bytes.len()).ok()?;
        Some((lives, draws, KeyStore::restore(owner(seat), &store).ok()?))
    });
    let (lives, draws, store) = restored.unwrap_or_else(|| (0, 0, first(seat)));
    Box::new(RealKeys { store, device, lives: lives + 1, draws })
}

impl Host for RealKeys {
    fn reply(&mut self, call: &HostCall) -> EffectReply {
        let HostCall::Use { bytes, .. } = call else {
            return EffectReply::Denied("a key store does not do this".to_owned());
        };
        self.draws += 1;
        let draw = encode(&(self.device, self.lives, self.draws));
        let seed = Digest::tagged("simulated draw", &[&draw]);
        let mut answer = self.store.answer(bytes, &mut DualRng::from_seed(*seed.as_bytes()));
        if let Err(Refusal::NotYet(at)) = answer {
            // The host of a guardian answers when its time is over: here it is.
            self.store.observe_time(at);
            answer = self.store.answer(bytes, &mut DualRng::from_seed(*seed.as_bytes()));
        }
        match answer {
            Ok(answer) => EffectReply::Used(answer),
            Err(refusal) => EffectReply::Denied(refusal.to_string()),
        }
    }

    fn save(&self) -> Vec<u8> {
        encode(&(self.lives, self.draws, self.store.save().to_vec()))
    }
}
