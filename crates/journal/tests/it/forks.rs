//! Forks, cuts and quotas: what a member that signs too much can do to others, and what not.

use aura_journal::{
    AuthorError, Event, Filter, Finality, ForkProof, ForkProofError, Ledger, Outcome, PeerTag,
    Reject, Unit, UnitBody,
    control::{EntryBody, ReAdmit, Revoke},
    sync::{Hello, SyncMessage, answer, hello},
};
use aura_protocol_core::{Digest, Lamport, decode, encode};
use proptest::{prelude::*, sample::Index};

use crate::{history::*, support::*};

/// Three devices, and a ledger in which the first has written two units and the second one.
fn fixture() -> (Vec<Device>, Ledger) {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[0], metadata(&devices[0], "zero"));
    write(&mut ledger, &devices[1], metadata(&devices[1], "one"));
    write(&mut ledger, &devices[0], metadata(&devices[0], "null"));
    (devices, ledger)
}

/// Another unit of the same author for the place of this one.
fn twin(ledger: &Ledger, unit: &Digest, device: &Device, name: &str) -> Unit {
    let mut body = ledger.unit(unit).unwrap().body.clone();
    body.event = metadata(device, name);
    body.sign(&device.key)
}

/// The unit of the same author after this one.
fn after(unit: &Unit, device: &Device, name: &str) -> Unit {
    let body = UnitBody {
        seq: unit.body.seq + 1,
        lamport: Lamport(unit.body.lamport.0 + 1),
        prev: Some(unit.hash()),
        deps: Vec::new(),
        event: metadata(device, name),
        ..unit.body.clone()
    };
    body.sign(&device.key)
}

fn name_of<'a>(ledger: &'a Ledger, device: &Device) -> Option<&'a str> {
    ledger.state().metadata.get(&device.id).map(|(_, it)| it.name.as_str())
}

fn push(ledger: &mut Ledger, unit: &Unit) -> Result<Outcome, Reject> {
    ledger.import(PEER, &encode(unit))
}

#[test]
fn a_fork_is_proved_and_leaves_its_author_out_from_there_on() {
    let (devices, mut ledger) = fixture();
    let [first, _, held] = ledger.arrivals()[..] else { panic!() };
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    let fork = Outcome::Fork { author: devices[0].id, seq: 1, applied: vec![twin.hash()] };
    assert_eq!(push(&mut ledger, &twin), Ok(fork));
    assert_eq!(push(&mut ledger, &twin), Ok(Outcome::Duplicate));
    assert_eq!(name_of(&ledger, &devices[0]), Some("zero"));
    assert_eq!(name_of(&ledger, &devices[1]), Some("one"));
    assert!(ledger.counts(&first) && !ledger.counts(&held) && !ledger.counts(&twin.hash()));
    assert_eq!(ledger.forks(), [(devices[0].id, 1)].into());
    // Whoever knows the chain sees it, wherever the proof comes from.
    let proof = ledger.fork_proof(devices[0].id).unwrap();
    assert_eq!(proof.verify(ledger.chain()), Ok((devices[0].id, 1)));
    assert_eq!(ledger.fork_proof(devices[1].id), None);
    // A third unit for the place shows nothing new, and neither does one beyond it.
    for more in [self::twin(&ledger, &held, &devices[0], "b"), after(&twin, &devices[0], "c")] {
        assert_eq!(push(&mut ledger, &more), Ok(Outcome::Applied(vec![more.hash()])));
        assert!(ledger.is_on_account(&more.hash()) && !ledger.counts(&more.hash()));
        assert!(!ledger.heads().contains(&more.hash()), "nobody is to rest on it");
    }
    // An earlier fork does.
    let earlier = self::twin(&ledger, &first, &devices[0], "d");
    assert!(matches!(push(&mut ledger, &earlier), Ok(Outcome::Fork { seq: 0, .. })));
    assert_eq!(name_of(&ledger, &devices[0]), None);
    assert_eq!(ledger.fork_proof(devices[0].id).unwrap().verify(ledger.chain()).unwrap().1, 0);
}

/// Nobody can make it look as if another had forked.
#[test]
fn a_fork_takes_the_authors_own_key() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let author = devices[0].id;
    let body = twin(&ledger, &held, &devices[0], "a clone").body;
    let forged = body.clone().sign(&devices[1].key);
    assert_eq!(push(&mut ledger, &forged), Err(Reject::Signature { author }));
    assert!(ledger.forks().is_empty());
    let one = ledger.unit(&held).unwrap().clone();
    let proof = |other: &Unit| ForkProof { one: one.clone(), other: other.clone() };
    let verify = |it: ForkProof| it.verify(ledger.chain());
    assert_eq!(verify(proof(&forged)), Err(ForkProofError::Signature { author }));
    assert_eq!(verify(proof(&one)), Err(ForkProofError::NoFork));
    let next = after(&one, &devices[0], "x");
    assert_eq!(verify(proof(&next)), Err(ForkProofError::NoFork));
    let elsewhere = UnitBody { account: Digest::ZERO.into(), ..body.clone() };
    let found = elsewhere.account;
    let expected = ledger.account();
    let elsewhere = elsewhere.sign(&devices[0].key);
    assert_eq!(verify(proof(&elsewhere)), Err(ForkProofError::Account { expected, found }));
    let unknown = UnitBody { config: 9, ..body.clone() }.sign(&devices[0].key);
    assert_eq!(verify(proof(&unknown)), Err(ForkProofError::UnknownAuthor { author, config: 9 }));
    // Every changed byte of a good one is refused.
    let good = encode(&proof(&body.sign(&devices[0].key)));
    assert!(decode::<ForkProof>(&good, good.len()).unwrap().verify(ledger.chain()).is_ok());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let read = decode::<ForkProof>(&bytes, bytes.len());
        assert!(read.is_err() || read.is_ok_and(|it| verify(it).is_err()), "byte {at}");
    }
}

/// A device that finds units by its own key which it did not write says no more.
#[test]
fn a_cloned_device_stops() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    assert!(push(&mut ledger, &twin).is_ok());
    let refused = ledger.author(devices[0].id, &devices[0].key, None, metadata(&devices[0], "x"));
    assert_eq!(refused, Err(AuthorError::Forked { device: devices[0].id, seq: 1 }));
    write(&mut ledger, &devices[1], metadata(&devices[1], "goes on"));
    assert_eq!(name_of(&ledger, &devices[1]), Some("goes on"));
}

/// What honest devices built on either branch reaches everybody, however long the branches are.
#[test]
fn honest_units_on_both_branches_flow_on() {
    let (devices, chain) = account(4);
    let mut ledgers: Vec<Ledger> = (0..3).map(|_| Ledger::new(chain.clone())).collect();
    for (nth, ledger) in ledgers.iter_mut().enumerate() {
        // The last device tells each another story, for more than fits into a ring of waiting units.
        for count in 0..300 {
            write(ledger, &devices[3], metadata(&devices[3], &format!("{nth} {count}")));
        }
        write(ledger, &devices[nth], metadata(&devices[nth], &nth.to_string()));
    }
    for (one, two) in [(0, 1), (1, 2), (0, 2), (0, 1)] {
        let [one, two] = ledgers.get_disjoint_mut([one, two]).unwrap();
        exchange(one, two);
    }
    for ledger in &ledgers {
        assert_eq!(ledger.len(), 903);
        assert_eq!(ledger.state(), ledgers[0].state());
        assert_eq!(ledger.state().metadata.len(), 3);
        assert_eq!(ledger.forks(), [(devices[3].id, 0)].into());
        assert!(ledger.arrivals().iter().all(|it| !ledger.is_on_account(it)));
    }
    let [one, two, _] = &mut ledgers[..] else { panic!() };
    assert_eq!(one.missing_for(&two.frontier()).count(), 0);
}

/// INV-J41: what a forked author's units cost beyond its fork is on the account of whoever sends them.
/// An honest device sends on none that nobody rests on, and others' accounts are not touched.
#[test]
fn useless_units_of_a_forked_author_go_no_further() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    for nth in 0..100 {
        let twin = twin(&ledger, &held, &devices[0], &nth.to_string());
        assert!(ledger.import(PeerTag([7; 32]), &encode(&twin)).is_ok());
    }
    assert_eq!(ledger.len(), 103);
    let mut other = Ledger::new(ledger.chain().clone());
    sync(&ledger, &mut other);
    assert_eq!(other.len(), 4, "the proof, and nothing more");
    assert_eq!(other.state(), ledger.state());
    // As if nothing had happened after a restart.
    let mut stored = aura_journal::Stored::default();
    stored.apply(&ledger.take_batch());
    let again = Ledger::restore(&stored).unwrap();
    assert_eq!((again.state(), again.heads()), (ledger.state(), ledger.heads()));
    assert!(again.missing_for(&other.frontier()).next().is_none());
}

/// A late fork proof changes nothing below a certificate, and one inside does.
#[test]
fn a_fork_counts_in_a_segment_if_both_units_lie_in_its_closure() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    let mut early = Ledger::new(ledger.chain().clone());
    sync(&ledger, &mut early);
    let entry = certify(ledger.chain(), &devices, ledger.heads(), install());
    ledger.import_entry(entry.clone()).unwrap();
    assert!(push(&mut ledger, &twin).is_ok());
    assert_eq!(name_of(&ledger, &devices[0]), Some("null"), "it was settled before");
    assert!(ledger.counts(&held) && !ledger.counts(&twin.hash()));
    // The proof first, then the entry that does not close over it.
    assert!(push(&mut early, &twin).is_ok());
    assert_eq!(name_of(&early, &devices[0]), Some("zero"));
    early.import_entry(entry).unwrap();
    assert_eq!(early.state(), ledger.state());
    // An entry that closes over both leaves both out, from its segment on.
    let mut whole = Ledger::new(account(3).1);
    for unit in early.arrivals() {
        assert!(whole.import(PEER, early.unit_bytes(unit).unwrap()).is_ok());
    }
    let entry = certify(whole.chain(), &devices, whole.heads(), install());
    whole.import_entry(entry).unwrap();
    assert_eq!(name_of(&whole, &devices[0]), Some("zero"));
    assert_eq!(whole.segment(&held), Some(2));
}

/// INV-J42: a cut leaves out what its device wrote beyond it, from the segment of its entry on, and
/// nothing that others built on that.
#[test]
fn a_revoked_device_keeps_what_stands_below_the_cut() {
    let (devices, mut ledger) = fixture();
    let [first, _, held] = ledger.arrivals()[..] else { panic!() };
    let late = after(&ledger.unit(&held).unwrap(), &devices[0], "back-dated");
    let device = devices[0].id;
    let body = EntryBody::Revoke(Revoke { device, last_seq: 0, last_hash: first });
    let entry = certify(ledger.chain(), &devices, ledger.heads(), body.clone());
    ledger.import_entry(entry).unwrap();
    assert_eq!(name_of(&ledger, &devices[0]), Some("zero"));
    assert!(ledger.counts(&first) && !ledger.counts(&held));
    let config = ledger.chain().config();
    assert_eq!((config.roster.len(), config.m), (2, 2));
    // What it goes on to write under the old configuration comes in, and counts for nothing.
    assert_eq!(push(&mut ledger, &late), Ok(Outcome::Applied(vec![late.hash()])));
    assert_eq!(name_of(&ledger, &devices[0]), Some("zero"));
    write(&mut ledger, &devices[1], metadata(&devices[1], "on top"));
    assert_eq!(name_of(&ledger, &devices[1]), Some("on top"));
    assert!(ledger.author(device, &devices[0].key, None, tick(1)).is_err());
    // Nobody leaves twice, and nobody comes back.
    let code = |body| ledger.chain().check_next(&entry_of(body)).unwrap_err().code();
    assert_eq!(code(body), "NoMember");
    let back = ReAdmit { device: devices[1].id, entry: devices[0].entry.clone() };
    assert_eq!(code(EntryBody::ReAdmit(Box::new(back))), "DeviceReadded");
}

fn entry_of(body: EntryBody) -> aura_journal::control::Entry {
    aura_journal::control::Entry { past: Vec::new(), body }
}

/// What an entry closed before the cut stays as it is.
#[test]
fn a_cut_changes_nothing_below_a_certificate() {
    let (devices, mut ledger) = fixture();
    let [first, _, held] = ledger.arrivals()[..] else { panic!() };
    let entry = certify(ledger.chain(), &devices, ledger.heads(), install());
    ledger.import_entry(entry).unwrap();
    let cut = Revoke { device: devices[0].id, last_seq: 0, last_hash: first };
    let entry = certify(ledger.chain(), &devices, ledger.heads(), EntryBody::Revoke(cut));
    ledger.import_entry(entry).unwrap();
    assert_eq!(name_of(&ledger, &devices[0]), Some("null"));
    assert!(ledger.counts(&held));
}

#[test]
fn a_forked_device_is_admitted_anew_with_another_key() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    assert!(push(&mut ledger, &twin).is_ok());
    let (old, new) = (devices[0].id, device(70));
    let readmit = |entry| EntryBody::ReAdmit(Box::new(ReAdmit { device: old, entry }));
    let check = |body| ledger.chain().check_next(&entry_of(body)).map_err(|it| it.code());
    assert_eq!(check(readmit(devices[0].entry.clone())), Err("BadConfiguration"));
    let mut half = new.entry.clone();
    half.vote_key = devices[0].entry.vote_key;
    assert_eq!(check(readmit(half)), Err("BadConfiguration"));
    assert_eq!(check(readmit(new.entry.clone())), Ok(()));
    let entry = certify(ledger.chain(), &devices, ledger.heads(), readmit(new.entry.clone()));
    ledger.import_entry(entry).unwrap();
    assert!(ledger.author(old, &devices[0].key, None, tick(1)).is_err());
    write(&mut ledger, &new, metadata(&new, "anew"));
    assert_eq!(name_of(&ledger, &new), Some("anew"));
    assert_eq!(name_of(&ledger, &devices[0]), Some("zero"));
    let config = ledger.chain().config();
    assert_eq!((config.roster.len(), config.m), (3, 2));
    assert_eq!(ledger.chain().prove(2).unwrap().verify().unwrap().head, ledger.chain().head());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J40 with a peer that withholds, repeats and reorders what it is asked for: it stops nobody
    /// else, and nothing that it does leaves others with different states.
    #[test]
    fn a_hostile_peer_delays_only_itself(
        (crowd, steps) in forking_steps(), picks in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let (history, mut ledgers) = play_on(crowd, &steps);
        let whole = reference(&history);
        let [victim, honest, ..] = &mut ledgers[..] else { panic!() };
        for pick in picks.iter().filter(|_| !history.units.is_empty()) {
            prop_assert!(victim.import(PeerTag([66; 32]), pick.get::<Vec<u8>>(&history.units)).is_ok());
        }
        for entry in &history.entries {
            victim.import_entry(entry.clone()).unwrap();
            honest.import_entry(entry.clone()).unwrap();
        }
        for unit in &history.units {
            prop_assert!(honest.import(PEER, unit).is_ok());
        }
        exchange(victim, honest);
        prop_assert_eq!(victim.state(), honest.state());
        prop_assert_eq!(honest.state(), whole.state());
        prop_assert!(victim.forks().iter().eq(whole.forks().iter()));
    }
}

/// INV-J21 for messages: whatever a peer makes of one is refused or harmless, and never stored.
#[test]
fn every_changed_byte_of_a_message_is_refused_or_harmless() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    let mut ahead = Ledger::new(ledger.chain().clone());
    sync(&ledger, &mut ahead);
    assert!(push(&mut ahead, &twin).is_ok());
    let entry = certify(ahead.chain(), &devices, ahead.heads(), install());
    ahead.import_entry(entry).unwrap();
    let mut messages = answer(&ahead, &hello(&ledger));
    messages.push(SyncMessage::Hello(hello(&ahead)));
    assert_eq!(messages.len(), 3);
    let genuine: Vec<Digest> = ahead.arrivals().to_vec();
    for message in messages {
        let good = message.to_bytes();
        let changed = (0..good.len()).flat_map(|at| [1u8, 0x80].map(|bit| (at, bit)));
        let changed = changed.map(|(at, bit)| {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            bytes
        });
        let cut = (0..good.len()).map(|end| good[..end].to_vec());
        for bytes in changed.chain(cut).chain([[&good[..], &[0]].concat()]) {
            let Ok(message) = SyncMessage::from_bytes(&bytes) else { continue };
            take_from_liar(&mut ledger, message, &genuine);
        }
    }
    assert_eq!(ledger.len(), 3);
}

fn take_from_liar(ledger: &mut Ledger, message: SyncMessage, genuine: &[Digest]) {
    match message {
        SyncMessage::Hello(lie) => {
            let bytes: usize = answer(ledger, &lie).iter().map(|it| it.to_bytes().len()).sum();
            assert!(bytes < 1 << 16);
        }
        SyncMessage::Entries(entries) => {
            for entry in entries {
                assert!(ledger.import_entry(entry).is_err());
            }
        }
        SyncMessage::Units(units) => {
            for unit in units.iter().filter(|it| !genuine.contains(&Unit::hash_of(it))) {
                let outcome = ledger.import(PEER, unit);
                assert!(matches!(outcome, Err(_) | Ok(Outcome::Parked)), "{outcome:?}");
                ledger.forget_peer(PEER);
            }
        }
        other => assert_eq!(other, SyncMessage::More),
    }
}

/// Hellos that lie about branches cost a bounded answer, and end.
#[test]
fn lying_branches_do_no_harm() {
    let (devices, mut ledger) = fixture();
    let held = ledger.arrivals()[2];
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    assert!(push(&mut ledger, &twin).is_ok());
    let truth = hello(&ledger);
    let author = devices[0].id;
    let all: Vec<(u64, Digest)> = (0..1000).map(|it| (it, Digest::of(&[it as u8]))).collect();
    for fork in [None, Some(0), Some(1), Some(u64::MAX)] {
        for points in [vec![], vec![(0, held)], vec![(u64::MAX, twin.hash())], all.clone()] {
            for chain in [None, Some((0, held)), Some((u64::MAX, Digest::ZERO)), Some((2, held))] {
                let mut lie: Hello = truth.clone();
                lie.frontier.chains.remove(&author);
                lie.frontier.chains.extend(chain.map(|it| (author, it)));
                let branches = aura_journal::sync::Branches { fork, points: points.clone() };
                lie.frontier.branches.insert(author, branches);
                let messages = answer(&ledger, &lie);
                assert!(messages.len() <= 2, "{messages:?}");
                for message in messages {
                    if let SyncMessage::Hello(asked) = message {
                        assert!(asked.is_answer);
                        assert!(asked.frontier.branches.values().all(|it| it.points.len() <= 64));
                    }
                }
            }
        }
    }
}

/// A session that a device opened and then forked: signals and messages by either branch are void.
#[test]
fn both_of_two_signals_are_void() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    ledger.import_entry(certify(ledger.chain(), &devices, Vec::new(), install())).unwrap();
    let proposal = write(&mut ledger, &devices[0], propose());
    let signal = write(&mut ledger, &devices[1], ready(proposal));
    assert_eq!(ledger.state().proposals[&proposal].ready.len(), 1);
    let mut body = ledger.unit(&signal).unwrap().body.clone();
    body.event = decline(proposal);
    let other = body.sign(&devices[1].key);
    assert!(matches!(push(&mut ledger, &other), Ok(Outcome::Fork { .. })));
    let state = &ledger.state().proposals[&proposal];
    assert!(state.ready.is_empty() && state.declined.is_empty());
    assert!(matches!(ledger.unit(&signal).unwrap().body.event, Event::SignalReady { .. }));
}

/// What an entry closes over is final once all is here that the entry names: the rest may show a fork.
#[test]
fn nothing_is_final_while_an_entry_names_more() {
    let (devices, mut ledger) = fixture();
    let [first, one, held] = ledger.arrivals()[..] else { panic!() };
    let twin = twin(&ledger, &held, &devices[0], "a clone");
    let filter = Filter { finality: Finality::Final, ..Filter::default() };
    let stream = ledger.subscribe(filter);
    let mut past = vec![one, held, twin.hash()];
    past.sort_unstable();
    let entry = certify(ledger.chain(), &devices, past, manual());
    ledger.import_entry(entry).unwrap();
    assert_eq!(ledger.poll(stream), []);
    assert!(matches!(push(&mut ledger, &twin), Ok(Outcome::Fork { seq: 1, .. })));
    let mut seen = ledger.poll(stream);
    seen.sort_unstable();
    let mut counted = vec![first, one];
    counted.sort_unstable();
    assert_eq!(seen, counted);
}
