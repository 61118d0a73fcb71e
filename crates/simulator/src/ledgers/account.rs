//! An account of simulated devices.

use std::{collections::BTreeMap, sync::Arc};

use aura_choreography::Dev;
use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::control::{
    Certificate, CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Genesis, Phase,
    Role, RosterEntry, Vote,
};
use aura_protocol_core::{DeviceId, Digest};

/// A device with its keys.
pub(super) struct Member {
    pub(super) id: DeviceId,
    pub(super) unit_key: SecretKey,
    vote_key: SecretKey,
    entry: RosterEntry,
}

/// An account: its devices in the order of their ids, and its chain.
#[derive(Default)]
pub(super) struct Account {
    pub(super) devices: Vec<Member>,
    pub(super) chain: Option<Arc<ControlChain>>,
}

/// A seed that is another for each device and purpose.
fn seed(number: u8, purpose: &str) -> [u8; 32] {
    *Digest::tagged("simulated device", &[purpose.as_bytes(), &[number]]).as_bytes()
}

/// A device that no account knows.
pub(super) fn stranger(dev: Dev) -> DeviceId {
    DeviceId::from_bytes(seed(dev.0, "stranger"))
}

impl Member {
    fn new(number: u8) -> Self {
        let key = |purpose: &str| SecretKey::from_seed(seed(number, purpose));
        let (unit_key, vote_key) = (key("unit"), key("vote"));
        let id = DeviceId::derive(unit_key.public().as_bytes());
        let entry = RosterEntry {
            device: id,
            role: Role::Voter,
            unit_key: unit_key.public(),
            vote_key: vote_key.public(),
            hpke_key: HpkeSecretKey::from_seed(seed(number, "hpke")).public(),
            transport_key: key("transport").public(),
        };
        Self { id, unit_key, vote_key, entry }
    }
}

impl Account {
    /// An account of so many devices.
    pub(super) fn found(count: u8) -> Result<Self, String> {
        let mut devices: Vec<Member> = (0..count).map(Member::new).collect();
        devices.sort_unstable_by_key(|it| it.id);
        let first = devices.first().ok_or("an account without devices")?;
        let genesis =
            Genesis { nonce: [7; 32], name: "simulated".to_owned(), first: first.entry.clone() };
        let broken = |error: aura_journal::control::ChainError| error.to_string();
        let mut chain = ControlChain::found(genesis, &first.vote_key).map_err(broken)?;
        if 1 < count {
            let roster = devices.iter().map(|it| it.entry.clone());
            let body = EntryBody::Reconfigure(Box::new(Configuration::with_defaults(roster)));
            let (slot, value) = (chain.next_slot(), Entry { past: Vec::new(), body });
            let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &first.vote_key);
            let votes = BTreeMap::from([(vote.key, vote.signature)]);
            let certificate = Certificate { view: 0, votes };
            chain.append(CertifiedEntry { slot, value, certificate }).map_err(broken)?;
        }
        Ok(Self { devices, chain: Some(Arc::new(chain)) })
    }

    pub(super) fn member(&self, dev: Dev) -> Option<&Member> {
        self.devices.get(usize::from(dev.0))
    }

    pub(super) fn place(&self, id: &DeviceId) -> Option<Dev> {
        let index = self.devices.binary_search_by_key(id, |it| it.id).ok()?;
        u8::try_from(index).ok().map(Dev)
    }
}
