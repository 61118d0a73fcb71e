//! Group signatures: nonces that sign once, and whoever sends a wrong share.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{
    Blame, Context, Domain, Fault, KeyShare, Message as _, ShareIndex, Signing,
    sign::{
        self, AggregateError, NonceCommitment, NonceId, Nonces, SignError, SignatureShare,
        SigningTask, SpentNonces,
    },
};
use curve25519_dalek::Scalar;

use super::world::{self, Group, context, indices, ix, rng};

fn commit(
    group: &Group<Signing>,
    signers: &[ShareIndex],
    seed: u64,
) -> (BTreeMap<ShareIndex, Nonces>, Vec<NonceCommitment>) {
    let mut rng = rng(seed);
    let both = signers.iter().map(|it| {
        let (nonces, commitment) =
            sign::commit(&group.shares[it], &group.sharing, &mut rng).unwrap();
        ((*it, nonces), commitment)
    });
    both.unzip()
}

fn group() -> Group<Signing> {
    world::generate(3, &indices([2, 5, 11, 40, 77]), &mut rng(1))
}

fn shares(
    group: &Group<Signing>,
    nonces: BTreeMap<ShareIndex, Nonces>,
    task: &SigningTask,
) -> BTreeMap<ShareIndex, SignatureShare> {
    let mut spent = BTreeSet::new();
    let sign = |(it, nonces): (ShareIndex, Nonces)| {
        let share = &group.shares[&it];
        (it, nonces.sign(task, &context(), share, &group.sharing, &mut spent).unwrap())
    };
    nonces.into_iter().map(sign).collect()
}

fn add_one(share: &SignatureShare) -> SignatureShare {
    let mut bytes = share.to_bytes();
    let scalar: [u8; 32] = bytes[2..].try_into().unwrap();
    let changed = Scalar::from_canonical_bytes(scalar).unwrap() + Scalar::ONE;
    bytes[2..].copy_from_slice(changed.as_bytes());
    SignatureShare::from_bytes(&bytes).unwrap()
}

/// INV-C2: any t devices or more make an ordinary signature for exactly this purpose.
#[test]
fn any_quorum_signs() {
    let group = group();
    let key = group.sharing.public_key().unwrap();
    let mut rng = rng(2);
    for size in 3..=5 {
        for signers in world::subsets(&group.holders(), size).into_iter().take(4) {
            let signature = world::sign(&group, &signers, &context(), b"body", &mut rng);
            assert_eq!(key.verify(&context(), b"body", &signature), Ok(()));
            let other = Context { domain: Domain::LockGrant, ..context() };
            assert!(key.verify(&other, b"body", &signature).is_err());
        }
    }
    let (_, commitments) = commit(&group, &group.quorum()[..2], 3);
    let few = SigningTask::new(&context(), b"body".into(), &group.sharing, commitments);
    assert_eq!(few, Err(SignError::TooFew { found: 2, needed: 3 }));
}

#[test]
fn wrong_shares_are_named() {
    let group = group();
    let signers = group.quorum();
    let (nonces, commitments) = commit(&group, &signers, 4);
    let task = SigningTask::new(&context(), b"body".into(), &group.sharing, commitments).unwrap();
    let honest = shares(&group, nonces, &task);
    let aggregate = |it: &BTreeMap<_, _>| sign::aggregate(&task, &context(), &group.sharing, it);
    assert!(aggregate(&honest).is_ok());
    let mut one = honest.clone();
    one.insert(signers[1], add_one(&honest[&signers[1]]));
    let blame = |who| Blame { who, fault: Fault::BadSignatureShare };
    assert_eq!(aggregate(&one), Err(AggregateError::Blame(vec![blame(signers[1])])));
    let mut two = one.clone();
    two.insert(signers[0], add_one(&honest[&signers[0]]));
    let both = vec![blame(signers[0]), blame(signers[1])];
    assert_eq!(aggregate(&two), Err(AggregateError::Blame(both)));
    let mut swapped = honest.clone();
    swapped.insert(signers[0], honest[&signers[1]]);
    let misplaced = Blame { who: signers[0], fault: Fault::WrongIndex };
    assert_eq!(aggregate(&swapped), Err(AggregateError::Blame(vec![misplaced])));
    let mut missing = honest.clone();
    missing.remove(&signers[2]);
    assert_eq!(aggregate(&missing), Err(AggregateError::Missing(signers[2])));
    let mut stranger = honest.clone();
    stranger.insert(ix(77), honest[&signers[0]]);
    assert_eq!(aggregate(&stranger), Err(AggregateError::Misuse));
    let other = Context { epoch: 8, ..context() };
    let elsewhere = sign::aggregate(&task, &other, &group.sharing, &honest);
    assert_eq!(elsewhere, Err(AggregateError::Misuse));
}

/// A nonce point with a small-order part is its maker's fault.
#[test]
fn small_order_nonces_are_named() {
    let group = group();
    let signers = group.quorum();
    let (mut nonces, mut commitments) = commit(&group, &signers, 5);
    let mut bytes = commitments[1].to_bytes();
    super::forge::add_torsion(&mut bytes[34..66]);
    commitments[1] = NonceCommitment::from_bytes(&bytes).unwrap();
    let task = SigningTask::new(&context(), b"body".into(), &group.sharing, commitments).unwrap();
    let mut spent: BTreeSet<NonceId> = BTreeSet::new();
    let own = nonces.remove(&signers[0]).unwrap();
    let share = &group.shares[&signers[0]];
    let signed = own.sign(&task, &context(), share, &group.sharing, &mut spent);
    assert_eq!(signed, Err(SignError::Blame(Fault::Torsion.of(signers[1]))));
}

/// Writes nothing down.
struct FullDisk;

impl SpentNonces for FullDisk {
    type Error = &'static str;
    fn spend(&mut self, _: NonceId) -> Result<bool, &'static str> {
        Err("no space left")
    }
}

/// INV-C9, trap 1: nothing is signed before the record says that the nonces are spent, and never
/// with nonces that it knows. (That they can be neither copied nor stored is the compiler's to check.)
#[test]
fn nonces_are_spent_before_they_sign() {
    let group = group();
    let signers = group.quorum();
    let (mut nonces, commitments) = commit(&group, &signers, 6);
    let ids: Vec<NonceId> = commitments.iter().map(NonceCommitment::id).collect();
    let task = SigningTask::new(&context(), b"body".into(), &group.sharing, commitments).unwrap();
    let mut sign = |it: usize, record: &mut BTreeSet<NonceId>| {
        let nonces = nonces.remove(&signers[it]).unwrap();
        let share = &group.shares[&signers[it]];
        nonces.sign(&task, &context(), share, &group.sharing, record)
    };
    let mut record = BTreeSet::from([ids[0]]);
    assert_eq!(sign(0, &mut record), Err(SignError::AlreadySpent));
    assert!(sign(1, &mut record).is_ok());
    assert!(record.contains(&ids[1]));
    let last = nonces.remove(&signers[2]).unwrap();
    let share = &group.shares[&signers[2]];
    let refused = last.sign(&task, &context(), share, &group.sharing, &mut FullDisk);
    assert_eq!(refused, Err(SignError::Record("no space left")));
}

/// Nonces are spent also by a task that turns out to be wrong: what was committed to is known.
#[test]
fn a_wrong_task_spends_the_nonces() {
    let group = group();
    let signers = group.quorum();
    let (mut nonces, commitments) = commit(&group, &signers, 7);
    let (_, others) = commit(&group, &signers, 8);
    let mut swapped = commitments.clone();
    swapped[0] = others[0];
    let task = SigningTask::new(&context(), b"body".into(), &group.sharing, swapped).unwrap();
    let mut record = BTreeSet::new();
    let own = nonces.remove(&signers[0]).unwrap();
    let share = &group.shares[&signers[0]];
    let refused = own.sign(&task, &context(), share, &group.sharing, &mut record);
    assert_eq!(refused, Err(SignError::OtherNonces));
    assert!(record.contains(&commitments[0].id()));
    // A device signs only for the purpose that it agreed to.
    let task = SigningTask::new(&context(), b"x".into(), &group.sharing, commitments).unwrap();
    let own = nonces.remove(&signers[1]).unwrap();
    let agreed = Context { domain: Domain::LockGrant, ..context() };
    let share = &group.shares[&signers[1]];
    let refused = own.sign(&task, &agreed, share, &group.sharing, &mut record);
    assert_eq!(refused, Err(SignError::OtherNonces));
}

/// Why trap 1 matters: three signatures under one nonce give the share away. The library's own
/// function takes nonces by reference, and nothing stops it.
#[test]
fn a_nonce_that_signs_three_times_gives_the_share_away() {
    use frost_ed25519 as library;
    let mut rng = rng(9);
    let (shares, public) =
        library::keys::generate_with_dealer(3, 2, library::keys::IdentifierList::Default, &mut rng)
            .unwrap();
    let keys: Vec<library::keys::KeyPackage> =
        shares.into_values().map(|it| it.try_into().unwrap()).collect();
    let (nonces, own) = library::round1::commit(keys[0].signing_share(), &mut rng);
    let mut rows = Vec::new();
    for message in [b"a", b"b", b"c"] {
        let (_, other) = library::round1::commit(keys[1].signing_share(), &mut rng);
        let commitments = [(*keys[0].identifier(), own), (*keys[1].identifier(), other)].into();
        let package = library::SigningPackage::new(commitments, message);
        let share = library::round2::sign(&package, &nonces, &keys[0]).unwrap();
        let share: [u8; 32] = share.serialize().try_into().unwrap();
        let (factor, weight) = coefficients(&package, &keys[0], &public);
        rows.push([Scalar::ONE, factor, weight, Scalar::from_canonical_bytes(share).unwrap()]);
    }
    let secret: [u8; 32] = keys[0].signing_share().serialize().try_into().unwrap();
    assert_eq!(solve(rows)[2].to_bytes(), secret);
}

/// What multiplies the binding nonce and the share in a signature share, from public values.
fn coefficients(
    package: &frost_ed25519::SigningPackage,
    key: &frost_ed25519::keys::KeyPackage,
    public: &frost_ed25519::keys::PublicKeyPackage,
) -> (Scalar, Scalar) {
    use frost_core::Ciphersuite;
    type Suite = frost_ed25519::Ed25519Sha512;
    let point = |bytes: &[u8]| {
        let bytes: [u8; 32] = bytes.try_into().unwrap();
        curve25519_dalek::edwards::CompressedEdwardsY(bytes).decompress().unwrap()
    };
    let scalar = |bytes: Vec<u8>| {
        Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes.try_into().unwrap())).unwrap()
    };
    let group = public.verifying_key().serialize().unwrap();
    let mut encoded = Vec::new();
    let mut nonces = Vec::new();
    for (id, it) in package.signing_commitments() {
        let (hiding, binding) =
            (it.hiding().serialize().unwrap(), it.binding().serialize().unwrap());
        encoded.extend([id.serialize(), hiding.clone(), binding.clone()].concat());
        nonces.push((id.serialize(), point(&hiding), point(&binding)));
    }
    let prefix = [
        group.clone(),
        Suite::H4(package.message()).as_ref().to_vec(),
        Suite::H5(&encoded).as_ref().to_vec(),
    ]
    .concat();
    let factor = |id: &[u8]| {
        let hashed = Suite::H1(&[&prefix, id].concat());
        Option::<Scalar>::from(Scalar::from_canonical_bytes(hashed.to_bytes())).unwrap()
    };
    let sum: curve25519_dalek::EdwardsPoint =
        nonces.iter().map(|(id, hiding, binding)| hiding + binding * factor(id)).sum();
    let challenge = [sum.compress().as_bytes(), group.as_slice(), package.message()].concat();
    let challenge = Scalar::from_canonical_bytes(Suite::H2(&challenge).to_bytes()).unwrap();
    let own = key.identifier().serialize();
    let other = nonces.iter().find(|it| it.0 != own).unwrap().0.clone();
    let (own_x, other_x) = (scalar(own.clone()), scalar(other));
    (factor(&own), challenge * other_x * (other_x - own_x).invert())
}

/// The solution of three equations.
fn solve(mut rows: Vec<[Scalar; 4]>) -> [Scalar; 3] {
    for at in 0..3 {
        let pivot = (at..3).find(|row| rows[*row][at] != Scalar::ZERO).unwrap();
        rows.swap(at, pivot);
        let inverse = rows[at][at].invert();
        rows[at].iter_mut().for_each(|it| *it *= inverse);
        let row = rows[at];
        for other in (0..3).filter(|it| *it != at) {
            let factor = rows[other][at];
            rows[other].iter_mut().zip(row).for_each(|(it, by)| *it -= factor * by);
        }
    }
    [rows[0][3], rows[1][3], rows[2][3]]
}

/// A share of another sharing signs nothing, and nobody is blamed for it.
#[test]
fn shares_of_other_sharings_are_refused() {
    let group = group();
    let other = world::generate::<Signing>(3, &group.holders(), &mut rng(10));
    let share: &KeyShare<Signing> = &other.shares[&ix(2)];
    let refused = sign::commit(share, &group.sharing, &mut rng(11));
    assert!(matches!(refused, Err(SignError::Sharing(_))));
    let (_, commitments) = commit(&other, &other.quorum(), 12);
    let refused = SigningTask::new(&context(), b"x".into(), &group.sharing, commitments);
    assert!(matches!(refused, Err(SignError::Sharing(_))));
}
