//! Byte vectors of units and events: what has been signed once must read the same for ever.
//!
//! `tests/vectors/unit_v1.txt` has one line per value, `name hex`. Append-only from 0.1.0 on; until
//! then a line changes only together with a line in CHANGELOG.md.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    Event, EventKind, Unit, UnitBody, child_session_id,
    control::ControlMessage,
    event::{
        ChildOpening, CloseSession, DeviceMetadata, OpenChild, OpenSession, OpenUntil, Opening,
        ProposeUpgrade, Receipt, RecordPut, SessionMessage,
    },
    session_id, state_root,
    unit::UNIT_VERSION,
};
use aura_protocol_core::{
    AccountId, Agreement, AppId, Capability, DeviceId, Digest, Epoch, Lamport, Manifest, Outcome,
    ProtocolVersion, RecordKey, SchemaId, SessionId, UnixTime, encode,
};

use crate::support::{device, proof, repository};

/// What events there are, for people.
const CATALOGUE: &str = include_str!("../../../../docs/events.md");
const STORED: &str = include_str!("../vectors/unit_v1.txt");

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn app() -> AppId {
    AppId::from_bytes([10; 32])
}

fn participant() -> DeviceId {
    DeviceId::from_bytes([11; 32])
}

fn version() -> ProtocolVersion {
    ProtocolVersion::new(1, 2, 3)
}

fn unit(event: Event, session: Option<SessionId>) -> Unit {
    let author = device(1);
    let body = UnitBody {
        version: UNIT_VERSION,
        account: AccountId::from_bytes([2; 32]),
        config: 3,
        author: author.id,
        seq: 4,
        lamport: Lamport(5),
        prev: Some(digest(6)),
        deps: vec![digest(7), digest(8)],
        session,
        event,
    };
    body.sign(&author.key)
}

fn metadata() -> Event {
    let mut manifest = Manifest::empty(participant());
    manifest.announce(app(), version(), digest(12));
    let addresses = vec!["127.0.0.1:4433".to_owned(), "[::1]:4433".to_owned()];
    Event::PublishManifest(DeviceMetadata { name: "laptop".to_owned(), addresses, manifest })
}

fn propose() -> Event {
    Event::ProposeUpgrade(Box::new(ProposeUpgrade {
        app: app(),
        from: version(),
        release: proof(1),
        digest: digest(13),
        plan: Some(proof(0)),
        steps: vec![digest(14)],
        capabilities: [Capability::WriteRecords].into_iter().collect(),
        not_before: Some(UnixTime(1_700_000_000)),
        grace_seconds: 3600,
        expires: UnixTime(1_800_000_000),
    }))
}

fn open() -> Event {
    Event::OpenSession(Box::new(opening()))
}

fn open_child(opening: ChildOpening) -> Event {
    let parent = SessionId::from_bytes([25; 32]);
    Event::OpenChild(Box::new(OpenChild { parent, part: 26, opening }))
}

fn open_until(opening: Opening) -> Event {
    Event::OpenUntil(Box::new(OpenUntil { until: Epoch(27), opening }))
}

fn child() -> OpenChild {
    let parent = SessionId::from_bytes([25; 32]);
    OpenChild { parent, part: 26, opening: ChildOpening::Opened(opening()) }
}

fn opening() -> OpenSession {
    OpenSession {
        app: app(),
        protocol: "counter".parse().unwrap(),
        agreement: Agreement {
            spoken: version(),
            runs: [(participant(), (version(), digest(12)))].into(),
        },
        transcript: digest(15),
        manifests: [(participant(), digest(16))].into(),
        params: vec![1, 2, 3],
    }
}

fn close(outcome: Outcome) -> Event {
    let put = |key: &str, base, bytes| RecordPut { key: RecordKey::from(key), base, bytes };
    let batch = vec![put("a", None, Some(vec![9])), put("b", Some(digest(17)), None)];
    Event::CloseSession(CloseSession { outcome, schema: SchemaId::of("counter 1"), batch })
}

/// Every kind of event, once at least.
fn events() -> Vec<(&'static str, Event)> {
    let proposal = digest(18);
    let receipt = Receipt { post_root: digest(19), personal: digest(20) };
    let entry = repository().entries()[1].clone();
    let propose_entry =
        ControlMessage::Propose { slot: entry.slot, view: 1, value: entry.value.into() };
    let completed = Outcome::Completed { result: vec![4], batch: Vec::new() };
    let message = SessionMessage { label: "Add".to_owned(), payload: vec![5, 6] };
    vec![
        ("publish_manifest", metadata()),
        ("control", Event::Control(propose_entry)),
        ("propose_upgrade", propose()),
        ("acknowledge_upgrade", Event::AcknowledgeUpgrade { proposal }),
        ("signal_ready", Event::SignalReady { proposal, receipt }),
        (
            "decline_upgrade",
            Event::DeclineUpgrade { proposal, code: "Code".into(), reason: "reason".into() },
        ),
        ("open_session", open()),
        ("open_child_session", open_child(ChildOpening::Opened(opening()))),
        ("refuse_child_session", open_child(ChildOpening::Refused("no app".to_owned()))),
        ("open_session_until", open_until(Opening::Session(opening()))),
        ("open_child_session_until", open_until(Opening::Child(child()))),
        ("session_message", Event::SessionMessage(message)),
        ("close_session", close(completed)),
        ("epoch_tick", Event::EpochTick { epoch: Epoch(24) }),
        ("close_session_aborted", close(Outcome::Aborted { reason: "late".to_owned() })),
    ]
}

/// Each event in a unit: begins with its kind, reads back as it was, verifies, and has the stored bytes.
#[test]
fn units_have_their_stored_bytes() {
    let mut lines: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, event) in events() {
        let session = Some(SessionId::from_bytes([21; 32])).filter(|_| name.contains("session"));
        let kind = encode(&event).first().map(|it| borsh::from_slice::<EventKind>(&[*it]).unwrap());
        assert_eq!(kind, Some(event.kind()), "{name}");
        let unit = unit(event, session);
        let bytes = encode(&unit);
        assert_eq!(Unit::from_bytes(&bytes).as_ref(), Ok(&unit), "{name}");
        assert_eq!(unit.verify(&device(1).key.public()), Ok(()), "{name}");
        lines.push((format!("{name}_hash"), unit.hash().as_bytes().to_vec()));
        lines.push((name.to_owned(), bytes));
    }
    let (account, author) = (AccountId::from_bytes([2; 32]), participant());
    lines.push(("session_id".to_owned(), session_id(account, author, 4).as_bytes().to_vec()));
    let child = child_session_id(SessionId::from_bytes([25; 32]), 26);
    lines.push(("child_session_id".to_owned(), child.as_bytes().to_vec()));
    let root = state_root(digest(22), &[(app(), digest(23))].into());
    lines.push(("state_root".to_owned(), root.as_bytes().to_vec()));
    check(&lines);
}

/// Each kind stands in the catalogue, under the number that its bytes begin with.
#[test]
fn the_catalogue_has_every_event() {
    for (_, event) in events() {
        let line = format!("| `{:?}` | event {} |", event.kind(), event.tag());
        assert!(CATALOGUE.contains(&line), "{line}");
        assert_eq!(encode(&event).first(), Some(&event.tag()));
    }
    let tags: BTreeSet<u8> = events().iter().map(|(_, event)| event.tag()).collect();
    assert_eq!(tags, (0..=11).collect(), "one kind was forgotten");
}

fn check(lines: &[(String, Vec<u8>)]) {
    let stored: BTreeMap<&str, &str> =
        STORED.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut changed = Vec::new();
    for (name, bytes) in lines {
        let hex: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
        if stored.get(name.as_str()) != Some(&hex.as_str()) {
            changed.push(format!("{name} {hex}"));
        }
    }
    assert!(changed.is_empty(), "changed or new:\n{}\n", changed.join("\n"));
    assert_eq!(stored.len(), lines.len(), "a stored value is no longer checked");
}
