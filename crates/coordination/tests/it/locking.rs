//! Locks with real keys: one holder, whoever lies, crashes or is gone.

use std::collections::BTreeMap;

use aura_choreography::{Body, Dev, DeviceSet, Event, Reason, Stop};
use aura_coordination::{
    choreography::{
        locking::{Book, Locked, Locking, Terms, View, script::locking},
        sign::Purpose,
    },
    keystore::{GRANT_EPOCHS_MAX, KeyStore},
};
use aura_crypto::{Context, Signature, sign as crypto};
use aura_protocol_core::{Digest, Epoch, encode};

use crate::hall::{Hall, Lie, account, id, with_keys};

static LOCKING: Locking = Locking;
const LOCK: &[u8] = b"resharing";

fn view(recent: &[(u8, u32)]) -> View {
    let recent = recent.iter().map(|(dev, count)| (id(*dev), *count)).collect();
    View { account: account(), seed: Digest::of(b"checkpoint"), fence: 5, recent }
}

fn terms(signers: u8, number: u64, recent: &[(u8, u32)]) -> Terms {
    let (lock, view, expires) = (LOCK.to_vec(), view(recent), Epoch(50));
    Terms { lock, view, number, epoch: 4, expires, signers }
}

/// Those that want the lock ask for it under these terms.
fn hall(mut stores: BTreeMap<u8, KeyStore>, wanting: &[u8], terms: &Terms, session: u8) -> Hall {
    for (dev, store) in &mut stores {
        store.observe_lock(LOCK, terms.view.clone(), wanting.contains(dev)).unwrap();
    }
    Hall::with_stores(&LOCKING, stores, session, &encode(terms))
}

/// Who got the lock, by the word of the group.
#[track_caller]
fn holder(hall: &Hall, who: &[u8]) -> (u8, u64) {
    let Locked { grant, signature } = hall.agreed(who);
    let key = hall.stores.values().next().unwrap().keys().unwrap().signing.1.public_key().unwrap();
    let context = Context { domain: Purpose::LockGrant.domain(), account: account(), epoch: 4 };
    let signature = Signature(signature.try_into().unwrap());
    crypto::verify(&key, &context, &encode(&grant), &signature).unwrap();
    let place = (0..8).find(|it| id(*it) == grant.holder).unwrap();
    (place, grant.fence)
}

#[test]
fn whoever_wants_the_lock_gets_it() {
    let hall = hall(with_keys(2, 3), &[2], &terms(3, 5, &[]), 1).run();
    assert_eq!(holder(&hall, &[0, 1, 2]), (2, 5));
}

/// Concurrent: several want it, and one gets it; who held it lately comes last, whatever was drawn.
#[test]
fn several_want_it_and_one_gets_it() {
    let drawn = hall(with_keys(3, 3), &[0, 1, 2], &terms(3, 5, &[]), 1).run();
    let (first, _) = holder(&drawn, &[0, 1, 2]);
    let again = hall(with_keys(3, 3), &[0, 1, 2], &terms(3, 5, &[(first, 1)]), 1).run();
    assert_ne!(holder(&again, &[0, 1, 2]).0, first);
}

#[test]
fn without_anybody_who_wants_it_there_is_no_grant() {
    let hall = hall(with_keys(2, 3), &[], &terms(2, 5, &[]), 1).run();
    for dev in 0..3 {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Insufficient)));
    }
}

/// Offline, timeout.
#[test]
fn without_a_quorum_there_is_no_grant() {
    let hall = hall(with_keys(3, 4), &[0], &terms(3, 5, &[]), 1).without(2).without(3).run();
    for dev in [0, 1] {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Timeout)));
    }
}

/// INV-C13 through the choreography: one number, one holder. The next number is for another.
#[test]
fn one_number_is_never_granted_twice() {
    let first = hall(with_keys(3, 3), &[1], &terms(3, 5, &[]), 1).run();
    assert_eq!(holder(&first, &[0, 1, 2]), (1, 5));
    let second = hall(first.stores, &[2], &terms(3, 5, &[]), 2).run();
    for dev in 0..3 {
        assert!(second.end(dev).is_err(), "number 5 was granted to two: {:?}", second.end(dev));
    }
    let mut stores = second.stores;
    stores.values_mut().for_each(|it| it.observe_epoch(Epoch(50)));
    let third = hall(stores, &[2], &terms(3, 6, &[]), 3).run();
    assert_eq!(holder(&third, &[0, 1, 2]), (2, 6));
    // What was signed is the last word below its number.
    let fourth = hall(third.stores, &[2], &terms(3, 5, &[]), 4).run();
    assert!(fourth.end(0).is_err());
}

/// Nobody uses the numbers up: a try is near the last grant.
#[test]
fn numbers_are_near_the_last_grant() {
    for (session, number) in [(5, 5 + 16), (6, 4)] {
        let none = hall(with_keys(3, 3), &[2], &terms(3, number, &[]), session).run();
        assert!(none.end(0).is_err(), "number {number}");
    }
}

/// INV-LK1: whoever signed for one device signs for no other until that grant has expired or is certified
/// to be over, whatever the number; and for the same device at once.
#[test]
fn no_two_grants_stand_at_once() {
    let first = hall(with_keys(3, 3), &[1], &terms(3, 5, &[]), 1).run();
    assert_eq!(holder(&first, &[0, 1, 2]), (1, 5));
    let beside = hall(first.stores, &[2], &terms(3, 6, &[]), 2).run();
    for dev in 0..3 {
        assert!(beside.end(dev).is_err(), "two hold the lock: {:?}", beside.end(dev));
    }
    let again = hall(beside.stores, &[1], &terms(3, 7, &[]), 3).run();
    assert_eq!(holder(&again, &[0, 1, 2]), (1, 7), "its holder may ask again");
    // One epoch is missing.
    let mut stores = again.stores;
    stores.get_mut(&0).unwrap().observe_epoch(Epoch(49));
    stores.get_mut(&1).unwrap().observe_epoch(Epoch(50));
    stores.get_mut(&2).unwrap().observe_epoch(Epoch(50));
    let early = hall(stores, &[2], &terms(3, 8, &[]), 4).run();
    assert!(early.end(0).is_err());
    // The account certified that 7 is over: the next draw begins above it.
    let mut stores = early.stores;
    let mut over = terms(3, 9, &[]);
    over.view.fence = 8;
    for store in stores.values_mut() {
        store.observe_lock(LOCK, over.view.clone(), false).unwrap();
    }
    let next = hall(stores, &[2], &over, 5).run();
    assert_eq!(holder(&next, &[0, 1, 2]), (2, 9));
}

/// A grant for ever would be a lock that no crash frees.
#[test]
fn nobody_signs_a_grant_that_stands_too_long() {
    let mut long = terms(2, 5, &[]);
    long.expires = Epoch(GRANT_EPOCHS_MAX + 1);
    assert!(hall(with_keys(2, 3), &[0], &long, 1).run().end(0).is_err());
    let mut stores = with_keys(2, 3);
    stores.values_mut().for_each(|it| it.observe_epoch(Epoch(1)));
    assert_eq!(holder(&hall(stores, &[0], &long, 2).run(), &[0, 1, 2]), (0, 5));
}

/// A seed that is not the account's wins nothing: nobody takes part.
#[test]
fn a_seed_of_ones_own_wins_nothing() {
    let mut chosen = terms(2, 5, &[]);
    let mut stores = with_keys(2, 3);
    for store in stores.values_mut() {
        store.observe_lock(LOCK, view(&[]), true).unwrap();
    }
    chosen.view.seed = Digest::of(b"tried until it won");
    let hall = Hall::with_stores(&LOCKING, stores, 1, &encode(&chosen)).run();
    assert_eq!(hall.said(locking::DECLINE), 3);
    assert!(hall.end(0).is_err());
}

/// Byzantine: a member that names another winner is not believed, since nobody says who won. One that
/// wants what it need not is a contender like any other.
#[test]
fn who_wins_is_nobodys_word() {
    let lie: Lie = |_, it| {
        let says = |label, value: &bool| {
            let body = Body::new(&encode(value));
            Event { label, body, ..it.clone() }
        };
        Some(if it.label == locking::CONTEND { says(it.label, &true) } else { it.clone() })
    };
    let hall = hall(with_keys(3, 3), &[0], &terms(3, 5, &[]), 1).with_liar(1, lie).run();
    let (winner, _) = holder(&hall, &[0, 2]);
    assert!([0, 1].contains(&winner));
    let contenders: DeviceSet = [0, 1].map(Dev).into_iter().collect();
    let devices: Vec<_> = (0..3).map(id).collect();
    let drawn = terms(3, 5, &[]).grant(&devices, contenders).unwrap();
    assert_eq!(drawn.holder, id(winner));
}

/// Crash at each step: either the lock is granted, or nothing is and another try grants it to the same.
#[test]
fn a_crash_at_any_step_grants_once() {
    let quiet = hall(with_keys(2, 3), &[0, 1, 2], &terms(3, 5, &[]), 1).run();
    let expected = holder(&quiet, &[0, 1, 2]);
    for dev in 0..3 {
        for after in 0..=4 {
            let asked = terms(3, 5, &[]);
            let crashed = hall(with_keys(2, 3), &[0, 1, 2], &asked, 1).restarting(dev, after).run();
            if crashed.end(dev).is_ok() {
                assert_eq!(holder(&crashed, &[dev]), expected);
            } else {
                let again = hall(crashed.stores, &[0, 1, 2], &asked, 2).run();
                assert_eq!(holder(&again, &[0, 1, 2]), expected, "{dev} after {after}");
            }
        }
    }
}

/// A grant as an observer who sees everything knows it.
struct Stand {
    holder: u8,
    number: u64,
    from: u64,
    until: u64,
}

/// Random tries of random devices, some of which are not there, leave in the middle, or never learn how it
/// ended; some holders release, and others are gone. INV-LK1, INV-LK2: no two devices ever hold the lock
/// at once, and every lock is free again in the end.
#[test]
fn conflicting_operations_never_run_together() {
    let (mut stands, mut expired, mut released) = (Vec::<Stand>::new(), 0, 0);
    for seed in 0..6 {
        let mut dice = crate::hall::rng(seed);
        let mut below = |bound: u64| u64::from(u32::from_le_bytes(*dice.bytes())) % bound;
        let mut stores = with_keys(3, 4);
        // What is certified, as every device learns it in time.
        let mut book = Book::default();
        let mut now = 0;
        stands.clear();
        for session in 0..14 {
            now += below(30);
            let seed = Digest::of(&[session]);
            let view = book.view(account(), LOCK, seed, Epoch(now));
            let wanting = [below(4) as u8, below(4) as u8];
            for (dev, store) in &mut stores {
                store.observe_epoch(Epoch(now));
                // Whoever knows that it is held asks for nothing; one device has not heard of it.
                if let Ok(view) = &view {
                    let wants = wanting.contains(dev);
                    store.observe_lock(LOCK, view.clone(), wants).unwrap();
                }
            }
            let known = view.clone().map(|it| it.fence).unwrap_or(1);
            let view = view.unwrap_or_else(|_| View {
                account: account(),
                seed,
                fence: known,
                recent: BTreeMap::new(),
            });
            let number = known + below(3);
            let (lock, expires) = (LOCK.to_vec(), Epoch(now + 50));
            let terms = Terms { lock, view, number, epoch: 4, expires, signers: 3 };
            let hall = Hall::with_stores(&LOCKING, stores, session, &encode(&terms));
            let hall = match below(3) {
                0 => hall.leaving(below(4) as u8, below(4) as usize),
                1 => hall.without(1 + below(3) as u8),
                _ => hall,
            };
            let hall = hall.run();
            let ended = (0..4).filter_map(|it| hall.try_end(it));
            let granted = ended.filter_map(|it| match it {
                Ok(aura_protocol_core::Outcome::Completed { result, .. }) => {
                    Some(borsh::from_slice::<Locked>(result).unwrap().grant)
                }
                _ => None,
            });
            let granted: Vec<_> = granted.collect();
            stores = hall.stores;
            let Some(grant) = granted.first() else { continue };
            let holder = (0..8).find(|it| id(*it) == grant.holder).unwrap();
            let held = |it: &&Stand| it.until > now && it.holder != holder;
            let beside = stands.iter().find(held).map(|it| (it.holder, it.number));
            assert_eq!(beside, None, "{holder} got it under {number} too, at {now}");
            // Its holder releases it soon, and the account certifies that; or it is gone.
            let mut until = grant.expires.0;
            if below(2) == 0 {
                until = now + below(20);
                book.granted(grant);
                assert_eq!(book.admit(LOCK, grant.fence, Epoch(now)), Ok(()));
                book.released(LOCK, grant.fence);
                released += 1;
            } else if below(2) == 0 {
                book.granted(grant);
                assert!(book.view(account(), LOCK, seed, Epoch(now)).is_err());
                assert!(book.view(account(), LOCK, seed, grant.expires).is_ok());
                expired += 1;
            }
            now = now.max(if until < grant.expires.0 { until } else { now });
            stands.push(Stand { holder, number: grant.fence, from: now, until });
        }
        assert!(stands.iter().all(|it| it.from <= it.until));
    }
    assert!(3 < released && 3 < expired, "{released} {expired}");
}
