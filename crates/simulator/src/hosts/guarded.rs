//! Key stores of guardians: what recoveries begin with.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aura_choreography::{Dev, DeviceSet, Seat};
use aura_coordination::{
    choreography::{
        Report, Rested, Table,
        resharing::{Findings, Record, Request, Sharings, Side, Step, Terms},
    },
    keystore::{self, KeyStore},
};
use aura_crypto::{DualRng, Holders, Message as _};
use aura_protocol_core::{DeviceId, Digest, SessionId, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{dealt, owner};
use crate::protocols::reshare;

/// What guardians hold, each its own store, and what is public of it.
type Guarded = BTreeMap<(Vec<DeviceId>, u16), (Vec<Vec<u8>>, Sharings)>;

/// Every group is made once.
static GUARDED: Mutex<Guarded> = Mutex::new(BTreeMap::new());

/// The session in which guardians got their shares.
const SESSION: SessionId = SessionId::from_bytes([0xda; 32]);

/// The devices that the account had when its guardians got their shares. They are lost.
fn lost() -> Vec<DeviceId> {
    [0xe0, 0xe1].map(|it| DeviceId::from_bytes([it; 32])).into()
}

/// What is public of the guardians' keys.
pub(crate) fn sharings(guardians: &Side) -> Option<Sharings> {
    guarded(guardians).map(|it| it.1)
}

/// The store of a seat's device, if it is one of these guardians; else one without shares.
pub(crate) fn store(seat: &Seat, guardians: &Side) -> KeyStore {
    let me = seat.devices.get(usize::from(seat.me.0));
    let place = guardians.devices.keys().position(|it| Some(it) == me);
    let saved = place.and_then(|place| guarded(guardians)?.0.get(place).cloned());
    let restored = saved.and_then(|it| KeyStore::restore(owner(seat), &it).ok());
    restored.unwrap_or_else(|| KeyStore::new(owner(seat)))
}

fn guarded(guardians: &Side) -> Option<(Vec<Vec<u8>>, Sharings)> {
    let mut guarded = GUARDED.lock().unwrap_or_else(PoisonError::into_inner);
    let group = (guardians.devices.keys().copied().collect(), guardians.threshold);
    if let Some(known) = guarded.get(&group) {
        return Some(known.clone());
    }
    let made = Group::new(guardians)?.reshare()?;
    guarded.insert(group, made.clone());
    Some(made)
}

/// The lost devices and the guardians, while the ones give shares to the others.
struct Group {
    devices: Vec<DeviceId>,
    terms: Terms,
    stores: Vec<KeyStore>,
    record: Record,
}

impl Group {
    fn new(guardians: &Side) -> Option<Self> {
        let lost = lost();
        let public = dealt::keys(&lost, 2, |keys| Sharings {
            signing: keys.signing.1.to_bytes(),
            derivation: keys.derivation.1.to_bytes(),
        })?;
        let mut devices: Vec<DeviceId> = guardians.devices.keys().copied().collect();
        devices.extend(&lost);
        devices.sort_unstable();
        let indices = lost.iter().zip([2, 5]).map(|(it, index)| (*it, index)).collect();
        let from = Side { holders: Holders::Devices, epoch: 1, threshold: 2, devices: indices };
        let draft = reshare::terms(&devices, 2, public);
        let terms = Terms { from, to: guardians.clone(), ..draft };
        let mut stores: Vec<KeyStore> =
            devices.iter().map(|it| dealt::store_of(&devices, *it, &lost, 2)).collect();
        for store in &mut stores {
            store.permit(terms.digest()).ok()?;
        }
        Some(Self { devices, terms, stores, record: Record::default() })
    }

    /// A resharing, as honest devices would do it, without anything on the way.
    fn reshare(mut self) -> Option<(Vec<Vec<u8>>, Sharings)> {
        let place = |it: &DeviceId| {
            let place = self.devices.iter().position(|other| other == it)?;
            u8::try_from(place).ok().map(Dev)
        };
        let old: DeviceSet = self.terms.from.devices.keys().filter_map(place).collect();
        let new: DeviceSet = self.terms.to.devices.keys().filter_map(place).collect();
        let everybody = old.union(new);
        let keys = self.all::<[u8; 32]>(Step::Enter, everybody)?;
        self.record.keys = keys.into_iter().filter(|it| new.contains(it.0)).collect();
        self.record.dealers = old;
        self.record.dealings = self.all::<Rested>(Step::Deal, old)?;
        let findings = self.all::<Findings>(Step::Check, new)?;
        self.record.agreed = findings.values().find_map(|it| Some(it.outcome.as_ref()?.agreement));
        let word = |(dev, it): (Dev, Findings)| match it.report {
            Report::Confirm(word) => Some((dev, word)),
            _ => None,
        };
        self.record.words = findings.into_iter().filter_map(word).collect();
        self.all::<()>(Step::Accept, new)?;
        let mut saved = Vec::new();
        let mut public = None;
        for dev in new.iter() {
            let store = self.stores.get_mut(usize::from(dev.0))?;
            store.adopt(SESSION).ok()?;
            saved.push(store.save().to_vec());
            public = store.keys().map(|keys| Sharings {
                signing: keys.signing.1.to_bytes(),
                derivation: keys.derivation.1.to_bytes(),
            });
        }
        Some((saved, public?))
    }

    /// What these answer.
    fn all<T: BorshDeserialize + BorshSerialize>(
        &mut self,
        step: Step,
        who: DeviceSet,
    ) -> Option<BTreeMap<Dev, T>> {
        let mut said = BTreeMap::new();
        for me in who.iter() {
            let table = Table { session: SESSION, me, devices: self.devices.clone() };
            let (terms, record) = (self.terms.clone(), self.record.clone());
            let question = keystore::Request::Reshare(Request { table, terms, step, record });
            let seed = Digest::tagged("simulated guardian", &[&[me.0]]);
            let store = self.stores.get_mut(usize::from(me.0))?;
            let mut rng = DualRng::from_seed(*seed.as_bytes());
            let answer = store.answer(&encode(&question), &mut rng).ok()?;
            said.insert(me, decode(&answer, answer.len()).ok()?);
        }
        Some(said)
    }
}
