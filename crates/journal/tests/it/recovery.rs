//! Generations: recoveries, vetoes, frozen chains, and the ledgers that follow.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::SecretKey;
use aura_journal::{
    Event, Ledger, LedgerStore as _, Outcome, PeerTag, Reject, Stored, Unit,
    control::{
        Appended, CertifiedEntry, ChainError, Configuration, ControlChain, ControlMessage, Entry,
        EntryBody, LedgerProof, Phase, Question, RecoveryRequest, RecoveryRole, Statement, Subject,
        Verdict, Vote, Voter, sign_recovery,
    },
    store::MemoryStore,
};
use aura_protocol_core::{Digest, encode};

use crate::{
    control_fixture::{Device, certified, chain_of, decide, devices, key, value},
    support::{self, metadata, write},
};

/// The recovery keys of these tests.
fn guardians() -> [SecretKey; 3] {
    ["one", "two", "three"].map(|it| key(&format!("recovery {it}")))
}

fn role(threshold: u16) -> RecoveryRole {
    let keys = guardians().iter().map(SecretKey::public).collect();
    RecoveryRole::Keys { keys, threshold, delay_seconds: 60 }
}

/// An account whose recovery role is two of three keys.
fn account(count: usize) -> (Vec<Device>, ControlChain) {
    let roster = devices(count);
    let mut chain = chain_of(&roster);
    let next = Configuration { recovery: role(2), ..chain.config().clone() };
    let body = EntryBody::Reconfigure(Box::new(next));
    decide(&mut chain, Entry { past: vec![], body }, &roster);
    (roster, chain)
}

/// The configuration of some of the devices alone.
fn only(chain: &ControlChain, kept: &[&Device]) -> Configuration {
    let now = chain.config();
    let entries = kept.iter().map(|it| now.roster[&it.id()].clone());
    Configuration { recovery: now.recovery.clone(), ..Configuration::with_defaults(entries) }
}

fn request(chain: &ControlChain, next: Configuration) -> RecoveryRequest {
    RecoveryRequest::new(chain, next, [8; 32], &guardians()[0])
}

/// What grants a request after the newest entry of `chain`, signed by some recovery keys.
fn granted(chain: &ControlChain, request: &RecoveryRequest, signers: &[usize]) -> CertifiedEntry {
    let value = request.granted(vec![]);
    let slot = chain.recovery_slot(request.generation);
    let sign = |it: &usize| {
        let key = &guardians()[*it];
        (key.public(), sign_recovery(&slot, &value, key))
    };
    let votes: BTreeMap<_, _> = signers.iter().map(sign).collect();
    chain.recovered(value, request.generation, votes)
}

/// A majority is lost; what is left goes on by itself.
#[test]
fn a_lost_majority_is_recovered() {
    let (roster, mut chain) = account(3);
    decide(&mut chain, value(1), &roster);
    let next = only(&chain, &[&roster[2]]);
    let asked = request(&chain, next.clone());
    assert_eq!((asked.generation, asked.verify(chain.account())), (1, Ok(())));
    let entry = granted(&chain, &asked, &[0, 2]);
    assert_eq!(chain.append(entry.clone()), Ok(Appended::New));
    assert_eq!((chain.generation(), chain.height(), chain.config()), (1, 4, &next));
    decide(&mut chain, value(2), [&roster[2]]);
    // The same by each way that there is to read a chain.
    let again = ControlChain::from_entries(chain.entries().iter().cloned()).unwrap();
    assert_eq!(again.next_slot(), chain.next_slot());
    for k in 0..=chain.height() {
        let proved = chain.prove(k).unwrap().verify().unwrap();
        assert_eq!(Some(proved.head), chain.head_at(k));
    }
    assert_eq!(chain.append(entry), Ok(Appended::Duplicate));
    assert!(chain.config_at(chain.config_index()).is_some());
    assert_eq!(chain.config_after(2), Some(chain.config_index()));
    assert_eq!(chain.config_before(chain.config_index()), Some(2));
}

/// INV-J62: nobody else begins a generation, and nothing that was signed for one does for another.
#[test]
fn a_recovery_takes_the_recovery_role() {
    let (roster, chain) = account(3);
    let asked = request(&chain, only(&chain, &[&roster[2]]));
    let good = granted(&chain, &asked, &[0, 1]);
    let refused = |entry: CertifiedEntry| chain.clone().append(entry).unwrap_err().code();
    assert_eq!(refused(granted(&chain, &asked, &[0])), "BadCertificate");
    assert_eq!(refused(granted(&chain, &asked, &[])), "BadCertificate");
    // All voters are not enough, nor do their votes count beside the role's.
    let by_votes = {
        let slot = chain.recovery_slot(1);
        let vote =
            |it: &Device| Vote::sign(slot, Phase::Commit, 0, good.value.hash(), &it.vote_key);
        let votes = roster.iter().map(vote).map(|it| (it.key, it.signature)).collect();
        chain.recovered(good.value.clone(), 1, votes)
    };
    assert_eq!(refused(by_votes), "BadCertificate");
    let mut twice = good.clone();
    let (other, signature) =
        (key("nobody").public(), *good.certificate.votes.values().next().unwrap());
    twice.certificate.votes.insert(other, signature);
    assert_eq!(refused(twice), "BadCertificate");
    // Signed for this slot and value alone.
    let mut elsewhere = good.clone();
    let EntryBody::Recover(recover) = &mut elsewhere.value.body else { panic!() };
    recover.config = only(&chain, &[&roster[1]]);
    assert_eq!(refused(elsewhere), "BadCertificate");
    let mut higher = good.clone();
    higher.slot.generation = 2;
    assert_eq!(refused(higher), "WrongGeneration");
    let mut longer = chain.clone();
    decide(&mut longer, value(1), &roster);
    let mut moved = good.clone();
    moved.slot = longer.recovery_slot(1);
    assert_eq!(longer.append(moved).unwrap_err().code(), "BadCertificate");
    // Votes certify no recovery, whatever they say.
    let voted = certified(&chain, good.value.clone(), &roster);
    assert_eq!(refused(voted), "MisplacedRecovery");
    assert_eq!(chain.check_next(&good.value), Err(ChainError::MisplacedRecovery));
    // Nobody may where nobody is named.
    let plain = chain_of(&roster);
    let asked = request(&plain, only(&plain, &[&roster[2]]));
    let entry = granted(&plain, &asked, &[0, 1, 2]);
    assert_eq!(plain.clone().append(entry).unwrap_err(), ChainError::NoRecovery);
    assert!(chain.clone().append(good).is_ok());
}

/// A role that could never act, or that anybody could, is no role.
#[test]
fn a_recovery_role_can_act() {
    let (_, chain) = account(3);
    let check = |recovery| {
        let next = Configuration { recovery, ..chain.config().clone() };
        let body = EntryBody::Reconfigure(Box::new(next));
        chain.check_next(&Entry { past: vec![], body }).map_err(|it| it.code())
    };
    assert_eq!(check(role(3)), Ok(()));
    assert_eq!(check(role(4)), Err("BadConfiguration"));
    assert_eq!(check(role(0)), Err("BadConfiguration"));
    let none = RecoveryRole::Keys { keys: BTreeSet::new(), threshold: 0, delay_seconds: 0 };
    assert_eq!(check(none), Err("BadConfiguration"));
}

/// INV-J63: from its parent on, whichever comes first.
#[test]
fn the_highest_generation_wins() {
    let (roster, begun) = account(3);
    let mut old = begun.clone();
    decide(&mut old, value(1), &roster);
    decide(&mut old, value(2), &roster);
    // The recovery knows of none of the two.
    let mut new = begun.clone();
    let recovery = granted(&begun, &request(&begun, only(&begun, &[&roster[0]])), &[0, 1]);
    new.append(recovery.clone()).unwrap();
    decide(&mut new, value(3), [&roster[0]]);
    let mut follower = old.clone();
    assert_eq!(follower.append(recovery.clone()), Ok(Appended::New));
    assert_eq!(follower.append(new.entries()[4].clone()), Ok(Appended::New));
    assert_eq!((follower.head(), follower.height()), (new.head(), new.height()));
    // What was left comes back in no order.
    for entry in &old.entries()[3..] {
        assert_eq!(new.append(entry.clone()).unwrap_err().code(), "WrongGeneration");
    }
    let late = certified(&old, value(4), &roster);
    assert!(new.append(late).is_err());
    // A later generation goes on from anywhere, also from below the last one.
    let mut asked = request(&begun, only(&begun, &[&roster[1]]));
    asked.generation = 2;
    let second = granted(&begun, &asked, &[1, 2]);
    for chain in [&mut new, &mut old] {
        assert_eq!(chain.append(second.clone()), Ok(Appended::New));
        assert_eq!((chain.generation(), chain.height()), (2, 3));
    }
    assert_eq!(old.head(), new.head());
    assert_eq!(new.append(recovery).unwrap_err().code(), "WrongGeneration");
    // What is not connected waits for what is missing.
    let mut behind = chain_of(&roster);
    assert!(matches!(behind.append(second), Err(ChainError::Gap { need: 2, .. })));
}

/// A voter of a new generation is bound by nothing of the last, and votes on nothing of it.
#[test]
fn votes_of_the_last_generation_end() {
    let (roster, begun) = account(3);
    let mut chain = begun.clone();
    decide(&mut chain, value(1), &roster);
    let agree = |_: &aura_journal::control::Slot, _: &Entry| Verdict::Accept;
    struct Agree<F>(F);
    impl<F: Fn(&aura_journal::control::Slot, &Entry) -> Verdict> aura_journal::control::EntryPolicy
        for Agree<F>
    {
        fn check(&self, slot: &aura_journal::control::Slot, value: &Entry) -> Verdict {
            self.0(slot, value)
        }
    }
    let policy = Agree(agree);
    let mut voter = Voter::new(None);
    let propose = |chain: &ControlChain, number| ControlMessage::Propose {
        slot: chain.next_slot(),
        view: 0,
        value: Box::new(value(number)),
    };
    voter.observe(&chain, roster[0].id(), &propose(&chain, 2));
    let voted = voter.poll(&chain, &policy, Some(&roster[0].vote_key));
    assert_eq!(voted.len(), 1);
    let old = voter.record().unwrap().slot;
    chain.append(granted(&begun, &request(&begun, only(&begun, &[&roster[0]])), &[0, 1])).unwrap();
    // At the height at which it had voted before.
    assert_eq!(chain.next_slot().k, old.k);
    voter.observe(&chain, roster[0].id(), &propose(&chain, 3));
    let outputs = voter.poll(&chain, &policy, Some(&roster[0].vote_key));
    assert_eq!(outputs.len(), 3, "it prepares, commits and decides: {outputs:?}");
    // Back in the old generation it does not vote.
    let record = *voter.record().unwrap();
    let mut set_back = begun.clone();
    decide(&mut set_back, value(1), &roster);
    let mut voter = Voter::new(Some(record));
    voter.observe(&set_back, roster[0].id(), &propose(&set_back, 4));
    let outputs = voter.poll(&set_back, &policy, Some(&roster[0].vote_key));
    assert!(matches!(outputs[..], [aura_journal::control::VoterOutput::Waiting { .. }]));
}

/// A veto by m voters is an entry, and what it names is not granted after it.
#[test]
fn a_vetoed_request_is_not_granted() {
    let (roster, mut chain) = account(3);
    let asked = request(&chain, only(&chain, &[&roster[2]]));
    let early = granted(&chain, &asked, &[0, 1]);
    let body = EntryBody::VetoRecovery { request: asked.id() };
    decide(&mut chain, Entry { past: vec![], body }, &roster[..2]);
    assert!(chain.is_vetoed(asked.id()));
    // Signed before or after the veto.
    assert_eq!(chain.append(early), Err(ChainError::Vetoed));
    let late = granted(&chain, &asked, &[0, 1]);
    assert_eq!(chain.append(late), Err(ChainError::Vetoed));
    let mut other = asked;
    other.nonce = [9; 32];
    let entry = granted(&chain, &other, &[0, 1]);
    assert_eq!(chain.append(entry), Ok(Appended::New));
}

/// A veto, and a recovery that was signed without it, part an account: whoever has one refuses the other, and
/// goes on. The recovery role leads out from the side of the veto: its next recovery meets the first, which
/// freezes both sides, and the generation after that begins where they parted.
#[test]
fn a_veto_and_a_recovery_that_missed_it_come_together() {
    let (roster, begun) = account(3);
    let asked = request(&begun, only(&begun, &[&roster[2]]));
    let first = granted(&begun, &asked, &[0, 1]);
    let (mut vetoed, mut recovered) = (begun.clone(), begun.clone());
    let body = EntryBody::VetoRecovery { request: asked.id() };
    decide(&mut vetoed, Entry { past: vec![], body }, &roster[..2]);
    recovered.append(first.clone()).unwrap();
    assert_eq!(vetoed.append(first.clone()), Err(ChainError::Vetoed));
    let veto = vetoed.entries()[3].clone();
    assert_eq!(recovered.append(veto).unwrap_err().code(), "WrongGeneration");
    assert!(vetoed.frozen().is_none() && recovered.frozen().is_none());
    decide(&mut vetoed, value(1), &roster[..2]);
    decide(&mut recovered, value(2), &roster[2..]);

    let again = request(&vetoed, only(&vetoed, &[&roster[0], &roster[1]]));
    let second = granted(&vetoed, &again, &[0, 1]);
    vetoed.append(second.clone()).unwrap();
    assert!(matches!(recovered.append(second), Err(ChainError::Conflict { .. })));
    assert!(matches!(vetoed.append(first), Err(ChainError::Conflict { k: 3 })));
    let all: Vec<&Device> = roster.iter().collect();
    let last = request(&vetoed, only(&begun, &all));
    assert_eq!(last.generation, 2);
    let out = granted(&vetoed, &last, &[0, 1]);
    for chain in [&mut vetoed, &mut recovered] {
        assert_eq!(chain.append(out.clone()), Ok(Appended::New));
        assert!(chain.frozen().is_none());
    }
    assert_eq!(vetoed.head(), recovered.head());
}

/// INV-J4: two certificates for one slot end the generation: nothing is certified after them, also after a
/// restart, until a recovery says with which of them the account goes on.
#[test]
fn two_certificates_freeze_a_chain() {
    let (roster, begun) = account(3);
    let (mut one, mut other) = (begun.clone(), begun.clone());
    decide(&mut one, value(1), &roster[..2]);
    decide(&mut other, value(2), &roster[1..]);
    let next = certified(&one, value(3), &roster);
    assert_eq!(one.append(other.entries()[3].clone()), Err(ChainError::Conflict { k: 3 }));
    assert_eq!(one.frozen(), Some(&other.entries()[3]));
    assert_eq!(one.append(next), Err(ChainError::Frozen { k: 3 }));
    assert_eq!(one.check_next(&value(3)), Err(ChainError::Frozen { k: 3 }));
    let mut stored = one.entries().to_vec();
    stored.push(other.entries()[3].clone());
    let mut again = ControlChain::from_entries(stored).unwrap();
    assert_eq!(again.frozen(), one.frozen());
    // Its voters are silent.
    let mut voter = Voter::new(None);
    struct Agree;
    impl aura_journal::control::EntryPolicy for Agree {
        fn check(&self, _: &aura_journal::control::Slot, _: &Entry) -> Verdict {
            Verdict::Accept
        }
    }
    let mut unfrozen = ControlChain::from_entries(one.entries().to_vec()).unwrap();
    let (slot, value_4) = (one.next_slot(), Box::new(value(4)));
    let propose = ControlMessage::Propose { slot, view: 0, value: value_4 };
    voter.observe(&unfrozen, roster[0].id(), &propose);
    assert!(voter.poll(&one, &Agree, Some(&roster[0].vote_key)).is_empty());
    assert!(!voter.poll(&unfrozen, &Agree, Some(&roster[0].vote_key)).is_empty());
    // The recovery goes on from the one that it names, or from before both.
    let asked = request(&begun, only(&begun, &[&roster[0], &roster[1], &roster[2]]));
    let before = granted(&begun, &asked, &[0, 1]);
    let after = granted(&unfrozen, &asked, &[0, 1]);
    for chain in [&mut one, &mut other, &mut again, &mut unfrozen] {
        let mut chain = chain.clone();
        assert_eq!(chain.append(before.clone()), Ok(Appended::New));
        assert!(chain.frozen().is_none());
        decide(&mut chain, value(5), &roster[..2]);
    }
    assert_eq!(one.append(after.clone()), Ok(Appended::New));
    assert_eq!(other.append(after), Err(ChainError::WrongParent { k: 4 }));
}

/// A recovery key that begins one generation twice freezes it too.
#[test]
fn two_recoveries_of_one_generation_freeze_a_chain() {
    let (roster, begun) = account(3);
    let mut chain = begun.clone();
    let of = |device: &Device| granted(&begun, &request(&begun, only(&begun, &[device])), &[0, 1]);
    chain.append(of(&roster[0])).unwrap();
    assert_eq!(chain.append(of(&roster[0])), Ok(Appended::Duplicate));
    let mut forged = of(&roster[1]);
    forged.certificate.votes.clear();
    assert_eq!(chain.append(forged).unwrap_err().code(), "BadCertificate");
    assert!(chain.frozen().is_none());
    assert_eq!(chain.append(of(&roster[1])), Err(ChainError::Conflict { k: 3 }));
    assert!(chain.frozen().is_some());
}

/// Proofs of what is and was so are read in each generation.
#[test]
fn statements_are_proved_in_any_generation() {
    let (roster, begun) = account(3);
    let mut chain = begun.clone();
    chain.append(granted(&begun, &request(&begun, only(&begun, &[&roster[0]])), &[0, 1])).unwrap();
    for _ in 0..2 {
        for question in [Question::Is(Subject::Device(roster[0].id())), Question::Was(1)] {
            let proof = LedgerProof::make(&chain, question).unwrap();
            let said = proof.check(&chain).unwrap();
            assert_eq!(
                said.k(),
                if let Statement::Was { k, .. } = said { k } else { chain.height() }
            );
            assert!(proof.check_head(chain.height(), chain.head()).is_ok());
            if chain.height() == 3 {
                assert!(proof.check(&begun).is_ok(), "its last configuration names the role");
            }
        }
        decide(&mut chain, value(7), [&roster[0]]);
    }
}

fn push(ledger: &mut Ledger, unit: &Unit) -> Result<Outcome, Reject> {
    ledger.import(PeerTag([9; 32]), &encode(unit))
}

fn recoverable() -> (Vec<support::Device>, ControlChain) {
    let (devices, mut chain) = support::account(3);
    let next = Configuration { recovery: role(2), ..chain.config().clone() };
    let entry = support::certify(&chain, &devices, vec![], EntryBody::Reconfigure(Box::new(next)));
    chain.append(entry).unwrap();
    (devices, chain)
}

fn only_first(chain: &ControlChain) -> Configuration {
    let first = chain.config().roster.values().next().unwrap().clone();
    Configuration { recovery: role(2), ..Configuration::with_defaults([first]) }
}

fn name(ledger: &Ledger, device: &support::Device) -> String {
    ledger.state().metadata.get(&device.id).map(|(_, it)| it.name.clone()).unwrap_or_default()
}

/// A ledger follows a recovery: the entries that it leaves change nothing, nor do units of configurations
/// that began with them, in whatever order all of it comes, and the same after a restart.
#[test]
fn a_ledger_follows_a_recovery() {
    let (devices, chain) = recoverable();
    let asked = request(&chain, only_first(&chain));
    let recovery = granted(&chain, &asked, &[0, 1]);
    let kept = devices.iter().find(|it| chain.config().roster.keys().next() == Some(&it.id));
    let kept = kept.unwrap();

    // The old generation goes on for a while, with a configuration of its own.
    let mut old = Ledger::new(chain.clone());
    write(&mut old, &devices[0], metadata(&devices[0], "before"));
    write(&mut old, &devices[1], metadata(&devices[1], "before"));
    let shared: Vec<Vec<u8>> =
        old.arrivals().iter().map(|it| old.unit_bytes(it).unwrap().to_vec()).collect();
    let entry = support::certify(old.chain(), &devices, old.heads(), support::install());
    old.import_entry(entry).unwrap();
    let snapshot = old.snapshot(&old.heads()).unwrap();
    let entry = support::certify(old.chain(), &devices, old.heads(), EntryBody::Snapshot(snapshot));
    old.import_entry(entry).unwrap();
    let left = write(&mut old, &devices[1], metadata(&devices[1], "left"));
    assert_eq!((old.state().apps.len(), name(&old, &devices[1])), (1, "left".to_owned()));

    // The new one never knew of that.
    let mut new = Ledger::new(chain.clone());
    for bytes in &shared {
        assert!(matches!(new.import(PeerTag([1; 32]), bytes), Ok(Outcome::Applied(_))));
    }
    new.import_entry(recovery.clone()).unwrap();
    let unit = write(&mut new, kept, metadata(kept, "after"));

    let late = old.unit(&left).unwrap().clone();
    let mut store = MemoryStore::new();
    store.commit(&old.take_batch()).unwrap();
    old.import_entry(recovery.clone()).unwrap();
    assert!(!old.contains(&left));
    let _outcome = old.import(PeerTag([1; 32]), new.unit_bytes(&unit).unwrap()).unwrap();
    for ledger in [&old, &new] {
        assert_eq!((ledger.state().apps.len(), ledger.chain().generation()), (0, 1));
        assert_eq!(name(ledger, kept), "after");
    }
    assert_eq!((old.state(), old.heads()), (new.state(), new.heads()));
    // What was left comes back to nobody.
    assert_eq!(push(&mut new, &late), Ok(Outcome::Parked));
    assert_eq!((new.state(), new.len()), (old.state(), old.len()));
    let write_again = write(&mut old, kept, metadata(kept, "again"));
    store.commit(&old.take_batch()).unwrap();
    let stored: Stored = store.load().unwrap();
    let restored = Ledger::restore(&stored).unwrap();
    assert_eq!((restored.state(), restored.heads()), (old.state(), old.heads()));
    assert!(restored.contains(&write_again));
}

/// INV-J61: requests by those who may ask are seen by all, until they are vetoed or overtaken.
#[test]
fn requests_are_units() {
    let (devices, chain) = recoverable();
    let mut ledger = Ledger::new(chain.clone());
    let ask = |ledger: &mut Ledger, asked: RecoveryRequest| {
        let message = ControlMessage::RequestRecovery(Box::new(asked));
        write(ledger, &devices[0], Event::Control(message))
    };
    let asked = request(&chain, only_first(&chain));
    let stranger = RecoveryRequest::new(&chain, only_first(&chain), [1; 32], &key("nobody"));
    ask(&mut ledger, stranger);
    let mut forged = asked.clone();
    forged.nonce = [2; 32];
    ask(&mut ledger, forged);
    assert_eq!(ledger.recovery_requests().count(), 0);
    ask(&mut ledger, asked.clone());
    let open: Vec<Digest> = ledger.recovery_requests().map(|(id, _)| id).collect();
    assert_eq!(open, [asked.id()]);
    let mut followed = Ledger::new(chain.clone());
    let units: Vec<_> = ledger.arrivals().to_vec();
    for unit in units {
        let _outcome = push(&mut followed, &ledger.unit(&unit).unwrap()).unwrap();
    }
    let body = EntryBody::VetoRecovery { request: asked.id() };
    let veto = support::certify(&chain, &devices, ledger.heads(), body);
    ledger.import_entry(veto).unwrap();
    assert_eq!(ledger.recovery_requests().count(), 0);
    followed.import_entry(granted(&chain, &asked, &[1, 2])).unwrap();
    assert_eq!(followed.recovery_requests().count(), 0);
}
