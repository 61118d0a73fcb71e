//! Devices, chains and certificates for the tests of the control chain.

use std::collections::BTreeMap;

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::control::{
    Certificate, CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Genesis, Phase,
    Role, RosterEntry, Slot, UpgradePolicy, Vote,
};
use aura_protocol_core::{AppId, DeviceId, Digest};

/// A device with the secret halves of its keys.
pub struct Device {
    pub unit_key: SecretKey,
    pub vote_key: SecretKey,
    pub entry: RosterEntry,
}

impl Device {
    pub fn id(&self) -> DeviceId {
        self.entry.device
    }
}

pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(*Digest::of(name.as_bytes()).as_bytes())
}

/// The device called `name`; the same name makes the same keys.
pub fn device(name: &str) -> Device {
    let unit_key = key(&format!("{name} unit"));
    let vote_key = key(&format!("{name} vote"));
    let hpke_seed = *Digest::of(format!("{name} hpke").as_bytes()).as_bytes();
    let entry = RosterEntry {
        device: DeviceId::derive(unit_key.public().as_bytes()),
        role: Role::Voter,
        unit_key: unit_key.public(),
        vote_key: vote_key.public(),
        hpke_key: HpkeSecretKey::from_seed(hpke_seed).public(),
        transport_key: key(&format!("{name} transport")).public(),
    };
    Device { unit_key, vote_key, entry }
}

pub fn devices(count: usize) -> Vec<Device> {
    (0..count).map(|index| device(&format!("device {index}"))).collect()
}

pub fn genesis(first: &Device) -> Genesis {
    Genesis { nonce: [7; 32], name: "home".to_owned(), first: first.entry.clone() }
}

/// The chain that this device begins.
pub fn founded(first: &Device) -> ControlChain {
    ControlChain::found(genesis(first), &first.vote_key).unwrap()
}

pub fn reconfigure<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Entry {
    let entries = devices.into_iter().map(|it| it.entry.clone());
    let body = EntryBody::Reconfigure(Box::new(Configuration::with_defaults(entries)));
    Entry { past: vec![], body }
}

/// The chain of an account of these devices: a genesis, and a configuration of all.
pub fn chain_of(devices: &[Device]) -> ControlChain {
    let mut chain = founded(&devices[0]);
    let entry = chain.certify_alone(reconfigure(devices), &devices[0].vote_key).unwrap();
    let _appended = chain.append(entry).unwrap();
    chain
}

/// The `number`th of many harmless values.
pub fn value(number: u8) -> Entry {
    let body = EntryBody::SetUpgradePolicy {
        app: AppId::from_bytes([number; 32]),
        policy: UpgradePolicy::Minor,
    };
    Entry { past: vec![], body }
}

pub fn certificate<'a>(
    slot: Slot,
    value: &Entry,
    voters: impl IntoIterator<Item = &'a Device>,
) -> Certificate {
    let sign = |it: &Device| Vote::sign(slot, Phase::Commit, 0, value.hash(), &it.vote_key);
    let votes: BTreeMap<_, _> =
        voters.into_iter().map(sign).map(|it| (it.key, it.signature)).collect();
    Certificate { view: 0, votes }
}

/// `value` at the next slot of `chain`, with the votes of these devices.
pub fn certified<'a>(
    chain: &ControlChain,
    value: Entry,
    voters: impl IntoIterator<Item = &'a Device>,
) -> CertifiedEntry {
    let slot = chain.next_slot();
    let certificate = certificate(slot, &value, voters);
    CertifiedEntry { slot, value, certificate }
}

/// Appends `value` with the votes of these devices.
pub fn decide<'a>(
    chain: &mut ControlChain,
    value: Entry,
    voters: impl IntoIterator<Item = &'a Device>,
) {
    let entry = certified(chain, value, voters);
    chain.append(entry).unwrap();
}
