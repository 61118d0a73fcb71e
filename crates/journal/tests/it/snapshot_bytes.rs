//! Bytes of snapshots and bases that are not what was certified, or were certified so.

use aura_journal::{
    Base, Ledger, SnapshotError,
    control::{CertifiedEntry, EntryBody, ReAdmit, Revoke, Snapshot},
    sync::{BaseInbox, Gathered, SyncMessage, answer, base_part, hello},
};
use aura_protocol_core::{DeviceId, UnixTime, decode, encode};

use crate::support::*;

const ME: DeviceId = DeviceId::from_bytes([0; 32]);

/// A ledger with a snapshot of which everybody has been heard, and its units dropped; and the chain
/// before it.
fn dropped() -> (Vec<Device>, Ledger, Ledger) {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    ledger.import_entry(certify(ledger.chain(), &devices, Vec::new(), install())).unwrap();
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[1], session, message("said"));
    write_in(&mut ledger, &devices[0], session, close(&[("key", Some("1"))]));
    let before = Ledger::new(ledger.chain().clone());
    let snapshot = ledger.snapshot(&ledger.heads()).unwrap();
    let entry = certify(ledger.chain(), &devices, ledger.heads(), EntryBody::Snapshot(snapshot));
    ledger.import_entry(entry).unwrap();
    for device in &devices {
        write(&mut ledger, device, metadata(device, "heard"));
    }
    ledger.compact(UnixTime(1 << 40)).unwrap();
    (devices, ledger, before)
}

/// INV-J21 for bases: every byte flipped, every length: nothing is taken but what was certified.
#[test]
fn every_changed_byte_of_a_base_is_refused() {
    let (_, ledger, _) = dropped();
    let base = ledger.base().map(|(_, it)| it.to_vec()).unwrap();
    let mut fresh = Ledger::new(ledger.chain().clone());
    let mut refused = |bytes: Vec<u8>| {
        assert_eq!(fresh.adopt(ME, bytes), Err(SnapshotError::Unknown));
        assert!(fresh.base().is_none() && fresh.is_empty());
    };
    for at in 0..base.len() {
        let mut flipped = base.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(flipped);
        refused(base[..at].to_vec());
    }
    refused([&base[..], &[0]].concat());
    assert!(fresh.adopt(ME, base).is_ok());
}

/// A quorum that certified nonsense harms nobody but itself: whatever bytes a base is certified to have,
/// reading it is refused with a reason, or gives a ledger that can be used; nothing panics.
#[test]
fn a_base_that_was_certified_so_breaks_nothing() {
    let (devices, ledger, before) = dropped();
    let base = ledger.base().map(|(_, it)| it.to_vec()).unwrap();
    let past = ledger.chain().entries().last().unwrap().value.past.clone();
    let (mut refused, mut taken) = (0, 0);
    for at in (0..base.len()).step_by(3) {
        let mut bytes = base.clone();
        bytes[at] ^= 1 << (at % 8);
        let snapshot = Snapshot {
            base: Base::digest_of(&bytes),
            bytes: bytes.len() as u64,
            keys: Default::default(),
        };
        let mut fresh = Ledger::new(before.chain().clone());
        let body = EntryBody::Snapshot(snapshot);
        fresh.import_entry(certify(fresh.chain(), &devices, past.clone(), body)).unwrap();
        match fresh.adopt(ME, bytes) {
            Ok(_) => {
                taken += 1;
                assert!(fresh.base().is_some());
                let _all = (fresh.frontier(), fresh.heads(), fresh.epoch(), fresh.forks());
                for message in answer(&fresh, &hello(&before)) {
                    let _frame = message.to_bytes();
                }
                // What is written above may fit or not.
                for unit in ledger.arrivals() {
                    let _outcome = fresh.import(PEER, ledger.unit_bytes(unit).unwrap());
                }
            }
            Err(SnapshotError::Unknown | SnapshotError::Malformed(_)) => {
                refused += 1;
                assert!(fresh.base().is_none());
            }
            Err(other) => panic!("{at}: {other}"),
        }
    }
    assert!(0 < refused && 0 < taken, "{refused} refused, {taken} taken");
}

/// INV-J2 for the entries that change who counts: every byte of a snapshot, a cut, an admission.
#[test]
fn every_changed_byte_of_such_an_entry_is_refused() {
    let (devices, ledger, before) = dropped();
    let EntryBody::Snapshot(snapshot) = &ledger.chain().entries().last().unwrap().value.body else {
        panic!("no snapshot");
    };
    let device = devices[1].id;
    let last_hash = ledger.arrivals()[0];
    let successor = ReAdmit { device, entry: crate::support::device(9).entry };
    for body in [
        EntryBody::Snapshot(snapshot.clone()),
        EntryBody::Revoke(Revoke { device, last_seq: 0, last_hash }),
        EntryBody::ReAdmit(Box::new(successor)),
    ] {
        let certified = certify(before.chain(), &devices, vec![last_hash], body);
        let bytes = encode(&certified);
        let mut ledger = Ledger::new(before.chain().clone());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            if let Ok(flipped) = decode::<CertifiedEntry>(&flipped, bytes.len()) {
                assert!(ledger.import_entry(flipped).is_err(), "byte {at}");
            }
            assert!(decode::<CertifiedEntry>(&bytes[..at], bytes.len()).is_err());
        }
        assert_eq!(ledger.chain().head(), before.chain().head());
        ledger.import_entry(certified).unwrap();
    }
}

/// INV-J21 for parts: every byte of the messages that bring a base or ask for one. What is gathered is the
/// certified base or is refused, and what is asked for is answered with a part or with nothing.
#[test]
fn every_changed_byte_of_a_part_is_refused_or_harmless() {
    let (_, ledger, _) = dropped();
    let (k, base) = ledger.base().map(|(k, it)| (k, it.to_vec())).unwrap();
    let part = base_part(&ledger, k, 0).unwrap();
    let want = SyncMessage::WantBase { k, from: 9 };
    for good in [part.to_bytes(), want.to_bytes(), SyncMessage::More.to_bytes()] {
        let changed = (0..good.len()).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let cut = (0..good.len()).map(|end| good[..end].to_vec());
        for bytes in changed.chain(cut).chain([[&good[..], &[0]].concat()]) {
            match SyncMessage::from_bytes(&bytes) {
                Ok(SyncMessage::Base(part)) => {
                    let mut fresh = Ledger::new(ledger.chain().clone());
                    if let Gathered::Whole(bytes) = BaseInbox::default().take(&fresh, part) {
                        assert_ne!(bytes, base);
                        assert_eq!(fresh.adopt(ME, bytes), Err(SnapshotError::Unknown));
                    }
                }
                Ok(SyncMessage::WantBase { k: asked, from }) => {
                    let answer = base_part(&ledger, asked, from);
                    assert!(answer.is_none() || asked == k && from < base.len() as u64);
                }
                Ok(other) => assert!(!matches!(other, SyncMessage::Units(_))),
                Err(_) => {}
            }
        }
    }
}
