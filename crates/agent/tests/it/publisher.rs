//! A publisher's chain and the modules that it releases, made in the test.

use std::{collections::BTreeMap, sync::LazyLock};

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::control::{
    ControlChain, Entry, EntryBody, Genesis, Release, ReleaseBuild, ReleasedMigration, Role,
    RosterEntry,
};
use aura_protocol_core::{Descriptor, DeviceId, Digest, ModuleRef};
use aura_wasm_host::{ModuleHost, gate};
use sha2::{Digest as _, Sha256};

/// Compiling is most of what a test costs, so all devices of all tests share the compiled modules.
/// What a device may run is kept by the world, device by device.
pub static HOST: LazyLock<ModuleHost> = LazyLock::new(ModuleHost::in_memory);

/// A guest, as `cargo xtask protocols` built it.
pub fn guest(name: &str) -> Vec<u8> {
    aura_testkit::guests::load(name).unwrap()
}

/// An account that publishes.
#[derive(Clone)]
pub struct Publisher {
    pub chain: ControlChain,
    pub modules: BTreeMap<Digest, Vec<u8>>,
    seed: u8,
}

fn key(seed: u8, purpose: &str) -> SecretKey {
    let digest = Digest::tagged("publisher of a test", &[&[seed], purpose.as_bytes()]);
    SecretKey::from_seed(*digest.as_bytes())
}

impl Publisher {
    /// A publisher without releases.
    pub fn new(seed: u8) -> Self {
        let (unit, vote) = (key(seed, "unit"), key(seed, "vote"));
        let first = RosterEntry {
            device: DeviceId::derive(unit.public().as_bytes()),
            role: Role::Voter,
            unit_key: unit.public(),
            vote_key: vote.public(),
            hpke_key: HpkeSecretKey::from_seed([seed; 32]).public(),
            transport_key: key(seed, "transport").public(),
        };
        let genesis = Genesis { nonce: [seed; 32], name: "publisher".to_owned(), first };
        let chain = ControlChain::found(genesis, &vote).unwrap();
        Self { chain, modules: BTreeMap::new(), seed }
    }

    /// The publisher of the counter, with all its releases.
    pub fn of_counter() -> Self {
        static COUNTER: LazyLock<Publisher> = LazyLock::new(|| {
            let mut publisher = Publisher::new(1);
            publisher.release(&guest("counter-1-0-0"), None);
            publisher.release(&guest("counter-1-1-0"), None);
            publisher.release(&guest("counter-2-0-0"), Some(&guest("counter-migration-2-0-0")));
            publisher
        });
        COUNTER.clone()
    }

    /// Releases what the module says of itself, unchecked: as a publisher that means harm would.
    pub fn release(&mut self, module: &[u8], migration: Option<&[u8]>) -> Release {
        let (reference, descriptor) = self.take(module);
        let migration = migration.map(|bytes| {
            let (module, descriptor) = self.take(bytes);
            ReleasedMigration { module, descriptor }
        });
        self.certify(Release {
            protocol: descriptor.protocol.clone(),
            version: descriptor.version,
            module: reference,
            descriptor,
            migration,
            notes: String::new(),
            build: ReleaseBuild::default(),
        })
    }

    /// Certifies a release, whatever it says.
    pub fn certify(&mut self, release: Release) -> Release {
        let body = EntryBody::Release(Box::new(release.clone()));
        let value = Entry { past: vec![], body };
        let entry = self.chain.certify_alone(value, &key(self.seed, "vote")).unwrap();
        let _appended = self.chain.append(entry).unwrap();
        release
    }

    fn take(&mut self, bytes: &[u8]) -> (ModuleRef, Descriptor) {
        let reference = reference(bytes);
        self.modules.insert(reference.digest, bytes.to_vec());
        (reference, gate::read_descriptor(bytes).unwrap())
    }
}

/// What signed data says of a module.
pub fn reference(bytes: &[u8]) -> ModuleRef {
    ModuleRef {
        digest: Digest::of(bytes),
        sha256: Digest::from_bytes(Sha256::digest(bytes).into()),
        size: bytes.len() as u32,
        urls: vec![],
        peers_ok: true,
    }
}
