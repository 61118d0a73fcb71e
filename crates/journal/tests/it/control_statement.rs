//! Short proofs of what is and what was decided.

use aura_crypto::SecretKey;
use aura_journal::control::{
    ChainError, ControlChain, Entry, EntryBody, Fact, Install, LedgerProof, Question, Release,
    ReleaseBuild, Role, Slot, Statement, StatementError, Subject, UpgradePolicy,
};
use aura_protocol_core::{
    AppId, Descriptor, Digest, ModuleRef, ProtocolCapabilities, ProtocolVersion, Requirement,
    SchemaId, descriptor::ModuleRole,
};

use crate::control_fixture::{
    Device, certified, chain_of, decide, device, devices, founded, reconfigure, value,
};

fn release(version: &str) -> Entry {
    let version: ProtocolVersion = version.parse().unwrap();
    let (digest, sha256) = (Digest::of(b"module"), Digest::of(b"sha"));
    let module = ModuleRef { digest, sha256, size: 1, urls: vec![], peers_ok: true };
    let descriptor = Descriptor {
        protocol: "counter".parse().unwrap(),
        version,
        abi: 1,
        role: ModuleRole::Protocol,
        capabilities: [].into(),
        session_types: vec![],
        schema: SchemaId::from_bytes([6; 32]),
        uses: [].into(),
        authors: "somebody".to_owned(),
        source: Digest::ZERO,
    };
    let (protocol, notes) = (descriptor.protocol.clone(), String::new());
    let (migration, build) = (None, ReleaseBuild::default());
    let release = Release { protocol, version, module, descriptor, migration, notes, build };
    Entry { past: vec![], body: EntryBody::Release(Box::new(release)) }
}

/// The `number`th app, installed from a chain of its own.
fn install(number: u8) -> (AppId, Entry) {
    let publisher = device(&format!("publisher {number}"));
    let mut chain = founded(&publisher);
    decide(&mut chain, release("1.0.0"), [&publisher]);
    let protocol: aura_protocol_core::ProtocolName = "counter".parse().unwrap();
    let app = AppId::derive(chain.account(), &protocol);
    let install = Install {
        app,
        alias: format!("counter-{number}"),
        repository: chain.account(),
        protocol,
        distributor: None,
        requirement: "^1".parse::<Requirement>().unwrap(),
        policy: UpgradePolicy::Minor,
        release: chain.prove(1).unwrap(),
        capabilities: ProtocolCapabilities::default(),
    };
    (app, Entry { past: vec![], body: EntryBody::Install(Box::new(install)) })
}

/// Five devices of which four decide, three apps, and something said of the first.
fn usual() -> (Vec<Device>, ControlChain, AppId) {
    let all = devices(5);
    let mut chain = chain_of(&all);
    let apps: Vec<AppId> = (1..4)
        .map(|number| {
            let (app, value) = install(number);
            decide(&mut chain, value, &all[..4]);
            app
        })
        .collect();
    let body = EntryBody::SetUpgradePolicy { app: apps[0], policy: UpgradePolicy::Manual };
    decide(&mut chain, Entry { past: vec![], body }, &all[..4]);
    decide(&mut chain, value(9), &all[..4]);
    (all, chain, apps[0])
}

fn questions(chain: &ControlChain) -> Vec<Question> {
    let facts = chain.facts().map(|it| Question::Is(it.subject()));
    facts.chain((0..=chain.height()).map(Question::Was)).collect()
}

/// INV-J17: everything that is or was is provable, in less than 1 KB, to those who hold the chain, an
/// earlier part of it, or the head.
#[test]
fn what_is_and_was_is_proved_in_a_kilobyte() {
    let (_, chain, app) = usual();
    let earlier = ControlChain::from_entries(chain.entries()[..3].to_vec()).unwrap();
    assert_eq!(chain.facts().count(), 8);
    for question in questions(&chain) {
        let proof = LedgerProof::make(&chain, question).unwrap();
        let bytes = proof.to_bytes();
        assert!(bytes.len() < 1024, "{question:?}: {} bytes", bytes.len());
        let proof = LedgerProof::from_bytes(&bytes).unwrap();
        let statement = proof.check(&chain).unwrap();
        assert_eq!(proof.check(&earlier).as_ref(), Ok(&statement));
        assert_eq!(proof.check_head(chain.height(), chain.head()).as_ref(), Ok(&statement));
        match (question, statement) {
            (Question::Is(subject), Statement::Is { fact, .. }) => {
                assert_eq!(chain.fact(subject), Some(&fact));
            }
            (Question::Was(k), Statement::Was { value, k: said }) => {
                assert_eq!((said, value), (k, chain.entries()[k as usize].value.hash()));
            }
            (Question::Was(k), Statement::Says { value, k: said }) => {
                assert_eq!((said, *value), (k, chain.entries()[k as usize].value.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
    let Some(Fact::App { policy, alias, .. }) = chain.fact(Subject::App(app)) else { panic!() };
    assert_eq!((*policy, alias.as_str()), (UpgradePolicy::Manual, "counter-1"));
    let unknown = Question::Is(Subject::App(AppId::from_bytes([1; 32])));
    assert_eq!(LedgerProof::make(&chain, unknown), Err(StatementError::Unknown));
    assert_eq!(LedgerProof::make(&chain, Question::Was(99)), Err(StatementError::Unknown));
}

/// What the newest entry changed is said by that entry.
#[test]
fn the_newest_entry_speaks_for_itself() {
    let (all, mut chain, app) = usual();
    let body = EntryBody::SetUpgradePolicy { app, policy: UpgradePolicy::Patch };
    let entry = Entry { past: vec![], body };
    decide(&mut chain, entry.clone(), &all[..4]);
    let proof = LedgerProof::make(&chain, Question::Is(Subject::App(app))).unwrap();
    let says = Statement::Says { value: Box::new(entry), k: chain.height() };
    assert_eq!(proof.check(&chain), Ok(says));
}

/// INV-J17: no bit of any byte, no length.
#[test]
fn a_changed_byte_proves_nothing() {
    let (_, chain, _) = usual();
    for question in questions(&chain) {
        let bytes = LedgerProof::make(&chain, question).unwrap().to_bytes();
        let refused =
            |bytes: &[u8]| LedgerProof::from_bytes(bytes).and_then(|it| it.check(&chain)).is_err();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(refused(&changed), "{question:?}, byte {at}");
            assert!(at % 16 != 0 || refused(&bytes[..at]), "{question:?}, cut at {at}");
        }
        assert!(refused(&[bytes.as_slice(), &[0]].concat()), "{question:?}, longer");
    }
}

/// INV-J17: proofs of other chains, other heights and minorities.
#[test]
fn proofs_of_others_are_refused() {
    let (all, chain, app) = usual();
    let proof = LedgerProof::make(&chain, Question::Is(Subject::App(app))).unwrap();
    let other = founded(&device("somebody"));
    assert!(matches!(proof.check(&other), Err(StatementError::WrongAccount { .. })));
    let genesis = ControlChain::from_entries(chain.entries()[..1].to_vec()).unwrap();
    assert_eq!(proof.check(&genesis), Err(StatementError::UnknownConfig { config: 1 }));
    let known = chain.height();
    let below = proof.check_head(known - 1, chain.head());
    assert_eq!(below, Err(StatementError::AnotherHeight { found: known, known: known - 1 }));
    let beside = proof.check_head(known, Digest::ZERO);
    assert_eq!(beside, Err(StatementError::AnotherEntry { k: known }));

    // The same voters on another way from the same past.
    let mut fork = ControlChain::from_entries(chain.entries()[..6].to_vec()).unwrap();
    decide(&mut fork, value(10), &all[1..]);
    let forked = LedgerProof::make(&fork, Question::Was(6)).unwrap();
    assert_eq!(forked.check(&chain), Err(StatementError::AnotherEntry { k: 6 }));

    // A configuration that has ended decides nothing above its end.
    let mut ended = ControlChain::from_entries(chain.entries()[..3].to_vec()).unwrap();
    decide(&mut ended, reconfigure(&all[..4]), &all[..4]);
    assert_eq!(proof.check(&ended), Err(StatementError::UnknownConfig { config: 1 }));
}

/// INV-J1: a certified entry that names other roots than those of the chain is refused, so that a
/// device that counts otherwise takes nothing on top of it.
#[test]
fn other_roots_are_refused() {
    let (all, mut chain, _) = usual();
    let mut entry = certified(&chain, value(1), &all[..4]);
    entry.slot = Slot { roots: Digest::ZERO, ..entry.slot };
    entry.certificate = crate::control_fixture::certificate(entry.slot, &entry.value, &all[..4]);
    assert_eq!(chain.append(entry), Err(ChainError::WrongRoots { k: 7 }));
}

/// A fact is hidden behind its salt: the same device in two accounts is two leaves.
#[test]
fn facts_are_salted() {
    let first = device("device 0");
    let key = |it: &Device| SecretKey::from_seed(*it.vote_key.danger_seed());
    assert_eq!(key(&first).public(), first.vote_key.public());
    let fact = Fact::Device { device: first.id(), role: Role::Voter };
    let one = founded(&first);
    let mut genesis = crate::control_fixture::genesis(&first);
    genesis.nonce = [8; 32];
    let two = ControlChain::found(genesis, &first.vote_key).unwrap();
    assert_eq!(one.fact(fact.subject()), two.fact(fact.subject()));
    assert_ne!(one.next_slot().roots, two.next_slot().roots);
}
