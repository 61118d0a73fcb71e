//! Guardians in a roster: what they sign, and what nobody takes from them.

use std::collections::BTreeMap;

use aura_crypto::PublicKey;
use aura_journal::{
    Event, Ledger,
    control::{
        CertificateError, CertifiedEntry, ChainError, Configuration, ControlChain, ControlMessage,
        EntryBody, Observed, RecoveryRequest, RecoveryRole, RecoverySays, RecoveryWord, Role,
        Voter, is_recovery_signature, sign_recovery,
    },
};
use aura_protocol_core::Digest;

use crate::support::{self, Device, close, device, install, open_session, write, write_in};

/// Two devices, of which both decide, and three guardians, of which two recover the account.
fn guarded() -> (Vec<Device>, Vec<Device>, ControlChain) {
    let (devices, mut chain) = support::account(2);
    let guardians: Vec<Device> = (10..13).map(device).collect();
    let mut next = chain.config().clone();
    for guardian in &guardians {
        let mut entry = guardian.entry.clone();
        entry.role = Role::Guardian;
        let numbers = (next.m, next.t_sign);
        next = next.with_device(entry);
        assert_eq!((next.m, next.t_sign), numbers, "a guardian changes no number");
    }
    let keys = guardians.iter().map(|it| it.vote_key.public()).collect();
    let sharing = Digest::of(b"sharing");
    next.recovery = RecoveryRole::Guardians { keys, threshold: 2, delay_seconds: 60, sharing };
    decide(&mut chain, &devices, next);
    (devices, guardians, chain)
}

fn decide(chain: &mut ControlChain, devices: &[Device], next: Configuration) {
    let entry = support::certify(chain, devices, vec![], EntryBody::Reconfigure(Box::new(next)));
    chain.append(entry).unwrap();
}

fn request(chain: &ControlChain, by: &Device) -> RecoveryRequest {
    let mut next = chain.config().clone();
    let first = next.voters().next().unwrap().device;
    next.roster.remove(&first);
    next.m = 1;
    RecoveryRequest::new(chain, next, [3; 32], &by.vote_key)
}

fn granted(chain: &ControlChain, asked: &RecoveryRequest, signers: &[&Device]) -> CertifiedEntry {
    let (slot, value) = (chain.recovery_slot(asked.generation), asked.granted(vec![]));
    let sign = |it: &&Device| {
        let signature = sign_recovery(&slot, &value, &it.vote_key);
        assert!(is_recovery_signature(&slot, &value, &it.vote_key.public(), &signature));
        assert!(!is_recovery_signature(&slot, &value, &it.key.public(), &signature));
        (it.vote_key.public(), signature)
    };
    let votes: BTreeMap<PublicKey, _> = signers.iter().map(sign).collect();
    chain.recovered(value, asked.generation, votes)
}

/// INV-J62: as many guardians as the role says; one that left the roster is none any more.
#[test]
fn guardians_that_are_there_recover() {
    let (devices, guardians, mut chain) = guarded();
    let [one, two, three] = [&guardians[0], &guardians[1], &guardians[2]];
    let asked = request(&chain, one);
    let few = ChainError::Certificate(CertificateError::TooFewVotes { found: 1, needed: 2 });
    assert_eq!(chain.clone().append(granted(&chain, &asked, &[one])), Err(few));
    let key = Box::new(devices[0].vote_key.public());
    let stranger = ChainError::Certificate(CertificateError::NotAVoter { key });
    let by_device = granted(&chain, &asked, &[one, &devices[0]]);
    assert_eq!(chain.clone().append(by_device), Err(stranger));
    assert!(chain.clone().append(granted(&chain, &asked, &[one, three])).is_ok());

    let mut next = chain.config().clone();
    next.roster.remove(&two.id);
    decide(&mut chain, &devices, next);
    let asked = request(&chain, one);
    assert!(chain.clone().append(granted(&chain, &asked, &[one, two])).is_err());
    assert!(chain.append(granted(&chain, &asked, &[one, three])).is_ok());
    assert_eq!((chain.generation(), chain.config().guardians().count()), (1, 2));
}

/// What guardians propose no voter looks at, what they say of upgrades counts for nothing, and no record comes
/// out of a session that one opens.
#[test]
fn guardians_decide_nothing() {
    let (devices, guardians, mut chain) = guarded();
    let next = chain.config().with_device(device(20).entry);
    let value =
        aura_journal::control::Entry { past: vec![], body: EntryBody::Reconfigure(Box::new(next)) };
    let slot = chain.next_slot();
    let propose = ControlMessage::Propose { slot, view: 0, value: Box::new(value) };
    let mut voter = Voter::new(None);
    let mut observe = |by: &Device| voter.observe(&chain, by.id, &propose);
    assert_eq!(observe(&guardians[0]), Observed::NotAVoter);
    assert_eq!(observe(&devices[0]), Observed::Counted);

    let entry = support::certify(&chain, &devices, vec![], install());
    chain.append(entry).unwrap();
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &guardians[0], support::propose());
    assert!(ledger.state().proposals.is_empty());
    let proposal = write(&mut ledger, &devices[0], support::propose());
    for by in [&guardians[0], &devices[1]] {
        write(&mut ledger, by, support::decline(proposal));
    }
    let declined = &ledger.state().proposals[&proposal].declined;
    assert_eq!(declined.keys().collect::<Vec<_>>(), [&devices[1].id]);
    let all: Vec<Device> = vec![device(10), device(0)];
    for (opener, records) in [(0, 0), (1, 1)] {
        let (id, _) = open_session(&mut ledger, &all[opener], &all);
        write_in(&mut ledger, &all[opener], id, close(&[("sum", Some("3"))]));
        assert!(ledger.state().sessions[&id].closed_by.is_some());
        assert_eq!(ledger.state().records.len(), records);
    }
}

/// What is said of a request is heard by all, whichever comes first.
#[test]
fn words_are_heard_before_and_after_the_request() {
    let (devices, guardians, chain) = guarded();
    let asked = request(&chain, &guardians[0]);
    let id = asked.id();
    let say = |says| {
        Event::Control(ControlMessage::Recovery(Box::new(RecoveryWord { request: id, says })))
    };
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &guardians[1], say(RecoverySays::Approve));
    let ask = ControlMessage::RequestRecovery(Box::new(asked));
    let unit = write(&mut ledger, &guardians[0], Event::Control(ask));
    write(&mut ledger, &devices[0], say(RecoverySays::Object));
    write(&mut ledger, &devices[0], say(RecoverySays::Nudge));
    write(&mut ledger, &devices[0], say(RecoverySays::Nudge));
    write(&mut ledger, &guardians[0], say(RecoverySays::Cancel));
    let words = ledger.recovery_words(&id);
    assert_eq!(words.approvals, [guardians[1].id].into());
    assert_eq!(
        (words.objections, words.cancelled),
        ([devices[0].id].into(), [guardians[0].id].into())
    );
    assert_eq!(words.nudges, [(devices[0].id, 2)].into());
    assert_eq!(ledger.recovery_request_unit(&id), Some(unit));
    assert_eq!(ledger.recovery_requests().count(), 1);
}
