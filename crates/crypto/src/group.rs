//! The two groups of prime order that secrets are shared in: one for each kind of account key.
//!
//! The only file that names the curve crate. Everything else is written once, for both.

use core::{
    fmt::{self, Debug},
    marker::PhantomData,
    ops::{Add, Mul, Neg, Sub},
};

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize, io};
pub use curve25519_dalek::Scalar;
use curve25519_dalek::{
    constants::{ED25519_BASEPOINT_POINT, RISTRETTO_BASEPOINT_POINT},
    edwards::{CompressedEdwardsY, EdwardsPoint},
    ristretto::{CompressedRistretto, RistrettoPoint},
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::rng::DualRng;

/// Which of an account's two keys: they are never one, since the security of a signing key that is
/// also an oracle for derivations is unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum KeyKind {
    /// The group key, which signs.
    Signing,
    /// The root that keys are derived from.
    Derivation,
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Signing {}
    impl Sealed for super::Derivation {}
}

/// A kind of account key, and the group that it lives in.
pub trait Suite:
    sealed::Sealed + Debug + Clone + Copy + PartialEq + Eq + PartialOrd + Ord + 'static
{
    /// Which key.
    const KEY: KeyKind;
    /// Points of its group.
    #[doc(hidden)]
    type Point: Point;
}

/// The group key: Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signing {}

/// The root of derived keys: ristretto255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Derivation {}

impl Suite for Signing {
    const KEY: KeyKind = KeyKind::Signing;
    type Point = EdwardsPoint;
}

impl Suite for Derivation {
    const KEY: KeyKind = KeyKind::Derivation;
    type Point = RistrettoPoint;
}

/// What is asked of a point. Operations named `vartime` are for public values alone.
pub trait Point:
    Copy
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Neg<Output = Self>
    + for<'a> Mul<&'a Scalar, Output = Self>
{
    /// The generator.
    const BASE: Self;
    /// The neutral element.
    fn identity() -> Self;
    /// `k·G` from a table, in constant time.
    fn base(k: &Scalar) -> Self;
    /// The canonical encoding.
    fn encode(&self) -> [u8; 32];
    /// The point of a canonical encoding, if it is one and not the neutral element. It may have a
    /// small-order part, see [`Self::has_torsion`].
    fn decode(bytes: &[u8; 32]) -> Option<Self>;
    /// Whether it has a small-order part.
    fn has_torsion(&self) -> bool;
    /// `Σ kᵢ·Pᵢ`.
    fn vartime_sum(scalars: &[Scalar], points: &[Self]) -> Self;
    /// `a·A + b·G`.
    fn vartime_with_base(a: &Scalar, point: &Self, b: &Scalar) -> Self;

    /// `k·P` for a small public `k`.
    fn vartime_times(self, k: u16) -> Self {
        let mut sum = Self::identity();
        for bit in (0..u16::BITS - k.leading_zeros()).rev() {
            sum = sum + sum;
            if k >> bit & 1 == 1 {
                sum = sum + self;
            }
        }
        sum
    }
}

impl Point for EdwardsPoint {
    const BASE: Self = ED25519_BASEPOINT_POINT;

    fn identity() -> Self {
        <Self as curve25519_dalek::traits::Identity>::identity()
    }

    fn base(k: &Scalar) -> Self {
        Self::mul_base(k)
    }

    fn encode(&self) -> [u8; 32] {
        self.compress().to_bytes()
    }

    fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let point = CompressedEdwardsY(*bytes).decompress()?;
        (is_reduced(bytes) && !point.is_identity()).then_some(point)
    }

    fn has_torsion(&self) -> bool {
        !self.is_torsion_free()
    }

    fn vartime_sum(scalars: &[Scalar], points: &[Self]) -> Self {
        Self::vartime_multiscalar_mul(scalars, points)
    }

    fn vartime_with_base(a: &Scalar, point: &Self, b: &Scalar) -> Self {
        Self::vartime_double_scalar_mul_basepoint(a, point, b)
    }
}

/// Whether an Edwards encoding holds a y below p = 2²⁵⁵ − 19. The library accepts the few above.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|it| *it != 0xff)
}

impl Point for RistrettoPoint {
    const BASE: Self = RISTRETTO_BASEPOINT_POINT;

    fn identity() -> Self {
        <Self as curve25519_dalek::traits::Identity>::identity()
    }

    fn base(k: &Scalar) -> Self {
        Self::mul_base(k)
    }

    fn encode(&self) -> [u8; 32] {
        self.compress().to_bytes()
    }

    fn decode(bytes: &[u8; 32]) -> Option<Self> {
        CompressedRistretto(*bytes).decompress().filter(|it| !it.is_identity())
    }

    fn has_torsion(&self) -> bool {
        false
    }

    fn vartime_sum(scalars: &[Scalar], points: &[Self]) -> Self {
        Self::vartime_multiscalar_mul(scalars, points)
    }

    fn vartime_with_base(a: &Scalar, point: &Self, b: &Scalar) -> Self {
        Self::vartime_double_scalar_mul_basepoint(a, point, b)
    }
}

/// A ristretto255 point from 64 uniform bytes.
pub fn ristretto_from_uniform(bytes: &[u8; 64]) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(bytes)
}

/// A point as it stands in messages: canonical, not the neutral element.
///
/// A small-order part is looked for where points are put together, once for all of them, and not
/// here: that check costs as much as a multiplication.
#[derive(Clone, Copy)]
pub struct Element<S: Suite> {
    point: S::Point,
    bytes: [u8; 32],
}

impl<S: Suite> Element<S> {
    /// The element of a point; none for the neutral one.
    pub(crate) fn new(point: S::Point) -> Option<Self> {
        (point != S::Point::identity()).then(|| Self { bytes: point.encode(), point })
    }

    /// Parses 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        S::Point::decode(bytes).map(|point| Self { point, bytes: *bytes })
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(crate) const fn point(&self) -> &S::Point {
        &self.point
    }
}

impl<S: Suite> PartialEq for Element<S> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<S: Suite> Eq for Element<S> {}

impl<S: Suite> Debug for Element<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element:{}", Digest::from_bytes(self.bytes).short())
    }
}

impl<S: Suite> BorshSerialize for Element<S> {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.bytes.serialize(writer)
    }
}

impl<S: Suite> BorshDeserialize for Element<S> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = <[u8; 32]>::deserialize_reader(reader)?;
        Self::from_bytes(&bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "not the encoding of a group element")
        })
    }
}

/// A scalar that may be known to all, such as a proof's response. Decodes only when reduced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicScalar(pub(crate) Scalar);

impl PublicScalar {
    pub(crate) const fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }
}

impl Debug for PublicScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicScalar:{}", Digest::from_bytes(self.0.to_bytes()).short())
    }
}

impl BorshSerialize for PublicScalar {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.to_bytes().serialize(writer)
    }
}

impl BorshDeserialize for PublicScalar {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = <[u8; 32]>::deserialize_reader(reader)?;
        Option::from(Scalar::from_canonical_bytes(bytes))
            .map(Self)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "scalar is not reduced"))
    }
}

/// A secret scalar of a suite. Wiped when dropped, never printed (INV-C3).
pub struct Secret<S> {
    scalar: Scalar,
    suite: PhantomData<S>,
}

impl<S: Suite> Secret<S> {
    pub(crate) const fn new(scalar: Scalar) -> Self {
        Self { scalar, suite: PhantomData }
    }

    /// A random one, never zero.
    pub(crate) fn random(rng: &mut DualRng) -> Self {
        loop {
            let scalar = Scalar::from_bytes_mod_order_wide(&rng.bytes::<64>());
            if scalar != Scalar::ZERO {
                return Self::new(scalar);
            }
        }
    }

    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    /// `s·G`; none when the secret is zero.
    pub(crate) fn public(&self) -> Option<Element<S>> {
        Element::new(S::Point::base(&self.scalar))
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.scalar.to_bytes())
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Option::from(Scalar::from_canonical_bytes(*bytes)).map(Self::new)
    }

    pub(crate) const fn duplicate(&self) -> Self {
        Self::new(self.scalar)
    }
}

impl<S> Drop for Secret<S> {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl<S> Debug for Secret<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_multiples() {
        for k in [0, 1, 2, 3, 77, 65535] {
            let expected = EdwardsPoint::base(&Scalar::from(k));
            assert_eq!(EdwardsPoint::BASE.vartime_times(k), expected, "{k}");
        }
    }

    /// INV-C5: one encoding per element; the neutral element is none.
    #[test]
    fn odd_encodings_are_refused() {
        let mut second = [0xff; 32];
        second[31] = 0x7f;
        // p + 3: a second encoding of a y that is on the curve.
        second[0] = 0xed + 3;
        assert!(CompressedEdwardsY(second).decompress().is_some());
        assert!(Element::<Signing>::from_bytes(&second).is_none());
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(Element::<Signing>::from_bytes(&neutral).is_none());
        assert!(Element::<Derivation>::from_bytes(&[0; 32]).is_none());
        assert!(Element::<Derivation>::from_bytes(&[0xff; 32]).is_none());
        let order = {
            let mut bytes = (Scalar::ZERO - Scalar::ONE).to_bytes();
            bytes[0] += 1;
            bytes
        };
        assert!(borsh::from_slice::<PublicScalar>(&order).is_err());
        assert!(Secret::<Signing>::from_bytes(&order).is_none());
    }
}
