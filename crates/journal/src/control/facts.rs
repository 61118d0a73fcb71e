//! What is so by decision: which devices the account has, and which app runs which version.
//!
//! A function of the chain alone. The root over it stands in every slot, so that one fact can be shown
//! without the others: each is hashed with a salt that only those know who know the decision behind it.

use std::collections::BTreeMap;

use aura_protocol_core::{AppId, DeviceId, Digest, ProtocolVersion, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{
    ChainLink, Configuration, Entry, EntryBody, Role, RosterEntry, Slot, UpgradePolicy, merkle,
};

/// Something that decisions made so.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Fact {
    /// The account has a device.
    Device {
        /// The device.
        device: DeviceId,
        /// What it may do.
        role: Role,
    },
    /// The account runs an app.
    App {
        /// The app.
        app: AppId,
        /// What the account calls it.
        alias: String,
        /// The version that new sessions run.
        version: ProtocolVersion,
        /// The module that it is.
        digest: Digest,
        /// Which upgrades devices may take by themselves.
        policy: UpgradePolicy,
    },
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// An app.
    App(AppId),
}

impl Fact {
    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Device { device, .. } => Subject::Device(*device),
            Self::App { app, .. } => Subject::App(*app),
        }
    }

    pub(super) fn leaf(&self, salt: Digest) -> Digest {
        Digest::tagged("aura fact v1", &[salt.as_bytes(), &encode(self)])
    }
}

/// All facts at one point of a chain, each with its salt.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts(BTreeMap<Subject, (Fact, Digest)>);

impl Facts {
    /// Takes a decision, after which this configuration is the current one.
    pub(super) fn apply(&mut self, slot: &Slot, value: &Entry, config: &Configuration) {
        let salt = Digest::tagged("aura fact salt v1", &[&encode(slot), value.hash().as_bytes()]);
        self.0.retain(|it, _| match it {
            Subject::Device(device) => config.roster.contains_key(device),
            Subject::App(_) => true,
        });
        for entry in config.roster.values() {
            self.set(device(entry), salt);
        }
        if let Some(fact) = self.app_after(value) {
            self.set(fact, salt);
        }
    }

    /// The state of the app that a decision is about, after it. As the fold has it: a second
    /// installation counts for nothing, nor does what is decided of an app that is not installed.
    /// What an installation proves is the voters' to check before, and not read again here.
    fn app_after(&self, value: &Entry) -> Option<Fact> {
        let known = |app: &AppId| self.get(Subject::App(*app)).map(|(fact, _)| fact.clone());
        match &value.body {
            EntryBody::Install(install) if known(&install.app).is_none() => {
                let Some(ChainLink::Full { value, .. }) = install.release.links.last() else {
                    return None;
                };
                let EntryBody::Release(release) = &value.body else { return None };
                Some(Fact::App {
                    app: install.app,
                    alias: install.alias.clone(),
                    version: release.version,
                    digest: release.module.digest,
                    policy: install.policy,
                })
            }
            EntryBody::SetUpgradePolicy { app, policy } => match known(app)? {
                Fact::App { app, alias, version, digest, .. } => {
                    Some(Fact::App { app, alias, version, digest, policy: *policy })
                }
                Fact::Device { .. } => None,
            },
            EntryBody::ActivateVersion(it) => match known(&it.app)? {
                Fact::App { app, alias, policy, .. } => {
                    let (version, digest) = (it.version, it.digest);
                    Some(Fact::App { app, alias, version, digest, policy })
                }
                Fact::Device { .. } => None,
            },
            EntryBody::RevertVersion(it) => match known(&it.app)? {
                Fact::App { app, alias, policy, .. } => {
                    let (version, digest) = (it.version, it.digest);
                    Some(Fact::App { app, alias, version, digest, policy })
                }
                Fact::Device { .. } => None,
            },
            _ => None,
        }
    }

    /// A fact that says the same as before keeps its salt.
    fn set(&mut self, fact: Fact, salt: Digest) {
        let subject = fact.subject();
        if self.get(subject).is_none_or(|(known, _)| *known != fact) {
            self.0.insert(subject, (fact, salt));
        }
    }

    pub(super) fn get(&self, subject: Subject) -> Option<&(Fact, Digest)> {
        self.0.get(&subject)
    }

    /// Facts by what they are about.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.0.values().map(|(fact, _)| fact)
    }

    /// Where the fact stands among the leaves, and those.
    pub(super) fn leaves(&self, subject: Subject) -> (Option<usize>, Vec<Digest>) {
        let leaves = self.0.values().map(|(fact, salt)| fact.leaf(*salt)).collect();
        (self.0.keys().position(|it| *it == subject), leaves)
    }

    pub(super) fn root(&self) -> Digest {
        let leaves: Vec<Digest> = self.0.values().map(|(fact, salt)| fact.leaf(*salt)).collect();
        root_of(leaves.len() as u64, merkle::root(&leaves))
    }
}

/// The root with the number of facts in it, so that a place among them has one form.
pub(super) fn root_of(count: u64, tree: Digest) -> Digest {
    Digest::tagged("aura facts root v1", &[&count.to_le_bytes(), tree.as_bytes()])
}

fn device(entry: &RosterEntry) -> Fact {
    Fact::Device { device: entry.device, role: entry.role }
}
