//! Group signatures with real keys.

use std::collections::BTreeMap;

use aura_choreography::{Body, Dev, DeviceSet, Event, Reason, Stop};
use aura_coordination::{
    choreography::{
        Rested,
        sign::{Purpose, Sign, Terms, script::sign},
    },
    keystore::{KeyStore, Refusal},
};
use aura_crypto::{Context, Signature, sign as crypto};
use aura_protocol_core::encode;

use crate::hall::{Hall, Lie, account, only, turned, with_keys};

static SIGN: Sign = Sign;

fn terms(signers: u8) -> Terms {
    Terms { purpose: Purpose::Checkpoint, epoch: 4, body: b"all that is".to_vec(), signers }
}

fn hall(mut stores: BTreeMap<u8, KeyStore>, signers: u8, session: u8) -> Hall {
    let terms = terms(signers);
    stores.values_mut().for_each(|it| it.permit(terms.digest()).unwrap());
    Hall::with_stores(&SIGN, stores, session, &encode(&terms))
}

/// The signature that these devices agreed on is the group's.
#[track_caller]
fn check(hall: &Hall, who: &[u8]) {
    let signature: [u8; 64] = result(hall, who).try_into().unwrap();
    let key = hall.stores.values().next().unwrap().keys().unwrap().signing.1.public_key().unwrap();
    let context = Context { domain: Purpose::Checkpoint.domain(), account: account(), epoch: 4 };
    crypto::verify(&key, &context, b"all that is", &Signature(signature)).unwrap();
}

#[track_caller]
fn result(hall: &Hall, who: &[u8]) -> Vec<u8> {
    let bytes = |dev: &u8| match hall.end(*dev) {
        Ok(aura_protocol_core::Outcome::Completed { result, .. }) => result.clone(),
        other => panic!("device {dev} ended with {other:?}"),
    };
    let results: Vec<_> = who.iter().map(bytes).collect();
    assert!(results.iter().all(|it| *it == results[0]));
    results[0].clone()
}

#[test]
fn any_quorum_signs() {
    let stores = with_keys(2, 4);
    let stores = only(stores, &[0, 2, 3]);
    let hall = hall(stores, 2, 1).run();
    check(&hall, &[0, 1, 2]);
    assert_eq!(hall.said(sign::SHARE), 2, "no more sign than are needed");
}

/// Offline: as many as needed are enough; one fewer is not, and all learn so.
#[test]
fn with_too_few_nothing_is_signed() {
    let hall_of = |gone: &[u8]| {
        let hall = hall(with_keys(3, 4), 3, 1);
        gone.iter().fold(hall, |hall, it| hall.without(*it)).run()
    };
    check(&hall_of(&[3]), &[0, 1, 2]);
    let hall = hall_of(&[2, 3]);
    for dev in [0, 1] {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Timeout)));
    }
}

#[test]
fn nobody_signs_what_it_was_not_permitted_to() {
    let mut stores = with_keys(2, 3);
    stores.get_mut(&0).unwrap().permit(terms(2).digest()).unwrap();
    stores.get_mut(&1).unwrap().permit(terms(2).digest()).unwrap();
    stores.get_mut(&1).unwrap().forbid(&terms(2).digest());
    let hall = Hall::with_stores(&SIGN, stores, 1, &encode(&terms(2))).run();
    assert_eq!(hall.said(sign::DECLINE), 2);
    assert_eq!(hall.end(0), &Err(Stop::Aborted(Reason::Timeout)));
}

/// A share that does not fit names its signer; the next session does without it.
#[test]
fn a_wrong_share_is_blamed_and_the_others_sign_anew() {
    let lie: Lie = |_, it| {
        if it.label != sign::SHARE {
            return Some(it.clone());
        }
        let mut rested: Rested = borsh::from_slice(it.body.bytes()).unwrap();
        rested.bytes[5] ^= 1;
        Some(Event { body: Body::new(&encode(&rested)), ..it.clone() })
    };
    let failed = hall(with_keys(2, 3), 2, 1).with_liar(1, lie).run();
    let culprits = DeviceSet::one(Dev(1));
    assert_eq!(failed.end(0), &Err(Stop::Aborted(Reason::Byzantine { culprits })));
    let mut stores = only(failed.stores, &[0, 2]);
    stores.values_mut().for_each(|it| it.forbid(&terms(2).digest()));
    check(&hall(stores, 2, 2).run(), &[0, 1]);
}

/// Trap: who tells two devices two nonces makes an honest share not fit. Nobody is blamed for it.
#[test]
fn nonces_told_in_two_ways_blame_nobody() {
    let lie: Lie = |hearer, it| {
        if it.label != sign::NONCES || hearer != Dev(2) {
            return Some(it.clone());
        }
        // The two points change places: a commitment like any other.
        let mut bytes = it.body.bytes().to_vec();
        let middle = bytes.len() - 32;
        let (first, second) = bytes.split_at_mut(middle);
        first[middle - 32..].swap_with_slice(second);
        Some(Event { body: Body::new(&bytes), ..it.clone() })
    };
    let hall = hall(with_keys(3, 3), 3, 1).with_liar(1, lie).run();
    assert!(hall.end(0).is_err() && hall.end(2).is_err());
}

/// Trap 1, crash at each step: nonces do not outlive a restart, so nothing is ever signed with them
/// again. The session fails, and another one signs.
#[test]
fn a_restart_loses_nonces_and_never_uses_them_twice() {
    for dev in [0, 1] {
        let failed = hall(with_keys(2, 2), 2, 1).restarting(dev, 1).run();
        assert_eq!(failed.said(sign::SIGNED), 0);
        assert!(failed.end(0).is_err() && failed.end(1).is_err());
        let gone = Reason::Other(Refusal::NoNonces.to_string());
        let reason = failed.end(dev);
        assert!(*reason == Err(Stop::Failed(gone)) || dev == 0, "{reason:?}");
        let mut stores = failed.stores;
        stores.values_mut().for_each(|it| it.forbid(&terms(2).digest()));
        check(&hall(stores, 2, 2).run(), &[0, 1]);
    }
    // After its share left, a signer is not needed any more.
    let hall = hall(with_keys(2, 2), 2, 3).restarting(1, 2).run();
    check(&hall, &[0, 1]);
}

/// INV-KS2: what is saved after a share was made has the nonces written down as spent, and no nonces.
#[test]
fn a_store_restored_from_before_signs_with_other_nonces() {
    let stores = with_keys(2, 2);
    let saved = stores[&1].save();
    let first = hall(stores, 2, 1).run();
    check(&first, &[0, 1]);
    let nonces = |said: &[Event]| {
        let said = said.iter().filter(|it| it.label == sign::NONCES);
        said.map(|it| it.body.clone()).collect::<Vec<_>>()
    };
    let used = nonces(&first.said);
    let mut stores = first.stores;
    let restored = KeyStore::restore(crate::hall::owner(1), &saved).unwrap();
    stores.insert(1, restored);
    stores.values_mut().for_each(|it| it.forbid(&terms(2).digest()));
    let second = hall(stores, 2, 2).run();
    check(&second, &[0, 1]);
    assert!(used.iter().all(|it| !nonces(&second.said).contains(it)));
}

/// A signature that is not the group's finishes nowhere.
#[test]
fn a_wrong_signature_finishes_nowhere() {
    let lie: Lie = |_, it| Some(if it.label == sign::SIGNED { turned(it, 3) } else { it.clone() });
    let hall = hall(with_keys(2, 3), 2, 1).with_liar(0, lie).run();
    for dev in [1, 2] {
        assert!(matches!(hall.end(dev), Err(Stop::Failed(_))), "{:?}", hall.end(dev));
    }
}
