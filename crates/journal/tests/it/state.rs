//! What events and entries mean.

use aura_journal::{
    Event, Filter, Finality, Ledger, SessionStatus, child_session_id,
    control::{Configuration, EntryBody, Fact, Subject, UpgradePolicy},
    event::CloseSession,
    session_id,
};
use aura_protocol_core::{AppId, Outcome, ProtocolVersion, RecordKey, RecordWrite};

use crate::support::*;

fn fixture() -> (Vec<Device>, Ledger) {
    let (devices, chain) = account(4);
    (devices, Ledger::new(chain))
}

fn decide(ledger: &mut Ledger, devices: &[Device], body: EntryBody) {
    let entry = certify(ledger.chain(), devices, ledger.heads(), body);
    ledger.import_entry(entry).unwrap();
}

#[test]
fn a_session_goes_from_pending_to_completed() {
    let (devices, mut ledger) = fixture();
    let (id, opened) = open_session(&mut ledger, &devices[0], &devices[..3]);
    let status = |ledger: &Ledger| ledger.state().sessions[&id].status;
    assert_eq!(status(&ledger), SessionStatus::Pending);
    let one = write_in(&mut ledger, &devices[1], id, message("one"));
    assert_eq!(status(&ledger), SessionStatus::Active);
    // One who takes no part is not heard.
    write_in(&mut ledger, &devices[3], id, message("hello"));
    // Only the opener closes.
    write_in(&mut ledger, &devices[1], id, abort());
    assert_eq!(status(&ledger), SessionStatus::Active);
    let closed = write_in(&mut ledger, &devices[0], id, close(&[("sum", Some("3"))]));
    // Only the first close counts.
    write_in(&mut ledger, &devices[0], id, close(&[("sum", Some("4"))]));
    let session = &ledger.state().sessions[&id];
    assert_eq!(session.status, SessionStatus::Completed);
    assert_eq!((session.opened_by, session.closed_by), (opened, Some(closed)));
    assert_eq!(session.messages, [one]);
    assert_eq!(session.opener, devices[0].id);
    let record = &ledger.state().records[&(app(), schema(), RecordKey::from("sum"))];
    assert_eq!(record.record.bytes, b"3");
    assert_eq!(record.record.tag.unit, closed);
    assert_eq!(record.record.origin, RecordKey::from("sum"));
}

#[test]
fn a_session_that_is_aborted_writes_nothing() {
    let (devices, mut ledger) = fixture();
    let (id, _) = open_session(&mut ledger, &devices[0], &devices);
    let Event::CloseSession(complete) = close(&[("sum", Some("3"))]) else { unreachable!() };
    let outcome = Outcome::Aborted { reason: "no".to_owned() };
    let event = Event::CloseSession(CloseSession { outcome, ..complete });
    write_in(&mut ledger, &devices[0], id, event);
    assert_eq!(ledger.state().sessions[&id].status, SessionStatus::Aborted);
    assert!(ledger.state().records.is_empty());
}

#[test]
fn ill_formed_closes_do_not_close() {
    let (devices, mut ledger) = fixture();
    let (id, _) = open_session(&mut ledger, &devices[0], &devices);
    let keys: Vec<String> = (0..257).map(|it| it.to_string()).collect();
    let many: Vec<_> = keys.iter().map(|it| (it.as_str(), None)).collect();
    let long_key = "k".repeat(257);
    let Event::CloseSession(mut inner) = close(&[]) else { unreachable!() };
    let batch = vec![RecordWrite { key: RecordKey::from("a"), bytes: None }];
    inner.outcome = Outcome::Completed { result: Vec::new(), batch };
    let ill_formed = [
        close(&[("a", Some("1")), ("a", Some("2"))]),
        close(&many),
        close(&[(&long_key, None)]),
        Event::CloseSession(inner),
    ];
    for event in ill_formed {
        write_in(&mut ledger, &devices[0], id, event);
        assert_eq!(ledger.state().sessions[&id].status, SessionStatus::Pending);
        assert!(ledger.state().records.is_empty());
    }
    write_in(&mut ledger, &devices[0], id, close(&many[..256]));
    assert_eq!(ledger.state().records.len(), 256);
}

#[test]
fn nobody_opens_a_session_for_another() {
    let (devices, mut ledger) = fixture();
    let next = ledger.next_seq(devices[0].id);
    let others = session_id(ledger.account(), devices[1].id, next);
    write_in(&mut ledger, &devices[0], others, open(&devices));
    write(&mut ledger, &devices[0], open(&devices));
    // Nor one that it takes no part in.
    open_session(&mut ledger, &devices[0], &devices[1..]);
    assert!(ledger.state().sessions.is_empty());
}

#[test]
fn a_manifest_is_of_its_author() {
    let (devices, mut ledger) = fixture();
    write(&mut ledger, &devices[0], metadata(&devices[1], "somebody else"));
    assert!(ledger.state().metadata.is_empty());
    write(&mut ledger, &devices[0], metadata(&devices[0], "old"));
    let unit = write(&mut ledger, &devices[0], metadata(&devices[0], "new"));
    let (published, said) = &ledger.state().metadata[&devices[0].id];
    assert_eq!((*published, said.name.as_str()), (unit, "new"));
}

#[test]
fn later_writes_win_and_deletions_are_kept() {
    let (devices, mut ledger) = fixture();
    for text in [Some("1"), Some("2"), None] {
        let (id, _) = open_session(&mut ledger, &devices[0], &devices);
        write_in(&mut ledger, &devices[0], id, close(&[("sum", text)]));
        let heads = ledger.heads();
        let records = ledger.records_at(app(), &heads).unwrap();
        let stored = &ledger.state().records[&(app(), schema(), RecordKey::from("sum"))];
        assert_eq!(records.iter().collect::<Vec<_>>(), [stored]);
        assert_eq!(stored.deleted, text.is_none());
        assert_eq!(stored.record.bytes, text.unwrap_or_default().as_bytes());
    }
    let heads = ledger.heads();
    let other = AppId::from_bytes([1; 32]);
    assert_eq!(ledger.records_at(other, &heads).unwrap(), []);
}

#[test]
fn an_app_is_installed_once_and_upgraded_by_decision() {
    let (devices, mut ledger) = fixture();
    decide(&mut ledger, &devices, install());
    decide(&mut ledger, &devices, install());
    let state = &ledger.state().apps[&app()];
    assert_eq!(state.installed_at, 2);
    assert_eq!(state.active.version, ProtocolVersion::new(1, 0, 0));
    assert_eq!((state.active.schema, state.active.k, state.active.proposal), (schema(), 2, None));
    let policy = UpgradePolicy::Manual;
    decide(&mut ledger, &devices, EntryBody::SetUpgradePolicy { app: app(), policy });
    assert_eq!(ledger.state().apps[&app()].policy, policy);
    let proposal = write(&mut ledger, &devices[1], propose());
    assert_eq!(ledger.state().proposals[&proposal].repository_head, repository().head());
    decide(&mut ledger, &devices, activate(proposal));
    let state = &ledger.state().apps[&app()];
    assert_eq!(state.active.release, release(ProtocolVersion::new(1, 1, 0)));
    assert_eq!((state.active.k, state.active.proposal), (5, Some(proposal)));
    assert_eq!(state.history.len(), 1);
    assert_eq!(state.activations.len(), 1);
    assert_eq!(ledger.state().proposals[&proposal].activated_at, Some(5));
}

#[test]
fn what_proves_nothing_is_listed_nowhere() {
    let (devices, mut ledger) = fixture();
    let Event::ProposeUpgrade(good) = propose() else { unreachable!() };
    let mut other_app = good.clone();
    other_app.app = AppId::from_bytes([1; 32]);
    let mut other_module = good.clone();
    other_module.digest = release(ProtocolVersion::new(1, 0, 0)).module.digest;
    let mut no_links = good.clone();
    no_links.release.links.clear();
    let mut cut = good.clone();
    cut.release.links.pop();
    for bad in [other_app, other_module, no_links, cut] {
        let unit = write(&mut ledger, &devices[0], Event::ProposeUpgrade(bad));
        write(&mut ledger, &devices[1], ready(unit));
        assert!(ledger.state().proposals.is_empty());
    }
    let EntryBody::Install(mut install) = install() else { unreachable!() };
    install.release = proof(0);
    decide(&mut ledger, &devices, EntryBody::Install(install));
    assert!(ledger.state().apps.is_empty());
}

#[test]
fn the_last_word_on_a_proposal_counts() {
    let (devices, mut ledger) = fixture();
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[1], Event::AcknowledgeUpgrade { proposal });
    write(&mut ledger, &devices[1], decline(proposal));
    assert!(ledger.state().proposals[&proposal].declined.contains_key(&devices[1].id));
    write(&mut ledger, &devices[1], ready(proposal));
    let state = &ledger.state().proposals[&proposal];
    assert!(state.declined.is_empty() && state.ready.contains_key(&devices[1].id));
    write(&mut ledger, &devices[1], decline(proposal));
    let state = &ledger.state().proposals[&proposal];
    assert!(state.ready.is_empty() && state.acknowledged.contains(&devices[1].id));
}

/// A device that left the roster does not count, neither for what it said before nor for what it
/// says in an old configuration.
#[test]
fn only_members_count_for_a_proposal() {
    let (devices, chain) = account(4);
    let mut ledger = Ledger::new(chain);
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[3], ready(proposal));
    write(&mut ledger, &devices[2], ready(proposal));
    assert_eq!(ledger.state().proposals[&proposal].ready.len(), 2);
    let mut stale = Ledger::restore(&stored(&mut ledger)).unwrap();
    let rest = Configuration::with_defaults(devices[..3].iter().map(|it| it.entry.clone()));
    decide(&mut ledger, &devices, EntryBody::Reconfigure(rest.into()));
    let ready_ones = |ledger: &Ledger| -> Vec<_> {
        ledger.state().proposals[&proposal].ready.keys().copied().collect()
    };
    assert_eq!(ready_ones(&ledger), [devices[2].id]);
    // It has not heard that it left.
    let unit = write(&mut stale, &devices[3], ready(proposal));
    assert!(ledger.import(PEER, stale.unit_bytes(&unit).unwrap()).is_ok());
    assert!(ledger.contains(&unit));
    assert_eq!(ready_ones(&ledger), [devices[2].id]);
    let refused = ledger.author(devices[3].id, &devices[3].key, None, ready(proposal));
    assert_eq!(refused.unwrap_err().code(), "NotInRoster");
}

fn stored(ledger: &mut Ledger) -> aura_journal::Stored {
    let mut stored = aura_journal::Stored::default();
    stored.apply(&ledger.take_batch());
    stored
}

/// An account lists the releases that it publishes itself.
#[test]
fn a_publisher_lists_its_releases() {
    let ledger = Ledger::new(repository());
    let state = ledger.state();
    assert_eq!(state.releases.iter().map(|it| it.k).collect::<Vec<_>>(), [1, 2]);
    let version = ProtocolVersion::new(1, 1, 0);
    assert_eq!(state.release(&"counter".parse().unwrap(), version).unwrap().k, 2);
    assert_eq!(state.release(&"chess".parse().unwrap(), version), None);
}

/// INV-J70: what is taken back is the active version alone, by name; the versions before it follow one by
/// one, down to the one that was installed.
#[test]
fn an_activation_is_taken_back() {
    let (devices, mut ledger) = fixture();
    decide(&mut ledger, &devices, install());
    let of_app = |ledger: &Ledger| ledger.state().apps[&app()].clone();
    assert!(revert(&of_app(&ledger)).is_none());
    let mut taken = Vec::new();
    for _ in 0..2 {
        let proposal = write(&mut ledger, &devices[1], propose());
        decide(&mut ledger, &devices, activate(proposal));
        taken.push(revert(&of_app(&ledger)).unwrap());
    }
    let [first, second] = [taken[0].clone(), taken[1].clone()];
    let active = of_app(&ledger);
    // That is not the active one.
    decide(&mut ledger, &devices, first.clone());
    assert_eq!(of_app(&ledger), active);
    decide(&mut ledger, &devices, second.clone());
    let once = of_app(&ledger);
    assert_eq!(once.active.version, ProtocolVersion::new(1, 1, 0));
    assert_eq!(once.activation().map(|it| it.proposal), active.history[1].proposal);
    assert_eq!(revert(&once), Some(first.clone()));
    // Twice is once.
    decide(&mut ledger, &devices, second);
    assert_eq!(of_app(&ledger), once);
    decide(&mut ledger, &devices, first);
    let back = of_app(&ledger);
    assert_eq!(back.active.version, ProtocolVersion::new(1, 0, 0));
    assert_eq!((back.before(), back.activation()), (None, None));
    assert_eq!((back.history.len(), back.reverts.len()), (4, 2));
    // And forward again.
    let proposal = write(&mut ledger, &devices[0], propose());
    decide(&mut ledger, &devices, activate(proposal));
    assert_eq!(of_app(&ledger).lineage(u64::MAX).len(), 2);
    let fact = ledger.chain().fact(Subject::App(app()));
    assert!(
        matches!(fact, Some(Fact::App { version, .. }) if *version == ProtocolVersion::new(1, 1, 0))
    );
}

/// An activation that arrives before the unit that proposed it takes effect when that comes, whether
/// or not the entry closes over it.
#[test]
fn an_activation_waits_for_its_proposal() {
    for closes_over_it in [true, false] {
        let (devices, mut there) = fixture();
        let mut here = Ledger::new(there.chain().clone());
        decide(&mut there, &devices, install());
        let proposal = write(&mut there, &devices[1], propose());
        let past = if closes_over_it { vec![proposal] } else { Vec::new() };
        let entry = certify(there.chain(), &devices, past, activate(proposal));
        there.import_entry(entry).unwrap();
        for entry in there.chain().entries() {
            here.import_entry(entry.clone()).unwrap();
        }
        let app_state = &here.state().apps[&app()];
        assert_eq!(app_state.active.version, ProtocolVersion::new(1, 0, 0));
        assert_eq!(app_state.activations.len(), 1);
        sync(&there, &mut here);
        assert_eq!(here.state(), there.state());
        assert_eq!(here.state().apps[&app()].active.version, ProtocolVersion::new(1, 1, 0));
        assert_eq!(here.state().proposals[&proposal].activated_at, Some(3));
        assert_eq!(here.segment(&proposal), Some(3).filter(|_| closes_over_it));
    }
}

/// Two entries close over one unit. The later one's past arrives first; when the other's comes, the
/// unit goes to the earlier segment. It is final only once, and only then.
#[test]
fn a_unit_belongs_to_the_first_entry_that_closes_over_it() {
    let (devices, mut one) = fixture();
    let mut two = Ledger::new(one.chain().clone());
    let mut here = Ledger::new(one.chain().clone());
    let shared = write(&mut one, &devices[0], metadata(&devices[0], "shared"));
    sync(&one, &mut two);
    let first = write(&mut one, &devices[0], metadata(&devices[0], "first"));
    let second = write(&mut two, &devices[1], metadata(&devices[1], "second"));
    let policy = EntryBody::SetUpgradePolicy { app: app(), policy: UpgradePolicy::Manual };
    decide(&mut one, &devices, policy.clone());
    two.import_entry(one.chain().entries()[2].clone()).unwrap();
    decide(&mut two, &devices, policy);
    for entry in &two.chain().entries()[2..] {
        here.import_entry(entry.clone()).unwrap();
    }
    let filter = Filter { finality: Finality::Final, ..Filter::default() };
    let stream = here.subscribe(filter);
    let take = |here: &mut Ledger, unit, from: &Ledger| {
        assert!(here.import(PEER, from.unit_bytes(&unit).unwrap()).is_ok());
        here.poll(stream)
    };
    assert_eq!(take(&mut here, shared, &one), []);
    assert_eq!(take(&mut here, second, &two), [], "what comes may be before it");
    assert_eq!((here.segment(&shared), here.segment(&second)), (Some(3), Some(3)));
    assert_eq!(take(&mut here, first, &one), [shared, first, second]);
    let segments = [shared, first, second].map(|it| here.segment(&it));
    assert_eq!(segments, [Some(2), Some(2), Some(3)]);
}

/// A part of a session is begun by the session's opener, among the same devices, once.
#[test]
fn the_opener_begins_parts_of_a_session() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let (parent, _) = open_session(&mut ledger, &devices[0], &devices);
    let child = |part| child_session_id(parent, part);
    let begin = |ledger: &mut Ledger, who: usize, part: u64, among: Option<&[Device]>| {
        write_in(ledger, &devices[who], child(part), open_child(parent, part, among))
    };
    begin(&mut ledger, 1, 0, Some(&devices));
    begin(&mut ledger, 0, 0, Some(&devices[..2]));
    assert!(!ledger.state().sessions.contains_key(&child(0)), "not the opener, not all");
    begin(&mut ledger, 0, 0, Some(&devices));
    begin(&mut ledger, 0, 0, None);
    let begun = &ledger.state().sessions[&child(0)];
    assert_eq!((begun.parent, begun.opener), (Some((parent, 0)), devices[0].id));
    assert!(ledger.state().refused_children.is_empty(), "the first counts");
    begin(&mut ledger, 0, 1, None);
    begin(&mut ledger, 0, 1, Some(&devices));
    assert_eq!(ledger.state().refused_children[&child(1)], "no");
    assert!(!ledger.state().sessions.contains_key(&child(1)));
    // Under another id than its own it is nothing.
    write_in(&mut ledger, &devices[0], child(9), open_child(parent, 2, Some(&devices)));
    assert_eq!(ledger.state().sessions.len(), 2);
    // What it writes is written like anybody's.
    write_in(&mut ledger, &devices[0], child(0), close(&[("a", Some("1"))]));
    assert_eq!(ledger.state().records.len(), 1);
    let past = ledger.heads();
    assert_eq!(ledger.records_at(app(), &past).unwrap().len(), 1);
}
