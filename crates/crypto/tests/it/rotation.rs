//! The chain of group keys.

use aura_crypto::{
    KeyShare, Message as _, Signing,
    rotation::{ChainHead, Rotation, RotationError, SignedRotation},
};
use aura_protocol_core::{AccountId, Digest, UnixTime};

use super::world::{self, Group, account, indices, rng};

fn signed(old: &Group<Signing>, new: &Group<Signing>, rotation: Rotation) -> SignedRotation {
    let mut rng = rng(9);
    let (context, body) = (rotation.context(account()), rotation.to_bytes());
    let mut by = |it: &Group<Signing>| world::sign(it, &it.quorum(), &context, &body, &mut rng);
    SignedRotation { by_old: by(old), by_new: by(new), rotation }
}

/// INV-C15: the next version, from this key, by both keys, for this account.
#[test]
fn a_chain_grows_by_steps_of_both_keys() {
    let mut rng = rng(1);
    let one = world::generate::<Signing>(3, &indices([1, 2, 3, 4, 5]), &mut rng);
    let two = world::generate::<Signing>(4, &indices([1, 2, 3, 4, 5, 6, 7]), &mut rng);
    let key = |it: &Group<Signing>| it.sharing.public_key().unwrap();
    let head = ChainHead { account: account(), version: 1, key: key(&one) };
    let rotation = Rotation {
        version: 2,
        old: key(&one),
        new: key(&two),
        transcript: Digest::of(b"transcript"),
        expires: UnixTime(99),
    };
    let step = signed(&one, &two, rotation.clone());
    let next = head.step(&step).unwrap();
    assert_eq!((next.version, next.key), (2, key(&two)));
    assert_eq!(next.step(&step), Err(RotationError::Order { current: 2, found: 2 }));
    let skipped = signed(&one, &two, Rotation { version: 3, ..rotation.clone() });
    assert_eq!(head.step(&skipped), Err(RotationError::Order { current: 1, found: 3 }));
    let elsewhere = ChainHead { account: AccountId::from_bytes([9; 32]), ..head };
    assert_eq!(elsewhere.step(&step), Err(RotationError::OldSignature));
    let old_twice = SignedRotation { by_new: step.by_old, ..step.clone() };
    assert_eq!(head.step(&old_twice), Err(RotationError::NewSignature));
    let new_twice = SignedRotation { by_old: step.by_new, ..step.clone() };
    assert_eq!(head.step(&new_twice), Err(RotationError::OldSignature));
    let changed = Rotation { expires: UnixTime(100), ..rotation };
    let changed = SignedRotation { rotation: changed, ..step.clone() };
    assert_eq!(head.step(&changed), Err(RotationError::OldSignature));
    let mut trailing = step.to_bytes();
    trailing.push(0);
    assert!(SignedRotation::from_bytes(&trailing).is_err());
}

/// An account grows from one device without a new key; giving a key up takes a step.
#[test]
fn a_sole_key_takes_part() {
    let mut rng = rng(2);
    let only = indices([1]);
    let (share, sharing) = KeyShare::<Signing>::sole(account(), only[0], &mut rng).unwrap();
    let sole = Group { sharing, shares: [(only[0], share)].into() };
    let next = world::generate::<Signing>(2, &indices([1, 2]), &mut rng);
    let rotation = Rotation {
        version: 1,
        old: sole.sharing.public_key().unwrap(),
        new: next.sharing.public_key().unwrap(),
        transcript: Digest::ZERO,
        expires: UnixTime(1),
    };
    let head = ChainHead { account: account(), version: 0, key: rotation.old };
    assert!(head.step(&signed(&sole, &next, rotation)).is_ok());
}
