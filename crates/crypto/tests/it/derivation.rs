//! Derived keys, and the mistakes that were made with them before: each would come back as a failure
//! here.

use std::collections::BTreeMap;

use aura_crypto::{
    Blame, Derivation, Domain, Fault, Holders, Message as _, SessionKey, ShareIndex,
    dkd::{self, Blind, DkdError, Initiation, Request, Reveal},
};
use aura_protocol_core::Digest;

use super::world::{self, Group, context, indices, ix, request, rng, session};

type Evaluations = (BTreeMap<ShareIndex, Digest>, BTreeMap<ShareIndex, Reveal>);

fn root() -> Group<Derivation> {
    world::generate(3, &indices([2, 5, 11, 40, 77]), &mut rng(1))
}

fn begin(root: &Group<Derivation>, name: &str, seed: u64) -> (Blind, Initiation) {
    dkd::initiate(session(4), request(name), &root.sharing, &mut rng(seed)).unwrap()
}

fn evaluate(root: &Group<Derivation>, initiation: &Initiation, seed: u64) -> Evaluations {
    let mut rng = rng(seed);
    let checked = initiation.check(session(4), &initiation.request, &root.sharing).unwrap();
    let both = root.shares.values().map(|share| {
        let (commitment, reveal) = checked.evaluate(share, &mut rng).unwrap();
        ((share.index(), commitment), (share.index(), reveal))
    });
    both.unzip()
}

fn flip(reveal: &Reveal, at: usize) -> Option<Reveal> {
    let mut bytes = reveal.to_bytes();
    bytes[at] ^= 1;
    Reveal::from_bytes(&bytes).ok()
}

/// INV-C11, and the mistakes of summed points (another key from every subset), of a Lagrange weight by
/// list position, and of an ignored context.
#[test]
fn every_quorum_derives_the_same_key() {
    let root = root();
    let mut rng = rng(2);
    let expected = world::derive(&root, &root.quorum(), &request("chat"), &mut rng);
    for size in 3..=4 {
        for devices in world::subsets(&root.holders(), size) {
            let key = world::derive(&root, &devices, &request("chat"), &mut rng);
            assert_eq!(key.danger_secret(), expected.danger_secret());
            assert_eq!(key.claim(), expected.claim());
        }
    }
    let quorum = root.quorum();
    for other in [request("files"), Request { key_version: 1, ..request("chat") }] {
        let key = world::derive(&root, &quorum, &other, &mut rng);
        assert_ne!(key.danger_secret(), expected.danger_secret());
        assert_ne!(key.key_pair().public(), expected.key_pair().public());
    }
    let twin = world::generate::<Derivation>(3, &root.holders(), &mut rng);
    let key = world::derive(&twin, &quorum, &request("chat"), &mut rng);
    assert_ne!(key.danger_secret(), expected.danger_secret(), "shares are secret, not public ids");
}

#[test]
fn liars_are_named_and_skipped() {
    let root = root();
    let (blind, initiation) = begin(&root, "chat", 3);
    let checked = initiation.check(session(4), &request("chat"), &root.sharing).unwrap();
    let (mut commitments, mut reveals) = evaluate(&root, &initiation, 4);
    let good = checked.aggregate(&commitments, &reveals).unwrap().finalize(&blind).unwrap();
    // Another point, committed to anew: the proof does not hold. The point is another device's.
    let mut bytes = reveals[&ix(2)].to_bytes();
    bytes[2..34].copy_from_slice(&reveals[&ix(5)].to_bytes()[2..34]);
    let forged = Reveal::from_bytes(&bytes).unwrap();
    commitments.insert(ix(2), checked.commitment(&forged));
    reveals.insert(ix(2), forged);
    // Something else than was committed to.
    reveals.insert(ix(5), flip(&reveals[&ix(5)], 129).unwrap());
    let evaluated = checked.aggregate(&commitments, &reveals).unwrap();
    let bad = vec![Fault::BadProof.of(ix(2)), Fault::CommitMismatch.of(ix(5))];
    assert_eq!(evaluated.blamed, bad);
    let key = evaluated.finalize(&blind).unwrap();
    assert_eq!(key.danger_secret(), good.danger_secret(), "any t reveals that hold are enough");
    // A reveal that nothing was committed for, and one under another's name.
    commitments.remove(&ix(11));
    let under_another = reveals[&ix(40)];
    reveals.insert(ix(77), under_another);
    let refused = checked.aggregate(&commitments, &reveals).unwrap_err();
    let mut blamed = bad;
    blamed.push(Blame { who: ix(11), fault: Fault::NoCommitment });
    blamed.push(Blame { who: ix(77), fault: Fault::WrongIndex });
    assert_eq!(refused, DkdError::TooFew { valid: 1, needed: 3, blamed });
}

#[test]
fn fewer_than_the_threshold_derive_nothing() {
    let root = root();
    let (_, initiation) = begin(&root, "chat", 5);
    let checked = initiation.check(session(4), &request("chat"), &root.sharing).unwrap();
    let (commitments, mut reveals) = evaluate(&root, &initiation, 6);
    for absent in [2, 5, 11] {
        reveals.remove(&ix(absent));
    }
    let refused = checked.aggregate(&commitments, &reveals).unwrap_err();
    assert_eq!(refused, DkdError::TooFew { valid: 2, needed: 3, blamed: vec![] });
}

/// A device evaluates only the input that it agreed to: not under another name, session or sharing, and
/// not a point that the initiator chose (which would make the device an oracle).
#[test]
fn the_initiator_cannot_swap_what_is_evaluated() {
    let root = root();
    let (_, secret) = begin(&root, "secret", 7);
    let (_, harmless) = begin(&root, "harmless", 8);
    let mut swapped = secret.clone();
    swapped.request = request("harmless");
    let refused = swapped.check(session(4), &request("harmless"), &root.sharing);
    assert_eq!(refused.unwrap_err(), DkdError::BadInitiation);
    // The blinded point of one with the proof of the other.
    let at = secret.to_bytes().len() - 96;
    let mut bytes = harmless.to_bytes();
    let end = bytes.len() - 96;
    bytes[end..end + 32].copy_from_slice(&secret.to_bytes()[at..at + 32]);
    let chosen = Initiation::from_bytes(&bytes).unwrap();
    let refused = chosen.check(session(4), &request("harmless"), &root.sharing);
    assert_eq!(refused.unwrap_err(), DkdError::BadInitiation);
    for (id, asked) in [(session(5), request("secret")), (session(4), request("other"))] {
        let refused = secret.check(id, &asked, &root.sharing);
        assert_eq!(refused.unwrap_err(), DkdError::NotAgreed);
    }
    // A proof of one session proves nothing in another.
    let mut replayed = secret.clone();
    replayed.session = session(5);
    let refused = replayed.check(session(5), &request("secret"), &root.sharing);
    assert_eq!(refused.unwrap_err(), DkdError::BadInitiation);
    let long = Request { context: vec![0; 257], ..request("") };
    let refused = dkd::initiate(session(4), long, &root.sharing, &mut rng(9));
    assert_eq!(refused.map(|_| ()), Err(DkdError::Context { found: 257 }));
}

/// The mistake of a published result: everything on the ledger, with the wrong blind, is another key
/// or none. Without a blind, whoever reads along would have it.
#[test]
fn whoever_reads_along_learns_nothing() {
    let root = root();
    let (blind, initiation) = begin(&root, "chat", 10);
    let (other, _) = begin(&root, "chat", 11);
    let checked = initiation.check(session(4), &request("chat"), &root.sharing).unwrap();
    let (commitments, reveals) = evaluate(&root, &initiation, 12);
    let evaluated = checked.aggregate(&commitments, &reveals).unwrap();
    assert_eq!(evaluated.finalize(&other).map(|_| ()), Err(DkdError::OtherBlind));
    let key = evaluated.finalize(&blind).unwrap();
    let published = [
        initiation.to_bytes(),
        reveals.values().flat_map(Reveal::to_bytes).collect(),
        format!("{evaluated:?} {blind:?} {key:?}").into_bytes(),
    ]
    .concat();
    let secrets = [&key.danger_secret()[..], &*key.key_pair().danger_seed()];
    for secret in secrets {
        assert!(!published.windows(8).any(|it| it == &secret[..8]));
    }
    // Two sessions for one key show nothing in common.
    let (_, again) = begin(&root, "chat", 13);
    let (_, second) = evaluate(&root, &again, 14);
    for (from, reveal) in &reveals {
        assert_ne!(reveal.to_bytes()[2..34], second[from].to_bytes()[2..34]);
    }
}

/// The blind reaches those who are to know the key, and a wrong one is noticed.
#[test]
fn the_blind_is_sealed() {
    let root = root();
    let (blind, initiation) = begin(&root, "chat", 15);
    let mut rng = rng(16);
    let key = SessionKey::generate(&mut rng);
    let sealed = blind.seal_for(&initiation, (ix(5), &key.public()), &mut rng).unwrap();
    let opened = Blind::open(&initiation, ix(5), &key, &sealed).unwrap();
    let (commitments, reveals) = evaluate(&root, &initiation, 17);
    let checked = initiation.check(session(4), &request("chat"), &root.sharing).unwrap();
    let evaluated = checked.aggregate(&commitments, &reveals).unwrap();
    let mine = evaluated.finalize(&opened).unwrap();
    assert_eq!(mine.danger_secret(), evaluated.finalize(&blind).unwrap().danger_secret());
    assert!(Blind::open(&initiation, ix(2), &key, &sealed).is_err(), "sealed for another device");
    let (_, other) = begin(&root, "chat", 18);
    assert!(Blind::open(&other, ix(5), &key, &sealed).is_err(), "sealed in another session");
    let (wrong, _) = begin(&root, "chat", 19);
    let sealed = wrong.seal_for(&initiation, (ix(5), &key.public()), &mut rng).unwrap();
    let refused = Blind::open(&initiation, ix(5), &key, &sealed).map(|_| ());
    assert_eq!(refused, Err(DkdError::OtherBlind));
}

/// Trap 8: an old share in a session for the new sharing. The honest device refuses by itself; did it
/// not, its proof would fail and it would be blamed.
#[test]
fn old_shares_evaluate_nothing() {
    let root = root();
    let mut rng = rng(20);
    let (holders, dealers) = (root.holders(), root.quorum());
    let new = world::reshare(&root, &dealers, (Holders::Devices, 3), &holders, &mut rng);
    let (_, initiation) = begin(&new, "chat", 21);
    let checked = initiation.check(session(4), &request("chat"), &new.sharing).unwrap();
    let refused = checked.evaluate(&root.shares[&ix(5)], &mut rng);
    assert!(matches!(refused, Err(DkdError::Sharing(_))));
    let refused = initiation.check(session(4), &request("chat"), &root.sharing);
    assert_eq!(refused.unwrap_err(), DkdError::NotAgreed);
    // What would happen without the guard: an evaluation that holds for the old sharing alone.
    let (_, old) = begin(&root, "chat", 22);
    let old_checked = old.check(session(4), &request("chat"), &root.sharing).unwrap();
    let (_, reveal) = old_checked.evaluate(&root.shares[&ix(5)], &mut rng).unwrap();
    let commitment = checked.commitment(&reveal);
    let blame = checked.verify(ix(5), Some(&commitment), &reveal).unwrap_err();
    assert_eq!(blame, Fault::BadProof.of(ix(5)));
}

/// The group attests to a derived key, and the claimant shows that it holds it.
#[test]
fn claims_are_proven() {
    let mut rng = rng(23);
    let holders = indices([1, 2, 3]);
    let root = world::generate::<Derivation>(2, &holders, &mut rng);
    let signing = world::generate(2, &holders, &mut rng);
    let key = world::derive(&root, &root.quorum(), &request("chat"), &mut rng);
    let claim = key.claim();
    assert_eq!(claim.verify(), Ok(()));
    let body = claim.to_bytes();
    let attested = aura_crypto::Context { domain: Domain::DerivedKeyGroup, ..context() };
    let signature = world::sign(&signing, &signing.quorum(), &attested, &body, &mut rng);
    let group = signing.sharing.public_key().unwrap();
    assert_eq!(group.verify(&attested, &body, &signature), Ok(()));
    let other = world::derive(&root, &root.quorum(), &request("files"), &mut rng).claim();
    let (mut stolen, mut renamed) = (claim.clone(), claim);
    stolen.public = other.public;
    assert!(stolen.verify().is_err());
    renamed.request = request("files");
    assert!(renamed.verify().is_err());
}

/// A reveal whose proof is changed anywhere does not hold.
#[test]
fn no_changed_reveal_holds() {
    let root = root();
    let (_, initiation) = begin(&root, "chat", 24);
    let checked = initiation.check(session(4), &request("chat"), &root.sharing).unwrap();
    let (_, reveals) = evaluate(&root, &initiation, 25);
    let honest = reveals[&ix(11)];
    let commitment = checked.commitment(&honest);
    assert_eq!(checked.verify(ix(11), Some(&commitment), &honest), Ok(()));
    let changed = (2..98).filter_map(|at| flip(&honest, at)).collect::<Vec<_>>();
    assert!(64 < changed.len());
    for reveal in changed {
        let commitment = checked.commitment(&reveal);
        let blame = checked.verify(ix(11), Some(&commitment), &reveal).unwrap_err();
        assert_eq!(blame, Fault::BadProof.of(ix(11)));
    }
}
