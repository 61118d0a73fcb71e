//! Polynomials over the scalars: secret ones, their public commitments, and interpolation.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use aura_protocol_core::{Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::{
    domain::Label,
    group::{Element, Point, Scalar, Secret, Suite},
    rng::DualRng,
};

/// The place of a holder in a sharing. The ledger assigns it; it is never a position in a list
/// (trap 11), and never zero, where the secret is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ShareIndex(NonZeroU16);

impl ShareIndex {
    /// The index of a number; none for zero.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    pub(crate) fn scalar(self) -> Scalar {
        Scalar::from(self.get())
    }
}

impl core::fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

/// A secret polynomial f; f(0) is what it shares.
pub struct Polynomial<S: Suite>(Vec<Secret<S>>);

impl<S: Suite> core::fmt::Debug for Polynomial<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Polynomial(<redacted>)")
    }
}

impl<S: Suite> Polynomial<S> {
    /// A random one of degree `threshold − 1` with f(0) = `secret`.
    pub fn random(secret: Secret<S>, threshold: u16, rng: &mut DualRng) -> Self {
        let rest = (1..threshold).map(|_| Secret::random(rng));
        Self(core::iter::once(secret).chain(rest).collect())
    }

    /// The one with these coefficients, the constant one first.
    #[cfg(test)]
    pub fn from_coefficients(coefficients: impl IntoIterator<Item = Secret<S>>) -> Self {
        Self(coefficients.into_iter().collect())
    }

    /// f(0).
    pub fn constant(&self) -> Secret<S> {
        self.0.first().map_or(Secret::new(Scalar::ZERO), Secret::duplicate)
    }

    /// f(`index`).
    pub fn at(&self, index: ShareIndex) -> Secret<S> {
        let x = index.scalar();
        let sum = self.0.iter().rev().fold(Scalar::ZERO, |sum, it| sum * x + it.scalar());
        Secret::new(sum)
    }

    /// The coefficients times G; none when one of them is zero.
    pub fn commit(&self) -> Option<Commitment<S>> {
        self.0.iter().map(Secret::public).collect::<Option<_>>().map(Commitment)
    }
}

/// The public image of a polynomial: its coefficients times G (Feldman).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment<S: Suite>(Vec<Element<S>>);

impl<S: Suite> Commitment<S> {
    #[cfg(test)]
    pub(crate) const fn new(coefficients: Vec<Element<S>>) -> Self {
        Self(coefficients)
    }

    /// The coefficients, the constant one first.
    #[must_use]
    pub fn coefficients(&self) -> &[Element<S>] {
        &self.0
    }

    /// f(0)·G, the public image of what is shared.
    #[must_use]
    pub fn constant(&self) -> Option<&Element<S>> {
        self.0.first()
    }

    /// f(`index`)·G.
    pub(crate) fn at(&self, index: ShareIndex) -> S::Point {
        let start = S::Point::identity();
        self.0.iter().rev().fold(start, |sum, it| sum.vartime_times(index.get()) + *it.point())
    }

    /// Whether `share` is f(`index`).
    pub(crate) fn verify(&self, index: ShareIndex, share: &Secret<S>) -> bool {
        S::Point::base(share.scalar()) == self.at(index)
    }

    /// Whether no coefficient has a small-order part.
    pub(crate) fn is_torsion_free(&self) -> bool {
        self.0.iter().all(|it| !it.point().has_torsion())
    }

    /// The name that sealed sub-shares are bound to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Label::Commitment.digest(&[&encode(self)])
    }

    /// `Σ weightᵢ·commitmentᵢ`, coefficient by coefficient; none when they differ in length or a sum
    /// is the neutral element.
    pub(crate) fn weighted_sum<'a>(
        terms: impl Iterator<Item = (Scalar, &'a Self)>,
    ) -> Option<Self> {
        let (weights, commitments): (Vec<Scalar>, Vec<&Self>) = terms.unzip();
        let length = commitments.first()?.0.len();
        if commitments.iter().any(|it| it.0.len() != length) {
            return None;
        }
        let sum = |k: usize| {
            let column: Vec<S::Point> =
                commitments.iter().filter_map(|it| it.0.get(k)).map(|it| *it.point()).collect();
            Element::new(S::Point::vartime_sum(&weights, &column))
        };
        (0..length).map(sum).collect::<Option<_>>().map(Self)
    }
}

impl<S: Suite> BorshSerialize for Commitment<S> {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<S: Suite> BorshDeserialize for Commitment<S> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Vec::deserialize_reader(reader).map(Self)
    }
}

/// The weights λ that make `Σ λᵢ·f(xᵢ) = f(at)` for every f of degree below the number of indices.
/// Indices are distinct, since they come from a set or a map; `at` is none of them, or zero.
pub fn lagrange(
    indices: impl Iterator<Item = ShareIndex> + Clone,
    at: Option<ShareIndex>,
) -> Vec<Scalar> {
    let at = at.map_or(Scalar::ZERO, ShareIndex::scalar);
    let weight = |own: ShareIndex| {
        let x = own.scalar();
        let others = indices.clone().filter(|it| *it != own).map(ShareIndex::scalar);
        let (up, down) = others.fold((Scalar::ONE, Scalar::ONE), |(up, down), other| {
            (up * (at - other), down * (x - other))
        });
        up * down.invert()
    };
    indices.clone().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::group::{Derivation, Signing};

    fn check<S: Suite>() {
        let mut rng = DualRng::from_seed([2; 32]);
        let secret = Secret::<S>::random(&mut rng);
        let polynomial = Polynomial::random(secret.duplicate(), 3, &mut rng);
        let commitment = polynomial.commit().unwrap();
        assert_eq!(commitment.constant(), secret.public().as_ref());
        let set: BTreeSet<ShareIndex> =
            [9, 2, 700].into_iter().filter_map(ShareIndex::new).collect();
        let weights = lagrange(set.iter().copied(), None);
        let shares = set.iter().map(|it| polynomial.at(*it));
        let sum = shares.zip(&weights).fold(Scalar::ZERO, |sum, (it, by)| sum + it.scalar() * by);
        assert_eq!(sum, *secret.scalar());
        let five = ShareIndex::new(5).unwrap();
        let weights = lagrange(set.iter().copied(), Some(five));
        let shares = set.iter().map(|it| polynomial.at(*it));
        let sum = shares.zip(&weights).fold(Scalar::ZERO, |sum, (it, by)| sum + it.scalar() * by);
        assert_eq!(sum, *polynomial.at(five).scalar());
        for index in set {
            assert!(commitment.verify(index, &polynomial.at(index)));
            assert!(!commitment.verify(five, &polynomial.at(index)));
        }
    }

    #[test]
    fn shares_match_their_commitment_and_interpolate() {
        check::<Signing>();
        check::<Derivation>();
    }

    /// Trap 11: weights go by index, not by position; the positions 1, 2, 3 give another secret.
    #[test]
    fn weights_go_by_index() {
        let indices = [2, 9, 700].map(|it| ShareIndex::new(it).unwrap());
        let positions = [1, 2, 3].map(|it| ShareIndex::new(it).unwrap());
        assert_ne!(lagrange(indices.into_iter(), None), lagrange(positions.into_iter(), None));
        assert_eq!(ShareIndex::new(0), None);
        assert!(borsh::from_slice::<ShareIndex>(&[0, 0]).is_err());
    }
}
