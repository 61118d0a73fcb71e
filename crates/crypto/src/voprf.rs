//! The verifiable oblivious pseudorandom function of RFC 9497, ristretto255 with SHA-512, as far as
//! one input at a time needs it.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::{
    group::{Derivation, Element, Point as _, PublicScalar, Scalar, Suite, ristretto_from_uniform},
    hash,
};

/// A point of the group.
pub type Point = <Derivation as Suite>::Point;

/// What separates this mode and suite from all others (section 3.1).
const CONTEXT: &[u8] = b"OPRFV1-\x01-ristretto255-SHA512";

/// The point of an input.
pub fn hash_to_group(input: &[u8]) -> Point {
    ristretto_from_uniform(&hash::expand(&[input], &[b"HashToGroup-", CONTEXT]))
}

fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    let uniform = hash::expand(parts, &[b"HashToScalar-", CONTEXT]);
    Scalar::from_bytes_mod_order_wide(&uniform)
}

/// `part` with its length before it, as the transcript of section 2.2 wants it.
fn prefixed(part: &[u8]) -> Vec<u8> {
    let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(part);
    bytes
}

/// A proof that two pairs of points have the same logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DleqProof {
    challenge: PublicScalar,
    response: PublicScalar,
}

/// What is proven: that one k makes `public` of the generator and `evaluated` of `blinded`.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// k·G.
    pub public: &'a Element<Derivation>,
    /// The point that was to be evaluated.
    pub blinded: &'a Element<Derivation>,
    /// k times that point.
    pub evaluated: &'a Element<Derivation>,
}

impl Evaluation<'_> {
    /// The weight of the one pair (section 2.2.1, `ComputeComposites` with one element).
    fn weight(&self) -> Scalar {
        let seed_dst = [b"Seed-", CONTEXT].concat();
        let mut seed = Sha512::new();
        seed.update(prefixed(self.public.as_bytes()));
        seed.update(prefixed(&seed_dst));
        let seed: [u8; 64] = seed.finalize().into();
        hash_to_scalar(&[
            &prefixed(&seed),
            &0_u16.to_be_bytes(),
            &prefixed(self.blinded.as_bytes()),
            &prefixed(self.evaluated.as_bytes()),
            b"Composite",
        ])
    }

    fn challenge(&self, points: [&Point; 4]) -> Scalar {
        let [m, z, t2, t3] = points.map(|it| prefixed(&it.encode()));
        hash_to_scalar(&[&prefixed(self.public.as_bytes()), &m, &z, &t2, &t3, b"Challenge"])
    }

    /// `GenerateProof` with k and the nonce r.
    pub fn prove(&self, k: &Scalar, r: &Scalar) -> DleqProof {
        let m = *self.blinded.point() * self.weight();
        let z = m * k;
        let challenge = self.challenge([&m, &z, &Point::base(r), &(m * r)]);
        DleqProof { challenge: PublicScalar(challenge), response: PublicScalar(r - challenge * k) }
    }

    /// `VerifyProof`.
    pub fn verify(&self, proof: &DleqProof) -> bool {
        let (c, s) = (proof.challenge.0, proof.response.0);
        let weight = self.weight();
        let (blinded, evaluated) = (*self.blinded.point(), *self.evaluated.point());
        let m = Point::vartime_sum(&[weight], &[blinded]);
        let z = Point::vartime_sum(&[weight], &[evaluated]);
        let t2 = Point::vartime_with_base(&c, self.public.point(), &s);
        let t3 = Point::vartime_sum(&[s, c], &[m, z]);
        self.challenge([&m, &z, &t2, &t3]) == c
    }
}

/// The output of the function for `input`, from its unblinded evaluation (section 3.3.2).
pub fn finalize(input: &[u8], unblinded: &Point) -> Zeroizing<[u8; 64]> {
    let mut hash = Sha512::new();
    hash.update(prefixed(input));
    hash.update(prefixed(&unblinded.encode()));
    hash.update(b"Finalize");
    Zeroizing::new(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        group::Secret,
        polynomial::{Polynomial, ShareIndex, lagrange},
        rng::DualRng,
        vectors::Vectors,
    };

    fn element(bytes: &[u8; 32]) -> Element<Derivation> {
        Element::from_bytes(bytes).unwrap()
    }

    fn scalar(bytes: [u8; 32]) -> Scalar {
        *Secret::<Derivation>::from_bytes(&bytes).unwrap().scalar()
    }

    /// RFC 9497, A.1.2: blinding, evaluation, the proof's bytes, verification and the output; the
    /// output also from every subset of three of five shares of the key.
    #[test]
    fn published_vectors() {
        let vectors = Vectors::read(include_str!("../tests/vectors/rfc9497_a1_2.txt"));
        let mut seen = 0;
        for v in vectors.blocks() {
            let (key, blind) = (scalar(v.array("skSm")), scalar(v.array("Blind")));
            let input = v.hex("Input");
            let public = element(&v.array("pkSm"));
            assert_eq!(Point::base(&key).encode(), v.array("pkSm"));
            let blinded = element(&v.array("BlindedElement"));
            assert_eq!((hash_to_group(&input) * blind).encode(), *blinded.as_bytes());
            let evaluated = element(&v.array("EvaluationElement"));
            assert_eq!((*blinded.point() * key).encode(), *evaluated.as_bytes());
            let statement =
                Evaluation { public: &public, blinded: &blinded, evaluated: &evaluated };
            let proof = statement.prove(&key, &scalar(v.array("ProofRandomScalar")));
            assert_eq!(borsh::to_vec(&proof).unwrap(), v.hex("Proof"));
            assert!(statement.verify(&proof));
            let wrong = Evaluation { evaluated: &blinded, ..statement };
            assert!(!wrong.verify(&proof));
            let output: [u8; 64] = v.array("Output");
            assert_eq!(*finalize(&input, &(*evaluated.point() * blind.invert())), output);
            seen += every_subset(&key, &blind, &input, &blinded, &output);
        }
        assert_eq!(seen, 20);
    }

    fn every_subset(
        key: &Scalar,
        blind: &Scalar,
        input: &[u8],
        blinded: &Element<Derivation>,
        output: &[u8; 64],
    ) -> usize {
        let mut rng = DualRng::from_seed([4; 32]);
        let polynomial = Polynomial::<Derivation>::random(Secret::new(*key), 3, &mut rng);
        let indices: Vec<ShareIndex> =
            [3, 5, 8, 100, 9].iter().filter_map(|it| ShareIndex::new(*it)).collect();
        let subsets = (0_u32..32).filter(|it| it.count_ones() == 3);
        subsets
            .map(|mask| {
                let chosen = indices.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
                let chosen: Vec<ShareIndex> = chosen.map(|it| *it.1).collect();
                let weights = lagrange(chosen.iter().copied(), None);
                let points: Vec<Point> = chosen
                    .iter()
                    .map(|it| *blinded.point() * polynomial.at(*it).scalar())
                    .collect();
                let sum = Point::vartime_sum(&weights, &points);
                assert_eq!(*finalize(input, &(sum * blind.invert())), *output);
            })
            .count()
    }
}
