//! Locks: fair, and exclusive.

use std::collections::BTreeMap;

use aura_crypto::{
    fence::{FenceError, Gate, Grant, Signed, tolerated},
    lottery::{Contender, Draw},
};
use aura_protocol_core::{DeviceId, Digest, Epoch};

use super::world::account;

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

fn draw(seed: Digest) -> Draw<'static> {
    Draw { account: account(), lock: b"resharing", fence: 1, seed }
}

fn contenders(grants_of_first: u32) -> BTreeMap<DeviceId, Contender> {
    let mut all: BTreeMap<_, _> = (1..=5).map(|it| (device(it), Contender::default())).collect();
    all.insert(device(1), Contender { recent_grants: grants_of_first });
    all
}

fn seed(trial: u64, attempt: u64) -> Digest {
    Digest::tagged("test seed", &[&trial.to_le_bytes(), &attempt.to_le_bytes()])
}

/// INV-C12: who could choose among g seeds would win as often as the table says; with the seed fixed
/// before the requests there is one, and whoever has just won does not win again before the others.
#[test]
fn grinding_pays_only_where_the_seed_can_be_chosen() {
    const TRIALS: u32 = 4000;
    for (attempts, expected) in [(1, 0.20), (4, 0.59), (16, 0.97), (64, 1.00)] {
        let wins = (0..TRIALS).filter(|trial| {
            (0..attempts).any(|attempt| {
                let draw = draw(seed((*trial).into(), attempt));
                draw.order(&contenders(0))[0] == device(1)
            })
        });
        let share = f64::from(u32::try_from(wins.count()).unwrap()) / f64::from(TRIALS);
        assert!((share - expected).abs() < 0.02, "{attempts} attempts: {share}, not {expected}");
    }
    for trial in 0..200 {
        for attempt in 0..16 {
            let order = draw(seed(trial, attempt)).order(&contenders(1));
            assert_eq!(order[4], device(1), "whoever held it goes last");
        }
    }
}

/// INV-C12: tickets are computed, and depend on everything that is drawn for.
#[test]
fn tickets_are_bound() {
    let base = draw(seed(1, 1));
    let ticket = base.ticket(device(1));
    assert_ne!(ticket, base.ticket(device(2)));
    assert_ne!(ticket, Draw { fence: 2, ..base }.ticket(device(1)));
    assert_ne!(ticket, Draw { lock: b"recovery", ..base }.ticket(device(1)));
    assert_ne!(ticket, Draw { seed: seed(1, 2), ..base }.ticket(device(1)));
    assert_eq!(base.request(device(1)), draw(seed(9, 9)).request(device(1)));
    let order = base.order(&contenders(0));
    assert_eq!(order.len(), 5);
    let two: BTreeMap<_, _> = contenders(0).into_iter().take(2).collect();
    let expected: Vec<_> = order.iter().filter(|it| two.contains_key(it)).copied().collect();
    assert_eq!(base.order(&two), expected, "nobody is waited for");
}

fn grant(fence: u64, holder: u8) -> Grant {
    Grant { lock: b"resharing".into(), fence, holder: device(holder), expires: Epoch(9) }
}

/// INV-C13
#[test]
fn a_device_signs_one_grant_a_number() {
    let mut signed = Signed::default();
    assert_eq!(signed.note(&grant(1, 1)), Ok(()));
    assert_eq!(signed.note(&grant(1, 1)), Ok(()), "the same one again");
    let refused = Err(FenceError::NotAbove { signed: 1, asked: 1 });
    assert_eq!(signed.note(&grant(1, 2)), refused);
    assert_eq!(signed.note(&grant(3, 2)), Ok(()));
    assert_eq!(signed.note(&grant(2, 1)), Err(FenceError::NotAbove { signed: 3, asked: 2 }));
    assert_eq!(signed.note(&grant(1, 1)), Err(FenceError::NotAbove { signed: 3, asked: 1 }));
    let other = Grant { lock: b"recovery".into(), ..grant(1, 2) };
    assert_eq!(signed.note(&other), Ok(()), "another lock");
}

/// INV-C13
#[test]
fn orders_of_a_former_holder_change_nothing() {
    let mut gate = Gate::default();
    assert_eq!([gate.admit(4), gate.admit(4), gate.admit(6)], [Ok(()); 3]);
    assert_eq!(gate.admit(5), Err(FenceError::Stale { current: 6, found: 5 }));
}

/// Two quorums need an honest device in common.
#[test]
fn what_a_threshold_tolerates() {
    let table = [((2, 3), Some(0)), ((3, 5), Some(0)), ((3, 4), Some(1)), ((4, 5), Some(2))];
    for ((threshold, devices), expected) in table {
        assert_eq!(tolerated(threshold, devices), expected, "{threshold} of {devices}");
    }
    assert_eq!(tolerated(2, 4), None);
}
