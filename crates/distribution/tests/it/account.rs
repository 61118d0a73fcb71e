//! An account of four voters and a reader that installs `counter` and upgrades it.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_distribution::{
    Change, Consent, Rehearsal,
    consent::{OfferedKeys, WantedGuardians, activation},
    receipt::personal,
};
use aura_journal::{
    Event, Ledger,
    control::{
        Certificate, CertifiedEntry, ChainProof, Configuration, ControlChain, Entry, EntryBody,
        EntryPolicy as _, Genesis, Install, Phase, Release, Role, RosterEntry, UpgradePolicy,
        Verdict, Vote,
    },
    event::{ProposeUpgrade, Receipt},
};
use aura_protocol_core::{AppId, Capability, DeviceId, Digest, ProtocolCapabilities, UnixTime};

use crate::publisher::Publisher;

/// How many of the devices vote; the next one reads.
pub const VOTERS: usize = 4;
/// m of four voters.
pub const QUORUM: usize = 3;
/// The time at which everything happens, unless said otherwise.
pub const NOW: UnixTime = UnixTime(1_000);

/// A device with its keys.
pub struct Device {
    pub id: DeviceId,
    pub key: SecretKey,
    pub vote_key: SecretKey,
    pub entry: RosterEntry,
}

/// The voter of this number, always the same.
pub fn device(number: u8) -> Device {
    let seed = |purpose: u8| [[purpose; 16], [number; 16]].concat().try_into().unwrap();
    let (key, vote_key) = (SecretKey::from_seed(seed(1)), SecretKey::from_seed(seed(2)));
    let id = DeviceId::derive(key.public().as_bytes());
    let entry = RosterEntry {
        device: id,
        role: Role::Voter,
        unit_key: key.public(),
        vote_key: vote_key.public(),
        hpke_key: HpkeSecretKey::from_seed(seed(3)).public(),
        transport_key: SecretKey::from_seed(seed(4)).public(),
    };
    Device { id, key, vote_key, entry }
}

/// The chain that this device begins.
pub fn found(device: &Device, name: &str) -> ControlChain {
    let genesis = Genesis { nonce: [9; 32], name: name.to_owned(), first: device.entry.clone() };
    ControlChain::found(genesis, &device.vote_key).unwrap()
}

/// The account as one of its devices sees it.
pub struct Account {
    pub devices: Vec<Device>,
    pub ledger: Ledger,
    pub rehearsals: BTreeMap<Digest, Rehearsal>,
    pub leaving: BTreeSet<DeviceId>,
    pub wanted: BTreeSet<Change>,
    pub guardians: Option<WantedGuardians>,
    pub unwanted_recoveries: BTreeSet<Digest>,
    pub unwanted_activations: BTreeSet<(AppId, u64)>,
    pub offered_keys: Vec<OfferedKeys>,
    pub keys_used: bool,
    pub now: UnixTime,
    pub clock_is_sure: bool,
}

impl Account {
    /// Four voters and a reader, and nothing installed.
    pub fn new() -> Self {
        let mut devices: Vec<Device> = (0..=VOTERS as u8).map(device).collect();
        devices[VOTERS].entry.role = Role::Reader;
        let ledger = Ledger::new(found(&devices[0], "ours"));
        let mut account = Self {
            devices,
            ledger,
            rehearsals: BTreeMap::new(),
            leaving: BTreeSet::new(),
            wanted: BTreeSet::new(),
            guardians: None,
            unwanted_recoveries: BTreeSet::new(),
            unwanted_activations: BTreeSet::new(),
            offered_keys: vec![],
            keys_used: false,
            now: NOW,
            clock_is_sure: true,
        };
        let roster = account.devices.iter().map(|it| it.entry.clone());
        let config = Configuration::with_defaults(roster);
        assert_eq!(usize::from(config.m), QUORUM);
        account.decide(EntryBody::Reconfigure(config.into()));
        account
    }

    /// With this version of the publisher's `counter` installed.
    pub fn with(publisher: &Publisher, version: &str, requirement: &str) -> Self {
        let mut account = Self::new();
        account.decide(EntryBody::Install(install(publisher, version, requirement).into()));
        account
    }

    /// Decides this on top of all there is, with the votes that it takes.
    pub fn decide(&mut self, body: EntryBody) {
        let past = self.ledger.heads();
        self.decide_over(past, body);
    }

    pub fn decide_over(&mut self, past: Vec<Digest>, body: EntryBody) {
        let chain = self.ledger.chain();
        let (slot, value) = (chain.next_slot(), Entry { past, body });
        let voters = self
            .devices
            .iter()
            .filter(|it| chain.config().voter_with_key(&it.vote_key.public()).is_some());
        let votes = voters.take(usize::from(chain.config().m)).map(|it| {
            let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &it.vote_key);
            (vote.key, vote.signature)
        });
        let certificate = Certificate { view: 0, votes: votes.collect() };
        self.ledger.import_entry(CertifiedEntry { slot, value, certificate }).unwrap();
    }

    /// A device of this number writes an event.
    pub fn write(&mut self, device: usize, event: Event) -> Digest {
        let Device { id, key, .. } = &self.devices[device];
        self.ledger.author(*id, key, None, event).unwrap()
    }

    /// The first device proposes `counter` in this version, with the proposal changed like this.
    pub fn propose(
        &mut self,
        publisher: &Publisher,
        version: &str,
        change: impl FnOnce(&mut ProposeUpgrade),
    ) -> Digest {
        let active = self.ledger.state().apps.get(&publisher.app());
        let from = active.map_or(crate::publisher::version("1.0.0"), |it| it.active.version);
        let (release, proof) = publisher.prove(version);
        let mut proposal = ProposeUpgrade {
            app: publisher.app(),
            from,
            digest: release.module.digest,
            plan: None,
            steps: release.migration.iter().map(|it| it.module.digest).collect(),
            capabilities: asked(&release),
            release: proof,
            not_before: None,
            grace_seconds: 0,
            expires: NOW,
        };
        change(&mut proposal);
        self.write(0, Event::ProposeUpgrade(Box::new(proposal)))
    }

    /// This device rehearses a proposal.
    pub fn rehearse(&mut self, proposal: Digest) {
        self.rehearsals.insert(proposal, self.rehearsal(proposal));
    }

    /// What every honest device computes for a proposal, here from digests instead of modules.
    pub fn rehearsal(&self, proposal: Digest) -> Rehearsal {
        let (migrated, trace) = (Digest::of(b"migrated"), Digest::of(b"trace"));
        let signers = self.devices.iter().map(|it| it.id);
        Rehearsal {
            pre_root: Digest::of(b"before"),
            post_root: Digest::of(b"after"),
            personal: signers.map(|it| (it, personal(proposal, it, migrated, trace))).collect(),
        }
    }

    /// The receipt that the device of this number computes.
    pub fn receipt(&self, proposal: Digest, device: usize) -> Receipt {
        self.rehearsal(proposal).receipt(self.devices[device].id).unwrap()
    }

    /// These devices signal ready, honestly.
    pub fn ready(&mut self, proposal: Digest, devices: impl IntoIterator<Item = usize>) {
        for device in devices {
            let receipt = self.receipt(proposal, device);
            self.write(device, Event::SignalReady { proposal, receipt });
        }
    }

    /// The entry that activates a proposal, as a device that rehearsed it proposes it.
    pub fn activation(&self, proposal: Digest) -> Entry {
        let known = &self.ledger.state().proposals[&proposal];
        let body = activation(known, &self.rehearsal(proposal));
        Entry { past: vec![proposal], body: EntryBody::ActivateVersion(Box::new(body)) }
    }

    /// What this device says to a value for the next slot.
    pub fn verdict(&self, value: &Entry) -> Verdict {
        let Self { ledger, rehearsals, leaving, wanted, offered_keys, keys_used, now, .. } = self;
        let unwanted_recoveries = &self.unwanted_recoveries;
        let keys_used = *keys_used;
        let (now, clock_is_sure) = (*now, self.clock_is_sure);
        let consent = Consent {
            ledger,
            rehearsals,
            leaving,
            wanted,
            guardians: self.guardians.as_ref(),
            unwanted_recoveries,
            unwanted_activations: &self.unwanted_activations,
            offered_keys,
            keys_used,
            now,
            clock_is_sure,
        };
        consent.check(&ledger.chain().next_slot(), value)
    }

    /// Whether this device accepts a value for the next slot, or what it says instead.
    #[track_caller]
    pub fn check(&self, value: &Entry, expect: &str) {
        let found = match self.verdict(value) {
            Verdict::Accept => "accept".to_owned(),
            Verdict::Wait(reason) => format!("wait: {reason}"),
            Verdict::Deny(denied) => denied.code,
        };
        assert_eq!(found, expect);
    }

    /// The same for a value on top of all there is.
    #[track_caller]
    pub fn check_body(&self, body: EntryBody, expect: &str) {
        self.check(&Entry { past: self.ledger.heads(), body }, expect);
    }
}

/// The rights that a release asks for.
pub fn asked(release: &Release) -> ProtocolCapabilities {
    release.descriptor.capabilities.iter().copied().collect()
}

pub fn rights(capabilities: &[Capability]) -> ProtocolCapabilities {
    capabilities.iter().copied().collect()
}

/// The installation of this version of the publisher's `counter`.
pub fn install(publisher: &Publisher, version: &str, requirement: &str) -> Install {
    let (release, proof): (Release, ChainProof) = publisher.prove(version);
    Install {
        app: publisher.app(),
        alias: "counter".to_owned(),
        repository: publisher.chain.account(),
        protocol: "counter".parse().unwrap(),
        distributor: None,
        requirement: requirement.parse().unwrap(),
        policy: UpgradePolicy::Minor,
        capabilities: asked(&release),
        release: proof,
    }
}
