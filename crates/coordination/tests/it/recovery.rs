//! Recovery with real keys: guardians, their clocks, and whoever objects.

use std::collections::BTreeMap;

use aura_choreography::{Body, Dev, Event, Reason, Stop};
use aura_coordination::{
    choreography::{
        locking::{self, KEYS, View},
        recovery::{Recovery, Terms, script::recovery},
        resharing::{self, Reshared, Resharing, Sharings, Side},
        sign::{self, Purpose, Sign},
    },
    keystore::KeyStore,
};
use aura_crypto::{Context, Holders, Message as _, PublicKey, Signature, sign as crypto};
use aura_protocol_core::{Digest, Epoch, UnixTime, encode};

use crate::hall::{Hall, Lie, account, id, owner, with_keys};

static RECOVERY: Recovery = Recovery;
static RESHARING: Resharing = Resharing;
static SIGN: Sign = Sign;

/// Devices 0 to 2 lost the account; 3 to 5 guard it, and 6 and 7 are new.
const GUARDIANS: [u8; 3] = [3, 4, 5];
const NEW: [u8; 2] = [6, 7];
/// How long guardians wait.
const DELAY: u64 = 3600;
const START: u64 = 1_000_000;

type Stores = BTreeMap<u8, KeyStore>;

fn sharings(store: &KeyStore) -> Sharings {
    let keys = store.keys().unwrap();
    Sharings { signing: keys.signing.1.to_bytes(), derivation: keys.derivation.1.to_bytes() }
}

fn side(holders: Holders, epoch: u64, threshold: u16, devices: &[u8]) -> Side {
    let devices = devices.iter().map(|it| (id(*it), u16::from(*it) * 3 + 2)).collect();
    Side { holders, epoch, threshold, devices }
}

fn terms(
    from: Side,
    to: Side,
    sharings: Sharings,
    coordinator: u8,
    number: u64,
) -> resharing::Terms {
    let (account, seed) = (account(), Digest::of(b"checkpoint"));
    let view = View { account, seed, fence: number, recent: BTreeMap::new() };
    let (expires, signers) = (Epoch(300), from.threshold as u8);
    let lock = locking::Terms { lock: KEYS.to_vec(), view, number, epoch: 4, expires, signers };
    resharing::Terms { coordinator: id(coordinator), lock, from, to, sharings }
}

fn ready(stores: &mut Stores, terms: &resharing::Terms) {
    for (dev, store) in stores {
        let wants = id(*dev) == terms.coordinator;
        store.observe_lock(KEYS, terms.lock.view.clone(), wants).unwrap();
    }
}

/// Guardians with shares of their own, and the account's key.
fn guarded() -> (Stores, PublicKey) {
    let mut stores = with_keys(2, 3);
    let key = stores[&0].keys().unwrap().signing.1.public_key().unwrap();
    stores.extend(GUARDIANS.map(|it| (it, KeyStore::new(owner(it)))));
    let from = side(Holders::Devices, 1, 2, &[0, 1, 2]);
    let to = side(Holders::Guardians, 2, 2, &GUARDIANS);
    let terms = terms(from, to, sharings(&stores[&0]), 0, 1);
    ready(&mut stores, &terms);
    stores.values_mut().for_each(|it| it.permit(terms.digest()).unwrap());
    let hall = Hall::with_stores(&RESHARING, stores, 1, &encode(&terms)).run();
    let Reshared { session, .. } = hall.agreed(&[0, 1, 2, 3, 4, 5]);
    let mut stores = hall.stores;
    stores.retain(|it, _| GUARDIANS.contains(it));
    for store in stores.values_mut() {
        store.adopt(session).unwrap();
        store.set_recovery_delay(DELAY);
        store.observe_time(UnixTime(START));
    }
    (stores, key)
}

fn recovery_terms(stores: &Stores, round: u32) -> Terms {
    let from = side(Holders::Guardians, 2, 2, &GUARDIANS);
    let to = side(Holders::Devices, 3, 2, &NEW);
    let first = stores.values().find(|it| it.keys().is_some()).unwrap();
    Terms { reshare: terms(from, to, sharings(first), GUARDIANS[0], 1), round }
}

/// A recovery that these guardians' persons permit.
fn hall(mut stores: Stores, permit: &[u8], round: u32, session: u8) -> Hall {
    let terms = recovery_terms(&stores, round);
    for new in NEW {
        let store = stores.entry(new).or_insert_with(|| KeyStore::new(owner(new)));
        store.permit(terms.reshare.digest()).unwrap();
    }
    ready(&mut stores, &terms.reshare);
    for dev in permit {
        stores.get_mut(dev).unwrap().permit(terms.digest()).unwrap();
    }
    // Places 0 to 2 are the guardians, 3 and 4 the new devices.
    Hall::with_stores(&RECOVERY, stores, session, &encode(&terms))
}

/// The new devices sign with the old key.
#[track_caller]
fn check(hall: Hall, key: &PublicKey) {
    let Reshared { session, .. } = hall.agreed(&[3, 4]);
    let mut stores = hall.stores;
    stores.retain(|it, _| NEW.contains(it));
    stores.values_mut().for_each(|it| it.adopt(session).unwrap());
    let (purpose, body) = (Purpose::Checkpoint, b"back".to_vec());
    let terms = sign::Terms { purpose, epoch: 4, body, signers: 2 };
    stores.values_mut().for_each(|it| it.permit(terms.digest()).unwrap());
    let hall = Hall::with_stores(&SIGN, stores, 90, &encode(&terms)).run();
    let Ok(aura_protocol_core::Outcome::Completed { result, .. }) = hall.end(0) else {
        panic!("nothing was signed: {:?}", hall.end(0))
    };
    let signature = Signature(result.as_slice().try_into().unwrap());
    let context = Context { domain: Purpose::Checkpoint.domain(), account: account(), epoch: 4 };
    crypto::verify(key, &context, b"back", &signature).unwrap();
}

/// All devices are lost, guardians wait, and new devices have the same key.
#[test]
fn guardians_bring_an_account_back() {
    let (stores, key) = guarded();
    let hall = hall(stores, &GUARDIANS, 0, 2).waiting().run();
    assert_eq!(hall.said(recovery::APPROVE), 3);
    check(hall, &key);
}

/// As many as needed are enough; one fewer is not, and changes nothing.
#[test]
fn with_too_few_guardians_nothing_changes() {
    let (stores, key) = guarded();
    check(hall(stores, &[3, 5], 0, 2).waiting().run(), &key);
    let (stores, _) = guarded();
    let alone = hall(stores, &[3], 0, 2).waiting().run();
    assert_eq!(alone.end(3), &Err(Stop::Aborted(Reason::Timeout)));
    assert_eq!(alone.said(recovery::REFUSE), 2);
    assert!(NEW.iter().all(|it| alone.stores[it].pending(alone.session()).is_none()));
}

/// INV-RC1: no guardian gives anything away before its own clock says so, whatever the session comes to;
/// a clock that is set back counts for nothing.
#[test]
fn the_wait_cannot_be_shortened() {
    let (mut stores, _) = guarded();
    for store in stores.values_mut() {
        store.observe_time(UnixTime(START + DELAY - 1));
        store.observe_time(UnixTime(START - 1));
    }
    // Nobody's clock goes on.
    let early = hall(stores, &GUARDIANS, 0, 2).run();
    assert_eq!(early.end(3), &Err(Stop::Aborted(Reason::Timeout)));
    assert_eq!(early.said(recovery::HOLD), 3);
    assert_eq!(early.said(recovery::OPEN), 0);
    for dev in GUARDIANS {
        let ripe = early.stores[&dev].recovery_ripe_at(early.session());
        assert_eq!(ripe, Some(UnixTime(START + DELAY - 1 + DELAY)));
    }
}

/// A restart changes nothing: the time goes on where it stood.
#[test]
fn the_wait_outlives_a_crash() {
    let (stores, key) = guarded();
    let hall = hall(stores, &GUARDIANS, 0, 2).waiting().restarting(0, 1).run();
    check(hall, &key);
}

/// Whoever leads cannot pretend that the time is over: each guardian looks for itself.
#[test]
fn a_leader_that_lies_opens_nothing() {
    let lie: Lie = |_, it| {
        let opens = Event { label: recovery::OPEN, body: Body::new(&[]), ..it.clone() };
        Some(if it.label == recovery::ABORT { opens } else { it.clone() })
    };
    let (stores, _) = guarded();
    let hall = hall(stores, &GUARDIANS, 0, 2).with_liar(0, lie).run();
    assert!((1..5).all(|dev| hall.end(dev).is_err()));
    let dealt = recovery::GLOBAL.parse_label("reshare/Deal").unwrap().0;
    assert_eq!(hall.said(dealt), 0);
    assert!(NEW.iter().all(|it| hall.stores[it].pending(hall.session()).is_none()));
}

/// A device of the account, or a guardian, objects: the session ends, the next one takes twice as long and
/// one guardian more, and then nobody's single word stops it.
#[test]
fn an_objection_stops_it_once() {
    let (stores, key) = guarded();
    let vetoed = hall(stores, &GUARDIANS, 0, 2).saying(4, b"veto").run();
    assert_eq!(vetoed.end(3), &Err(Stop::Aborted(Reason::Vetoed { by: Dev(4) })));
    let session = vetoed.session();
    let mut stores = vetoed.stores;
    for dev in GUARDIANS {
        let store = stores.get_mut(&dev).unwrap();
        store.observe_veto(0);
        store.discard(session);
        assert_eq!(store.recovery_round(), 1);
    }
    // The old terms are not due any more.
    let replayed = hall(stores, &GUARDIANS, 0, 3).waiting().run();
    assert_eq!(replayed.said(recovery::REFUSE), 3);
    // Two of three were enough before.
    let two = hall(replayed.stores, &[3, 4], 1, 4).waiting().run();
    assert!(two.end(3).is_err());
    let session = two.session();
    let mut stores = two.stores;
    stores.values_mut().for_each(|it| it.discard(session));
    let again = hall(stores, &GUARDIANS, 1, 5).waiting().saying(4, b"veto").run();
    let ripe = again.stores[&3].recovery_ripe_at(again.session());
    assert_eq!(ripe, None, "it is over");
    check(again, &key);
}

/// INV-RC1: whoever leads pretends that nobody objected. Guardians that heard the objection hold back.
#[test]
fn an_objection_that_is_passed_over_holds() {
    let (mut stores, _) = guarded();
    let session = hall(stores, &GUARDIANS, 0, 2);
    stores = session.stores;
    stores.get_mut(&4).unwrap().observe_veto(0);
    stores.get_mut(&5).unwrap().observe_veto(0);
    let terms = recovery_terms(&stores, 0);
    let held = Hall::with_stores(&RECOVERY, stores, 2, &encode(&terms)).waiting().run();
    assert!(held.end(3).is_err());
    assert!(NEW.iter().all(|it| held.stores[it].pending(held.session()).is_none()));
}

/// INV-RC2: approvals of another session, or for other devices, are none.
#[test]
fn approvals_are_not_used_twice() {
    // Two guardians approve a first attempt, which ends; in the second only one does, and whoever leads
    // repeats what the other said.
    let (stores, _) = guarded();
    let first = hall(stores, &[3, 4], 0, 2).without(3).without(4).run();
    let approval = first.said.iter().find(|it| it.author == Dev(1)).unwrap().clone();
    let session = first.session();
    let mut stores = first.stores;
    stores.values_mut().for_each(|it| it.discard(session));
    let terms = recovery_terms(&stores, 0);
    stores.get_mut(&4).unwrap().forbid(&terms.digest());
    let mut second = hall(stores, &[3], 0, 3).waiting();
    second.repeat(Event { ..approval });
    let second = second.run();
    assert!(second.end(3).is_err());
    assert!(NEW.iter().all(|it| second.stores[it].pending(second.session()).is_none()));
}

/// A second recovery while one runs: a guardian approves one at a time.
#[test]
fn one_recovery_runs_at_a_time() {
    let (stores, key) = guarded();
    let first = hall(stores, &GUARDIANS, 0, 2).run();
    let beside = hall(first.stores, &GUARDIANS, 0, 3).waiting().run();
    assert_eq!(beside.said(recovery::REFUSE), 3);
    let mut stores = beside.stores;
    let ended = aura_protocol_core::SessionId::from_bytes([2; 32]);
    stores.values_mut().for_each(|it| it.discard(ended));
    check(hall(stores, &GUARDIANS, 0, 4).waiting().run(), &key);
}

/// Crash at each instruction: the new devices have their shares or they do not, and the guardians theirs.
#[test]
fn a_crash_at_any_step_recovers_all_or_nothing() {
    let mut recovered = 0;
    for dev in [0, 1, 3] {
        for after in (0..14).step_by(2) {
            let (stores, key) = guarded();
            let hall = hall(stores, &GUARDIANS, 0, 2).waiting().restarting(dev, after).run();
            if [3, 4].iter().all(|it| hall.end(*it).is_ok()) {
                recovered += 1;
                check(hall, &key);
            } else {
                let session = hall.session();
                let mut stores = hall.stores;
                stores.values_mut().for_each(|it| it.discard(session));
                stores.retain(|it, _| GUARDIANS.contains(it));
                for store in stores.values_mut() {
                    let view = View {
                        account: account(),
                        seed: Digest::of(b"checkpoint"),
                        fence: 2,
                        recent: BTreeMap::new(),
                    };
                    store.observe_lock(KEYS, view, false).unwrap();
                }
                check(self::hall(stores, &GUARDIANS, 0, 3).waiting().run(), &key);
            }
        }
    }
    assert!(10 < recovered, "{recovered}");
}
