//! Resharing with real keys: the same key among others, whoever lies, crashes or is gone.

use std::collections::BTreeMap;

use aura_choreography::{Body, Dev, DeviceSet, Event, Reason, Stop};
use aura_coordination::{
    choreography::{
        Report, Rested,
        locking::{self, KEYS, View},
        resharing::{
            Findings, Reshared, Resharing, Sharings, Side, Step, Terms, Unchanged,
            script::resharing,
        },
        sign::{self, Purpose, Sign},
    },
    keystore::{KeyStore, Request},
};
use aura_crypto::{Context, Holders, Message as _, PublicKey, Signature, sign as crypto};
use aura_protocol_core::{Digest, Epoch, SessionId, encode};

use crate::hall::{Bend, Hall, Lie, account, id, only, owner, rng, with_keys};

static RESHARING: Resharing = Resharing;
static SIGN: Sign = Sign;

type Stores = BTreeMap<u8, KeyStore>;

/// The account's key, and who holds which share.
struct Account {
    stores: Stores,
    key: PublicKey,
}

fn sharings(store: &KeyStore) -> Sharings {
    let keys = store.keys().unwrap();
    Sharings { signing: keys.signing.1.to_bytes(), derivation: keys.derivation.1.to_bytes() }
}

fn holders(store: &KeyStore) -> Side {
    let keys = store.keys().unwrap();
    let sharing = &keys.signing.1;
    Side {
        holders: sharing.context().holders,
        epoch: sharing.context().epoch,
        threshold: sharing.threshold(),
        devices: keys.holders.iter().map(|(device, index)| (*device, index.get())).collect(),
    }
}

fn key_of(store: &KeyStore) -> PublicKey {
    store.keys().unwrap().signing.1.public_key().unwrap()
}

fn made(stores: Stores) -> Account {
    let key = key_of(stores.values().next().unwrap());
    Account { stores, key }
}

/// An account of the device 0 alone.
fn alone() -> Account {
    let mut store = KeyStore::new(owner(0));
    let session = SessionId::from_bytes([9; 32]);
    store.make_sole(session, &mut rng(1)).unwrap();
    store.adopt(session).unwrap();
    made([(0, store)].into())
}

fn to(from: &Side, threshold: u16, devices: &[u8]) -> Side {
    // Indices that are no places, and others than before.
    let devices = devices.iter().map(|it| (id(*it), u16::from(*it) * 2 + 1)).collect();
    Side { holders: Holders::Devices, epoch: from.epoch + 1, threshold, devices }
}

fn terms(from: Side, to: Side, sharings: Sharings, coordinator: u8, number: u64) -> Terms {
    let (account, seed) = (account(), Digest::of(b"checkpoint"));
    // Whatever was granted before is over.
    let view = View { account, seed, fence: number, recent: BTreeMap::new() };
    let (expires, signers) = (Epoch(300), from.threshold as u8);
    let lock = locking::Terms { lock: KEYS.to_vec(), view, number, epoch: 4, expires, signers };
    Terms { coordinator: id(coordinator), lock, from, to, sharings }
}

/// Everybody who takes part agrees to it; the first of them coordinates.
fn hall(account: Account, threshold: u16, receivers: &[u8], session: u8, number: u64) -> Hall {
    let mut stores = account.stores;
    for dev in receivers {
        stores.entry(*dev).or_insert_with(|| KeyStore::new(owner(*dev)));
    }
    let first = stores.values().find(|it| it.keys().is_some()).unwrap();
    let (from, sharings) = (holders(first), sharings(first));
    let coordinator = *stores.iter().find(|it| it.1.keys().is_some()).unwrap().0;
    let to = to(&from, threshold, receivers);
    let terms = terms(from, to, sharings, coordinator, number);
    for (dev, store) in &mut stores {
        store.permit(terms.digest()).unwrap();
        let view = terms.lock.view.clone();
        store.observe_lock(KEYS, view, *dev == coordinator).unwrap();
    }
    Hall::with_stores(&RESHARING, stores, session, &encode(&terms))
}

fn reshare(account: Account, threshold: u16, receivers: &[u8], session: u8) -> Hall {
    hall(account, threshold, receivers, session, 1)
}

/// The control chain certified it.
fn adopted(mut hall: Hall) -> Account {
    let everybody: Vec<u8> = (0..hall.stores.len() as u8).collect();
    let Reshared { session, agreed, epoch, .. } = hall.agreed(&everybody);
    assert_eq!(session, hall.session());
    for store in hall.stores.values_mut() {
        if store.pending(session).is_some() {
            store.adopt(session).unwrap();
            assert_eq!(store.keys().unwrap().name(), agreed.name);
            assert_eq!(holders(store).epoch, epoch);
        } else {
            store.retire();
        }
    }
    hall.stores.retain(|_, it| it.keys().is_some());
    made(hall.stores)
}

/// What comes of it when these of the account's devices sign.
fn sign(stores: Stores, who: &[u8], session: u8) -> (Stores, Option<Signature>) {
    let mut stores = only(stores, who);
    let signers = holders(stores.values().next().unwrap()).threshold as u8;
    let (purpose, body) = (Purpose::Checkpoint, b"all that is".to_vec());
    let terms = sign::Terms { purpose, epoch: 4, body, signers };
    stores.values_mut().for_each(|it| it.permit(terms.digest()).unwrap());
    let hall = Hall::with_stores(&SIGN, stores, session, &encode(&terms)).run();
    let made = match hall.end(0) {
        Ok(aura_protocol_core::Outcome::Completed { result, .. }) => {
            Some(Signature(result.as_slice().try_into().unwrap()))
        }
        _ => None,
    };
    (hall.stores, made)
}

#[track_caller]
fn check(key: &PublicKey, signature: Option<Signature>) {
    let context = Context { domain: Purpose::Checkpoint.domain(), account: account(), epoch: 4 };
    crypto::verify(key, &context, b"all that is", &signature.unwrap()).unwrap();
}

/// INV-RS1: added and removed devices, a higher threshold and a lower one: the same key, another number.
#[test]
fn the_key_goes_to_other_holders() {
    let cases: [(u16, u8, u16, &[u8]); 5] = [
        (2, 3, 2, &[0, 1, 2, 3]),
        (2, 3, 3, &[1, 2, 3, 4]),
        (3, 4, 2, &[0, 2]),
        (2, 3, 1, &[5]),
        (2, 2, 2, &[0, 1]),
    ];
    for (old, devices, threshold, receivers) in cases {
        let account = made(with_keys(old, devices));
        let key = account.key;
        let after = adopted(reshare(account, threshold, receivers, 1).run());
        assert_eq!(after.stores.keys().copied().collect::<Vec<_>>(), receivers);
        assert_eq!(after.key, key);
        let last = receivers.len() - usize::from(threshold);
        check(&key, sign(after.stores, &receivers[last..], 2).1);
    }
}

/// An account of one device grows, and shrinks to another one.
#[test]
fn an_account_of_one_device_grows() {
    let account = alone();
    let key = account.key;
    let grown = adopted(reshare(account, 2, &[0, 1, 2], 1).run());
    assert_eq!(grown.key, key);
    let (stores, signature) = sign(grown.stores, &[1, 2], 2);
    check(&key, signature);
    let shrunk = adopted(hall(made(stores), 1, &[2], 3, 2).run());
    check(&key, sign(shrunk.stores, &[2], 4).1);
}

/// INV-RS1: a chain of resharings between random sets of holders, and at its end any quorum signs.
#[test]
fn any_chain_of_resharings_keeps_the_key() {
    for seed in 0..12 {
        let mut dice = rng(seed);
        let mut below = |bound: u32| u32::from_le_bytes(*dice.bytes()) % bound;
        let devices = 2 + below(4) as u8;
        let threshold = 2 + below(u32::from(devices) - 1) as u16;
        let mut account = made(with_keys(threshold, devices));
        let key = account.key;
        for step in 0..3 {
            let mut receivers: Vec<u8> = (0..8).filter(|_| below(2) == 0).collect();
            receivers.truncate(5);
            let threshold = match receivers.len() as u32 {
                0 => continue,
                1 => 1,
                count => 2 + below(count - 1) as u16,
            };
            let hall = hall(account, threshold, &receivers, 10 + step, 1 + u64::from(step));
            account = adopted(hall.run());
            assert_eq!(account.key, key, "seed {seed}");
        }
        let threshold = usize::from(holders(account.stores.values().next().unwrap()).threshold);
        let mut quorum: Vec<u8> = account.stores.keys().copied().collect();
        while threshold < quorum.len() {
            quorum.remove(below(quorum.len() as u32) as usize);
        }
        check(&key, sign(account.stores, &quorum, 50).1);
    }
}

/// INV-RS2: "2 of 4 devices offline; nothing changed". What there was works on.
#[test]
fn with_devices_offline_nothing_changes() {
    let account = made(with_keys(2, 4));
    let (key, before) = (account.key, account.stores[&0].keys().unwrap().name());
    let hall = reshare(account, 3, &[0, 1, 2, 3], 1).without(2).without(3).run();
    let spoke: DeviceSet = hall.said.iter().map(|it| it.author).collect();
    for dev in [0, 1] {
        let Err(why) = hall.end(dev) else { panic!("device {dev} finished") };
        assert_eq!(why, &Stop::Aborted(Reason::Timeout));
        let told = Unchanged::new(4, spoke, why.clone()).to_string();
        assert_eq!(told, "2 of 4 devices offline; nothing changed");
    }
    let session = hall.session();
    let mut stores = hall.stores;
    for store in stores.values_mut() {
        store.discard(session);
        assert_eq!(store.pending(session).map(|_| ()), None);
        assert_eq!((store.keys().unwrap().name(), holders(store).epoch), (before, 1));
    }
    let (mut stores, signature) = sign(stores, &[0, 3], 2);
    check(&key, signature);
    // The next try, with those who are there, works.
    let again = with_keys(2, 4).into_iter().filter(|it| [1, 2].contains(&it.0));
    stores.extend(again);
    let account = adopted(hall_of_rest(stores));
    assert_eq!(account.key, key);
}

fn hall_of_rest(stores: Stores) -> Hall {
    hall(made(stores), 2, &[0, 1, 3], 3, 2).run()
}

/// INV-RS2, crash at each instruction: each device at each thing that it says is switched off, and on
/// again: either all have the new shares, or nobody has and the old ones sign.
#[test]
fn a_crash_at_any_step_changes_all_or_nothing() {
    let mut finished = 0;
    for dev in 0..3 {
        for after in 0..14 {
            let account = made(with_keys(2, 2));
            let key = account.key;
            let hall = reshare(account, 2, &[0, 1, 2], 1).restarting(dev, after).run();
            let ends: Vec<bool> = (0..3).map(|it| hall.end(it).is_ok()).collect();
            if ends.iter().all(|it| *it) {
                finished += 1;
                check(&key, sign(adopted(hall).stores, &[1, 2], 2).1);
                continue;
            }
            let session = hall.session();
            let mut stores = hall.stores;
            stores.values_mut().for_each(|it| it.discard(session));
            check(&key, sign(stores, &[0, 1], 2).1);
        }
    }
    assert!(20 < finished, "{finished}");
}

/// The same for whoever never comes back: those who are left finish, or nothing changes for anybody.
#[test]
fn whoever_leaves_changes_all_or_nothing() {
    for dev in 0..3 {
        for after in 1..12 {
            let account = made(with_keys(2, 2));
            let key = account.key;
            let hall = reshare(account, 2, &[0, 1, 2], 1).leaving(dev, after).run();
            let stores = hall.stores;
            check(&key, sign(stores, &[0, 1], 2).1);
        }
    }
}

/// Traps 8 and 9: some adopted the new shares and some did not. Together they sign nothing, and nobody is
/// blamed; either by itself does.
#[test]
fn old_and_new_shares_sign_nothing_together() {
    let account = made(with_keys(2, 3));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 1, 2], 1).run();
    let session = hall.session();
    let mut stores = hall.stores;
    stores.get_mut(&0).unwrap().adopt(session).unwrap();
    let (mut mixed, signature) = sign(stores, &[0, 1], 2);
    assert_eq!(signature, None);
    mixed.get_mut(&1).unwrap().adopt(session).unwrap();
    check(&key, sign(mixed, &[0, 1], 3).1);
}

fn rested(event: &Event, change: impl FnOnce(&mut Vec<u8>)) -> Event {
    let mut rested: Rested = borsh::from_slice(event.body.bytes()).unwrap();
    change(&mut rested.bytes);
    Event { body: Body::new(&encode(&rested)), ..event.clone() }
}

/// INV-RS3: a dealer that does not share its own share is named by everybody, and the others go on
/// without it.
#[test]
fn a_lying_dealer_is_named() {
    let lie: Lie = |_, it| {
        Some(match it.label {
            // Its commitment, where another point stands for its constant term.
            resharing::DEAL => rested(it, |bytes| {
                let (first, second) = bytes[4 + 2 + 4..].split_at_mut(32);
                first.copy_from_slice(&second[..32]);
            }),
            _ => it.clone(),
        })
    };
    let account = made(with_keys(2, 4));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 2, 3], 1).with_liar(1, lie).run();
    let culprits = DeviceSet::one(Dev(1));
    for dev in [0, 2, 3] {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Byzantine { culprits })));
    }
    let session = hall.session();
    let mut stores = only(hall.stores, &[0, 2, 3]);
    stores.values_mut().for_each(|it| it.discard(session));
    assert_eq!(adopted(hall_without(stores)).key, key);
}

fn hall_without(stores: Stores) -> Hall {
    hall(made(stores), 2, &[0, 2, 3], 2, 2).run()
}

fn is_step(request: &Request, step: Step) -> bool {
    matches!(request, Request::Reshare(it) if it.step == step)
}

/// Seals something else for the last receiver, under the second key.
fn bends_a_share(request: &Request, mut answer: Vec<u8>) -> Vec<u8> {
    if is_step(request, Step::Deal) {
        let last = answer.len() - 3;
        answer[last] ^= 1;
    }
    answer
}

/// A sub-share that does not fit is complained about, shown and used: nobody is to blame.
#[test]
fn a_sub_share_that_does_not_fit_is_shown() {
    let account = made(with_keys(2, 3));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 1, 2], 1).with_bent(1, bends_a_share).run();
    assert_eq!(hall.said(resharing::JUSTIFY), 2, "one of the dealers has something to show");
    check(&key, sign(adopted(hall).stores, &[1, 2], 2).1);
}

/// Whoever cannot show a sub-share that fits is named.
#[test]
fn who_cannot_justify_is_named() {
    let bend: Bend = |request, answer| {
        let mut answer = bends_a_share(request, answer);
        if is_step(request, Step::Justify) {
            let last = answer.len() - 3;
            answer[last] ^= 1;
        }
        answer
    };
    let hall = reshare(made(with_keys(2, 3)), 2, &[0, 1, 2], 1).with_bent(1, bend).run();
    let culprits = DeviceSet::one(Dev(1));
    for dev in [0, 2] {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Byzantine { culprits })));
    }
}

/// A receiver that complains without need publishes its own sub-share, and nothing else comes of it.
#[test]
fn a_needless_complaint_blames_nobody() {
    let bend: Bend = |request, answer| {
        if !is_step(request, Step::Check) {
            return answer;
        }
        let findings: Findings = borsh::from_slice(&answer).unwrap();
        encode(&Findings { report: Report::Complain(DeviceSet::one(Dev(0))), ..findings })
    };
    let account = made(with_keys(2, 3));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 1, 2], 1).with_bent(2, bend).run();
    check(&key, sign(adopted(hall).stores, &[0, 1], 2).1);
}

/// Who stays at its complaint, whatever is shown to it, stops the session and has nobody blamed.
#[test]
fn a_complaint_without_end_changes_nothing() {
    let bend: Bend = |request, answer| {
        if !is_step(request, Step::Check) && !is_step(request, Step::Recheck) {
            return answer;
        }
        let findings: Findings = borsh::from_slice(&answer).unwrap();
        encode(&Findings { report: Report::Complain(DeviceSet::one(Dev(0))), ..findings })
    };
    let account = made(with_keys(2, 3));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 1, 2], 1).with_bent(2, bend).run();
    assert_eq!(hall.end(0), &Err(Stop::Aborted(Reason::VerificationFailed)));
    let session = hall.session();
    let mut stores = hall.stores;
    stores.values_mut().for_each(|it| it.discard(session));
    check(&key, sign(stores, &[0, 1], 2).1);
}

/// Who tells two devices two dealings stops the session; nobody is blamed for what another one heard.
#[test]
fn dealings_told_in_two_ways_change_nothing() {
    let lie: Lie = |hearer, it| {
        Some(if it.label == resharing::DEAL && hearer == Dev(2) {
            rested(it, |bytes| *bytes = Vec::new())
        } else {
            it.clone()
        })
    };
    let account = made(with_keys(2, 3));
    let key = account.key;
    let hall = reshare(account, 2, &[0, 1, 2], 1).with_liar(1, lie).run();
    assert!(hall.end(0).is_err() && hall.end(2).is_err());
    let session = hall.session();
    let mut stores = hall.stores;
    stores.values_mut().for_each(|it| it.discard(session));
    check(&key, sign(stores, &[0, 2], 2).1);
}

/// Concurrent: another device wants the lock, and has not held it lately. The session that does not get it
/// ends, and the one that does goes on.
#[test]
fn one_resharing_runs_at_a_time() {
    let account = made(with_keys(2, 3));
    let hall = reshare(account, 2, &[0, 1, 2], 1);
    let mut stores = hall.stores;
    let (account, seed) = (account_id(), Digest::of(b"checkpoint"));
    let view = View { account, seed, fence: 1, recent: [(id(0), 1)].into() };
    let from = holders(&stores[&0]);
    let to = to(&from, 2, &[0, 1, 2]);
    let mut terms = terms(from, to, sharings(&stores[&0]), 0, 1);
    terms.lock.view = view.clone();
    for (dev, store) in &mut stores {
        store.observe_lock(KEYS, view.clone(), *dev != 2).unwrap();
    }
    // Everybody's wish is heard before the decider fixes whose counts.
    terms.lock.signers = 2;
    let lost = Hall::with_stores(&RESHARING, stores, 2, &encode(&terms)).run();
    let why = format!("the lock went to device {}", id(1));
    for dev in 0..3 {
        assert_eq!(lost.end(dev), &Err(Stop::Aborted(Reason::Other(why.clone()))));
    }
    assert_eq!(lost.said(resharing::DEAL), 0);
    assert_eq!(lost.said(resharing::RELEASE), 3, "the lock is given back");
    terms.coordinator = id(1);
    let mut won = Hall::with_stores(&RESHARING, lost.stores, 3, &encode(&terms)).run();
    let Reshared { session, .. } = won.agreed(&[0, 1, 2]);
    won.stores.values_mut().for_each(|it| it.adopt(session).unwrap());
}

fn account_id() -> aura_protocol_core::AccountId {
    account()
}

/// Nobody deals or receives what its owner did not agree to, and nobody deals keys that it does not hold.
#[test]
fn what_was_not_agreed_on_is_not_done() {
    let hall = reshare(made(with_keys(2, 3)), 2, &[0, 1, 2], 1);
    let mut stores = hall.stores;
    let from = holders(&stores[&0]);
    let other = to(&from, 3, &[0, 1, 2]);
    let unwanted = terms(from.clone(), other, sharings(&stores[&0]), 0, 1);
    let hall = Hall::with_stores(&RESHARING, stores, 2, &encode(&unwanted)).run();
    assert!(hall.end(0).is_err());
    assert_eq!(hall.said(resharing::DEAL), 0);
    // The keys of another account's devices, under this account's name.
    stores = hall.stores;
    let strangers = with_keys(3, 3);
    let from = Side { threshold: 3, ..from };
    let stolen = terms(from.clone(), to(&from, 2, &[0, 1, 2]), sharings(&strangers[&0]), 0, 2);
    stores.values_mut().for_each(|it| it.permit(stolen.digest()).unwrap());
    let hall = Hall::with_stores(&RESHARING, stores, 3, &encode(&stolen)).run();
    assert!(hall.end(0).is_err());
    assert_eq!(hall.said(resharing::ENTER), 0);
}
