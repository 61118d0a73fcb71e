//! The library that generates keys and makes threshold signatures, behind bytes.
//!
//! The only file that names the `frost_*` crates. They use an older curve crate than ours, so points
//! and scalars cross as canonical bytes. What the library encodes by itself is never sent, stored or
//! hashed: its decoder accepts trailing bytes.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use frost_core::{
    self as library, CheaterDetection, Ciphersuite, Identifier,
    keys::{
        KeyPackage, PublicKeyPackage, SigningShare, VerifiableSecretSharingCommitment,
        VerifyingShare, dkg,
    },
    round1::{NonceCommitment, SigningCommitments, SigningNonces},
    round2::SignatureShare,
};

use crate::{
    group::{Derivation, Element, PublicScalar, Secret, Signing, Suite},
    polynomial::{Commitment, ShareIndex},
    rng::DualRng,
};

/// The library's name for a suite.
pub trait Library {
    /// Its ciphersuite.
    type Cipher: Ciphersuite;
}

impl Library for Signing {
    type Cipher = frost_ed25519::Ed25519Sha512;
}

impl Library for Derivation {
    type Cipher = frost_ristretto255::Ristretto255Sha512;
}

type Ed = <Signing as Library>::Cipher;

/// What the library refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// This participant's proof of knowledge does not hold.
    BadProof(ShareIndex),
    /// This participant's points have a small-order part.
    Torsion(ShareIndex),
    /// Some share does not match its commitment.
    BadShare,
    /// The inputs do not belong together: the caller's fault.
    Misuse,
}

/// A proof of knowledge of a polynomial's constant term: 64 bytes.
pub type DkgProof = [u8; 64];

/// What a member keeps between the first and the second part.
pub struct Round1<S: Suite>(dkg::round1::SecretPackage<S::Cipher>);

/// What a member keeps between the second and the third part.
pub struct Round2<S: Suite> {
    secret: dkg::round2::SecretPackage<S::Cipher>,
    others: BTreeMap<Identifier<S::Cipher>, dkg::round1::Package<S::Cipher>>,
}

/// What each other member published in the first part.
pub type Published<'a, S> = BTreeMap<ShareIndex, (&'a Commitment<S>, &'a DkgProof)>;

/// A share for each other member.
pub type Shares<S> = BTreeMap<ShareIndex, Secret<S>>;

/// What the third part leads to.
pub struct Generated<S: Suite> {
    /// This member's share.
    pub secret: Secret<S>,
    /// The group's public key.
    pub key: Element<S>,
    /// Everybody's public share.
    pub shares: BTreeMap<ShareIndex, Element<S>>,
}

/// The first part: a random polynomial, its commitment, and a proof that its constant term is known.
pub fn part1<S: Suite>(
    me: ShareIndex,
    threshold: u16,
    members: u16,
    rng: &mut DualRng,
) -> Result<(Round1<S>, Commitment<S>, DkgProof), Refusal> {
    let (secret, package) =
        dkg::part1::<S::Cipher, _>(identifier::<S>(me)?, members, threshold, rng)
            .map_err(|_| Refusal::Misuse)?;
    let coefficients = package.commitment().serialize().map_err(|_| Refusal::Misuse)?;
    let coefficients = coefficients.iter().map(|it| element(it)).collect::<Option<Vec<_>>>();
    let proof = package.proof_of_knowledge().serialize().map_err(|_| Refusal::Misuse)?;
    let proof = proof.try_into().map_err(|_| Refusal::Misuse)?;
    Ok((Round1(secret), Commitment::new(coefficients.ok_or(Refusal::Misuse)?), proof))
}

/// The second part: checks everybody's proof and makes a share for each of them.
pub fn part2<S: Suite>(
    secret: Round1<S>,
    published: &Published<'_, S>,
) -> Result<(Round2<S>, Shares<S>), Refusal> {
    let mut others = BTreeMap::new();
    let mut indices = BTreeMap::new();
    for (&index, (commitment, proof)) in published {
        let id = identifier::<S>(index)?;
        let coefficients = commitment.coefficients().iter().map(Element::as_bytes);
        let coefficients = VerifiableSecretSharingCommitment::deserialize(coefficients)
            .map_err(|_| Refusal::Torsion(index))?;
        let proof = library::Signature::deserialize(proof.as_slice())
            .map_err(|_| Refusal::BadProof(index))?;
        others.insert(id, dkg::round1::Package::new(coefficients, proof));
        indices.insert(id, index);
    }
    let culprit = |error: library::Error<S::Cipher>| match error {
        library::Error::InvalidProofOfKnowledge { culprit } => {
            indices.get(&culprit).map_or(Refusal::Misuse, |it| Refusal::BadProof(*it))
        }
        _ => Refusal::Misuse,
    };
    let (secret, shares) = dkg::part2(secret.0, &others).map_err(culprit)?;
    let shares = shares.iter().map(|(id, package)| {
        let share = scalar(&package.signing_share().serialize()).ok_or(Refusal::Misuse)?;
        Ok((*indices.get(id).ok_or(Refusal::Misuse)?, share))
    });
    let shares = shares.collect::<Result<_, _>>()?;
    Ok((Round2 { secret, others }, shares))
}

/// The third part: checks the shares that the others made for this member and puts them together.
pub fn part3<S: Suite>(
    round2: &Round2<S>,
    members: impl Iterator<Item = ShareIndex>,
    shares: &BTreeMap<ShareIndex, &Secret<S>>,
) -> Result<Generated<S>, Refusal> {
    let packages = shares.iter().map(|(index, secret)| {
        let package = dkg::round2::Package::new(signing_share::<S>(secret)?);
        Ok((identifier::<S>(*index)?, package))
    });
    let packages = packages.collect::<Result<_, Refusal>>()?;
    let (key, public) =
        dkg::part3(&round2.secret, &round2.others, &packages).map_err(|error| match error {
            library::Error::InvalidSecretShare { .. } => Refusal::BadShare,
            _ => Refusal::Misuse,
        })?;
    let shares = members.map(|index| {
        let share = public.verifying_shares().get(&identifier::<S>(index)?);
        let bytes = share.and_then(|it| it.serialize().ok()).ok_or(Refusal::Misuse)?;
        Ok((index, element(&bytes).ok_or(Refusal::Misuse)?))
    });
    Ok(Generated {
        secret: scalar(&key.signing_share().serialize()).ok_or(Refusal::Misuse)?,
        key: public
            .verifying_key()
            .serialize()
            .ok()
            .and_then(|it| element(&it))
            .ok_or(Refusal::Misuse)?,
        shares: shares.collect::<Result<_, Refusal>>()?,
    })
}

/// A pair of nonces. Neither cloned nor encoded; signing takes them.
pub struct NoncePair(SigningNonces<Ed>);

/// The points of a pair of nonces, hiding and binding.
pub type NoncePoints = [Element<Signing>; 2];

/// Who signs what with whom.
pub struct Signer<'a> {
    /// This signer.
    pub index: ShareIndex,
    /// Its share.
    pub secret: &'a Secret<Signing>,
    /// Its public share.
    pub public: &'a Element<Signing>,
}

/// What is signed, and by whom.
pub struct Task<'a> {
    /// The group key.
    pub key: &'a Element<Signing>,
    /// Signatures needed.
    pub threshold: u16,
    /// The bytes.
    pub message: &'a [u8],
    /// The signers' nonce points.
    pub commitments: &'a BTreeMap<ShareIndex, NoncePoints>,
}

/// Fresh nonces, hedged with the share, and their points.
pub fn commit(
    secret: &Secret<Signing>,
    rng: &mut DualRng,
) -> Result<(NoncePair, NoncePoints), Refusal> {
    let nonces = SigningNonces::new(&signing_share::<Signing>(secret)?, rng);
    points_of(nonces)
}

fn points_of(nonces: SigningNonces<Ed>) -> Result<(NoncePair, NoncePoints), Refusal> {
    let point = |it: &NonceCommitment<Ed>| it.serialize().ok().and_then(|it| element(&it));
    let commitments = nonces.commitments();
    let points = [point(commitments.hiding()), point(commitments.binding())];
    let [Some(hiding), Some(binding)] = points else {
        return Err(Refusal::Misuse);
    };
    Ok((NoncePair(nonces), [hiding, binding]))
}

/// Signs, and uses the nonces up.
pub fn sign(
    nonces: NoncePair,
    signer: &Signer<'_>,
    task: &Task<'_>,
) -> Result<PublicScalar, Refusal> {
    let package = task.package()?;
    let key = KeyPackage::new(
        identifier::<Signing>(signer.index)?,
        signing_share::<Signing>(signer.secret)?,
        verifying_share(signer.public)?,
        task.verifying_key()?,
        task.threshold,
    );
    let share = library::round2::sign(&package, &nonces.0, &key).map_err(|_| Refusal::Misuse)?;
    public_scalar(&share.serialize()).ok_or(Refusal::Misuse)
}

/// The 64 bytes of the signature that the shares add up to; not verified with our predicate yet.
pub fn aggregate(
    task: &Task<'_>,
    shares: &BTreeMap<ShareIndex, PublicScalar>,
) -> Result<[u8; 64], Refusal> {
    let public =
        PublicKeyPackage::new(BTreeMap::new(), task.verifying_key()?, Some(task.threshold));
    let detection = CheaterDetection::Disabled;
    let shares = signature_shares(shares)?;
    let signature = library::aggregate_custom(&task.package()?, &shares, &public, detection)
        .map_err(|_| Refusal::BadShare)?;
    let bytes = signature.serialize().map_err(|_| Refusal::Misuse)?;
    bytes.try_into().map_err(|_| Refusal::Misuse)
}

/// Whose share does not fit.
pub fn culprits(
    task: &Task<'_>,
    shares: &BTreeMap<ShareIndex, PublicScalar>,
    publics: &BTreeMap<ShareIndex, Element<Signing>>,
) -> Result<Vec<ShareIndex>, Refusal> {
    let signers = publics.iter().filter(|(index, _)| task.commitments.contains_key(index));
    let verifying = signers
        .map(|(index, public)| Ok((identifier::<Signing>(*index)?, verifying_share(public)?)));
    let verifying = verifying.collect::<Result<BTreeMap<_, _>, Refusal>>()?;
    let public = PublicKeyPackage::new(verifying, task.verifying_key()?, Some(task.threshold));
    let detection = CheaterDetection::AllCheaters;
    match library::aggregate_custom(
        &task.package()?,
        &signature_shares(shares)?,
        &public,
        detection,
    ) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => {
            let guilty = error.culprits();
            let is_guilty = |index: &ShareIndex| {
                identifier::<Signing>(*index).is_ok_and(|it| guilty.contains(&it))
            };
            Ok(shares.keys().copied().filter(is_guilty).collect())
        }
    }
}

impl Task<'_> {
    fn package(&self) -> Result<library::SigningPackage<Ed>, Refusal> {
        let commitments = self.commitments.iter().map(|(&index, [hiding, binding])| {
            let point = |it: &Element<Signing>| {
                NonceCommitment::deserialize(it.as_bytes()).map_err(|_| Refusal::Torsion(index))
            };
            let points = SigningCommitments::new(point(hiding)?, point(binding)?);
            Ok((identifier::<Signing>(index)?, points))
        });
        let commitments = commitments.collect::<Result<_, Refusal>>()?;
        Ok(library::SigningPackage::new(commitments, self.message))
    }

    fn verifying_key(&self) -> Result<library::VerifyingKey<Ed>, Refusal> {
        library::VerifyingKey::deserialize(self.key.as_bytes()).map_err(|_| Refusal::Misuse)
    }
}

fn signature_shares(
    shares: &BTreeMap<ShareIndex, PublicScalar>,
) -> Result<BTreeMap<Identifier<Ed>, SignatureShare<Ed>>, Refusal> {
    let share = |(index, share): (&ShareIndex, &PublicScalar)| {
        let bytes = share.to_bytes();
        let share = SignatureShare::deserialize(&bytes).map_err(|_| Refusal::Misuse)?;
        Ok((identifier::<Signing>(*index)?, share))
    };
    shares.iter().map(share).collect()
}

fn identifier<S: Suite>(index: ShareIndex) -> Result<Identifier<S::Cipher>, Refusal> {
    Identifier::try_from(index.get()).map_err(|_| Refusal::Misuse)
}

fn signing_share<S: Suite>(secret: &Secret<S>) -> Result<SigningShare<S::Cipher>, Refusal> {
    SigningShare::deserialize(secret.to_bytes().as_slice()).map_err(|_| Refusal::Misuse)
}

fn verifying_share(public: &Element<Signing>) -> Result<VerifyingShare<Ed>, Refusal> {
    VerifyingShare::deserialize(public.as_bytes()).map_err(|_| Refusal::Misuse)
}

fn element<S: Suite>(bytes: &[u8]) -> Option<Element<S>> {
    Element::from_bytes(bytes.try_into().ok()?)
}

fn scalar<S: Suite>(bytes: &[u8]) -> Option<Secret<S>> {
    Secret::from_bytes(bytes.try_into().ok()?)
}

fn public_scalar(bytes: &[u8]) -> Option<PublicScalar> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    Option::from(crate::group::Scalar::from_canonical_bytes(bytes)).map(PublicScalar)
}

impl<S: Suite> fmt::Debug for Round1<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Round1(<redacted>)")
    }
}

impl<S: Suite> fmt::Debug for Round2<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Round2(<redacted>)")
    }
}

impl fmt::Debug for NoncePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoncePair(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        group::{Point as _, Scalar},
        polynomial::{Polynomial, lagrange},
        vectors::Vectors,
    };

    fn index(it: &crate::vectors::Block) -> ShareIndex {
        ShareIndex::new(u16::from(it.array::<1>("identifier")[0])).unwrap()
    }

    /// The library's own generator of nonces, given the published randomness.
    struct Published(Vec<[u8; 32]>);

    impl rand_core_06::RngCore for Published {
        fn next_u32(&mut self) -> u32 {
            unreachable!("nonces ask for bytes")
        }
        fn next_u64(&mut self) -> u64 {
            unreachable!("nonces ask for bytes")
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.remove(0));
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core_06::Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }
    impl rand_core_06::CryptoRng for Published {}

    /// RFC 9591, E.1: nonces, their points, both signature shares and the signature.
    #[test]
    fn published_signature() {
        let vectors = Vectors::read(include_str!("../tests/vectors/rfc9591_e1.txt"));
        let mut blocks = vectors.blocks();
        let group = blocks.next().unwrap();
        let key = Element::<Signing>::from_bytes(&group.array("group_public_key")).unwrap();
        let secrets: BTreeMap<ShareIndex, Secret<Signing>> = blocks
            .clone()
            .map(|it| (index(it), Secret::from_bytes(&it.array("participant_share")).unwrap()))
            .collect();
        let signers: Vec<_> = blocks.filter(|it| it.has("sig_share")).collect();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for it in &signers {
            let secret = signing_share::<Signing>(&secrets[&index(it)]).unwrap();
            let random = ["hiding_nonce_randomness", "binding_nonce_randomness"];
            let mut rng = Published(random.map(|name| it.array(name)).into());
            let (pair, points) = points_of(SigningNonces::new(&secret, &mut rng)).unwrap();
            assert_eq!(*points[0].as_bytes(), it.array("hiding_nonce_commitment"));
            assert_eq!(*points[1].as_bytes(), it.array("binding_nonce_commitment"));
            nonces.insert(index(it), pair);
            commitments.insert(index(it), points);
        }
        let message = group.hex("message");
        let task = Task { key: &key, threshold: 2, message: &message, commitments: &commitments };
        let mut shares = BTreeMap::new();
        for it in &signers {
            let secret = &secrets[&index(it)];
            let public = secret.public().unwrap();
            let signer = Signer { index: index(it), secret, public: &public };
            let share = sign(nonces.remove(&index(it)).unwrap(), &signer, &task).unwrap();
            assert_eq!(share.to_bytes(), it.array("sig_share"));
            shares.insert(index(it), share);
        }
        let signature = aggregate(&task, &shares).unwrap();
        assert_eq!(signature, group.array::<64>("sig"));
        let strict = ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes()).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(strict.verify_strict(&message, &signature).is_ok());
    }

    /// Our polynomials, interpolation and shares are those of RFC 9591, E.1.
    #[test]
    fn published_sharing() {
        let vectors = Vectors::read(include_str!("../tests/vectors/rfc9591_e1.txt"));
        let mut blocks = vectors.blocks();
        let group = blocks.next().unwrap();
        let secret = Secret::<Signing>::from_bytes(&group.array("group_secret_key")).unwrap();
        assert_eq!(*secret.public().unwrap().as_bytes(), group.array("group_public_key"));
        let slope = Secret::from_bytes(&group.array("share_polynomial_coefficient")).unwrap();
        let polynomial = Polynomial::<Signing>::from_coefficients([secret.duplicate(), slope]);
        let shares = blocks.map(|it| (index(it), it.array("participant_share")));
        let shares: BTreeMap<ShareIndex, [u8; 32]> = shares.collect();
        for (index, share) in &shares {
            assert_eq!(*polynomial.at(*index).to_bytes(), *share);
        }
        let chosen: Vec<ShareIndex> = shares.keys().copied().skip(1).collect();
        let weights = lagrange(chosen.iter().copied(), None);
        let sum: Scalar =
            chosen.iter().zip(weights).map(|(it, by)| polynomial.at(*it).scalar() * by).sum();
        assert_eq!(sum, *secret.scalar());
    }

    /// The library's published key generation: our commitments accept its proofs, and judge and add
    /// up its shares as it does.
    #[test]
    fn published_key_generation() {
        let vectors = Vectors::read(include_str!("../tests/vectors/frost_dkg.txt"));
        let mut blocks = vectors.blocks();
        let group = blocks.next().unwrap();
        let members: Vec<_> = blocks.collect();
        let commitments: BTreeMap<ShareIndex, Commitment<Signing>> = members
            .iter()
            .map(|it| {
                let coefficients = ["commitment_0", "commitment_1"]
                    .map(|name| Element::from_bytes(&it.array(name)).unwrap());
                (index(it), Commitment::new(coefficients.into()))
            })
            .collect();
        let sum = commitments.values().fold(<Signing as Suite>::Point::identity(), |sum, it| {
            sum + *it.constant().unwrap().point()
        });
        assert_eq!(sum.encode(), group.array("verifying_key"));
        for it in &members {
            let me = index(it);
            let secret = Secret::<Signing>::from_bytes(&it.array("signing_share")).unwrap();
            assert_eq!(*secret.public().unwrap().as_bytes(), it.array("verifying_share"));
            let proofs: BTreeMap<ShareIndex, DkgProof> =
                members.iter().map(|it| (index(it), it.array("proof_of_knowledge"))).collect();
            let mut rng = DualRng::from_seed([1; 32]);
            let (own, ..) = part1::<Signing>(me, 2, 3, &mut rng).unwrap();
            let published = commitments
                .iter()
                .filter(|other| *other.0 != me)
                .map(|(other, it)| (*other, (it, &proofs[other])))
                .collect();
            assert!(part2(own, &published).is_ok());
            for other in members.iter().map(|it| index(it)).filter(|it| *it != me) {
                let name = alloc::format!("share_from_{other}");
                // The file lists what each member sent, under whom it sent it to.
                let share = Secret::from_bytes(&it.array(&name)).unwrap();
                let fits = commitments[&other].verify(me, &share)
                    || commitments[&me].verify(other, &share);
                assert!(fits);
            }
        }
    }
}
