//! A sharing: who holds a share of a key, and the share that one device holds.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use aura_protocol_core::{AccountId, Digest, decode, encode, limits::DEVICES_MAX};
use borsh::{BorshDeserialize, BorshSerialize, io};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    domain::Label,
    group::{Element, Point as _, Secret, Signing, Suite},
    keys::PublicKey,
    message::Message,
    polynomial::ShareIndex,
    rng::DualRng,
};

/// Most holders of one sharing: as many as an account may have devices.
pub const HOLDERS_MAX: usize = DEVICES_MAX;
/// Longest encoding of a sharing, in bytes.
const SHARING_BYTES_MAX: usize = 128 + HOLDERS_MAX * 34;

/// Who holds a sharing. Both share the same key, with independent polynomials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Holders {
    /// The account's own devices.
    Devices,
    /// Its guardians, for recovery.
    Guardians,
}

/// Why a set of holders and a threshold are no sharing, or a share does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SharingError {
    /// Threshold and number of holders do not go together.
    #[error(
        "{threshold} of {holders} is no sharing: 1 of 1, or 2 to N of N with N at most {HOLDERS_MAX}"
    )]
    Size {
        /// Shares needed.
        threshold: u16,
        /// Holders there are.
        holders: usize,
    },
    /// A point has a small-order part.
    #[error("a public share has a small-order part")]
    Torsion,
    /// No holder stands at this index.
    #[error("nobody holds share {0} of this sharing")]
    NotAHolder(ShareIndex),
    /// The share belongs to another sharing: an older one, or another account's.
    #[error("the share is of sharing {found}, not of {expected}: load the current one")]
    OtherSharing {
        /// The sharing asked for.
        expected: Digest,
        /// The sharing that the share is of.
        found: Digest,
    },
    /// The secret does not match the public share.
    #[error("share {0} does not match its public share")]
    Mismatch(ShareIndex),
    /// Bytes are no share.
    #[error("the bytes are no share")]
    Malformed,
}

/// Checks that `threshold` of `holders` can be shared. FROST needs two signers (trap 7), so a single
/// holder is the only place for a threshold of one; with more, each would hold the whole key.
///
/// # Errors
/// [`SharingError::Size`].
pub fn check_size(threshold: u16, holders: usize) -> Result<(), SharingError> {
    let fits = usize::from(threshold) <= holders && holders <= HOLDERS_MAX;
    let alone = threshold == 1 && holders == 1;
    if fits && (alone || 2 <= threshold) {
        return Ok(());
    }
    Err(SharingError::Size { threshold, holders })
}

/// The public part of a sharing. Every replica computes the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct Sharing<S: Suite> {
    facts: Facts<S>,
    id: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Facts<S: Suite> {
    account: AccountId,
    holders: Holders,
    epoch: u64,
    threshold: u16,
    #[borsh(bound(serialize = "", deserialize = ""))]
    key: Element<S>,
    #[borsh(bound(serialize = "", deserialize = ""))]
    shares: BTreeMap<ShareIndex, Element<S>>,
}

impl<S: Suite> Message for Sharing<S> {
    const BYTES_MAX: usize = SHARING_BYTES_MAX;
}

/// For whom a sharing is made, and which one it is in their row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharingContext {
    /// The account.
    pub account: AccountId,
    /// Who holds it.
    pub holders: Holders,
    /// Counts sharings of this account; each resharing raises it.
    pub epoch: u64,
}

impl<S: Suite> Sharing<S> {
    pub(crate) fn new(
        context: SharingContext,
        threshold: u16,
        key: Element<S>,
        shares: BTreeMap<ShareIndex, Element<S>>,
    ) -> Result<Self, SharingError> {
        check_size(threshold, shares.len())?;
        let SharingContext { account, holders, epoch } = context;
        let facts = Facts { account, holders, epoch, threshold, key, shares };
        let id = Label::Sharing.digest(&[&[S::KEY as u8], &encode(&facts)]);
        Ok(Self { facts, id })
    }

    /// Its name: two sharings with one name are the same.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// For whom it is.
    #[must_use]
    pub const fn context(&self) -> SharingContext {
        let Facts { account, holders, epoch, .. } = self.facts;
        SharingContext { account, holders, epoch }
    }

    /// Shares needed.
    #[must_use]
    pub const fn threshold(&self) -> u16 {
        self.facts.threshold
    }

    /// The public key that is shared. No resharing changes it.
    #[must_use]
    pub const fn key(&self) -> &Element<S> {
        &self.facts.key
    }

    /// The public share of each holder.
    #[must_use]
    pub const fn shares(&self) -> &BTreeMap<ShareIndex, Element<S>> {
        &self.facts.shares
    }

    /// The public share at `index`.
    ///
    /// # Errors
    /// [`SharingError::NotAHolder`].
    pub fn share(&self, index: ShareIndex) -> Result<&Element<S>, SharingError> {
        self.facts.shares.get(&index).ok_or(SharingError::NotAHolder(index))
    }
}

impl Sharing<Signing> {
    /// The group key, as any Ed25519 verifier knows it.
    ///
    /// # Errors
    /// [`SharingError::Torsion`]; sharings made here never have it.
    pub fn public_key(&self) -> Result<PublicKey, SharingError> {
        PublicKey::from_bytes(self.key().as_bytes()).map_err(|_| SharingError::Torsion)
    }
}

impl<S: Suite> fmt::Debug for Sharing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { holders, epoch, threshold, .. } = self.facts;
        let n = self.facts.shares.len();
        write!(f, "Sharing:{} ({threshold} of {n} {holders:?}, epoch {epoch})", self.id.short())
    }
}

impl<S: Suite> BorshSerialize for Sharing<S> {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.facts.serialize(writer)
    }
}

impl<S: Suite> BorshDeserialize for Sharing<S> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let Facts { account, holders, epoch, threshold, key, shares } =
            Facts::<S>::deserialize_reader(reader)?;
        let invalid = |error: SharingError| {
            io::Error::new(io::ErrorKind::InvalidData, alloc::format!("sharing: {error}"))
        };
        check_size(threshold, shares.len()).map_err(invalid)?;
        if shares.values().chain([&key]).any(|it| it.point().has_torsion()) {
            return Err(invalid(SharingError::Torsion));
        }
        let context = SharingContext { account, holders, epoch };
        Self::new(context, threshold, key, shares).map_err(invalid)
    }
}

/// One device's share of a key. Neither cloned nor printed, and wiped when dropped (INV-C3).
///
/// It knows the sharing that it is of, and every use names one: a share of an older sharing is
/// refused before it is used, since its output would put the blame on an honest device (trap 8).
pub struct KeyShare<S: Suite> {
    sharing: Digest,
    index: ShareIndex,
    secret: Secret<S>,
}

impl<S: Suite> KeyShare<S> {
    /// The share `secret` of `sharing` at `index`. The public share is computed, never taken on trust
    /// (trap 5).
    pub(crate) fn new(
        sharing: &Sharing<S>,
        index: ShareIndex,
        secret: Secret<S>,
    ) -> Result<Self, SharingError> {
        if secret.public().as_ref() != Some(sharing.share(index)?) {
            return Err(SharingError::Mismatch(index));
        }
        Ok(Self { sharing: sharing.id(), index, secret })
    }

    /// A key of a device that is alone: the whole key is its one share, at index `index`. It grows by
    /// resharing, with the same public key.
    ///
    /// # Errors
    /// None in practice: one of one is a sharing.
    pub fn sole(
        account: AccountId,
        index: ShareIndex,
        rng: &mut DualRng,
    ) -> Result<(Self, Sharing<S>), SharingError> {
        let secret = Secret::random(rng);
        let key = secret.public().ok_or(SharingError::Mismatch(index))?;
        let context = SharingContext { account, holders: Holders::Devices, epoch: 0 };
        let sharing = Sharing::new(context, 1, key, [(index, key)].into())?;
        Ok((Self::new(&sharing, index, secret)?, sharing))
    }

    /// The name of its sharing.
    #[must_use]
    pub const fn sharing(&self) -> Digest {
        self.sharing
    }

    /// Its place.
    #[must_use]
    pub const fn index(&self) -> ShareIndex {
        self.index
    }

    /// The secret, for use within `sharing` alone.
    pub(crate) fn secret_in(&self, sharing: &Sharing<S>) -> Result<&Secret<S>, SharingError> {
        if self.sharing != sharing.id() {
            return Err(SharingError::OtherSharing { expected: sharing.id(), found: self.sharing });
        }
        Ok(&self.secret)
    }

    /// The share as bytes, for storage under the owner's protection: seal them.
    #[must_use]
    pub fn danger_bytes(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.secret.to_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(66));
        bytes.extend_from_slice(self.sharing.as_bytes());
        bytes.extend_from_slice(&self.index.get().to_le_bytes());
        bytes.extend_from_slice(secret.as_slice());
        bytes
    }

    /// The share that [`Self::danger_bytes`] wrote, checked against its sharing.
    ///
    /// # Errors
    /// [`SharingError`]: malformed, of another sharing, or not matching its public share.
    pub fn from_bytes(bytes: &[u8], sharing: &Sharing<S>) -> Result<Self, SharingError> {
        let (id, index, secret) = decode::<(Digest, ShareIndex, [u8; 32])>(bytes, 66)
            .map_err(|_| SharingError::Malformed)?;
        let secret = Zeroizing::new(secret);
        if id != sharing.id() {
            return Err(SharingError::OtherSharing { expected: sharing.id(), found: id });
        }
        let secret = Secret::from_bytes(&secret).ok_or(SharingError::Malformed)?;
        Self::new(sharing, index, secret)
    }
}

impl<S: Suite> fmt::Debug for KeyShare<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyShare({} of {}, <redacted>)", self.index, self.sharing.short())
    }
}
