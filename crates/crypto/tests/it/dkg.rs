//! Key generation: one key, nobody holds it, and whoever lies is named.

use std::collections::BTreeMap;

use aura_crypto::{
    Blame, Derivation, Fault, KeyKind, KeyShare, Label, Message as _, SecretKey, SessionKey,
    ShareIndex, SharingError, Signing, Suite,
    complaint::{self, Complaint, Dealt},
    dkg::{self, Broadcast, Delivery, DkgError, Draft, Gatherer},
    sign,
};

use super::forge;
use super::world::{self, Members, account, context, indices, ix, members, rng, session};

type Broadcasts<S> = BTreeMap<ShareIndex, Broadcast<S>>;

/// A generation after its second part.
struct Run<S: Suite> {
    members: Members,
    broadcasts: Broadcasts<S>,
    gatherers: BTreeMap<ShareIndex, Gatherer<S>>,
    dealt: BTreeMap<ShareIndex, Dealt<S>>,
    deliveries: BTreeMap<ShareIndex, Delivery>,
}

fn run<S: Suite>(threshold: u16, of: &[ShareIndex]) -> Run<S> {
    let mut rng = rng(1);
    let members = members(threshold, of, &mut rng);
    let (mut dealers, mut broadcasts) = (BTreeMap::new(), BTreeMap::new());
    for me in of {
        let (dealer, broadcast) = dkg::begin::<S>(&members.terms, *me, &mut rng).unwrap();
        dealers.insert(*me, dealer);
        broadcasts.insert(*me, broadcast);
    }
    let (mut gatherers, mut dealt, mut deliveries) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (me, dealer) in dealers {
        let (gatherer, kept, delivery) = dealer.deliver(&broadcasts, &mut rng).unwrap();
        gatherers.insert(me, gatherer);
        dealt.insert(me, kept);
        deliveries.insert(me, delivery);
    }
    Run { members, broadcasts, gatherers, dealt, deliveries }
}

impl<S: Suite> Run<S> {
    fn gather(&self, me: ShareIndex) -> Result<Draft<S>, DkgError> {
        let key = &self.members.session[&me];
        self.gatherers[&me].gather(&self.deliveries, &BTreeMap::new(), key)
    }
}

#[test]
fn a_generated_key_signs() {
    let mut rng = rng(2);
    let of = indices([4, 9, 300]);
    let group = world::generate::<Signing>(2, &of, &mut rng);
    for signers in world::subsets(&of, 2) {
        let signature = world::sign(&group, &signers, &context(), b"body", &mut rng);
        let key = group.sharing.public_key().unwrap();
        assert_eq!(sign::verify(&key, &context(), b"body", &signature), Ok(()));
    }
}

/// Trap 7: two devices are the least that share; one alone has a key of another kind.
#[test]
fn one_device_is_no_group() {
    let mut rng = rng(3);
    let alone = members(1, &indices([1]), &mut rng);
    let refused = dkg::begin::<Signing>(&alone.terms, ix(1), &mut rng);
    assert!(matches!(refused, Err(DkgError::Terms(SharingError::Size { .. }))));
    let whole_key_each = members(1, &indices([1, 2]), &mut rng);
    let refused = dkg::begin::<Signing>(&whole_key_each.terms, ix(1), &mut rng);
    assert!(matches!(refused, Err(DkgError::Terms(SharingError::Size { .. }))));
    let (share, sharing) = KeyShare::<Signing>::sole(account(), ix(1), &mut rng).unwrap();
    assert!(matches!(sign::commit(&share, &sharing, &mut rng), Err(sign::SignError::Sole)));
    let signature =
        aura_crypto::sole::sign(&share, &sharing, &context(), b"body", &mut rng).unwrap();
    let key = sharing.public_key().unwrap();
    assert_eq!(sign::verify(&key, &context(), b"body", &signature), Ok(()));
    assert!(sign::verify(&key, &context(), b"other", &signature).is_err());
}

fn check_liars_are_named<S: Suite>() {
    let of = indices([1, 2, 3]);
    let honest = run::<S>(2, &of);
    let mut rng = rng(4);
    let mut deliver = |change: &dyn Fn(&mut Broadcasts<S>)| {
        let (dealer, own) = dkg::begin::<S>(&honest.members.terms, ix(1), &mut rng).unwrap();
        let mut broadcasts = honest.broadcasts.clone();
        broadcasts.insert(ix(1), own);
        change(&mut broadcasts);
        dealer.deliver(&broadcasts, &mut rng).map(|_| ()).unwrap_err()
    };
    let three = run::<S>(3, &of).broadcasts[&ix(2)].clone();
    let wrong_degree = deliver(&|it| _ = it.insert(ix(2), three.clone()));
    assert_eq!(wrong_degree, Fault::WrongDegree.of(ix(2)).into());
    let stolen = deliver(&|it| {
        let mut copy = it[&ix(3)].clone();
        copy.from = ix(2);
        it.insert(ix(2), copy);
    });
    assert_eq!(stolen, Fault::BadProof.of(ix(2)).into());
    let misplaced = deliver(&|it| _ = it.insert(ix(2), it[&ix(3)].clone()));
    assert_eq!(misplaced, Fault::WrongIndex.of(ix(2)).into());
    let missing = deliver(&|it| _ = it.remove(&ix(2)));
    assert_eq!(missing, DkgError::Missing(ix(2)));
    let stranger = deliver(&|it| _ = it.insert(ix(9), it[&ix(3)].clone()));
    assert_eq!(stranger, DkgError::Misuse);
}

#[test]
fn liars_are_named() {
    check_liars_are_named::<Signing>();
    check_liars_are_named::<Derivation>();
}

/// A commitment with a small-order part is its maker's fault, not a failure of whoever reads it.
#[test]
fn small_order_parts_are_named() {
    let of = indices([1, 2, 3]);
    let honest = run::<Signing>(2, &of);
    let mut rng = rng(4);
    let (dealer, own) = dkg::begin::<Signing>(&honest.members.terms, ix(1), &mut rng).unwrap();
    let mut broadcasts = honest.broadcasts.clone();
    broadcasts.insert(ix(1), own);
    let mut bytes = broadcasts[&ix(2)].to_bytes();
    forge::add_torsion(&mut bytes[6 + 32..6 + 64]);
    broadcasts.insert(ix(2), Broadcast::from_bytes(&bytes).unwrap());
    let (gatherer, ..) = dealer.deliver(&broadcasts, &mut rng).unwrap();
    // Whatever was dealt, the commitment is wrong for all to see. The liar seals bound to it.
    let mut deliveries = honest.deliveries.clone();
    let commitment = broadcasts[&ix(2)].commitment.digest();
    let info = Label::DkgShare.digest(&[honest.members.terms.digest().as_bytes()]);
    let aad = (KeyKind::Signing, ix(2), ix(1), commitment);
    let to = honest.members.session[&ix(1)].public();
    let sealed = forge::seal(to, info, &aad, &[7; 31], &mut rng);
    deliveries.get_mut(&ix(2)).unwrap().sealed.insert(ix(1), sealed);
    let key = &honest.members.session[&ix(1)];
    let refused = gatherer.gather(&deliveries, &BTreeMap::new(), key).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::Torsion.of(ix(2)).into());
}

/// A proof of one session proves nothing in another.
#[test]
fn proofs_are_bound_to_the_session() {
    let of = indices([1, 2]);
    let mut rng = rng(8);
    let members = members(2, &of, &mut rng);
    let mut other = members.terms.clone();
    other.session = session(9);
    let (dealer, _) = dkg::begin::<Signing>(&members.terms, ix(1), &mut rng).unwrap();
    let (_, replayed) = dkg::begin::<Signing>(&other, ix(2), &mut rng).unwrap();
    let refused = dealer.deliver(&[(ix(2), replayed)].into(), &mut rng).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::BadProof.of(ix(2)).into());
}

/// INV-C8, trap 3: a member that publishes two commitments leaves two groups behind, each with a
/// draft that looks right. Neither becomes a key, since nobody's word covers both transcripts.
#[test]
fn two_commitments_make_no_key() {
    let of = indices([1, 2, 3]);
    let mut rng = rng(5);
    let members = members(2, &of, &mut rng);
    let terms = &members.terms;
    let mut begin = |me| dkg::begin::<Signing>(terms, ix(me), &mut rng).unwrap();
    let ((one, first), (two, second)) = (begin(1), begin(2));
    let [(liar, third), (other_liar, other_third)] = [begin(3), begin(3)];
    let view = |it: &Broadcast<Signing>| {
        BTreeMap::from([(ix(1), first.clone()), (ix(2), second.clone()), (ix(3), it.clone())])
    };
    let mut deliver = |it: dkg::Dealer<Signing>, third: &Broadcast<Signing>| {
        let (gatherer, _, delivery) = it.deliver(&view(third), &mut rng).unwrap();
        (gatherer, delivery)
    };
    let (one, from_one) = deliver(one, &third);
    let (two, from_two) = deliver(two, &other_third);
    let (_, to_one) = deliver(liar, &third);
    let (_, to_two) = deliver(other_liar, &other_third);
    let none = BTreeMap::new();
    let one = one
        .gather(&[(ix(2), from_two), (ix(3), to_one)].into(), &none, &members.session[&ix(1)])
        .unwrap();
    let two = two
        .gather(&[(ix(1), from_one), (ix(3), to_two)].into(), &none, &members.session[&ix(2)])
        .unwrap();
    assert_ne!(one.sharing().key(), two.sharing().key(), "two groups");
    assert_ne!(one.transcript(), two.transcript());
    let word = |me: u16, it: &Draft<Signing>| {
        (ix(me), dkg::confirm(terms, &[it.transcript()], &members.unit[&ix(me)]))
    };
    let words: BTreeMap<_, _> = [word(1, &one), word(2, &two), word(3, &one)].into();
    let refused = dkg::agree(terms, &[one.transcript()], &words);
    assert_eq!(refused, Err(Fault::OtherTranscript.of(ix(2)).into()));
    let mut fewer = words.clone();
    fewer.remove(&ix(2));
    assert_eq!(dkg::agree(terms, &[one.transcript()], &fewer), Err(DkgError::Missing(ix(2))));
    // An agreement on something else does not open this draft.
    let words = [1, 2, 3].map(|me| word(me, &two)).into();
    let agreed = dkg::agree(terms, &[two.transcript()], &words).unwrap();
    assert_eq!(one.accept(&agreed).map(|_| ()), Err(DkgError::Misuse));
}

/// One word covers both of an account's keys.
#[test]
fn both_keys_are_agreed_on_together() {
    let of = indices([1, 2]);
    let (signing, derivation) = (run::<Signing>(2, &of), run::<Derivation>(2, &of));
    let terms = &signing.members.terms;
    let drafts = (signing.gather(ix(1)).unwrap(), derivation.gather(ix(1)).unwrap());
    let transcripts = [drafts.0.transcript(), drafts.1.transcript()];
    let unit = &signing.members.unit;
    let words = unit.iter().map(|(me, key)| (*me, dkg::confirm(terms, &transcripts, key)));
    let agreed = dkg::agree(terms, &transcripts, &words.collect()).unwrap();
    assert!(drafts.0.accept(&agreed).is_ok());
    assert!(drafts.1.accept(&agreed).is_ok());
}

fn check_bad_shares<S: Suite>() {
    let mut run = run::<S>(2, &indices([1, 2, 3]));
    // What was sealed for somebody else does not open: dealer 2 is accused, and answers.
    let wrong = run.deliveries[&ix(2)].sealed[&ix(3)].clone();
    run.deliveries.get_mut(&ix(2)).unwrap().sealed.insert(ix(1), wrong);
    assert_eq!(run.gather(ix(1)).map(|_| ()), Err(DkgError::Complain(vec![ix(2)])));
    let complaint = Complaint { session: session(1), key: S::KEY, accused: ix(2), by: ix(1) };
    let answer = run.dealt.get_mut(&ix(2)).unwrap().justify(complaint).unwrap();
    let commitment = run.gatherers[&ix(1)].commitment(ix(2)).unwrap();
    let share = complaint::judge(commitment, &complaint, &answer).unwrap();
    let justified = [(ix(2), share)].into();
    let draft = run.gatherers[&ix(1)]
        .gather(&run.deliveries, &justified, &run.members.session[&ix(1)])
        .unwrap();
    assert_eq!(draft.transcript(), run.gather(ix(3)).unwrap().transcript());
    // An answer that is another's share is no answer.
    let other = Complaint { by: ix(3), ..complaint };
    let commitment = run.gatherers[&ix(1)].commitment(ix(3)).unwrap();
    let blame = complaint::judge(commitment, &complaint, &answer).unwrap_err();
    assert_eq!(blame, Blame { who: ix(2), fault: Fault::Unjustified });
    let commitment = run.gatherers[&ix(1)].commitment(ix(2)).unwrap();
    assert!(complaint::judge(commitment, &other, &answer).is_err());
}

#[test]
fn bad_shares_are_complained_about_and_justified() {
    check_bad_shares::<Signing>();
    check_bad_shares::<Derivation>();
}

/// A dealer whose sealed share opens but does not fit its commitment.
#[test]
fn shares_that_do_not_fit_are_noticed() {
    let of = indices([1, 2, 3]);
    let run = run::<Signing>(2, &of);
    let mut rng = rng(6);
    // The liar commits to one polynomial and deals from another, bound to the first.
    let commitment = run.gatherers[&ix(1)].commitment(ix(2)).unwrap().digest();
    let shifted = forge::seal(
        run.members.session[&ix(1)].public(),
        Label::DkgShare.digest(&[run.members.terms.digest().as_bytes()]),
        &(KeyKind::Signing, ix(2), ix(1), commitment),
        &[7; 31],
        &mut rng,
    );
    let mut deliveries = run.deliveries.clone();
    deliveries.get_mut(&ix(2)).unwrap().sealed.insert(ix(1), shifted);
    let gathered =
        run.gatherers[&ix(1)].gather(&deliveries, &BTreeMap::new(), &run.members.session[&ix(1)]);
    assert_eq!(gathered.map(|_| ()), Err(DkgError::Complain(vec![ix(2)])));
}

/// Shares sealed to a session key are gone with it.
#[test]
fn another_session_key_opens_nothing() {
    let run = run::<Signing>(2, &indices([1, 2]));
    let other = SessionKey::generate(&mut rng(7));
    let gathered = run.gatherers[&ix(1)].gather(&run.deliveries, &BTreeMap::new(), &other);
    assert_eq!(gathered.map(|_| ()), Err(DkgError::Complain(vec![ix(2)])));
}

#[test]
fn strangers_words_do_not_count() {
    let run = run::<Signing>(2, &indices([1, 2]));
    let draft = run.gather(ix(1)).unwrap();
    let stranger = SecretKey::from_seed([9; 32]);
    let terms = &run.members.terms;
    let transcripts = [draft.transcript()];
    let words = [ix(1), ix(2)].map(|it| (it, dkg::confirm(terms, &transcripts, &stranger)));
    let refused = dkg::agree(terms, &transcripts, &words.into());
    assert_eq!(refused, Err(Fault::OtherTranscript.of(ix(1)).into()));
}
