//! An account of a few devices, a publisher, and what they write.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::{
    AppState, Event, Ledger, Outcome as Imported, PeerTag,
    control::{
        ActivateVersion, Appended, Certificate, CertifiedEntry, ChainProof, Configuration,
        ControlChain, Entry, EntryBody, Genesis, Install, Phase, Release, ReleaseBuild,
        RevertVersion, Role, RosterEntry, UpgradePolicy, Vote,
    },
    event::{
        ChildOpening, CloseSession, DeviceMetadata, OpenChild, OpenSession, OpenUntil, Opening,
        ProposeUpgrade, Receipt, RecordPut, SessionMessage,
    },
    session_id,
    sync::{BaseInbox, Gathered, SyncMessage, answer, base_part, hello},
};
use aura_protocol_core::{
    Agreement, AppId, Descriptor, DeviceId, Digest, Epoch, Manifest, ModuleRef, Outcome,
    ProtocolCapabilities, ProtocolVersion, RecordKey, SchemaId, SessionId, UnixTime,
    descriptor::ModuleRole,
};

pub const PEER: PeerTag = PeerTag([1; 32]);

/// A device with its keys.
pub struct Device {
    pub id: DeviceId,
    pub key: SecretKey,
    pub vote_key: SecretKey,
    pub entry: RosterEntry,
}

/// The device of this number, always the same.
pub fn device(number: u8) -> Device {
    let seed = |purpose: u8| {
        let mut seed = [number; 32];
        seed[0] = purpose;
        seed
    };
    let (key, vote_key) = (SecretKey::from_seed(seed(200)), SecretKey::from_seed(seed(201)));
    let id = DeviceId::derive(key.public().as_bytes());
    let entry = RosterEntry {
        device: id,
        role: Role::Voter,
        unit_key: key.public(),
        vote_key: vote_key.public(),
        hpke_key: HpkeSecretKey::from_seed(seed(202)).public(),
        transport_key: SecretKey::from_seed(seed(203)).public(),
    };
    Device { id, key, vote_key, entry }
}

/// `count` devices, and the chain of the account that they share.
pub fn account(count: u8) -> (Vec<Device>, ControlChain) {
    let devices: Vec<Device> = (0..count).map(device).collect();
    let mut chain = alone(&devices[0], "ours");
    if 1 < count {
        let config = Configuration::with_defaults(devices.iter().map(|it| it.entry.clone()));
        let entry = certify(&chain, &devices, Vec::new(), EntryBody::Reconfigure(config.into()));
        chain.append(entry).unwrap();
    }
    (devices, chain)
}

/// The chain of an account of one device.
pub fn alone(device: &Device, name: &str) -> ControlChain {
    let (nonce, name) = ([9; 32], name.to_owned());
    let genesis = Genesis { nonce, name, first: device.entry.clone() };
    ControlChain::found(genesis, &device.vote_key).unwrap()
}

/// The next entry of a chain, certified by as many of its voters as are needed.
pub fn certify(
    chain: &ControlChain,
    devices: &[Device],
    mut past: Vec<Digest>,
    body: EntryBody,
) -> CertifiedEntry {
    past.sort_unstable();
    let (slot, value) = (chain.next_slot(), Entry { past, body });
    let mut votes = BTreeMap::new();
    for device in devices.iter().filter(|it| chain.config().roster.contains_key(&it.id)) {
        if votes.len() < usize::from(chain.config().m) {
            let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &device.vote_key);
            votes.insert(vote.key, vote.signature);
        }
    }
    CertifiedEntry { slot, value, certificate: Certificate { view: 0, votes } }
}

pub fn schema() -> SchemaId {
    SchemaId::of("counter 1")
}

/// The repository, with `counter` 1.0.0 at height 1 and 1.1.0 at height 2.
pub fn repository() -> ControlChain {
    let publisher = device(100);
    let mut chain = alone(&publisher, "publisher");
    for version in [ProtocolVersion::new(1, 0, 0), ProtocolVersion::new(1, 1, 0)] {
        let body = EntryBody::Release(Box::new(release(version)));
        let value = Entry { past: Vec::new(), body };
        let entry = chain.certify_alone(value, &publisher.vote_key).unwrap();
        chain.append(entry).unwrap();
    }
    chain
}

pub fn release(version: ProtocolVersion) -> Release {
    let digest = Digest::of(version.to_string().as_bytes());
    Release {
        protocol: "counter".parse().unwrap(),
        version,
        module: ModuleRef { digest, sha256: digest, size: 9, urls: Vec::new(), peers_ok: true },
        descriptor: Descriptor {
            protocol: "counter".parse().unwrap(),
            version,
            abi: 1,
            role: ModuleRole::Protocol,
            capabilities: BTreeSet::new(),
            session_types: Vec::new(),
            schema: schema(),
            uses: BTreeSet::new(),
            authors: String::new(),
            source: Digest::ZERO,
        },
        migration: None,
        notes: String::new(),
        build: ReleaseBuild::default(),
    }
}

pub fn app() -> AppId {
    AppId::derive(repository().account(), &"counter".parse().unwrap())
}

pub fn proof(k: u64) -> ChainProof {
    repository().prove(k).unwrap()
}

pub fn install() -> EntryBody {
    EntryBody::Install(Box::new(Install {
        app: app(),
        alias: "counter".to_owned(),
        repository: repository().account(),
        protocol: "counter".parse().unwrap(),
        distributor: None,
        requirement: "^1".parse().unwrap(),
        policy: UpgradePolicy::Minor,
        release: proof(1),
        capabilities: ProtocolCapabilities::default(),
    }))
}

pub fn propose() -> Event {
    let version = ProtocolVersion::new(1, 1, 0);
    Event::ProposeUpgrade(Box::new(ProposeUpgrade {
        app: app(),
        from: ProtocolVersion::new(1, 0, 0),
        release: proof(2),
        digest: release(version).module.digest,
        plan: None,
        steps: Vec::new(),
        capabilities: ProtocolCapabilities::default(),
        not_before: None,
        grace_seconds: 0,
        expires: UnixTime(1_000),
    }))
}

pub fn activate(proposal: Digest) -> EntryBody {
    let version = ProtocolVersion::new(1, 1, 0);
    EntryBody::ActivateVersion(Box::new(ActivateVersion {
        app: app(),
        version,
        digest: release(version).module.digest,
        proposal,
        plan: None,
        steps: Vec::new(),
        prestate: vec![proposal],
        pre_root: Digest::ZERO,
        post_root: Digest::ZERO,
        capabilities: ProtocolCapabilities::default(),
        intent: None,
        repository_head: repository().head(),
        distributor_head: None,
    }))
}

/// Takes back the activation of the active version.
pub fn revert(app: &AppState) -> Option<EntryBody> {
    let (activation, before) = app.before()?;
    let (version, digest) = (before.version, before.digest);
    let app = app.install.app;
    Some(EntryBody::RevertVersion(RevertVersion { app, activation, version, digest }))
}

pub fn ready(proposal: Digest) -> Event {
    let receipt = Receipt { post_root: Digest::ZERO, personal: Digest::ZERO };
    Event::SignalReady { proposal, receipt }
}

pub fn decline(proposal: Digest) -> Event {
    let (code, reason) = ("DigestMismatch".to_owned(), "the module is another one".to_owned());
    Event::DeclineUpgrade { proposal, code, reason }
}

pub fn metadata(device: &Device, name: &str) -> Event {
    let manifest = Manifest::empty(device.id);
    Event::PublishManifest(DeviceMetadata {
        name: name.to_owned(),
        addresses: Vec::new(),
        manifest,
    })
}

pub fn tick(epoch: u64) -> Event {
    Event::EpochTick { epoch: Epoch(epoch) }
}

pub fn message(text: &str) -> Event {
    let (label, payload) = ("Say".to_owned(), text.as_bytes().to_vec());
    Event::SessionMessage(SessionMessage { label, payload })
}

pub fn open(participants: &[Device]) -> Event {
    Event::OpenSession(Box::new(opening(participants)))
}

/// A part of a session begins among these, or does not.
pub fn open_child(parent: SessionId, part: u64, participants: Option<&[Device]>) -> Event {
    let opening = match participants {
        Some(participants) => ChildOpening::Opened(opening(participants)),
        None => ChildOpening::Refused("no".to_owned()),
    };
    Event::OpenChild(Box::new(OpenChild { parent, part, opening }))
}

/// A session begins that is over at an epoch.
pub fn open_until(participants: &[Device], until: u64) -> Event {
    let opening = Opening::Session(opening(participants));
    Event::OpenUntil(Box::new(OpenUntil { until: Epoch(until), opening }))
}

/// A part of a session begins that is over at an epoch.
pub fn open_child_until(
    parent: SessionId,
    part: u64,
    participants: &[Device],
    until: u64,
) -> Event {
    let opening = ChildOpening::Opened(opening(participants));
    let opening = Opening::Child(OpenChild { parent, part, opening });
    Event::OpenUntil(Box::new(OpenUntil { until: Epoch(until), opening }))
}

fn opening(participants: &[Device]) -> OpenSession {
    let version = ProtocolVersion::new(1, 0, 0);
    let run = (version, release(version).module.digest);
    OpenSession {
        app: app(),
        protocol: "counter".parse().unwrap(),
        agreement: Agreement {
            spoken: version,
            runs: participants.iter().map(|it| (it.id, run)).collect(),
        },
        transcript: Digest::ZERO,
        manifests: BTreeMap::new(),
        params: Vec::new(),
    }
}

pub fn close(writes: &[(&str, Option<&str>)]) -> Event {
    let put = |(key, text): &(&str, Option<&str>)| RecordPut {
        key: RecordKey::from(*key),
        base: None,
        bytes: text.map(|it| it.as_bytes().to_vec()),
    };
    Event::CloseSession(CloseSession {
        outcome: Outcome::Completed { result: Vec::new(), batch: Vec::new() },
        schema: schema(),
        batch: writes.iter().map(put).collect(),
    })
}

pub fn abort() -> Event {
    Event::CloseSession(CloseSession {
        outcome: Outcome::Aborted { reason: "enough".to_owned() },
        schema: schema(),
        batch: Vec::new(),
    })
}

/// A device writes an event outside any session.
pub fn write(ledger: &mut Ledger, device: &Device, event: Event) -> Digest {
    ledger.author(device.id, &device.key, None, event).unwrap()
}

/// A device writes an event of a session.
pub fn write_in(ledger: &mut Ledger, device: &Device, session: SessionId, event: Event) -> Digest {
    ledger.author(device.id, &device.key, Some(session), event).unwrap()
}

/// A device opens a session of all `participants`.
pub fn open_session(
    ledger: &mut Ledger,
    device: &Device,
    participants: &[Device],
) -> (SessionId, Digest) {
    let id = session_id(ledger.account(), device.id, ledger.next_seq(device.id));
    (id, write_in(ledger, device, id, open(participants)))
}

/// Everything that `from` has and `to` lacks.
pub fn sync(from: &Ledger, to: &mut Ledger) {
    for entry in from.chain().entries() {
        to.import_entry(entry.clone()).unwrap();
    }
    let missing: Vec<Vec<u8>> = from.missing_for(&to.frontier()).map(<[u8]>::to_vec).collect();
    for unit in missing {
        let outcome = to.import(PEER, &unit).unwrap();
        assert!(matches!(outcome, Imported::Applied(_) | Imported::Fork { .. }), "{outcome:?}");
    }
}

/// Two devices say hello and answer, as often as one sends the other something new.
pub fn exchange(one: &mut Ledger, two: &mut Ledger) {
    for _ in 0..20 {
        let how_far = |it: &Ledger| (it.len(), it.base().map(|(k, _)| k));
        let before = (how_far(one), how_far(two));
        one_answers(two, one, 1);
        one_answers(one, two, 1);
        if before == (how_far(one), how_far(two)) {
            return;
        }
    }
    panic!("two devices do not end");
}

/// `to` says hello, `from` answers, and `to` answers what that asks.
fn one_answers(from: &mut Ledger, to: &mut Ledger, depth: u8) {
    for message in answer(from, &hello(to)) {
        take(to, from, message, depth);
    }
}

fn take(to: &mut Ledger, from: &mut Ledger, message: SyncMessage, depth: u8) {
    match SyncMessage::from_bytes(&message.to_bytes()).unwrap() {
        SyncMessage::Hello(asked) => {
            assert!(0 < depth, "an answer to an answer asks again");
            for message in answer(to, &asked) {
                take(from, to, message, depth - 1);
            }
        }
        SyncMessage::Entries(entries) => {
            for entry in entries {
                assert!(matches!(
                    to.import_entry(entry).unwrap(),
                    Appended::New | Appended::Duplicate
                ));
            }
        }
        SyncMessage::Units(units) => {
            for outcome in to.import_all(PEER, units.iter().map(Vec::as_slice)) {
                let _any = outcome.unwrap();
            }
        }
        SyncMessage::Base(part) => {
            let mut inbox = BaseInbox::default();
            let mut part = part;
            loop {
                match inbox.take(to, part) {
                    Gathered::Want(SyncMessage::WantBase { k, from: at }) => {
                        let next = base_part(from, k, at).unwrap();
                        let SyncMessage::Base(next) = next else { panic!("{next:?}") };
                        part = next;
                    }
                    Gathered::Whole(bytes) => {
                        to.adopt(DeviceId::from_bytes([0; 32]), bytes).unwrap();
                        return;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        other => panic!("{other:?}"),
    }
}
