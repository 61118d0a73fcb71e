//! Byte vectors of the control formats: what has been signed once must read the same for ever.
//!
//! `tests/vectors/control_v1.txt` has one line per value, `name hex`. Append-only from 0.1.0 on; until
//! then a line changes only together with a line in CHANGELOG.md.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    control::{
        ActivateVersion, Announcement, Certificate, CertifiedEntry, ChainLink, ChainProof,
        Configuration, ControlMessage, Entry, EntryBody, Install, Lock, Phase, ReAdmit, Recover,
        RecoveryRequest, RecoveryRole, RecoverySays, RecoveryWord, Release, ReleaseBuild,
        ReleasedMigration, RevertVersion, Revoke, Role, RosterChange, Slot, Snapshot,
        UpgradePolicy, Vote, VoteRecord,
    },
    sync::{BasePart, Branches, Frontier, Hello, SyncMessage},
};
use aura_protocol_core::{
    AccountId, AppId, Capability, Descriptor, DeviceId, Digest, ModuleRef, ProtocolCapabilities,
    SchemaId, decode,
    descriptor::{MigrationOffer, ModuleRole},
    encode,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control_fixture::{certificate, device, founded, genesis, value};

const STORED: &str = include_str!("../vectors/control_v1.txt");

/// Stored lines, and what today's code makes of the same values.
struct Vectors {
    stored: BTreeMap<&'static str, &'static str>,
    checked: BTreeSet<&'static str>,
    changed: Vec<String>,
}

impl Vectors {
    fn check<T>(&mut self, name: &'static str, value: &T)
    where
        T: BorshSerialize + BorshDeserialize + PartialEq + std::fmt::Debug,
    {
        let bytes = encode(value);
        assert_eq!(&decode::<T>(&bytes, bytes.len()).unwrap(), value, "{name}");
        let hex: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
        if self.stored.get(name) != Some(&hex.as_str()) {
            self.changed.push(format!("{name} {hex}"));
        }
        assert!(self.checked.insert(name), "{name} stands for two values");
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn slot() -> Slot {
    let account = AccountId::from_bytes([1; 32]);
    Slot { account, generation: 2, config: 3, k: 4, parent: digest(5), roots: digest(28) }
}

fn module(byte: u8) -> ModuleRef {
    ModuleRef {
        digest: digest(byte),
        sha256: digest(byte + 1),
        size: 4096,
        urls: vec!["https://example.invalid/counter.wasm".to_owned()],
        peers_ok: true,
    }
}

fn descriptor(role: ModuleRole) -> Descriptor {
    Descriptor {
        protocol: "counter".parse().unwrap(),
        version: "2.0.0".parse().unwrap(),
        abi: 1,
        role,
        capabilities: [Capability::WriteRecords].into(),
        session_types: vec![],
        schema: SchemaId::from_bytes([6; 32]),
        uses: BTreeSet::new(),
        authors: "somebody".to_owned(),
        source: digest(7),
    }
}

fn release() -> Release {
    let offer = MigrationOffer {
        from: "^1.0.0".parse().unwrap(),
        from_schema: SchemaId::from_bytes([8; 32]),
        reversible: true,
    };
    let migration = ReleasedMigration {
        module: module(11),
        descriptor: descriptor(ModuleRole::Migration(offer)),
    };
    Release {
        protocol: "counter".parse().unwrap(),
        version: "2.0.0".parse().unwrap(),
        module: module(9),
        descriptor: descriptor(ModuleRole::Protocol),
        migration: Some(migration),
        notes: "counts by device".to_owned(),
        build: ReleaseBuild {
            source: Some(digest(13)),
            toolchain: "rustc 1.95.0".to_owned(),
            command: "cargo xtask protocols".to_owned(),
        },
    }
}

fn proof() -> ChainProof {
    let genesis = founded(&device("publisher")).entries()[0].clone();
    let (value, certificate) = (Box::new(genesis.value), genesis.certificate);
    let full = ChainLink::Full { roots: Digest::ZERO, value, certificate };
    let hidden = ChainLink::Hash { roots: digest(29), value: digest(14) };
    ChainProof { links: vec![full, hidden] }
}

fn capabilities() -> ProtocolCapabilities {
    [Capability::WriteRecords].into_iter().collect()
}

fn install() -> Install {
    let repository = AccountId::from_bytes([15; 32]);
    let protocol = "counter".parse().unwrap();
    Install {
        app: AppId::derive(repository, &protocol),
        alias: "our counter".to_owned(),
        repository,
        protocol,
        distributor: Some(AccountId::from_bytes([16; 32])),
        requirement: "^1.0.0".parse().unwrap(),
        policy: UpgradePolicy::Minor,
        release: proof(),
        capabilities: capabilities(),
    }
}

fn activation() -> ActivateVersion {
    ActivateVersion {
        app: AppId::from_bytes([17; 32]),
        version: "2.0.0".parse().unwrap(),
        digest: digest(18),
        proposal: digest(19),
        plan: Some(digest(20)),
        steps: vec![digest(21)],
        prestate: vec![digest(19)],
        pre_root: digest(22),
        post_root: digest(23),
        capabilities: capabilities(),
        intent: None,
        repository_head: digest(24),
        distributor_head: None,
    }
}

fn configuration() -> Configuration {
    let mut reader = device("reader");
    reader.entry.role = Role::Reader;
    let entries = ["one", "two", "three"].map(|it| device(it).entry);
    let mut config = Configuration::with_defaults(entries.into_iter().chain([reader.entry]));
    config.recovery = RecoveryRole::Keys {
        keys: [device("guardian").unit_key.public()].into(),
        threshold: 1,
        delay_seconds: 86_400,
    };
    config.group_key = Some((device("group").unit_key.public(), digest(25)));
    config
}

fn entry(body: EntryBody) -> Entry {
    Entry { past: vec![digest(26), digest(27)], body }
}

/// Vote keys that change, and what begins a generation.
fn check_keys_and_generations(
    vectors: &mut Vectors,
    revoke: Revoke,
    entry: &impl Fn(EntryBody) -> Entry,
) {
    let (voters, author) = ([device("one"), device("two")], revoke.device);
    let keys: BTreeMap<_, _> = [(voters[1].id(), voters[0].vote_key.public())].into();
    let rekeyed = RosterChange::Revoke(revoke).with_keys(keys.clone());
    vectors.check("entry_rekeyed_revoke", &entry(rekeyed));
    let readmit = ReAdmit { device: author, entry: device("three").entry };
    let rekeyed = RosterChange::ReAdmit(Box::new(readmit)).with_keys(keys);
    vectors.check("entry_rekeyed_re_admit", &entry(rekeyed));
    let said = Announcement::new(slot().account, author, &voters[0].vote_key);
    vectors.check("message_announce", &ControlMessage::Announce(said));
    let recover = Recover { generation: 3, config: configuration(), request: digest(42) };
    vectors.check("entry_recover", &entry(EntryBody::Recover(Box::new(recover))));
    let veto = EntryBody::VetoRecovery { request: digest(42) };
    vectors.check("entry_veto_recovery", &entry(veto));
    let app = activation().app;
    let version = activation().version;
    let revert = RevertVersion { app, activation: 7, version, digest: digest(45) };
    vectors.check("entry_revert_version", &entry(EntryBody::RevertVersion(revert)));
    let request = RecoveryRequest {
        generation: 3,
        config: 2,
        next: configuration(),
        nonce: [43; 32],
        key: voters[0].vote_key.public(),
        signature: said.proof,
    };
    vectors.check("id_of_recovery_request", &request.id());
    let request = ControlMessage::RequestRecovery(Box::new(request));
    vectors.check("message_request_recovery", &request);
    let keys = [device("guardian").vote_key.public()].into();
    let (threshold, delay_seconds, sharing) = (1, 86_400, digest(44));
    let recovery = RecoveryRole::Guardians { keys, threshold, delay_seconds, sharing };
    let mut guardian = device("guardian").entry;
    guardian.role = Role::Guardian;
    let guarded = Configuration { recovery, ..configuration().with_device(guardian) };
    vectors.check("configuration_guarded", &guarded);
    let (key, signature) = (voters[0].vote_key.public(), said.proof);
    for (name, says) in [
        ("message_recovery_approve", RecoverySays::Approve),
        ("message_recovery_sign", RecoverySays::Sign { key: Box::new(key), signature }),
        ("message_recovery_object", RecoverySays::Object),
        ("message_recovery_cancel", RecoverySays::Cancel),
        ("message_recovery_nudge", RecoverySays::Nudge),
    ] {
        let word = Box::new(RecoveryWord { request: digest(42), says });
        vectors.check(name, &ControlMessage::Recovery(word));
    }
}

#[test]
fn control_formats() {
    let stored = STORED.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut vectors = Vectors { stored, checked: BTreeSet::new(), changed: Vec::new() };
    let voters = [device("one"), device("two")];
    let hash = value(1).hash();
    let vote = Box::new(Vote::sign(slot(), Phase::Prepare, 6, hash, &voters[0].vote_key));
    let lock = Some(Lock { view: 5, value: hash });
    let record = VoteRecord { slot: slot(), view: 6, prepared: Some(hash), lock };
    let certificate: Certificate = certificate(slot(), &value(1), &voters);
    let certified =
        CertifiedEntry { slot: slot(), value: value(1), certificate: certificate.clone() };
    let propose = ControlMessage::Propose { slot: slot(), view: 6, value: Box::new(value(1)) };
    let author = DeviceId::from_bytes([28; 32]);
    let branches = Branches { fork: Some(31), points: vec![(32, digest(33))] };
    let frontier = Frontier {
        chains: [(author, (29, digest(30)))].into(),
        branches: [(author, branches)].into(),
    };
    let hello =
        Hello { account: slot().account, k: 31, head: digest(32), frontier, is_answer: false };

    vectors.check("slot", &slot());
    vectors.check("vote", &vote);
    vectors.check("vote_record", &record);
    vectors.check("vote_record_fresh", &VoteRecord { prepared: None, lock: None, ..record });
    vectors.check("certificate", &certificate);
    vectors.check("certified_entry", &certified);
    vectors.check("message_propose", &propose);
    vectors.check("message_vote", &ControlMessage::Vote(vote));
    vectors.check("configuration", &configuration());
    vectors.check("entry_genesis", &entry(EntryBody::Genesis(Box::new(genesis(&voters[0])))));
    vectors.check("entry_reconfigure", &entry(EntryBody::Reconfigure(Box::new(configuration()))));
    vectors.check("entry_install", &entry(EntryBody::Install(Box::new(install()))));
    vectors.check("entry_set_upgrade_policy", &value(2));
    let activate = entry(EntryBody::ActivateVersion(Box::new(activation())));
    vectors.check("entry_activate_version", &activate);
    vectors.check("entry_release", &entry(EntryBody::Release(Box::new(release()))));
    let revoke = Revoke { device: author, last_seq: 34, last_hash: digest(35) };
    vectors.check("entry_revoke", &entry(EntryBody::Revoke(revoke)));
    let readmit = ReAdmit { device: author, entry: device("three").entry };
    vectors.check("entry_re_admit", &entry(EntryBody::ReAdmit(Box::new(readmit))));
    let keys = [(author, voters[0].vote_key.public())].into();
    let snapshot = Snapshot { base: digest(36), bytes: 37, keys };
    vectors.check("entry_snapshot", &entry(EntryBody::Snapshot(snapshot)));
    check_keys_and_generations(&mut vectors, revoke, &entry);
    vectors.check("chain_proof", &proof());
    vectors.check("sync_hello", &SyncMessage::Hello(hello));
    vectors.check("sync_entries", &SyncMessage::Entries(vec![certified]));
    vectors.check("sync_units", &SyncMessage::Units(vec![vec![1, 2], vec![]]));
    vectors.check("sync_more", &SyncMessage::More);
    let part = BasePart { k: 38, from: 39, bytes: vec![40, 41] };
    vectors.check("sync_base", &SyncMessage::Base(part));
    vectors.check("sync_want_base", &SyncMessage::WantBase { k: 38, from: 39 });

    // What hashes name is fixed as well.
    vectors.check("hash_of_entry", &hash);
    vectors.check("parent_of_child", &slot().child_parent(hash));
    vectors.check("account_of_genesis", &genesis(&voters[0]).account());

    assert!(
        vectors.changed.is_empty(),
        "these encode differently:\n{}",
        vectors.changed.join("\n")
    );
    let stored: BTreeSet<_> = vectors.stored.keys().copied().collect();
    assert_eq!(stored, vectors.checked, "a stored vector is checked by nothing");
}
