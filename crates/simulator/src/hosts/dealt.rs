//! Key stores that hold shares already: what sessions that use keys begin with.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aura_choreography::{Dev, Seat};
use aura_coordination::{
    choreography::{
        Table,
        dkg::{Delivery, Record, Report, Request, Step, Terms},
    },
    keystore::{self, KeyStore, Keys},
};
use aura_crypto::DualRng;
use aura_protocol_core::{DeviceId, Digest, SessionId, decode, encode};
use borsh::BorshDeserialize;

use super::{owner, owner_of};

/// The stores of these devices, with such a quorum.
type Dealt = BTreeMap<(Vec<DeviceId>, u16), Vec<Vec<u8>>>;

/// Every group is made once.
static DEALT: Mutex<Dealt> = Mutex::new(BTreeMap::new());

/// The session in which all simulated keys are made.
const SESSION: SessionId = SessionId::from_bytes([0xd9; 32]);

/// The store of a seat's device, whose session's participants share keys among so many.
pub(crate) fn store(seat: &Seat, threshold: u16) -> KeyStore {
    store_among(seat, &seat.devices, threshold)
}

/// The same, where these devices share keys. Any other has a store without shares.
pub(crate) fn store_among(seat: &Seat, devices: &[DeviceId], threshold: u16) -> KeyStore {
    let me = seat.devices.get(usize::from(seat.me.0));
    let place = devices.iter().position(|it| Some(it) == me);
    let saved = place.and_then(|place| stores(devices, threshold).get(place).cloned());
    let restored = saved.and_then(|it| KeyStore::restore(owner(seat), &it).ok());
    // Without shares its device takes no part, and whoever simulates sees that.
    restored.unwrap_or_else(|| KeyStore::new(owner(seat)))
}

/// The same of a device among others, without a seat.
pub(crate) fn store_of(
    all: &[DeviceId],
    device: DeviceId,
    devices: &[DeviceId],
    threshold: u16,
) -> KeyStore {
    let place = devices.iter().position(|it| *it == device);
    let saved = place.and_then(|place| stores(devices, threshold).get(place).cloned());
    let restored = saved.and_then(|it| KeyStore::restore(owner_of(all, device), &it).ok());
    restored.unwrap_or_else(|| KeyStore::new(owner_of(all, device)))
}

/// What is public of the keys that these devices share.
pub(crate) fn keys<T>(
    devices: &[DeviceId],
    threshold: u16,
    look: impl FnOnce(&Keys) -> T,
) -> Option<T> {
    let saved = stores(devices, threshold).into_iter().next()?;
    let owner = owner_of(devices, *devices.first()?);
    KeyStore::restore(owner, &saved).ok()?.keys().map(look)
}

/// The stores of devices that share keys.
fn stores(devices: &[DeviceId], threshold: u16) -> Vec<Vec<u8>> {
    let mut dealt = DEALT.lock().unwrap_or_else(PoisonError::into_inner);
    let group = (devices.to_vec(), threshold);
    let made = || deal(devices, threshold).unwrap_or_default();
    dealt.entry(group).or_insert_with(made).clone()
}

/// Makes keys, as honest devices would, without anything on the way.
fn deal(devices: &[DeviceId], threshold: u16) -> Option<Vec<Vec<u8>>> {
    let mut group = Group::new(devices, threshold);
    let keys = group.all::<[u8; 32]>(Step::Enter, &[])?;
    group.record.keys = keys;
    group.record.commits = group.all(Step::Commit, &[])?;
    let deliveries = group.all::<Delivery>(Step::Deliver, &[])?;
    let sealed: Vec<_> = (0..devices.len() as u8).map(|to| opened(&deliveries, Dev(to))).collect();
    let reports = group.all::<Report>(Step::Check, &sealed)?;
    group.record.words = reports
        .into_iter()
        .filter_map(
            |(dev, it)| if let Report::Confirm(word) = it { Some((dev, word)) } else { None },
        )
        .collect();
    group.all::<Digest>(Step::Accept, &sealed)?;
    for store in &mut group.stores {
        store.adopt(SESSION).ok()?;
    }
    Some(group.stores.iter().map(|it| it.save().to_vec()).collect())
}

/// What everybody sealed for a device.
fn opened(deliveries: &BTreeMap<Dev, Delivery>, to: Dev) -> BTreeMap<Dev, Vec<u8>> {
    let one = |(from, it): (&Dev, &Delivery)| match it {
        Delivery::Sealed(sealed) => Some((*from, sealed.get(&to).cloned().unwrap_or_default())),
        _ => None,
    };
    deliveries.iter().filter_map(one).collect()
}

struct Group {
    devices: Vec<DeviceId>,
    terms: Terms,
    stores: Vec<KeyStore>,
    record: Record,
}

impl Group {
    fn new(devices: &[DeviceId], threshold: u16) -> Self {
        let indices = (0..devices.len() as u16).map(|it| it * 3 + 2).collect();
        Self {
            devices: devices.to_vec(),
            terms: Terms { epoch: 1, threshold, indices },
            stores: devices.iter().map(|it| KeyStore::new(owner_of(devices, *it))).collect(),
            record: Record::default(),
        }
    }

    /// What all answer.
    fn all<T: BorshDeserialize + borsh::BorshSerialize>(
        &mut self,
        step: Step,
        sealed: &[BTreeMap<Dev, Vec<u8>>],
    ) -> Option<BTreeMap<Dev, T>> {
        let mut said = BTreeMap::new();
        for (place, store) in self.stores.iter_mut().enumerate() {
            let me = Dev(place as u8);
            let table = Table { session: SESSION, me, devices: self.devices.clone() };
            let sealed = sealed.get(place).cloned().unwrap_or_default();
            let record = Record { sealed, ..self.record.clone() };
            let request = Request { table, terms: self.terms.clone(), step, record };
            let question = encode(&keystore::Request::Generate(request));
            let seed = Digest::tagged("simulated deal", &[&[me.0]]);
            let mut rng = DualRng::from_seed(*seed.as_bytes());
            let answer = store.answer(&question, &mut rng).ok()?;
            said.insert(me, decode(&answer, answer.len()).ok()?);
        }
        Some(said)
    }
}
