//! Repair: t helpers give a device its share back, without learning it and without a resharing.
//!
//! For a device that lost its share, or was away when a resharing finished. Each helper splits its
//! weighted share among all helpers, with a public point for every piece; each adds up what it got and
//! seals the sum for the device. Every piece and sum is checked against the points, so one that is
//! wrong is noticed where it arrives, and the device checks its share against its public share (the
//! usual library does not, trap 6).

use alloc::{collections::BTreeMap, vec::Vec};

use aura_protocol_core::{Digest, SessionId, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::hpke::{HpkePublicKey, SealContext, SealError, SealedScalar, SessionKey};
use crate::{
    blame::{Blame, Fault},
    domain::Label,
    group::{Element, Point as _, Scalar, Secret, Suite},
    message::Message,
    polynomial::{ShareIndex, lagrange},
    rng::DualRng,
    sharing::{HOLDERS_MAX, KeyShare, Sharing, SharingError},
};

/// Who helps whom.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RepairPlan {
    /// The session.
    pub session: SessionId,
    /// The sharing whose share was lost.
    pub sharing: Digest,
    /// Exactly as many as its threshold, with keys that are fresh for this session.
    pub helpers: BTreeMap<ShareIndex, HpkePublicKey>,
    /// Whose share it is.
    pub target: ShareIndex,
    /// Its key, fresh for this session.
    pub target_key: HpkePublicKey,
}

/// How a helper split its weighted share.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Split<S: Suite> {
    /// The helper.
    pub from: ShareIndex,
    #[borsh(bound(serialize = "", deserialize = ""))]
    pieces: BTreeMap<ShareIndex, (Element<S>, SealedScalar)>,
}

/// The sum of the pieces that one helper got, sealed for the device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sum {
    /// The helper.
    pub from: ShareIndex,
    sealed: SealedScalar,
}

/// Why a repair does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The share is of another sharing, or the result is not the lost share.
    #[error("repair: {0}")]
    Sharing(#[from] SharingError),
    /// The plan is none for this sharing.
    #[error("repair: the plan is not for this sharing: {0}")]
    Plan(&'static str),
    /// A helper has not sent its part yet.
    #[error("repair: helper {0} has not sent its part")]
    Missing(ShareIndex),
    /// A helper broke the rules, as everybody can see.
    #[error("repair: {0}")]
    Blame(#[from] Blame),
    /// What this helper sent here does not open or does not match: begin anew without it. Only the
    /// receiver can know, so it is nobody's blame.
    #[error("repair: what helper {0} sent is not usable: begin anew without it")]
    Unusable(ShareIndex),
    /// Nothing can be sealed to a key of the plan.
    #[error("repair: {0}")]
    Seal(#[from] SealError),
}

impl<S: Suite> Message for Split<S> {
    const BYTES_MAX: usize = 2 + 4 + HOLDERS_MAX * (2 + 32 + 80);
}

impl Message for Sum {
    const BYTES_MAX: usize = 2 + 80;
}

impl Message for RepairPlan {
    const BYTES_MAX: usize = 32 + 32 + 4 + HOLDERS_MAX * 34 + 2 + 32;
}

impl RepairPlan {
    fn check<S: Suite>(&self, sharing: &Sharing<S>) -> Result<(), RepairError> {
        if self.sharing != sharing.id() {
            return Err(RepairError::Plan("another sharing"));
        }
        sharing.share(self.target)?;
        if self.helpers.len() != usize::from(sharing.threshold()) {
            return Err(RepairError::Plan("not as many helpers as the threshold"));
        }
        if self.helpers.contains_key(&self.target) {
            return Err(RepairError::Plan("the target helps itself"));
        }
        for helper in self.helpers.keys() {
            sharing.share(*helper)?;
        }
        Ok(())
    }

    /// The weight of each helper's share in the lost one.
    fn weights(&self) -> BTreeMap<ShareIndex, Scalar> {
        let weights = lagrange(self.helpers.keys().copied(), Some(self.target));
        self.helpers.keys().copied().zip(weights).collect()
    }

    fn sealing<S: Suite, T>(
        &self,
        label: Label,
        aad: &[u8],
        use_it: impl FnOnce(&SealContext<'_>) -> T,
    ) -> T {
        let plan = Label::RepairPlan.digest(&[&[S::KEY as u8], &encode(self)]);
        use_it(&SealContext { label, session: &[plan.as_bytes()], aad })
    }
}

/// A helper's first part.
///
/// # Errors
/// [`RepairError::Plan`], [`RepairError::Sharing`], [`RepairError::Seal`].
pub fn split<S: Suite>(
    plan: &RepairPlan,
    share: &KeyShare<S>,
    sharing: &Sharing<S>,
    rng: &mut DualRng,
) -> Result<Split<S>, RepairError> {
    plan.check(sharing)?;
    let from = share.index();
    let weight = plan.weights().get(&from).copied();
    let weight = weight.ok_or(RepairError::Plan("this holder does not help"))?;
    let mut rest = Secret::<S>::new(share.secret_in(sharing)?.scalar() * weight);
    let mut pieces = BTreeMap::new();
    let last = plan.helpers.keys().next_back().copied();
    for (to, key) in &plan.helpers {
        let piece = if Some(*to) == last { rest.duplicate() } else { Secret::random(rng) };
        rest = Secret::new(rest.scalar() - piece.scalar());
        let point = piece.public().ok_or(RepairError::Plan("a piece is zero: begin anew"))?;
        let aad = encode(&(from, to, &point));
        let sealed = plan.sealing::<S, _>(Label::RepairDelta, &aad, |context| {
            SealedScalar::seal(key, context, &piece, rng)
        })?;
        pieces.insert(*to, (point, sealed));
    }
    Ok(Split { from, pieces })
}

/// What everybody checks of a split: its pieces add up to the helper's weighted share.
///
/// # Errors
/// [`RepairError::Blame`], [`RepairError::Plan`], [`RepairError::Sharing`].
pub fn check<S: Suite>(
    plan: &RepairPlan,
    sharing: &Sharing<S>,
    split: &Split<S>,
) -> Result<(), RepairError> {
    plan.check(sharing)?;
    let from = split.from;
    let Some(weight) = plan.weights().get(&from).copied() else {
        return Err(Fault::WrongIndex.of(from).into());
    };
    if !split.pieces.keys().eq(plan.helpers.keys()) {
        return Err(Fault::WrongReceivers.of(from).into());
    }
    if split.pieces.values().any(|(point, _)| point.point().has_torsion()) {
        return Err(Fault::Torsion.of(from).into());
    }
    let start = S::Point::identity();
    let sum = split.pieces.values().fold(start, |sum, (point, _)| sum + *point.point());
    if sum != *sharing.share(from)?.point() * &weight {
        return Err(Fault::WrongConstant.of(from).into());
    }
    Ok(())
}

fn checked_all<S: Suite>(
    plan: &RepairPlan,
    sharing: &Sharing<S>,
    splits: &BTreeMap<ShareIndex, Split<S>>,
) -> Result<(), RepairError> {
    for helper in plan.helpers.keys() {
        let split = splits.get(helper).ok_or(RepairError::Missing(*helper))?;
        if split.from != *helper {
            return Err(Fault::WrongIndex.of(*helper).into());
        }
        check(plan, sharing, split)?;
    }
    Ok(())
}

/// A helper's second part: adds up the pieces that it got.
///
/// # Errors
/// [`RepairError::Unusable`], [`RepairError::Missing`], and those of [`check`].
pub fn add_up<S: Suite>(
    plan: &RepairPlan,
    sharing: &Sharing<S>,
    splits: &BTreeMap<ShareIndex, Split<S>>,
    (me, key): (ShareIndex, &SessionKey),
    rng: &mut DualRng,
) -> Result<Sum, RepairError> {
    checked_all(plan, sharing, splits)?;
    let mut sum = Scalar::ZERO;
    for (from, split) in splits.iter().filter(|it| plan.helpers.contains_key(it.0)) {
        let (point, sealed) = split.pieces.get(&me).ok_or(RepairError::Unusable(*from))?;
        let aad = encode(&(*from, me, point));
        let piece: Secret<S> = plan
            .sealing::<S, _>(Label::RepairDelta, &aad, |context| key.open(context, sealed))
            .map_err(|_| RepairError::Unusable(*from))?;
        if piece.public() != Some(*point) {
            return Err(RepairError::Unusable(*from));
        }
        sum += piece.scalar();
    }
    let aad = encode(&(me, plan.target));
    let sealed = plan.sealing::<S, _>(Label::RepairSigma, &aad, |context| {
        SealedScalar::seal(&plan.target_key, context, &Secret::<S>::new(sum), rng)
    })?;
    Ok(Sum { from: me, sealed })
}

/// Puts the lost share together.
///
/// # Errors
/// [`RepairError::Unusable`] for a helper whose sum does not fit, [`RepairError::Missing`], and those
/// of [`check`].
pub fn restore<S: Suite>(
    plan: &RepairPlan,
    sharing: &Sharing<S>,
    splits: &BTreeMap<ShareIndex, Split<S>>,
    sums: &BTreeMap<ShareIndex, Sum>,
    key: &SessionKey,
) -> Result<KeyShare<S>, RepairError> {
    checked_all(plan, sharing, splits)?;
    let mut secret = Secret::<S>::new(Scalar::ZERO);
    for helper in plan.helpers.keys() {
        let sum = sums.get(helper).ok_or(RepairError::Missing(*helper))?;
        let aad = encode(&(*helper, plan.target));
        let opened: Secret<S> = plan
            .sealing::<S, _>(Label::RepairSigma, &aad, |context| key.open(context, &sum.sealed))
            .map_err(|_| RepairError::Unusable(*helper))?;
        let pieces: Vec<&Element<S>> =
            splits.values().filter_map(|it| it.pieces.get(helper)).map(|it| &it.0).collect();
        let start = S::Point::identity();
        let expected = pieces.iter().fold(start, |sum, it| sum + *it.point());
        if S::Point::base(opened.scalar()) != expected {
            return Err(RepairError::Unusable(*helper));
        }
        secret = Secret::new(secret.scalar() + opened.scalar());
    }
    Ok(KeyShare::new(sharing, plan.target, secret)?)
}
