//! Resharing: the same key among others, and whoever lies on the way.

use std::collections::BTreeMap;

use aura_crypto::{
    Blame, Derivation, Fault, Holders, KeyShare, Label, Message as _, SessionKey, ShareIndex,
    SharingError, Signing, Suite,
    complaint::{self, AnswerError, Complaint},
    reshare::{self, Dealing, Inbox, ReshareError},
};

use super::{
    forge,
    world::{self, Group, Reshared, account, context, deal, indices, ix, request, rng, session},
};

type Dealings<S> = BTreeMap<ShareIndex, Dealing<S>>;

const DEVICES: Holders = Holders::Devices;

fn group<S: Suite>() -> Group<S> {
    world::generate(3, &indices([1, 2, 3, 4, 5]), &mut rng(1))
}

/// INV-C10: public key, signatures and derived keys outlive any resharing, also to one device and
/// from one.
#[test]
fn the_key_outlives_every_resharing() {
    let mut rng = rng(2);
    let mut signing = world::generate::<Signing>(1, &indices([1]), &mut rng);
    let mut root = world::generate::<Derivation>(1, &indices([1]), &mut rng);
    let (key, name) = (signing.sharing.public_key().unwrap(), request("chat"));
    let derived = world::derive(&root, &root.quorum(), &name, &mut rng).key_pair().public();
    let steps = [(2, vec![1, 2]), (2, vec![2, 3, 4]), (4, vec![10, 20, 30, 40, 50]), (1, vec![3])];
    for (threshold, receivers) in steps {
        let (to, receivers) = ((DEVICES, threshold), indices(receivers));
        let dealers = signing.last_quorum();
        signing = world::reshare(&signing, &dealers, to, &receivers, &mut rng);
        root = world::reshare(&root, &dealers, to, &receivers, &mut rng);
        assert_eq!(signing.sharing.public_key().unwrap(), key);
        let quorum = signing.last_quorum();
        let signature = world::sign(&signing, &quorum, &context(), b"body", &mut rng);
        assert_eq!(key.verify(&context(), b"body", &signature), Ok(()));
        let again = world::derive(&root, &quorum, &name, &mut rng);
        assert_eq!(again.key_pair().public(), derived);
    }
}

fn check_lying_dealers<S: Suite>() {
    let old = group::<S>();
    let mut rng = rng(3);
    let dealers = indices([1, 3, 5]);
    let receivers = indices([1, 2, 6, 7]);
    let honest = deal(&old, &dealers, (DEVICES, 2), &receivers, &mut rng);
    let blamed = |change: &dyn Fn(&mut Dealings<S>)| {
        let mut dealings = honest.dealings.clone();
        change(&mut dealings);
        reshare::combine(&honest.plan, &old.sharing, &dealings).unwrap_err()
    };
    let blame = |who, fault| ReshareError::Blame(vec![Blame { who: ix(who), fault }]);
    // Another secret than its own share: the key would change.
    let other = world::generate::<S>(3, &old.holders(), &mut rng);
    let other = deal(&other, &dealers, (DEVICES, 2), &receivers, &mut rng);
    let secret = blamed(&|it| _ = it.insert(ix(3), other.dealings[&ix(3)].clone()));
    assert_eq!(secret, blame(3, Fault::WrongConstant));
    // A higher degree: more shares than agreed would be needed.
    let higher = deal(&old, &dealers, (DEVICES, 3), &receivers, &mut rng);
    let degree = blamed(&|it| _ = it.insert(ix(5), higher.dealings[&ix(5)].clone()));
    assert_eq!(degree, blame(5, Fault::WrongDegree));
    // Nothing for somebody.
    let nothing = blamed(&|it| _ = it.get_mut(&ix(1)).unwrap().sealed.remove(&ix(6)));
    assert_eq!(nothing, blame(1, Fault::WrongReceivers));
    let misplaced = blamed(&|it| _ = it.insert(ix(1), it[&ix(3)].clone()));
    assert_eq!(misplaced, blame(1, Fault::WrongIndex));
    let missing = blamed(&|it| _ = it.remove(&ix(3)));
    assert_eq!(missing, ReshareError::Missing(ix(3)));
    let stranger = blamed(&|it| _ = it.insert(ix(2), it[&ix(3)].clone()));
    assert!(matches!(stranger, ReshareError::Plan(_)));
}

#[test]
fn lying_dealers_are_named() {
    check_lying_dealers::<Signing>();
    check_lying_dealers::<Derivation>();
}

/// The check for small-order parts looks at the sums alone, and still finds who made them; two that
/// cancel each other out are harmless, and nobody honest is blamed.
#[test]
fn small_order_parts_are_named() {
    let old = group::<Signing>();
    let mut rng = rng(4);
    let honest = deal(&old, &indices([1, 2, 4]), (DEVICES, 2), &indices([1, 2, 3]), &mut rng);
    let mut dealings = honest.dealings.clone();
    let mut bytes = dealings[&ix(2)].to_bytes();
    forge::add_torsion(&mut bytes[6 + 32..6 + 64]);
    dealings.insert(ix(2), Dealing::from_bytes(&bytes).unwrap());
    let refused = reshare::combine(&honest.plan, &old.sharing, &dealings).unwrap_err();
    assert_eq!(refused, ReshareError::Blame(vec![Fault::Torsion.of(ix(2))]));
}

fn check_complaint<S: Suite>() {
    let old = group::<S>();
    let mut rng = rng(5);
    let mut run = deal(&old, &indices([1, 2, 3]), (DEVICES, 2), &indices([7, 8, 9]), &mut rng);
    // Dealer 2 seals a number for receiver 8 that does not fit.
    let commitment = run.dealings[&ix(2)].commitment.digest();
    let (from, to) = (1_u64.to_le_bytes(), 2_u64.to_le_bytes());
    let (account, session_id) = (account(), session(2));
    let parts: [&[u8]; 4] = [account.as_bytes(), session_id.as_bytes(), &from, &to];
    let forged = forge::seal(
        run.keys[&ix(8)].public(),
        Label::ReshareSubShare.digest(&parts),
        &(S::KEY, ix(2), ix(8), commitment),
        &[9; 31],
        &mut rng,
    );
    run.dealings.get_mut(&ix(2)).unwrap().sealed.insert(ix(8), forged);
    let outcome = run.outcome(&old.sharing);
    assert!(run.receive(&outcome, ix(7)).is_ok(), "others are not affected");
    let refused = run.receive(&outcome, ix(8)).map(|_| ());
    assert_eq!(refused, Err(ReshareError::Complain(vec![ix(2)])));
    // The dealer has to show a share that fits.
    let complaint = Complaint { session: session(2), key: S::KEY, accused: ix(2), by: ix(8) };
    let answer = run.dealt.get_mut(&ix(2)).unwrap().justify(complaint).unwrap();
    let fits = &run.dealings[&ix(2)].commitment;
    let share = complaint::judge(fits, &complaint, &answer).unwrap();
    let (none, justified) = (BTreeMap::new(), [(ix(2), share)].into());
    let key = &run.keys[&ix(8)];
    let inbox = Inbox { me: ix(8), key, redelivered: &none, justified: &justified };
    let share = reshare::receive(&run.plan, &outcome, &run.dealings, &inbox).unwrap();
    assert!(outcome.is_acknowledged_by(&outcome.acknowledge(&share, &mut rng).unwrap()));
    // Without one everybody blames it.
    let wrong = &run.dealings[&ix(1)].commitment;
    let blame = complaint::judge(wrong, &complaint, &answer).unwrap_err();
    assert_eq!(blame, Fault::Unjustified.of(ix(2)));
}

#[test]
fn complaints_are_judged_in_public() {
    check_complaint::<Signing>();
    check_complaint::<Derivation>();
}

/// A dealer answers fewer complaints than would publish its share, and none that is not about it.
#[test]
fn answers_do_not_give_the_secret_away() {
    let old = group::<Signing>();
    let to = (DEVICES, 3);
    let mut run = deal(&old, &indices([1, 2, 3]), to, &indices([6, 7, 8, 9]), &mut rng(6));
    let dealt = run.dealt.get_mut(&ix(2)).unwrap();
    let key = aura_crypto::KeyKind::Signing;
    let mut ask =
        |by, accused, session| dealt.justify(Complaint { session, key, accused, by }).map(|_| ());
    assert_eq!(ask(ix(6), ix(2), session(2)), Ok(()));
    assert_eq!(ask(ix(6), ix(2), session(2)), Ok(()), "the same answer may be given again");
    assert_eq!(ask(ix(7), ix(2), session(2)), Ok(()));
    let last = ask(ix(8), ix(2), session(2));
    assert_eq!(last, Err(AnswerError::TooMany { limit: 3 }));
    assert_eq!(ask(ix(6), ix(1), session(2)), Err(AnswerError::NotOurs));
    assert_eq!(ask(ix(6), ix(2), session(9)), Err(AnswerError::NotOurs));
    assert_eq!(ask(ix(5), ix(2), session(2)), Err(AnswerError::NotOurs));
}

/// Receivers have other indices than dealers: one whose number is a dealer's may complain about it too.
#[test]
fn a_receiver_with_a_dealers_number_is_answered() {
    let old = group::<Signing>();
    let mut run = deal(&old, &indices([1, 2, 3]), (DEVICES, 2), &indices([1, 2]), &mut rng(13));
    let key = aura_crypto::KeyKind::Signing;
    let complaint = Complaint { session: session(2), key, accused: ix(2), by: ix(2) };
    let answer = run.dealt.get_mut(&ix(2)).unwrap().justify(complaint).unwrap();
    let commitment = &run.dealings[&ix(2)].commitment;
    assert!(complaint::judge(commitment, &complaint, &answer).is_ok());
}

/// A receiver that was away gets its sub-share again, under a new key: the old one is gone (trap 2).
#[test]
fn late_receivers_are_served_again() {
    let old = group::<Signing>();
    let mut rng = rng(7);
    let run = deal(&old, &indices([2, 3, 4]), (DEVICES, 2), &indices([1, 2, 3]), &mut rng);
    let outcome = run.outcome(&old.sharing);
    let fresh = SessionKey::generate(&mut rng);
    let public = fresh.public();
    let redelivered: BTreeMap<_, _> = run
        .dealt
        .iter()
        .map(|(from, it)| {
            let to = (ix(3), &public);
            (*from, reshare::redeliver(&run.plan, it, *from, to, &mut rng).unwrap())
        })
        .collect();
    let none = BTreeMap::new();
    let nothing = BTreeMap::new();
    let stale = Inbox { me: ix(3), key: &fresh, redelivered: &nothing, justified: &none };
    let refused = reshare::receive(&run.plan, &outcome, &run.dealings, &stale).map(|_| ());
    assert_eq!(refused, Err(ReshareError::Complain(indices([2, 3, 4]))));
    let inbox = Inbox { me: ix(3), key: &fresh, redelivered: &redelivered, justified: &none };
    let share = reshare::receive(&run.plan, &outcome, &run.dealings, &inbox).unwrap();
    assert_eq!(share.index(), ix(3));
    let stranger = (ix(9), &public);
    let refused = reshare::redeliver(&run.plan, &run.dealt[&ix(2)], ix(2), stranger, &mut rng);
    assert!(refused.is_err());
}

/// Trap 4: with another set of dealers a receiver would compute another share. The plan names them,
/// and everything is bound to the plan's session, so sub-shares of two sets never meet.
#[test]
fn the_dealers_are_agreed_on() {
    let old = group::<Signing>();
    let to = (DEVICES, 2);
    let run = deal(&old, &indices([1, 2, 3]), to, &indices([7, 8]), &mut rng(8));
    let plan = |change: &dyn Fn(&mut reshare::Plan)| {
        let mut plan = run.plan.clone();
        change(&mut plan);
        reshare::combine(&plan, &old.sharing, &run.dealings).unwrap_err()
    };
    let other = plan(&|it| {
        it.dealers.remove(&ix(3));
        it.dealers.insert(ix(4));
    });
    assert_eq!(other, ReshareError::Missing(ix(4)));
    let fewer = plan(&|it| _ = it.dealers.remove(&ix(3)));
    assert!(matches!(fewer, ReshareError::Plan(_)));
    let more = plan(&|it| _ = it.dealers.insert(ix(4)));
    assert!(matches!(more, ReshareError::Plan(_)));
    assert!(matches!(plan(&|it| it.from_epoch = 9), ReshareError::Plan(_)));
    assert!(matches!(plan(&|it| it.to_epoch = it.from_epoch), ReshareError::Plan(_)));
    assert!(matches!(plan(&|it| it.from = Holders::Guardians), ReshareError::Plan(_)));
    let size = plan(&|it| it.threshold = 1);
    assert_eq!(size, SharingError::Size { threshold: 1, holders: 2 }.into());
    // Dealings of one plan do not lead to another's transcript.
    let first = run.outcome(&old.sharing);
    let mut second = run.plan.clone();
    second.to_epoch += 1;
    let second = reshare::combine(&second, &old.sharing, &run.dealings).unwrap();
    assert_ne!(first.transcript(), second.transcript());
}

/// INV-C10: an acknowledgement is by the new share, for this outcome.
#[test]
fn acknowledgements_hold_for_one_outcome() {
    let old = group::<Signing>();
    let mut rng = rng(9);
    let to = (DEVICES, 2);
    let (dealers, receivers) = (indices([1, 2, 3]), indices([1, 2, 3]));
    let run = deal(&old, &dealers, to, &receivers, &mut rng);
    let again = deal(&old, &dealers, to, &receivers, &mut rng);
    let (outcome, other) = (run.outcome(&old.sharing), again.outcome(&old.sharing));
    let share = run.receive(&outcome, ix(2)).unwrap();
    let ack = outcome.acknowledge(&share, &mut rng).unwrap();
    assert!(outcome.is_acknowledged_by(&ack));
    assert!(!other.is_acknowledged_by(&ack));
    let from = |number| {
        let mut other = ack;
        other.from = ix(number);
        other
    };
    assert!(!outcome.is_acknowledged_by(&from(1)));
    assert!(!outcome.is_acknowledged_by(&from(9)));
    assert!(other.acknowledge(&share, &mut rng).is_err(), "a share of another sharing");
    assert!(outcome.acknowledge(&old.shares[&ix(2)], &mut rng).is_err(), "the old share");
}

/// An old share among new ones makes no key; t old ones that were not erased still do. The second is
/// what no resharing can prevent, and it is said so wherever resharing is offered.
#[test]
fn old_and_new_shares_do_not_mix() {
    let old = group::<Derivation>();
    let mut rng = rng(10);
    let new = world::reshare(
        &old,
        &indices([1, 2, 3]),
        (DEVICES, 3),
        &indices([1, 2, 3, 4, 5]),
        &mut rng,
    );
    let interpolate = |shares: [&KeyShare<Derivation>; 3]| {
        use curve25519_dalek::{Scalar, ristretto::RistrettoPoint};
        let pairs = shares.map(|it| {
            let bytes: [u8; 32] = it.danger_bytes()[34..].try_into().unwrap();
            (Scalar::from(it.index().get()), Scalar::from_canonical_bytes(bytes).unwrap())
        });
        let secret: Scalar = pairs
            .iter()
            .map(|(x, share)| {
                let others = pairs.iter().filter(|it| it.0 != *x);
                others.fold(*share, |sum, (other, _)| sum * other * (other - x).invert())
            })
            .sum();
        RistrettoPoint::mul_base(&secret).compress().to_bytes()
    };
    let key = *old.sharing.key().as_bytes();
    assert_eq!(interpolate([share(&new, 1), share(&new, 2), share(&new, 3)]), key);
    assert_ne!(interpolate([share(&old, 1), share(&new, 2), share(&new, 3)]), key);
    assert_eq!(interpolate([share(&old, 1), share(&old, 4), share(&old, 5)]), key);
}

fn share(group: &Group<Derivation>, at: u16) -> &KeyShare<Derivation> {
    &group.shares[&ix(at)]
}

/// Trap 13: anybody can seal for a receiver. What says who did is the signature over the dealing that
/// carries it; a stranger's sub-share opens, and does not fit.
#[test]
fn sealing_says_nothing_about_who_sealed() {
    let old = group::<Signing>();
    let mut rng = rng(11);
    let run: Reshared<Signing> =
        deal(&old, &indices([1, 2, 3]), (DEVICES, 2), &indices([7, 8]), &mut rng);
    let outcome = run.outcome(&old.sharing);
    let mut dealings = run.dealings.clone();
    let commitment = dealings[&ix(1)].commitment.digest();
    let (from, to) = (1_u64.to_le_bytes(), 2_u64.to_le_bytes());
    let (account, session_id) = (account(), session(2));
    let parts: [&[u8]; 4] = [account.as_bytes(), session_id.as_bytes(), &from, &to];
    let strangers = forge::seal(
        run.keys[&ix(7)].public(),
        Label::ReshareSubShare.digest(&parts),
        &(aura_crypto::KeyKind::Signing, ix(1), ix(7), commitment),
        &[1; 31],
        &mut rng,
    );
    dealings.get_mut(&ix(1)).unwrap().sealed.insert(ix(7), strangers);
    let none = BTreeMap::new();
    let no = BTreeMap::new();
    let inbox = Inbox { me: ix(7), key: &run.keys[&ix(7)], redelivered: &none, justified: &no };
    let refused = reshare::receive(&run.plan, &outcome, &dealings, &inbox).map(|_| ());
    assert_eq!(refused, Err(ReshareError::Complain(vec![ix(1)])));
    let dealt = dealings[&ix(1)].to_bytes();
    assert_ne!(dealt, run.dealings[&ix(1)].to_bytes(), "the signed bytes are others");
}
