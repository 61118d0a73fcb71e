//! Vote keys that devices announce, and the entries that put them in force.

use aura_crypto::SecretKey;
use aura_journal::{
    Event, Ledger,
    control::{
        Announcement, CertifiedEntry, ControlMessage, Entry, EntryBody, Phase, ReAdmit, Revoke,
        Role, RosterChange, Vote,
    },
};
use aura_protocol_core::Digest;

use crate::{
    control_fixture::{certificate, chain_of, decide, device, devices, key},
    support::{Device, account, certify, metadata, write},
};

fn fixture() -> (Vec<Device>, Ledger) {
    let (devices, chain) = account(3);
    (devices, Ledger::new(chain))
}

fn announce(ledger: &mut Ledger, by: &Device, new: &SecretKey) -> Digest {
    let said = Announcement::new(ledger.account(), by.id, new);
    write(ledger, by, Event::Control(ControlMessage::Announce(said)))
}

fn rekey(ledger: &mut Ledger, devices: &[Device]) {
    let past = ledger.heads();
    let next = ledger.chain().config().with_vote_keys(&ledger.announced(&past).unwrap());
    let body = EntryBody::Reconfigure(Box::new(next));
    let entry = certify(ledger.chain(), devices, past, body);
    ledger.import_entry(entry).unwrap();
}

/// INV-J61: of each device the one key that it announced in the past of the entry, and holds.
#[test]
fn an_entry_names_what_its_past_announces() {
    let (devices, mut ledger) = fixture();
    assert!(ledger.announced(&ledger.heads()).unwrap().is_empty());
    let before = ledger.heads();
    let (one, two) = (key("one"), key("two"));
    announce(&mut ledger, &devices[1], &one);
    let between = ledger.heads();
    announce(&mut ledger, &devices[2], &two);
    let of = |ledger: &Ledger, past: &[Digest]| ledger.announced(past).unwrap();
    assert!(of(&ledger, &before).is_empty());
    assert_eq!(of(&ledger, &between), [(devices[1].id, one.public())].into());
    let both = [(devices[1].id, one.public()), (devices[2].id, two.public())].into();
    assert_eq!(of(&ledger, &ledger.heads()), both);
    // Found on the way down as well as in all that is here.
    write(&mut ledger, &devices[1], metadata(&devices[1], "later"));
    let past = ledger.heads();
    write(&mut ledger, &devices[2], metadata(&devices[2], "above"));
    assert_eq!(of(&ledger, &past), both);
    let unknown = Digest::of(b"nobody wrote this");
    assert_eq!(ledger.announced(&[unknown]).unwrap_err().unit, unknown);
    // In the same way after a restart.
    let mut stored = aura_journal::Stored::default();
    stored.apply(&ledger.take_batch());
    stored.entries = ledger.chain().entries().to_vec();
    let restored = Ledger::restore(&stored).unwrap();
    assert_eq!(of(&restored, &past), both);
}

/// Nobody announces another one's key, a key in use, or two.
#[test]
fn what_is_announced_is_held_fresh_and_one() {
    let (devices, mut ledger) = fixture();
    let (one, two) = (key("one"), key("two"));
    let stolen = Announcement::new(ledger.account(), devices[2].id, &one);
    write(&mut ledger, &devices[1], Event::Control(ControlMessage::Announce(stolen)));
    announce(&mut ledger, &devices[1], &devices[0].key);
    assert!(ledger.announced(&ledger.heads()).unwrap().is_empty());
    announce(&mut ledger, &devices[1], &one);
    assert_eq!(ledger.announced(&ledger.heads()).unwrap().len(), 1);
    announce(&mut ledger, &devices[1], &two);
    assert!(ledger.announced(&ledger.heads()).unwrap().is_empty());
}

/// INV-J60: what was in force once is announced in vain, and in nobody's seat again.
#[test]
fn a_key_comes_into_force_once() {
    let (devices, mut ledger) = fixture();
    let (first, second) = (key("first"), key("second"));
    let of = |ledger: &Ledger| ledger.chain().config().roster[&devices[1].id].vote_key;
    let begun = of(&ledger);
    announce(&mut ledger, &devices[1], &first);
    rekey(&mut ledger, &devices);
    assert_eq!(of(&ledger), first.public());
    assert!(ledger.chain().is_retired(&begun) && !ledger.chain().is_retired(&first.public()));
    // Those that announce nothing keep their key.
    assert!(ledger.announced(&ledger.heads()).unwrap().is_empty());
    announce(&mut ledger, &devices[1], &second);
    let current = ledger.chain().config().clone();
    let mut next = current.clone();
    next.roster.get_mut(&devices[1].id).unwrap().vote_key = begun;
    let check = |ledger: &Ledger, body| {
        ledger.chain().check_next(&Entry { past: vec![], body }).unwrap_err().code()
    };
    let body = EntryBody::Reconfigure(Box::new(next));
    assert_eq!(check(&ledger, body), "RetiredKey");
    let mut next = current;
    next.roster.get_mut(&devices[2].id).unwrap().vote_key = begun;
    assert_eq!(check(&ledger, EntryBody::Reconfigure(Box::new(next))), "RetiredKey");
}

/// Whoever leaves gets no key, and an entry without keys has the form that it always had.
#[test]
fn devices_leave_and_others_change_their_keys_at_once() {
    let roster = devices(4);
    let mut chain = chain_of(&roster);
    let (left, stays) = (roster[3].id(), roster[2].id());
    let new = key("new").public();
    let revoke = Revoke { device: left, last_seq: 0, last_hash: Digest::of(b"last") };
    let change = RosterChange::Revoke(revoke);
    let none = [(left, new)].into();
    assert_eq!(change.clone().with_keys(none), EntryBody::Revoke(revoke));
    let body = change.with_keys([(left, key("gone").public()), (stays, new)].into());
    assert!(body.cut() == Some(&revoke) && body.roster_change().unwrap().leaves() == left);
    decide(&mut chain, Entry { past: vec![], body: body.clone() }, &roster[..3]);
    let config = chain.config();
    assert_eq!((config.roster.len(), config.m, config.roster[&stays].vote_key), (3, 3, new));
    assert!(
        chain.is_retired(&roster[2].entry.vote_key) && chain.is_retired(&roster[3].entry.vote_key)
    );
    assert_eq!(chain.prove(2).unwrap().verify().unwrap().entry.body, body);

    let check = |body| chain.check_next(&Entry { past: vec![], body }).unwrap_err().code();
    let EntryBody::Rekeyed(rekeyed) = body else { panic!() };
    assert_eq!(check(EntryBody::Rekeyed(rekeyed.clone())), "NoMember");
    let (entry, device) = (device("fresh").entry, roster[1].id());
    let readmit = RosterChange::ReAdmit(Box::new(ReAdmit { device, entry: entry.clone() }));
    let mut of_old = rekeyed.clone();
    of_old.change = readmit.clone();
    of_old.keys = [(device, key("other").public())].into();
    assert_eq!(check(EntryBody::Rekeyed(of_old.clone())), "NoMember");
    of_old.keys.clear();
    assert_eq!(check(EntryBody::Rekeyed(of_old)), "NoKeys");
    let mut next = chain.clone();
    let other = key("other").public();
    let body = readmit.with_keys([(roster[0].id(), other)].into());
    let voters = [&roster[0], &roster[1]];
    let slot = next.next_slot();
    let value = Entry { past: vec![], body };
    let mut certificate = certificate(slot, &value, voters);
    let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &key("new"));
    certificate.votes.insert(vote.key, vote.signature);
    next.append(CertifiedEntry { slot, value, certificate }).unwrap();
    let config = next.config();
    assert_eq!(config.roster[&entry.device].role, Role::Voter);
    assert_eq!(config.roster[&roster[0].id()].vote_key, other);
}

/// A snapshot names the keys that are announced below it; what is announced above is for the next entry,
/// on a device that dropped units as on the others.
#[test]
fn a_snapshot_changes_vote_keys() {
    let (devices, mut ledger) = fixture();
    let keys = [key("one"), key("two")];
    announce(&mut ledger, &devices[0], &keys[0]);
    announce(&mut ledger, &devices[1], &key("a"));
    announce(&mut ledger, &devices[1], &key("b"));
    let past = ledger.heads();
    let snapshot = ledger.snapshot(&past).unwrap();
    assert_eq!(snapshot.keys, [(devices[0].id, keys[0].public())].into());
    let entry = certify(ledger.chain(), &devices, past, EntryBody::Snapshot(snapshot));
    ledger.import_entry(entry).unwrap();
    // The one who had announced two begins anew.
    let unit = announce(&mut ledger, &devices[1], &keys[1]);
    let expected = [(devices[1].id, keys[1].public())].into();
    assert_eq!(ledger.announced(&ledger.heads()).unwrap(), expected);
    assert!(ledger.contains(&unit));
    for device in [0, 2] {
        write(&mut ledger, &devices[device], metadata(&devices[device], "heard"));
    }
    let past = ledger.heads();
    let _compacted = ledger.compact(aura_protocol_core::UnixTime(0)).unwrap();
    assert_eq!(ledger.announced(&past).unwrap(), expected);
}
