//! The library that makes threshold signatures, behind bytes.
//!
//! The only file that names the `frost_*` crates. They use an older curve crate than ours, so points
//! and scalars cross as canonical bytes. What the library encodes by itself is never sent, stored or
//! hashed: its decoder accepts trailing bytes.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use frost_core::{
    self as library, CheaterDetection, Identifier,
    keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare},
    round1::{NonceCommitment, SigningCommitments, SigningNonces},
    round2::SignatureShare,
};

use crate::{
    group::{Element, PublicScalar, Secret, Signing},
    polynomial::ShareIndex,
    rng::DualRng,
};

type Ed = frost_ed25519::Ed25519Sha512;

/// What the library refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// This participant's points have a small-order part.
    Torsion(ShareIndex),
    /// Some share does not match its commitment.
    BadShare,
    /// The inputs do not belong together: the caller's fault.
    Misuse,
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
    let nonces = SigningNonces::new(&signing_share(secret)?, rng);
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
    // Its own points need no check.
    let own = Some((signer.index, *nonces.0.commitments()));
    let package = task.package(own)?;
    let share = signing_share(signer.secret)?;
    let key = KeyPackage::new(
        identifier(signer.index)?,
        share,
        VerifyingShare::from(share),
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
    let signature = library::aggregate_custom(&task.package(None)?, &shares, &public, detection)
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
    let verifying =
        signers.map(|(index, public)| Ok((identifier(*index)?, verifying_share(public)?)));
    let verifying = verifying.collect::<Result<BTreeMap<_, _>, Refusal>>()?;
    let public = PublicKeyPackage::new(verifying, task.verifying_key()?, Some(task.threshold));
    let detection = CheaterDetection::AllCheaters;
    match library::aggregate_custom(
        &task.package(None)?,
        &signature_shares(shares)?,
        &public,
        detection,
    ) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => {
            let guilty = error.culprits();
            let is_guilty =
                |index: &ShareIndex| identifier(*index).is_ok_and(|it| guilty.contains(&it));
            Ok(shares.keys().copied().filter(is_guilty).collect())
        }
    }
}

impl Task<'_> {
    fn package(
        &self,
        own: Option<(ShareIndex, SigningCommitments<Ed>)>,
    ) -> Result<library::SigningPackage<Ed>, Refusal> {
        let commitments = self.commitments.iter().map(|(&index, [hiding, binding])| {
            if let Some((me, points)) = own
                && me == index
            {
                return Ok((identifier(index)?, points));
            }
            let point = |it: &Element<Signing>| {
                NonceCommitment::deserialize(it.as_bytes()).map_err(|_| Refusal::Torsion(index))
            };
            let points = SigningCommitments::new(point(hiding)?, point(binding)?);
            Ok((identifier(index)?, points))
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
        Ok((identifier(*index)?, share))
    };
    shares.iter().map(share).collect()
}

fn identifier(index: ShareIndex) -> Result<Identifier<Ed>, Refusal> {
    Identifier::try_from(index.get()).map_err(|_| Refusal::Misuse)
}

fn signing_share(secret: &Secret<Signing>) -> Result<SigningShare<Ed>, Refusal> {
    SigningShare::deserialize(secret.to_bytes().as_slice()).map_err(|_| Refusal::Misuse)
}

fn verifying_share(public: &Element<Signing>) -> Result<VerifyingShare<Ed>, Refusal> {
    VerifyingShare::deserialize(public.as_bytes()).map_err(|_| Refusal::Misuse)
}

fn element(bytes: &[u8]) -> Option<Element<Signing>> {
    Element::from_bytes(bytes.try_into().ok()?)
}

fn public_scalar(bytes: &[u8]) -> Option<PublicScalar> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    Option::from(crate::group::Scalar::from_canonical_bytes(bytes)).map(PublicScalar)
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
        group::Scalar,
        polynomial::{Commitment, Polynomial, lagrange},
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
            let secret = signing_share(&secrets[&index(it)]).unwrap();
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
            let signer = Signer { index: index(it), secret };
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

    /// The key generation that the library publishes: from the same commitments ours leads to the same
    /// key and public shares, and accepts the same shares.
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
        let terms = commitments.values().map(|it| (Scalar::ONE, it));
        let sum = Commitment::weighted_sum(terms).unwrap();
        assert_eq!(*sum.constant().unwrap().as_bytes(), group.array("verifying_key"));
        for it in &members {
            let me = index(it);
            let secret = Secret::<Signing>::from_bytes(&it.array("signing_share")).unwrap();
            assert_eq!(*secret.public().unwrap().as_bytes(), it.array("verifying_share"));
            assert!(sum.verify(me, &secret));
            for other in members.iter().map(|it| index(it)).filter(|it| *it != me) {
                let name = alloc::format!("share_from_{other}");
                let share = Secret::from_bytes(&it.array(&name)).unwrap();
                assert!(commitments[&other].verify(me, &share), "{other} to {me}");
            }
        }
    }
}
