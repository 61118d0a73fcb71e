//! Key derivation with real keys.

use std::collections::BTreeMap;

use aura_choreography::{Body, Dev, DeviceSet, Event, Reason, Stop};
use aura_coordination::{
    choreography::dkd::{Commitment, Dkd, Terms, script::dkd},
    keystore::KeyStore,
};
use aura_protocol_core::{Outcome, encode};

use crate::hall::{Hall, Lie, only, turned, with_keys};

static DKD: Dkd = Dkd;

fn terms(context: &[u8], devices: u8) -> Terms {
    Terms { context: context.to_vec(), key_version: 0, devices }
}

fn hall(mut stores: BTreeMap<u8, KeyStore>, terms: &Terms, session: u8) -> Hall {
    for store in stores.values_mut() {
        store.forbid(&terms.digest());
        store.permit(terms.digest()).unwrap();
    }
    Hall::with_stores(&DKD, stores, session, &encode(terms))
}

/// The secret of everybody who has it, the same one; and how many have it.
#[track_caller]
fn key(hall: &mut Hall) -> ([u8; 32], usize) {
    let session = hall.session();
    let keys: Vec<_> = hall
        .stores
        .values_mut()
        .filter_map(|it| it.take_derived(session).map(|it| **it.danger_secret()))
        .collect();
    assert!(keys.iter().all(|it| *it == keys[0]) && !keys.is_empty());
    (keys[0], keys.len())
}

/// Any quorum derives the same key; another context gives another one.
#[test]
fn any_quorum_derives_the_same_key() {
    let mut first = None;
    let mut stores = with_keys(2, 4);
    for (session, who) in [[0, 1], [1, 3], [2, 3], [0, 3]].iter().enumerate() {
        let saved: BTreeMap<u8, _> = stores.iter().map(|(it, store)| (*it, store.save())).collect();
        let mut derived = hall(only(stores, who), &terms(b"photos", 2), session as u8 + 1).run();
        assert_eq!(derived.end(0), derived.end(1));
        let (secret, holders) = key(&mut derived);
        assert_eq!((holders, *first.get_or_insert(secret)), (2, secret));
        let restored = |(it, bytes): (&u8, &zeroize::Zeroizing<Vec<u8>>)| {
            (*it, KeyStore::restore(crate::hall::owner(*it), bytes).unwrap())
        };
        stores = saved.iter().map(restored).collect();
    }
    let mut other = hall(stores, &terms(b"letters", 2), 9).run();
    assert_ne!(Some(key(&mut other).0), first);
}

/// Nobody who reads along learns the key: what is said never contains it.
#[test]
fn what_is_said_does_not_contain_the_key() {
    let mut derived = hall(with_keys(2, 3), &terms(b"photos", 2), 1).run();
    let (secret, _) = key(&mut derived);
    let leaks = |it: &Event| it.body.bytes().windows(32).any(|it| it == secret);
    assert!(!derived.said.iter().any(leaks));
    assert!(derived.stores.values_mut().all(|it| it.take_derived(derived_session()).is_none()));
}

fn derived_session() -> aura_protocol_core::SessionId {
    aura_protocol_core::SessionId::from_bytes([1; 32])
}

/// INV-KS1, crash at each step: with a restart before every input, and between answer and word.
#[test]
fn a_crash_at_any_step_changes_nothing() {
    let stores = with_keys(2, 3);
    let saved = stores.iter().map(|(it, store)| (*it, store.save())).collect::<BTreeMap<_, _>>();
    let mut quiet = hall(stores, &terms(b"photos", 2), 1).run();
    for dev in 0..3 {
        for after in 0..=4 {
            let restored = |(it, bytes): (&u8, &zeroize::Zeroizing<Vec<u8>>)| {
                (*it, KeyStore::restore(crate::hall::owner(*it), bytes).unwrap())
            };
            let stores = saved.iter().map(restored).collect();
            let crashed = hall(stores, &terms(b"photos", 2), 2).restarting(dev, after).run();
            assert_eq!(crashed.end(0), quiet.end(0), "{dev} after {after}");
        }
    }
    let (_, holders) = key(&mut quiet);
    assert_eq!(holders, 2);
}

/// Offline: M are enough, M − 1 are not.
#[test]
fn without_a_quorum_there_is_no_key() {
    let hall_of = |gone: u8| {
        let hall = hall(with_keys(2, 3), &terms(b"photos", 2), 1);
        (0..gone).fold(hall, |hall, it| hall.without(2 - it)).run()
    };
    assert!(hall_of(1).end(0).is_ok());
    assert_eq!(hall_of(2).end(0), &Err(Stop::Aborted(Reason::Timeout)));
}

/// Reveal ≠ commitment: with one to spare it is skipped, and everybody gets the key.
#[test]
fn a_wrong_reveal_is_skipped() {
    let lie: Lie = |_, it| Some(if it.label == dkd::REVEAL { turned(it, 40) } else { it.clone() });
    let mut derived = hall(with_keys(2, 4), &terms(b"photos", 3), 1).with_liar(1, lie).run();
    assert!([0, 2, 3].iter().all(|it| derived.end(*it).is_ok()));
    assert!(2 <= key(&mut derived).1);
}

/// Without one to spare whoever revealed something else is named.
#[test]
fn a_wrong_reveal_is_blamed() {
    let other_point: Lie =
        |_, it| Some(if it.label == dkd::REVEAL { turned(it, 40) } else { it.clone() });
    // Duplicate commitment: another one, which its reveal does not match.
    let other_commitment: Lie = |_, it| {
        if it.label != dkd::COMMIT {
            return Some(it.clone());
        }
        let commit: Commitment = borsh::from_slice(it.body.bytes()).unwrap();
        let digest = aura_protocol_core::Digest::of(b"else");
        let body = Body::new(&encode(&Commitment { digest, ..commit }));
        Some(Event { body, ..it.clone() })
    };
    for lie in [other_point, other_commitment] {
        let hall = hall(with_keys(2, 2), &terms(b"photos", 2), 1).with_liar(1, lie).run();
        let culprits = DeviceSet::one(Dev(1));
        assert_eq!(hall.end(0), &Err(Stop::Aborted(Reason::Byzantine { culprits })));
    }
}

/// An opener that asks for something else than the session is for gets no answer.
#[test]
fn nobody_evaluates_what_it_did_not_agree_to() {
    let lie: Lie = |_, it| Some(if it.label == dkd::INITIATE { turned(it, 0) } else { it.clone() });
    let hall = hall(with_keys(2, 3), &terms(b"photos", 2), 1).with_liar(0, lie).run();
    assert_eq!(hall.said(dkd::DECLINE), 2);
    assert_eq!(hall.said(dkd::REVEAL), 0);
}

#[test]
fn nobody_derives_what_it_was_not_permitted_to() {
    let asked = terms(b"photos", 2);
    let hall = Hall::with_stores(&DKD, with_keys(2, 3), 1, &encode(&asked)).run();
    assert_eq!(hall.said(dkd::DECLINE), 3);
}

/// An announced key that is not the one that the reveals make is nobody's.
#[test]
fn a_wrong_claim_finishes_nowhere() {
    let lie: Lie = |_, it| Some(if it.label == dkd::DERIVED { turned(it, 0) } else { it.clone() });
    let hall = hall(with_keys(2, 3), &terms(b"photos", 3), 1).with_liar(0, lie).run();
    for dev in [1, 2] {
        assert!(matches!(hall.end(dev), Err(Stop::Failed(_))), "{:?}", hall.end(dev));
    }
}

/// Concurrent: two derivations at once, of one key, do not touch each other.
#[test]
fn two_sessions_derive_one_key() {
    let stores = with_keys(2, 3);
    let one = hall(stores, &terms(b"photos", 2), 1).run();
    let first = one.end(0).clone();
    let second = hall(one.stores, &terms(b"photos", 2), 2).run();
    let claim = |end: &aura_choreography::Ended| match end {
        Ok(Outcome::Completed { result, .. }) => result.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(claim(&first), claim(second.end(0)));
}

/// What the script hands to its host is what a key store is asked.
#[test]
fn a_question_of_the_script_is_one_to_the_key_store() {
    use aura_coordination::{
        choreography::dkd::{Record, Request, Step, Table},
        keystore,
    };
    let table = Table { session: derived_session(), me: Dev(1), devices: vec![] };
    let record = Record::default();
    let request = Request { table, terms: terms(b"photos", 2), step: Step::Commit, record };
    assert_eq!(request.question(), encode(&keystore::Request::Derive(request)));
}
