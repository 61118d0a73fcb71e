//! What a build cannot read: kept, linked and sent on by it, and found in its place by one that can.

use aura_crypto::{Context, PublicKey, SecretKey, Signature, SignatureError};
use aura_journal::{
    Event, EventKind, Filter, Ledger, Reject, SnapshotError, StoreBatch, Stored, Strict, Unit,
    UnitScheme,
    control::{EntryBody, Revoke},
    unit::UNIT_VERSION,
};
use aura_protocol_core::{Digest, encode};
use proptest::prelude::*;

use crate::{history::*, support::*};

/// A build from before there were sessions, and before devices declined.
#[derive(Debug)]
enum Older {}

impl UnitScheme for Older {
    fn reads(tag: u8) -> bool {
        !matches!(tag, 5..=8 | 10 | 11)
    }

    fn sign(key: &SecretKey, context: &Context, body: &[u8]) -> Signature {
        Strict::sign(key, context, body)
    }

    fn verify(
        key: &PublicKey,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        Strict::verify(key, context, body, signature)
    }
}

/// What an older device has stored of a history that it got in this order.
fn stored_by_older(history: &History, order: &[usize]) -> (Ledger<Older>, Stored) {
    let mut older = Ledger::<Older>::with_scheme(history.founded.clone());
    let mut entries = history.entries.iter();
    for nth in order {
        let _any = older.import(PEER, &history.units[*nth]).unwrap();
        if let Some(entry) = entries.next() {
            older.import_entry(entry.clone()).unwrap();
        }
    }
    for entry in entries {
        older.import_entry(entry.clone()).unwrap();
    }
    let mut stored = Stored::default();
    stored.apply(&older.take_batch());
    (older, stored)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J60: an older device holds, links and counts what it cannot read, and sends it on; once it runs a
    /// build that can, it is as if it always had.
    #[test]
    fn an_upgraded_device_is_as_one_that_always_knew(
        (history, order) in forking_steps().prop_map(|(count, steps)| play(count, &steps)).prop_flat_map(|history| {
            let order: Vec<usize> = (0..history.units.len()).collect();
            (Just(history), Just(order).prop_shuffle())
        }),
    ) {
        let whole = reference(&history);
        let (older, stored) = stored_by_older(&history, &order);
        prop_assert_eq!(older.waiting(), 0);
        prop_assert_eq!(encode(&older.frontier()), encode(&whole.frontier()));
        prop_assert_eq!(older.forks(), whole.forks());
        prop_assert_eq!((older.epoch(), older.len()), (whole.epoch(), whole.len()));
        for unit in &history.hashes {
            prop_assert_eq!(older.segment(unit), whole.segment(unit));
            prop_assert_eq!(older.counts(unit), whole.counts(unit));
            prop_assert_eq!(older.unit_bytes(unit), whole.unit_bytes(unit));
            let tag = whole.unit(unit).unwrap().body.event.tag();
            let unread = if Older::reads(tag) { None } else { Some(&tag) };
            prop_assert_eq!(older.unread().get(unit), unread);
        }
        prop_assert!(older.state().sessions.is_empty() && older.state().records.is_empty());

        // It hands over all to whoever asks.
        let mut asked = Ledger::new(whole.chain().clone());
        for unit in older.missing_for(&asked.frontier()).map(<[u8]>::to_vec).collect::<Vec<_>>() {
            prop_assert!(asked.import(PEER, &unit).is_ok());
        }
        // A device that is told from afresh may be shown other branches of who has forked.
        if whole.forks().is_empty() {
            prop_assert_eq!(asked.state(), whole.state());
        }

        let upgraded = Ledger::restore(&stored).unwrap();
        prop_assert!(upgraded.unread().is_empty());
        prop_assert_eq!(view(&history, &upgraded), view(&history, &whole));
        for point in whole.chain().snapshots() {
            prop_assert_eq!(upgraded.base_of(point.k), whole.base_of(point.k));
        }
    }
}

/// A device that cannot read all that counts does not know what the account came to: it takes no snapshot, and
/// votes for none. A cut before what nobody can read is the way out where a member wrote that to be in the way.
#[test]
fn no_snapshot_is_taken_over_what_cannot_be_read() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain.clone());
    let last = write(&mut ledger, &devices[2], metadata(&devices[2], "name"));
    let unread = write(&mut ledger, &devices[2], Event::Unread(vec![200, 1, 2]));
    let next = write(&mut ledger, &devices[0], metadata(&devices[0], "next"));
    assert_eq!(ledger.snapshot(&ledger.heads()), Err(SnapshotError::Unread { unit: unread }));
    assert_eq!(SnapshotError::Unread { unit: unread }.code(), "UnreadUnit");
    let cut = Revoke { device: devices[2].id, last_seq: 0, last_hash: last };
    let entry = certify(&chain, &devices, vec![next], EntryBody::Revoke(cut));
    ledger.import_entry(entry).unwrap();
    assert!(!ledger.counts(&unread));
    assert!(ledger.snapshot(&ledger.heads()).is_ok());
}

/// What says nothing that anybody knows is taken in whole: it changes no state, wakes who waits for
/// everything, and others rest on it.
#[test]
fn what_nobody_can_read_changes_nothing() {
    let (devices, chain) = account(2);
    let mut one = Ledger::new(chain.clone());
    write(&mut one, &devices[0], metadata(&devices[0], "first"));
    let before = one.state().clone();
    let known = encode(&metadata(&devices[0], "known"));
    let stream = one.subscribe(Filter { kind: Some(EventKind::Unread), ..Filter::default() });
    let mut said = Vec::new();
    for bytes in [vec![11], vec![200, 1, 2, 3], [known.clone(), vec![0]].concat(), vec![0]] {
        said.push((write(&mut one, &devices[0], Event::Unread(bytes.clone())), bytes));
    }
    let next = write(&mut one, &devices[1], metadata(&devices[1], "next"));
    assert_eq!(one.state().metadata.len(), before.metadata.len() + 1);
    let mut two = Ledger::new(chain.clone());
    sync(&one, &mut two);
    let batch = two.take_batch();
    let mut stored = Stored::default();
    stored.apply(&StoreBatch { entries: chain.entries().to_vec(), ..StoreBatch::default() });
    stored.apply(&StoreBatch { entries: Vec::new(), ..batch });
    let again = Ledger::restore(&stored).unwrap();
    for ledger in [&two, &again] {
        assert_eq!(ledger.state(), one.state());
        assert!(ledger.contains(&next));
        let tags: Vec<u8> = said.iter().map(|(unit, _)| ledger.unread()[unit]).collect();
        assert_eq!(tags, [11, 200, 0, 0]);
        for (unit, bytes) in &said {
            assert_eq!(ledger.unit(unit).unwrap().body.event, Event::Unread(bytes.clone()));
        }
    }
    assert_eq!(one.poll(stream), said.iter().map(|it| it.0).collect::<Vec<Digest>>());

    // The same bytes under a tag that is known say what they say.
    let mut body = one.unit(&next).unwrap().body.clone();
    body.event = Event::Unread(known);
    let unit = Unit::from_bytes(&encode(&body.clone().sign(&devices[1].key))).unwrap();
    assert_eq!(unit.body.event, metadata(&devices[0], "known"));
    body.event = Event::Unread(Vec::new());
    assert!(Unit::from_bytes(&encode(&body.sign(&devices[1].key))).is_err());
}

/// A unit of another major version is refused, says what to do, and leaves nothing behind.
#[test]
fn a_newer_major_is_refused_and_says_what_to_do() {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain.clone());
    let mut there = Ledger::new(chain);
    let unit = write(&mut there, &devices[1], metadata(&devices[1], "name"));
    let good = there.unit_bytes(&unit).unwrap().to_vec();
    for (found, next) in [(UNIT_VERSION + 1, "upgrade this device"), (0, "its author's device")] {
        let mut bytes = good.clone();
        bytes[..2].copy_from_slice(&found.to_le_bytes());
        // Whatever comes after the version may mean something else there.
        for bytes in [bytes.clone(), bytes[..2].to_vec(), bytes[..40].to_vec()] {
            let refused = ledger.import(PEER, &bytes).unwrap_err();
            assert_eq!(refused, Reject::Version { found });
            assert!(refused.to_string().contains(next), "{refused}");
            assert_eq!((refused.code(), refused.culprit()), ("Version", None));
        }
    }
    assert_eq!((ledger.len(), ledger.waiting()), (0, 0));
}
