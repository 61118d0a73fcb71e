//! A publisher, and what it releases.

use std::collections::BTreeSet;

use aura_journal::control::{
    ChainProof, ControlChain, Entry, EntryBody, Release, ReleaseBuild, ReleasedMigration,
};
use aura_protocol_core::{
    AppId, Capability, Descriptor, Digest, ModuleRef, ProtocolVersion, SchemaId,
    descriptor::{MigrationOffer, ModuleRole},
};

use crate::account::{Device, device, found};

pub fn version(text: &str) -> ProtocolVersion {
    text.parse().unwrap()
}

/// The layout of all records of a major version.
pub fn schema(major: u16) -> SchemaId {
    SchemaId::of(&format!("counter {major}"))
}

/// A well-formed release of `counter`: from 2.0.0 on, majors come with a migration.
pub fn release(text: &str) -> Release {
    let version = version(text);
    let migrates = 1 < version.major && version.minor == 0 && version.patch == 0;
    Release {
        protocol: "counter".parse().unwrap(),
        version,
        module: module(&format!("counter {text}")),
        descriptor: descriptor(version, ModuleRole::Protocol),
        migration: migrates.then(|| migration_to(version)),
        notes: String::new(),
        build: ReleaseBuild::default(),
    }
}

pub fn migration_to(version: ProtocolVersion) -> ReleasedMigration {
    let from = version.major - 1;
    let offer = MigrationOffer {
        from: format!("^{from}").parse().unwrap(),
        from_schema: schema(from),
        reversible: true,
    };
    ReleasedMigration {
        module: module(&format!("migration {version}")),
        descriptor: descriptor(version, ModuleRole::Migration(offer)),
    }
}

fn module(name: &str) -> ModuleRef {
    let digest = Digest::of(name.as_bytes());
    ModuleRef { digest, sha256: digest, size: 9, urls: Vec::new(), peers_ok: true }
}

fn descriptor(version: ProtocolVersion, role: ModuleRole) -> Descriptor {
    Descriptor {
        protocol: "counter".parse().unwrap(),
        version,
        abi: 1,
        role,
        capabilities: BTreeSet::from([Capability::WriteRecords]),
        session_types: Vec::new(),
        schema: schema(version.major),
        uses: BTreeSet::new(),
        authors: String::new(),
        source: Digest::ZERO,
    }
}

/// A publisher's account with its chain.
pub struct Publisher {
    pub device: Device,
    pub chain: ControlChain,
}

impl Publisher {
    /// The publisher of this number, without any release.
    pub fn new(number: u8) -> Self {
        let device = device(number);
        let chain = found(&device, "publisher");
        Self { device, chain }
    }

    /// The publisher of `counter` with releases of these versions.
    pub fn of(versions: &str) -> Self {
        let mut publisher = Self::new(100);
        for text in versions.split_whitespace() {
            publisher.publish(release(text));
        }
        publisher
    }

    /// Certifies a release, fit or not: the chain itself does not judge it.
    pub fn publish(&mut self, release: Release) {
        self.decide(EntryBody::Release(Box::new(release)));
    }

    pub fn decide(&mut self, body: EntryBody) {
        let value = Entry { past: Vec::new(), body };
        let entry = self.chain.certify_alone(value, &self.device.vote_key).unwrap();
        self.chain.append(entry).unwrap();
    }

    pub fn app(&self) -> AppId {
        AppId::derive(self.chain.account(), &"counter".parse().unwrap())
    }

    /// The newest release of this version, and its proof.
    pub fn prove(&self, text: &str) -> (Release, ChainProof) {
        let found = self.chain.entries().iter().rev().find_map(|entry| match &entry.value.body {
            EntryBody::Release(release) if release.version == version(text) => {
                Some((Release::clone(release), self.chain.prove(entry.slot.k).unwrap()))
            }
            _ => None,
        });
        found.unwrap()
    }
}
