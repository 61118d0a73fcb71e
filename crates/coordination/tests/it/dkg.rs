//! Key generation with real keys: everybody there, somebody gone, somebody lying, and crashes.

use aura_choreography::{Body, Dev, DeviceSet, Reason, Stop};
use aura_coordination::{
    choreography::{
        Rested,
        dkg::{Delivery, Dkg, Report, Terms, script::dkg},
    },
    keystore::{KeyStore, Refusal},
};
use aura_protocol_core::{Digest, encode};

use crate::hall::{Hall, Lie, owner, rng, turned};

static DKG: Dkg = Dkg;

fn hall(threshold: u16, devices: u8) -> Hall {
    Hall::new(&DKG, devices, 7, &params(threshold, devices))
}

fn params(threshold: u16, devices: u8) -> Vec<u8> {
    // Indices are assigned, and no places.
    let indices = (0..devices).map(|it| u16::from(it) * 3 + 2).collect();
    encode(&Terms { epoch: 1, threshold, indices })
}

fn everybody(devices: u8) -> Vec<u8> {
    (0..devices).collect()
}

/// All hold shares of one key, under the name that all agreed on.
#[track_caller]
fn check_keys(hall: &mut Hall, devices: u8) {
    let name: Digest = hall.agreed(&everybody(devices));
    let session = hall.session();
    let mut keys = Vec::new();
    for (number, store) in &mut hall.stores {
        assert!(store.keys().is_none(), "a share counts before anybody adopted it");
        store.adopt(session).unwrap();
        let own = store.keys().unwrap();
        assert_eq!(own.name(), name);
        assert_eq!(own.signing.0.index().get(), u16::from(*number) * 3 + 2);
        keys.push((*own.signing.1.key(), *own.derivation.1.key()));
    }
    assert!(keys.iter().all(|it| *it == keys[0]));
}

#[test]
fn everybody_gets_a_share_of_one_key() {
    for (threshold, devices) in [(2, 2), (2, 3), (3, 5), (4, 5)] {
        let mut hall = hall(threshold, devices).run();
        check_keys(&mut hall, devices);
        assert_eq!(hall.said(dkg::JUSTIFY), 0, "nobody complained");
    }
}

/// INV-KS1, INV-KS2: with a restart before every input, and between every answer and what follows it.
#[test]
fn a_crash_at_any_step_changes_nothing() {
    let mut hall = hall(2, 3).with_restarts().run();
    check_keys(&mut hall, 3);
}

/// Offline, timeout: without one of them nobody gets a key, and all that are there learn so.
#[test]
fn without_one_member_there_is_no_key() {
    let hall = hall(2, 3).without(2).run();
    for dev in [0, 1] {
        assert_eq!(hall.end(dev), &Err(Stop::Aborted(Reason::Timeout)));
    }
    assert!(hall.stores.values().all(|it| it.pending(hall.session()).is_none()));
}

/// Crash at each step, for good: those who are left agree that there is no key, or on which.
#[test]
fn a_member_that_leaves_at_any_step_leaves_no_key_behind() {
    for dev in [0, 2] {
        for after in 1..=5 {
            let hall = hall(2, 3).leaving(dev, after).run();
            for other in (0..3).filter(|it| *it != dev) {
                let end = hall.end(other);
                let stopped =
                    matches!(end, Err(Stop::Aborted(Reason::Timeout) | Stop::Stalled { .. }));
                assert!(stopped || (end.is_ok() && after == 5), "{dev} after {after}: {end:?}");
            }
        }
    }
}

/// Everybody hears this instead of what device 1 says.
#[track_caller]
fn ends_with(lie: Lie, end: &Stop) {
    let hall = hall(2, 3).with_liar(1, lie).run();
    for dev in [0, 2] {
        assert_eq!(hall.end(dev), &Err(end.clone()), "device {dev}");
        let store = hall.stores.get(&dev).unwrap();
        assert!(store.pending(hall.session()).is_none(), "a key from a failed generation");
    }
}

fn guilty() -> Stop {
    Stop::Aborted(Reason::Byzantine { culprits: DeviceSet::one(Dev(1)) })
}

#[test]
fn a_wrong_commitment_is_blamed_by_all() {
    // The proof of the second key.
    ends_with(
        |_, it| Some(if it.label == dkg::COMMIT { turned(it, 0) } else { it.clone() }),
        &guilty(),
    );
    let no_commitment = |_: Dev, it: &aura_choreography::Event| {
        let Ok(commit) = borsh::from_slice::<Rested>(it.body.bytes()) else {
            return Some(it.clone());
        };
        let body = Body::new(&encode(&Rested { bytes: vec![1, 2, 3], ..commit }));
        let other = aura_choreography::Event { body, ..it.clone() };
        Some(if it.label == dkg::COMMIT { other } else { it.clone() })
    };
    ends_with(no_commitment, &guilty());
}

/// A share that does not open is complained about, shown, and used. Nobody is blamed.
#[test]
fn a_share_that_does_not_open_is_justified() {
    // The last share that device 1 seals is for device 2.
    let lie: Lie = |_, it| Some(if it.label == dkg::DELIVER { turned(it, 0) } else { it.clone() });
    // Three of four: of fewer shares nobody shows one, or the polynomial would be known.
    let mut hall = hall(3, 3).with_liar(1, lie).run();
    check_keys(&mut hall, 3);
    assert_eq!((hall.said(dkg::JUSTIFY), hall.said(dkg::RECHECK)), (3, 3));
}

/// Whoever cannot show a share that fits is to blame.
#[test]
fn a_dealer_that_does_not_justify_is_blamed() {
    let lie: Lie = |_, it| match it.label {
        dkg::DELIVER => Some(turned(it, 0)),
        dkg::JUSTIFY => Some(turned(it, 40)),
        _ => Some(it.clone()),
    };
    let hall = hall(3, 3).with_liar(1, lie).run();
    for dev in [0, 2] {
        assert_eq!(hall.end(dev), &Err(guilty()));
    }
}

/// A member that seals nothing for one of them.
#[test]
fn a_dealer_that_leaves_somebody_out_has_to_justify() {
    let lie: Lie = |_, it| {
        if it.label != dkg::DELIVER {
            return Some(it.clone());
        }
        let Delivery::Sealed(mut sealed) = borsh::from_slice(it.body.bytes()).unwrap() else {
            return None;
        };
        sealed.remove(&Dev(0));
        let body = Body::new(&encode(&Delivery::Sealed(sealed)));
        Some(aura_choreography::Event { body, ..it.clone() })
    };
    let mut hall = hall(3, 3).with_liar(1, lie).run();
    check_keys(&mut hall, 3);
    assert_eq!(hall.said(dkg::JUSTIFY), 3);
}

/// To all but one of them a complaint is without need: the dealer shows a share, and everybody goes on.
#[test]
fn a_complaint_that_others_cannot_check_harms_nobody() {
    let lie: Lie = |hearer, it| {
        if it.label != dkg::DELIVER || hearer != Dev(2) {
            return Some(it.clone());
        }
        let Ok(Delivery::Sealed(mut sealed)) = borsh::from_slice(it.body.bytes()) else {
            return None;
        };
        sealed.remove(&Dev(2));
        let body = Body::new(&encode(&Delivery::Sealed(sealed)));
        Some(aura_choreography::Event { body, ..it.clone() })
    };
    let mut hall = hall(3, 4).with_liar(1, lie).run();
    check_keys(&mut hall, 4);
    assert_eq!(hall.said(dkg::JUSTIFY), 4);
}

/// Accusations that nobody can check blame nobody.
#[test]
fn a_false_accusation_blames_nobody() {
    let lie: Lie = |_, it| {
        let accuses = Report::Accuse(DeviceSet::one(Dev(2)));
        let body = Body::new(&encode(&accuses));
        let other = aura_choreography::Event { body, ..it.clone() };
        Some(if it.label == dkg::CHECK { other } else { it.clone() })
    };
    ends_with(lie, &Stop::Aborted(Reason::VerificationFailed));
}

/// Trap 3: two commitments told to two devices leave nobody with a key.
#[test]
fn a_member_that_says_two_things_leaves_nobody_with_a_key() {
    // Another session's commitment is as good as its own to whoever sees no other.
    let lie: Lie = |hearer, it| {
        if hearer != Dev(2) || it.label != dkg::ENTER {
            return Some(it.clone());
        }
        Some(turned(it, 0))
    };
    let hall = hall(2, 3).with_liar(1, lie).run();
    for dev in [0, 2] {
        assert!(hall.end(dev).is_err(), "device {dev} has a key of its own");
        assert!(hall.stores[&dev].pending(hall.session()).is_none());
    }
}

/// A complaint that only some hear makes nobody guilty who could not answer it.
#[test]
fn a_complaint_told_to_some_blames_nobody() {
    for told in 0..4 {
        let lies: [Lie; 4] = [0, 1, 2, 3].map(|told| match told {
            0 => complain_to_0 as Lie,
            2 => complain_to_2,
            3 => complain_to_3,
            _ => complain_but_to_0,
        });
        let hall = hall(3, 4).with_liar(1, lies[told]).run();
        let reached = [0, 2, 3].iter().any(|it| hall.end(*it).is_ok());
        assert!(!reached || [0, 2, 3].iter().all(|it| hall.end(*it).is_ok()), "{told}");
    }
}

fn complain(it: &aura_choreography::Event) -> aura_choreography::Event {
    let body = Body::new(&encode(&Report::Complain(DeviceSet::one(Dev(2)))));
    aura_choreography::Event { body, ..it.clone() }
}

fn complain_to(
    told: &[u8],
    hearer: Dev,
    it: &aura_choreography::Event,
) -> aura_choreography::Event {
    if it.label == dkg::CHECK && told.contains(&hearer.0) { complain(it) } else { it.clone() }
}

fn complain_to_0(hearer: Dev, it: &aura_choreography::Event) -> Option<aura_choreography::Event> {
    Some(complain_to(&[0], hearer, it))
}

fn complain_to_2(hearer: Dev, it: &aura_choreography::Event) -> Option<aura_choreography::Event> {
    Some(complain_to(&[2], hearer, it))
}

fn complain_to_3(hearer: Dev, it: &aura_choreography::Event) -> Option<aura_choreography::Event> {
    Some(complain_to(&[0, 3], hearer, it))
}

fn complain_but_to_0(
    hearer: Dev,
    it: &aura_choreography::Event,
) -> Option<aura_choreography::Event> {
    Some(complain_to(&[2, 3], hearer, it))
}

#[test]
fn two_generations_at_once_do_not_touch_each_other() {
    let (one, other) = (hall(2, 3).run(), Hall::new(&DKG, 3, 8, &params(2, 3)).run());
    let names: (Digest, Digest) = (one.agreed(&[0, 1, 2]), other.agreed(&[0, 1, 2]));
    assert_ne!(names.0, names.1);
}

#[test]
fn terms_that_nobody_can_keep_open_nothing() {
    use aura_choreography::Seat;
    use aura_protocol_core::SessionId;
    let seat = |threshold, indices: &[u16]| {
        let terms = Terms { epoch: 1, threshold, indices: indices.to_vec() };
        let ids = (0..3).map(crate::hall::id).collect();
        let session = SessionId::from_bytes([1; 32]);
        Seat::new(&DKG, session, Dev(0), Dev(0), ids, encode(&terms))
    };
    assert!(seat(2, &[1, 2, 3]).is_ok());
    assert!(seat(1, &[1, 2, 3]).is_err(), "one share would be the key");
    assert!(seat(4, &[1, 2, 3]).is_err());
    assert!(seat(2, &[1, 2]).is_err());
    assert!(seat(2, &[1, 2, 2]).is_err());
    assert!(seat(2, &[0, 1, 2]).is_err());
}

/// INV-KS1, INV-KS3: a step is not done for two questions, and nothing is left of a session that ended.
#[test]
fn a_store_answers_each_step_once() {
    use aura_coordination::{
        choreography::{Table, dkg},
        keystore::Request,
    };
    use aura_protocol_core::SessionId;
    let mut store = KeyStore::new(owner(0));
    let question = |step, keys: &[(u8, [u8; 32])]| {
        let devices = (0..3).map(crate::hall::id).collect();
        let table = Table { session: SessionId::from_bytes([1; 32]), me: Dev(0), devices };
        let terms = Terms { epoch: 1, threshold: 2, indices: vec![1, 2, 3] };
        let keys = keys.iter().map(|(dev, key)| (Dev(*dev), *key)).collect();
        let record = dkg::Record { keys, ..Default::default() };
        encode(&Request::Generate(dkg::Request { table, terms, step, record }))
    };
    let ask = |store: &mut KeyStore, question: &[u8]| store.answer(question, &mut rng(1));
    let commit = question(dkg::Step::Commit, &[]);
    assert_eq!(ask(&mut store, &commit), Err(Refusal::NoSession));
    let key = ask(&mut store, &question(dkg::Step::Enter, &[])).unwrap();
    let key: [u8; 32] = borsh::from_slice(&key).unwrap();
    let [one, other] = [[1; 32], [2; 32]]
        .map(|second| question(dkg::Step::Commit, &[(0, key), (1, second), (2, [9; 32])]));
    let first = ask(&mut store, &one).unwrap();
    assert_eq!(ask(&mut store, &one), Ok(first));
    assert_eq!(ask(&mut store, &other), Err(Refusal::Done));
    ask(&mut store, &question(dkg::Step::End, &[])).unwrap();
    assert_eq!(ask(&mut store, &one), Err(Refusal::NoSession));
    assert_eq!(ask(&mut store, b"nonsense"), Err(Refusal::Malformed));
    assert!(format!("{store:?}").contains("redacted"));
}
