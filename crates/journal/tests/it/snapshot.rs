//! What stands for an account's past, and what may be dropped for it.

use aura_journal::{
    AuthorError, Base, Ledger, LedgerStore as _, NamedUnit, Outcome, PeerTag, Reject,
    SnapshotError, StoreBatch, Stored,
    control::{CertifiedEntry, Configuration, ControlChain, EntryBody, Revoke, Snapshot},
    store::{DiskStore, MemoryStore},
    sync::{BaseInbox, BasePart, Gathered, SyncMessage, base_part},
};
use aura_protocol_core::{DeviceId, UnixTime, encode};
use proptest::{prelude::*, sample::Index};

use crate::{history::*, support::*};

/// After all proposals have expired.
const LATER: UnixTime = UnixTime(1 << 40);

/// Devices that have written something, all of which everybody has.
struct Account {
    devices: Vec<Device>,
    ledgers: Vec<Ledger>,
}

impl Account {
    fn of(count: u8) -> Self {
        let (devices, chain) = account(count);
        let ledgers = devices.iter().map(|_| Ledger::new(chain.clone())).collect();
        let mut account = Self { devices, ledgers };
        account.decide(install());
        account.manifests();
        account
    }

    fn manifests(&mut self) {
        for (ledger, device) in self.ledgers.iter_mut().zip(&self.devices) {
            write(ledger, device, metadata(device, "name"));
        }
        self.meet();
    }

    /// Everybody exchanges everything with the first.
    fn meet(&mut self) {
        for _ in 0..2 {
            let (first, others) = self.ledgers.split_first_mut().unwrap();
            others.iter_mut().for_each(|it| exchange(first, it));
        }
    }

    /// The first has something decided, and everybody hears of it.
    fn decide(&mut self, body: EntryBody) -> CertifiedEntry {
        let first = &mut self.ledgers[0];
        let entry = certify(first.chain(), &self.devices, first.heads(), body);
        first.import_entry(entry.clone()).unwrap();
        self.meet();
        entry
    }

    fn snapshot(&mut self) {
        let snapshot = self.ledgers[0].snapshot(&self.ledgers[0].heads()).unwrap();
        self.decide(EntryBody::Snapshot(snapshot));
    }

    /// One session with records, from its beginning to its end.
    fn session(&mut self, nth: usize, text: &str) {
        let (ledger, device) = (&mut self.ledgers[nth], &self.devices[nth]);
        let (id, _) = open_session(ledger, device, &self.devices);
        write_in(ledger, device, id, message(text));
        write_in(ledger, device, id, close(&[("shared", Some(text)), (text, Some("1"))]));
        self.meet();
    }

    /// A snapshot of which everybody has been heard.
    fn settled(&mut self) {
        self.snapshot();
        self.manifests();
    }
}

fn stored_of(ledger: &Ledger) -> Stored {
    let units = ledger.arrivals().iter().map(|it| NamedUnit::of(ledger.unit_bytes(it).unwrap()));
    Stored {
        entries: ledger.chain().entries().to_vec(),
        base: ledger.base().map(|(_, bytes)| bytes.to_vec()),
        units: units.collect(),
        ..Stored::default()
    }
}

fn assert_same(one: &Ledger, other: &Ledger) {
    assert_eq!(one.state(), other.state());
    assert_eq!(one.frontier(), other.frontier());
    assert_eq!(one.heads(), other.heads());
    assert_eq!(one.epoch(), other.epoch());
    assert_eq!(one.ticks_missing(), other.ticks_missing());
    assert_eq!(one.forks(), other.forks());
}

/// INV-J51: a device that dropped what a snapshot stands for goes on like the others; a restart finds it
/// as it was, and one that joins begins with the base.
#[test]
fn a_compacted_ledger_goes_on_like_the_others() {
    let mut account = Account::of(3);
    for nth in 0..3 {
        account.session(nth, &format!("before {nth}"));
    }
    // One session goes on over the snapshot.
    let (open, _) = open_session(&mut account.ledgers[1], &account.devices[1], &account.devices);
    write_in(&mut account.ledgers[1], &account.devices[1], open, message("before"));
    account.meet();
    account.settled();
    let compacted = account.ledgers[2].compact(LATER).unwrap();
    assert_eq!((compacted.units, account.ledgers[2].len()), (3, 3));
    assert!(0 < compacted.dropped);
    assert_same(&account.ledgers[2], &account.ledgers[0]);
    // What the open session has said can still be read.
    let known = account.ledgers[2].state().sessions[&open].clone();
    assert_eq!(known.messages.len(), 1);
    assert!(account.ledgers[2].unit(&known.messages[0]).is_some());
    assert!(account.ledgers[2].state().ended.count() == 3);

    write_in(&mut account.ledgers[2], &account.devices[2], open, message("after"));
    account.meet();
    write_in(&mut account.ledgers[1], &account.devices[1], open, close(&[("late", Some("1"))]));
    account.session(0, "after");
    assert_same(&account.ledgers[2], &account.ledgers[0]);
    assert_eq!(account.ledgers[2].waiting(), 0);

    let again = Ledger::restore(&stored_of(&account.ledgers[2])).unwrap();
    assert_same(&again, &account.ledgers[0]);

    // A device joins, and knows nobody but the one that keeps a base.
    let newcomer = device(9);
    let members = account.devices.iter().chain([&newcomer]).map(|it| it.entry.clone());
    let config = Configuration::with_defaults(members);
    account.decide(EntryBody::Reconfigure(config.into()));
    let mut joined = Ledger::new(account.ledgers[2].chain().clone());
    assert_eq!(
        joined.author(newcomer.id, &newcomer.key, None, metadata(&newcomer, "new")),
        Err(AuthorError::Behind { k: compacted.k })
    );
    exchange(&mut joined, &mut account.ledgers[2]);
    assert_same(&joined, &account.ledgers[0]);
    write(&mut joined, &newcomer, metadata(&newcomer, "new"));
    exchange(&mut joined, &mut account.ledgers[0]);
    assert_same(&joined, &account.ledgers[0]);
}

/// INV-J52: nothing is dropped while a voter has not been heard of, while an upgrade is under way that needs
/// it, or before everything is here.
#[test]
fn nothing_is_dropped_that_is_needed() {
    let mut account = Account::of(3);
    assert_eq!(account.ledgers[0].compact(LATER), Err(SnapshotError::None));
    let proposal = write(&mut account.ledgers[0], &account.devices[0], propose());
    account.meet();
    account.snapshot();
    for nth in [0, 1] {
        write(&mut account.ledgers[nth], &account.devices[nth], message("heard"));
    }
    account.meet();
    let device = account.devices[2].id;
    assert_eq!(account.ledgers[0].compact(LATER), Err(SnapshotError::Unheard { device }));
    write(&mut account.ledgers[2], &account.devices[2], message("heard"));
    account.meet();
    let under_way = Err(SnapshotError::UnderWay { proposal });
    assert_eq!(account.ledgers[0].compact(UnixTime(1_000)), under_way);
    // Whatever was refused changed nothing.
    assert!(account.ledgers[0].take_batch().compaction.is_none());
    account.ledgers[0].compact(UnixTime(1_001)).unwrap();
    assert_eq!(account.ledgers[0].compact(LATER), Err(SnapshotError::None));
    // An activation whose proposal is gone is carried out all the same.
    account.decide(activate(proposal));
    assert_eq!(account.ledgers[0].state(), account.ledgers[1].state());
    let (app, state) = account.ledgers[0].state().apps.first_key_value().unwrap();
    assert_eq!(state.active.proposal, Some(proposal));
    assert!(account.ledgers[0].records_at(*app, &[proposal]).is_err());
}

/// INV-J52: a device that came to something else than was certified keeps everything.
#[test]
fn a_device_that_came_to_something_else_keeps_everything() {
    let mut account = Account::of(3);
    let mut snapshot = account.ledgers[0].snapshot(&account.ledgers[0].heads()).unwrap();
    snapshot.base = aura_protocol_core::Digest::of(b"something else");
    account.decide(EntryBody::Snapshot(snapshot));
    account.manifests();
    let error = account.ledgers[0].compact(LATER).unwrap_err();
    assert!(matches!(error, SnapshotError::Differs { .. }), "{error}");
}

/// What is decided already must be in the past of a snapshot, and here.
#[test]
fn a_snapshot_covers_what_is_decided() {
    let mut account = Account::of(2);
    let unit = write(&mut account.ledgers[0], &account.devices[0], message("one"));
    let two = write(&mut account.ledgers[1], &account.devices[1], message("two"));
    let behind = SnapshotError::Behind { unit: two };
    assert_eq!(account.ledgers[0].snapshot(&[two]), Err(behind.clone()));
    let elsewhere = account.ledgers[1].heads();
    account.decide(EntryBody::SetUpgradePolicy {
        app: app(),
        policy: aura_journal::control::UpgradePolicy::Manual,
    });
    assert_eq!(account.ledgers[0].snapshot(&[two]), Err(SnapshotError::Uncovered { unit }));
    assert!(!elsewhere.contains(&unit));
    // Both compute the same for the same past.
    let past = account.ledgers[0].heads();
    let snapshots: Vec<Snapshot> =
        account.ledgers.iter().map(|it| it.snapshot(&past).unwrap()).collect();
    assert_eq!(snapshots[0], snapshots[1]);
}

/// A unit that was written before its author had heard of a snapshot comes in everywhere as long as the
/// next one is not settled; after that its author has to be admitted anew.
#[test]
fn a_late_unit_comes_in_for_one_interval() {
    let mut account = Account::of(4);
    account.session(3, "together");
    account.session(0, "seen by all");
    // The last device writes, and is not heard. It is a reader from here on, so that nobody waits for it.
    let late = write(&mut account.ledgers[3], &account.devices[3], message("late"));
    let entries = account.devices.iter().enumerate().map(|(nth, it)| {
        let mut entry = it.entry.clone();
        if nth == 3 {
            entry.role = aura_journal::control::Role::Reader;
        }
        entry
    });
    let config = Configuration::with_defaults(entries);
    let mut away = account.ledgers.pop().unwrap();
    let absent = account.devices.pop().unwrap();
    account.decide(EntryBody::Reconfigure(config.into()));
    account.session(0, "without");
    account.settled();
    account.ledgers[1].compact(LATER).unwrap();
    let bytes = away.unit_bytes(&late).unwrap().to_vec();
    let mut early = Ledger::restore(&stored_of(&account.ledgers[1])).unwrap();
    assert_eq!(early.import(PEER, &bytes), Ok(Outcome::Applied(vec![late])));
    // One that is away for a second interval is too late.
    account.session(0, "again");
    account.settled();
    account.ledgers[1].compact(LATER).unwrap();
    let outcome = account.ledgers[1].import(PEER, &bytes);
    assert_eq!(outcome, Ok(Outcome::Parked));
    exchange(&mut away, &mut account.ledgers[0]);
    assert!(matches!(
        away.author(absent.id, &absent.key, None, message("more")),
        Err(AuthorError::Late { .. })
    ));
    // Others link nothing to it, so that all can take what they write.
    let next = write(&mut account.ledgers[0], &account.devices[0], message("next"));
    let bytes = account.ledgers[0].unit_bytes(&next).unwrap().to_vec();
    assert_eq!(account.ledgers[1].import(PEER, &bytes), Ok(Outcome::Applied(vec![next])));
}

/// V10: whoever knows of a snapshot can rest on nothing below it but its tips.
#[test]
fn nothing_rests_below_a_snapshot_that_its_author_knows() {
    let mut account = Account::of(2);
    let deep = account.ledgers[0].arrivals()[0];
    account.session(1, "above");
    account.settled();
    let (author, key) = (account.devices[1].id, &account.devices[1].key);
    let last = write(&mut account.ledgers[1], &account.devices[1], message("good"));
    let mut body = account.ledgers[1].unit(&last).unwrap().body.clone();
    body.deps = vec![deep];
    let lamport =
        |it: &aura_protocol_core::Digest| account.ledgers[1].unit(it).unwrap().body.lamport;
    body.lamport = lamport(&body.prev.unwrap()).max(lamport(&deep)).saturating_add(1);
    let seq = body.seq;
    let bytes = encode(&body.sign(key));
    let outcome = account.ledgers[0].import(PEER, &bytes);
    assert_eq!(outcome, Err(Reject::Settled { author, seq }));
}

/// One transaction replaces all units: a crash at any write leaves the old ledger or the new one.
#[test]
fn a_crash_leaves_the_old_ledger_or_the_new_one() {
    let mut account = Account::of(2);
    account.session(0, "text");
    account.settled();
    let full = stored_of(&account.ledgers[0]);
    let _stored = account.ledgers[0].take_batch();
    account.ledgers[0].compact(LATER).unwrap();
    let batch = account.ledgers[0].take_batch();
    for after in [false, true] {
        let mut store = MemoryStore::holding(full.clone());
        if after {
            store.crash_after(0)
        } else {
            store.crash_before(0)
        }
        store.commit(&batch).unwrap_err();
        store.restart();
        let stored = store.load().unwrap();
        assert_eq!(stored.base.is_some(), after);
        let ledger = Ledger::restore(&stored).unwrap();
        assert_same(&ledger, &account.ledgers[1]);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut disk = DiskStore::create(dir.path()).unwrap();
    let (entries, units) = (full.entries, full.units);
    disk.commit(&StoreBatch { entries, units, ..StoreBatch::default() }).unwrap();
    disk.commit(&batch).unwrap();
    write(&mut account.ledgers[0], &account.devices[0], message("more"));
    disk.commit(&account.ledgers[0].take_batch()).unwrap();
    drop(disk);
    let stored = DiskStore::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(stored.units.len(), account.ledgers[0].len());
    assert_same(&Ledger::restore(&stored).unwrap(), &account.ledgers[0]);
}

/// Whatever bytes somebody sends for a base, nothing of them is taken but what was certified.
#[test]
fn a_base_is_what_was_certified_or_nothing() {
    let mut account = Account::of(2);
    account.session(0, "text");
    account.settled();
    account.ledgers[0].compact(LATER).unwrap();
    let (k, base) = account.ledgers[0].base().map(|(k, it)| (k, it.to_vec())).unwrap();
    let me = DeviceId::from_bytes([0; 32]);
    let fresh = || Ledger::new(account.ledgers[0].chain().clone());
    for at in (0..base.len()).step_by(7) {
        let mut flipped = base.clone();
        flipped[at] ^= 1;
        assert_eq!(fresh().adopt(me, flipped), Err(SnapshotError::Unknown));
        assert_eq!(fresh().adopt(me, base[..at].to_vec()), Err(SnapshotError::Unknown));
    }
    assert_eq!(Base::from_bytes(&base).unwrap().to_bytes(), base);
    // A part that does not continue is ignored, and so is more than was certified.
    let ledger = fresh();
    let mut inbox = BaseInbox::default();
    let part = |from: u64, bytes: &[u8]| BasePart { k, from, bytes: bytes.to_vec() };
    assert_eq!(inbox.take(&ledger, part(5, b"later")), Gathered::Ignored);
    let want = Gathered::Want(SyncMessage::WantBase { k, from: 9 });
    assert_eq!(inbox.take(&ledger, part(0, &base[..9])), want);
    assert_eq!(inbox.take(&ledger, part(9, &vec![0; base.len()])), Gathered::Ignored);
    assert_eq!(inbox.take(&ledger, part(9, &base[9..])), Gathered::Whole(base.clone()));
    let elsewhere = BasePart { k: k + 1, from: 0, bytes: base.clone() };
    assert_eq!(inbox.take(&ledger, elsewhere), Gathered::Ignored);
    // Who has everything needs none.
    assert_eq!(account.ledgers[1].adopt(me, base.clone()), Err(SnapshotError::None));
    assert_eq!(inbox.take(&account.ledgers[1], part(0, &base)), Gathered::Ignored);
    assert_eq!(base_part(&account.ledgers[0], k, base.len() as u64), None);
    assert_eq!(base_part(&account.ledgers[0], k + 1, 0), None);
}

/// A history in which everybody has heard of the last snapshot in the end, if there is one.
fn histories() -> impl Strategy<Value = History> {
    forking_steps().prop_map(|(crowd, steps)| play(crowd, &steps))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J50: whatever the devices of a random history held when they certified a snapshot, one that holds
    /// everything comes to the same; so does one that has dropped what the snapshots before stand for.
    #[test]
    fn a_base_is_a_function_of_its_closure(history in histories()) {
        let mut chain: Vec<CertifiedEntry> = history.founded.entries().to_vec();
        let all = reference(&history);
        let mut step_by_step: Option<Ledger> = None;
        for entry in &history.entries {
            chain.push(entry.clone());
            let EntryBody::Snapshot(certified) = &entry.value.body else { continue };
            // Everything that there is, up to this entry.
            let mut here = Ledger::new(ControlChain::from_entries(chain.clone()).unwrap());
            for unit in &history.units {
                let _parked = here.import(PEER, unit);
            }
            prop_assert_eq!(&here.base_of(entry.slot.k).unwrap(), &certified.base);
            prop_assert_eq!(&all.base_of(entry.slot.k).unwrap(), &certified.base);
            let Some(mut ledger) = step_by_step.take().or(Some(here)) else { continue };
            for entry in chain.iter().skip(ledger.chain().entries().len()) {
                ledger.import_entry(entry.clone()).unwrap();
            }
            for unit in &history.units {
                let _parked = ledger.import(PEER, unit);
            }
            match ledger.compact(LATER) {
                Ok(_) | Err(SnapshotError::Unheard { .. } | SnapshotError::Late { .. }) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
            step_by_step = Some(ledger);
        }
    }

    /// INV-J51: a replica that drops what it may, at any time, comes to the state of one that keeps
    /// everything; and so does one that begins with what is left.
    #[test]
    fn a_snapshot_equals_the_replay(
        (crowd, steps) in steps_with_snapshots(), order in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let history = play(crowd, &steps);
        let all = reference(&history);
        let mut ledger = Ledger::new(history.founded.clone());
        let mut entries = history.entries.iter();
        for (nth, unit) in history.units.iter().enumerate() {
            for _ in order.iter().filter(|it| it.index(history.units.len()) == nth) {
                if let Some(entry) = entries.next() {
                    ledger.import_entry(entry.clone()).unwrap();
                }
            }
            let _parked = ledger.import(PeerTag([3; 32]), unit).unwrap();
            let _dropped = ledger.compact(LATER);
        }
        for entry in entries {
            ledger.import_entry(entry.clone()).unwrap();
            let _dropped = ledger.compact(LATER);
        }
        prop_assert_eq!(ledger.waiting(), 0);
        prop_assert_eq!(ledger.state(), all.state());
        prop_assert_eq!(ledger.frontier(), all.frontier());
        prop_assert_eq!(ledger.epoch(), all.epoch());
        let mut fresh = Ledger::new(ledger.chain().clone());
        exchange(&mut fresh, &mut ledger);
        prop_assert_eq!(fresh.state(), all.state());
        prop_assert_eq!(fresh.frontier(), all.frontier());
        let again = Ledger::restore(&stored_of(&ledger)).unwrap();
        prop_assert_eq!(again.state(), all.state());
    }
}

/// Histories without forks in which snapshots are common.
fn steps_with_snapshots() -> impl Strategy<Value = (Crowd, Vec<Step>)> {
    let i = any::<Index>;
    let snapshots = prop::collection::vec((i(), i()), 1..6);
    (steps(), snapshots).prop_map(|((crowd, mut steps), snapshots)| {
        for (who, at) in snapshots {
            steps.insert(at.index(steps.len()), Step::Snapshot(who));
        }
        (crowd, steps)
    })
}

/// A cut of a device whose units are gone still holds.
#[test]
fn a_cut_below_a_snapshot_holds() {
    let mut account = Account::of(4);
    account.session(3, "counts");
    let last = *account.ledgers[3]
        .arrivals()
        .iter()
        .rev()
        .find(|it| account.ledgers[3].unit(it).unwrap().body.author == account.devices[3].id)
        .unwrap();
    let last_seq = account.ledgers[3].unit(&last).unwrap().body.seq;
    account.session(3, "does not");
    let device = account.devices[3].id;
    account.decide(EntryBody::Revoke(Revoke { device, last_seq, last_hash: last }));
    account.ledgers.pop();
    account.devices.pop();
    account.settled();
    account.ledgers[0].compact(LATER).unwrap();
    assert_same(&account.ledgers[0], &account.ledgers[1]);
    account.session(1, "after");
    assert_same(&account.ledgers[0], &account.ledgers[1]);
}
