//! Group signatures: two rounds, any t signers, an ordinary Ed25519 signature.
//!
//! A nonce that signs twice gives the share away after three signatures (trap 1). So [`Nonces`] can be
//! neither cloned nor stored, signing takes them, and before it does it writes down, durably, that
//! they are spent. A signing session that stalls or crashes begins anew with new nonces (trap 12).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{convert::Infallible, fmt};

use aura_protocol_core::{AccountId, Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{
    blame::{Blame, Fault},
    domain::{Context, Label},
    frost::{self, NoncePair, NoncePoints, Refusal},
    group::{PublicScalar, Signing},
    keys::{PublicKey, Signature, SignatureError},
    message::Message,
    polynomial::ShareIndex,
    rng::DualRng,
    sharing::{HOLDERS_MAX, KeyShare, Sharing, SharingError},
};

/// Largest body that is signed in this way, in bytes. Larger things are signed by their hash.
pub const SIGNED_BYTES_MAX: usize = 4096;

/// The name of a pair of nonces, for the list of those that are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct NonceId(Digest);

/// Where a device writes down which nonces it has used.
///
/// The record outlives crashes and is never part of a copy, fork or restored snapshot that could go
/// on signing.
pub trait SpentNonces {
    /// Why it could not be written.
    type Error;

    /// Writes down, durably, that these nonces are spent. `false` when they already were.
    ///
    /// # Errors
    /// When it is not certain to outlive a crash; then nothing is signed.
    fn spend(&mut self, id: NonceId) -> Result<bool, Self::Error>;
}

/// A record in memory, for simulations and for hosts that have already written the id down.
impl SpentNonces for BTreeSet<NonceId> {
    type Error = Infallible;

    fn spend(&mut self, id: NonceId) -> Result<bool, Infallible> {
        Ok(self.insert(id))
    }
}

/// A pair of secret nonces for one signature. Not cloned, not stored, not printed.
pub struct Nonces {
    pair: NoncePair,
    commitment: NonceCommitment,
}

/// What a signer publishes in the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NonceCommitment {
    /// The signer.
    pub from: ShareIndex,
    /// The sharing that its share is of.
    pub sharing: Digest,
    points: NoncePoints,
}

/// What is signed and by whom: everybody signs the same one, or nothing comes of it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SigningTask {
    domain: u16,
    account: AccountId,
    epoch: u64,
    body: Vec<u8>,
    sharing: Digest,
    commitments: BTreeMap<ShareIndex, NoncePoints>,
}

/// What a signer publishes in the second round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignatureShare {
    /// The signer.
    pub from: ShareIndex,
    share: PublicScalar,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignError<E> {
    /// The share, or a signer, does not belong to the sharing.
    #[error("signing: {0}")]
    Sharing(#[from] SharingError),
    /// The key is of one device: it signs alone, with [`crate::sole::sign`].
    #[error("signing: the key is of one device, which signs alone")]
    Sole,
    /// Fewer signers than needed.
    #[error("signing: {found} of {needed} signers")]
    TooFew {
        /// Signers there are.
        found: usize,
        /// Signers needed.
        needed: u16,
    },
    /// The body is too large.
    #[error("signing: {found} bytes exceed the limit of {SIGNED_BYTES_MAX}: sign their hash")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// A participant broke the rules: choose signers without it.
    #[error("signing: {0}")]
    Blame(#[from] Blame),
    /// The task does not name these nonces for this signer. They are spent all the same.
    #[error("signing: the task names other nonces than these; they are spent, begin anew")]
    OtherNonces,
    /// These nonces have been used before, or the record of spent ones cannot be trusted.
    #[error("signing: these nonces were used before; begin anew with new ones")]
    AlreadySpent,
    /// That they are spent could not be written down, so nothing was signed.
    #[error("signing: spent nonces cannot be recorded; begin anew when they can")]
    Record(E),
}

/// Why shares make no signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// A share of this signer is missing.
    #[error("aggregation: signer {0} has not sent its share")]
    Missing(ShareIndex),
    /// These shares do not fit: sign anew without them.
    #[error("aggregation: {} signature share(s) do not fit", .0.len())]
    Blame(Vec<Blame>),
    /// The task belongs to another sharing.
    #[error("aggregation: {0}")]
    Sharing(#[from] SharingError),
    /// Shares from somebody who is no signer, or a task that makes no signature: the caller's fault.
    #[error("aggregation: the parts do not belong together")]
    Misuse,
}

impl Message for NonceCommitment {
    const BYTES_MAX: usize = 2 + 32 + 64;
}

impl Message for SigningTask {
    const BYTES_MAX: usize =
        2 + 32 + 8 + (4 + SIGNED_BYTES_MAX) + 32 + (4 + HOLDERS_MAX * (2 + 64));
}

impl Message for SignatureShare {
    const BYTES_MAX: usize = 2 + 32;
}

/// The first round: fresh nonces for one signature with `share`.
///
/// # Errors
/// [`SignError::Sharing`] for a share of another sharing, [`SignError::Sole`] for a key of one device.
pub fn commit(
    share: &KeyShare<Signing>,
    sharing: &Sharing<Signing>,
    rng: &mut DualRng,
) -> Result<(Nonces, NonceCommitment), SignError<Infallible>> {
    let secret = share.secret_in(sharing)?;
    if sharing.threshold() < 2 {
        return Err(SignError::Sole);
    }
    let (pair, points) = frost::commit(secret, rng).map_err(|_| SignError::OtherNonces)?;
    let commitment = NonceCommitment { from: share.index(), sharing: sharing.id(), points };
    Ok((Nonces { pair, commitment }, commitment))
}

impl NonceCommitment {
    /// The name of these nonces.
    #[must_use]
    pub fn id(&self) -> NonceId {
        NonceId(Label::NonceId.digest(&[&encode(self)]))
    }
}

impl SigningTask {
    /// Who signs what: the signers are those who committed.
    ///
    /// # Errors
    /// [`SignError::TooFew`]; [`SignError::Sharing`] for a signer that holds no share of `sharing`.
    pub fn new(
        context: &Context,
        body: Vec<u8>,
        sharing: &Sharing<Signing>,
        commitments: impl IntoIterator<Item = NonceCommitment>,
    ) -> Result<Self, SignError<Infallible>> {
        let mut points = BTreeMap::new();
        for it in commitments {
            sharing.share(it.from)?;
            if it.sharing != sharing.id() {
                let (expected, found) = (sharing.id(), it.sharing);
                return Err(SharingError::OtherSharing { expected, found }.into());
            }
            points.insert(it.from, it.points);
        }
        let Context { domain, account, epoch } = *context;
        let task = Self {
            domain: domain as u16,
            account,
            epoch,
            body,
            sharing: sharing.id(),
            commitments: points,
        };
        task.check(sharing)?;
        Ok(task)
    }

    /// Who signs.
    pub fn signers(&self) -> impl Iterator<Item = ShareIndex> {
        self.commitments.keys().copied()
    }

    /// What is signed: a device signs only what it agrees to.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether it is for this purpose, account and configuration.
    #[must_use]
    pub fn is_for(&self, context: &Context) -> bool {
        self.domain == context.domain as u16
            && self.account == context.account
            && self.epoch == context.epoch
    }

    fn check<E>(&self, sharing: &Sharing<Signing>) -> Result<(), SignError<E>> {
        if SIGNED_BYTES_MAX < self.body.len() {
            return Err(SignError::TooLarge { found: self.body.len() });
        }
        if self.sharing != sharing.id() {
            let (expected, found) = (sharing.id(), self.sharing);
            return Err(SharingError::OtherSharing { expected, found }.into());
        }
        for index in self.signers() {
            sharing.share(index)?;
        }
        let (found, needed) = (self.commitments.len(), sharing.threshold());
        if found < usize::from(needed) {
            return Err(SignError::TooFew { found, needed });
        }
        Ok(())
    }

    fn with_message<T>(
        &self,
        context: &Context,
        sharing: &Sharing<Signing>,
        use_it: impl FnOnce(&frost::Task<'_>) -> T,
    ) -> T {
        use_it(&frost::Task {
            key: sharing.key(),
            threshold: sharing.threshold(),
            message: &context.frame(&self.body),
            commitments: &self.commitments,
        })
    }
}

impl Nonces {
    /// Their name.
    #[must_use]
    pub fn id(&self) -> NonceId {
        self.commitment.id()
    }

    /// The second round: writes down that the nonces are spent, then signs (INV-C9).
    ///
    /// `context` is what this device agreed to sign `task` for. The nonces are gone, whatever happens.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign<R: SpentNonces>(
        self,
        task: &SigningTask,
        context: &Context,
        share: &KeyShare<Signing>,
        sharing: &Sharing<Signing>,
        record: &mut R,
    ) -> Result<SignatureShare, SignError<R::Error>> {
        let fresh = record.spend(self.id()).map_err(SignError::Record)?;
        if !fresh {
            return Err(SignError::AlreadySpent);
        }
        let secret = share.secret_in(sharing)?;
        task.check(sharing)?;
        let own = task.commitments.get(&share.index());
        if !task.is_for(context)
            || own != Some(&self.commitment.points)
            || self.commitment.from != share.index()
            || self.commitment.sharing != sharing.id()
        {
            return Err(SignError::OtherNonces);
        }
        let signer = frost::Signer { index: share.index(), secret };
        let signed = task.with_message(context, sharing, |it| frost::sign(self.pair, &signer, it));
        match signed {
            Ok(signed) => Ok(SignatureShare { from: share.index(), share: signed }),
            Err(Refusal::Torsion(who)) => Err(Fault::Torsion.of(who).into()),
            Err(_) => Err(SignError::OtherNonces),
        }
    }
}

/// Puts the shares together and checks the signature with the one predicate that everybody uses
/// (INV-C2). A share that does not fit is found, with whoever made it.
///
/// # Errors
/// [`AggregateError`].
pub fn aggregate(
    task: &SigningTask,
    context: &Context,
    sharing: &Sharing<Signing>,
    shares: &BTreeMap<ShareIndex, SignatureShare>,
) -> Result<Signature, AggregateError> {
    task.check::<Infallible>(sharing).map_err(|error| match error {
        SignError::Sharing(error) => AggregateError::Sharing(error),
        _ => AggregateError::Misuse,
    })?;
    let stranger = shares.keys().any(|it| !task.commitments.contains_key(it));
    if stranger || !task.is_for(context) {
        return Err(AggregateError::Misuse);
    }
    if let Some(missing) = task.signers().find(|it| !shares.contains_key(it)) {
        return Err(AggregateError::Missing(missing));
    }
    let misplaced = shares.iter().filter(|(index, it)| **index != it.from);
    let misplaced: Vec<Blame> = misplaced.map(|it| Fault::WrongIndex.of(*it.0)).collect();
    if !misplaced.is_empty() {
        return Err(AggregateError::Blame(misplaced));
    }
    let scalars: BTreeMap<_, _> = shares.iter().map(|(index, it)| (*index, it.share)).collect();
    let key = sharing.public_key()?;
    task.with_message(context, sharing, |it| {
        if let Ok(signature) = frost::aggregate(it, &scalars).map(Signature)
            && verify(&key, context, &task.body, &signature).is_ok()
        {
            return Ok(signature);
        }
        match frost::culprits(it, &scalars, sharing.shares()) {
            Ok(culprits) if !culprits.is_empty() => {
                let blame = culprits.into_iter().map(|who| Fault::BadSignatureShare.of(who));
                Err(AggregateError::Blame(blame.collect()))
            }
            Err(Refusal::Torsion(who)) => {
                Err(AggregateError::Blame([Fault::Torsion.of(who)].into()))
            }
            _ => Err(AggregateError::Misuse),
        }
    })
}

/// Whether `signature` is the group's: the same predicate as for every other Ed25519 signature.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(
    key: &PublicKey,
    context: &Context,
    body: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    key.verify(context, body, signature)
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonces(of {}, <redacted>)", self.commitment.from)
    }
}
