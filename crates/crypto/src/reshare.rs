//! Resharing: the same key among other holders, with another threshold (Desmedt and Jajodia).
//!
//! Exactly t old holders deal ([`deal`]), each its own share anew; all of them stand in the [`Plan`],
//! which a signed entry names, for with another set of dealers each receiver would compute something
//! else (trap 4). Every replica computes the new public part from what is published ([`combine`]); a
//! receiver puts its share together and checks it against that ([`receive`]).
//!
//! The public key and everything derived from the root stay the same. Old shares and new ones do not
//! go together. What no resharing can do: t old shares that were *not* erased still make the key.
//! Guardians get theirs by the same steps, with an independent polynomial; recovery is a resharing
//! from guardians to new devices.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use aura_protocol_core::{AccountId, Digest, SessionId, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::hpke::{HpkePublicKey, SealContext, SealError, SealedScalar, SessionKey};
use crate::{
    blame::{Blame, Fault, sorted},
    complaint::{Dealt, SubShare},
    domain::Label,
    group::{Point as _, Secret, Suite},
    message::Message,
    polynomial::{Commitment, Polynomial, ShareIndex, lagrange},
    proof::{LogProof, Statement},
    rng::DualRng,
    sharing::{HOLDERS_MAX, Holders, KeyShare, Sharing, SharingContext, SharingError, check_size},
};

/// Who reshares from what to whom: agreed on by the account, the same for both of its keys.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plan {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// Who holds the old sharing.
    pub from: Holders,
    /// The old sharing's number.
    pub from_epoch: u64,
    /// Which of them deal: exactly as many as its threshold.
    pub dealers: BTreeSet<ShareIndex>,
    /// Who will hold the new one.
    pub to: Holders,
    /// The new sharing's number.
    pub to_epoch: u64,
    /// Shares that will be needed.
    pub threshold: u16,
    /// Who receives, with keys that are fresh for this session.
    pub receivers: BTreeMap<ShareIndex, HpkePublicKey>,
}

/// What a dealer publishes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dealing<S: Suite> {
    /// The dealer.
    pub from: ShareIndex,
    /// To which polynomial.
    #[borsh(bound(serialize = "", deserialize = ""))]
    pub commitment: Commitment<S>,
    /// For whom what is sealed.
    pub sealed: BTreeMap<ShareIndex, SealedScalar>,
}

/// What all dealings together lead to. Every replica computes the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<S: Suite> {
    sharing: Sharing<S>,
    transcript: Digest,
}

/// A receiver says, with its new share, that it has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ack {
    /// The receiver.
    pub from: ShareIndex,
    proof: LogProof,
}

/// Why a resharing does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReshareError {
    /// The plan is none for this sharing, or the share is of another one.
    #[error("resharing: {0}")]
    Sharing(#[from] SharingError),
    /// The plan names another account, sharing or set of dealers.
    #[error("resharing: the plan is not for this sharing: {0}")]
    Plan(&'static str),
    /// A dealer has not dealt yet.
    #[error("resharing: dealer {0} has not dealt")]
    Missing(ShareIndex),
    /// Dealers broke the rules: plan anew without them.
    #[error("resharing: {} dealer(s) broke the rules", .0.len())]
    Blame(Vec<Blame>),
    /// These dealers' sub-shares do not open or do not match: complain about them in public.
    #[error("resharing: {} sub-share(s) are not usable: complain and await justification", .0.len())]
    Complain(Vec<ShareIndex>),
    /// Nothing can be sealed to a receiver's key.
    #[error("resharing: {0}")]
    Seal(#[from] SealError),
}

impl Message for Plan {
    const BYTES_MAX: usize =
        32 + 32 + 1 + 8 + (4 + HOLDERS_MAX * 2) + 1 + 8 + 2 + (4 + HOLDERS_MAX * 34);
}

impl<S: Suite> Message for Dealing<S> {
    const BYTES_MAX: usize = 2 + 4 + HOLDERS_MAX * 32 + 4 + HOLDERS_MAX * (2 + 80);
}

impl Message for Ack {
    const BYTES_MAX: usize = 2 + 64;
}

impl Plan {
    /// Its name, in every transcript and sealed sub-share.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Label::ResharePlan.digest(&[&encode(self)])
    }

    /// Checks that the plan is one for `old`.
    ///
    /// # Errors
    /// [`ReshareError::Plan`], [`ReshareError::Sharing`].
    pub fn check<S: Suite>(&self, old: &Sharing<S>) -> Result<(), ReshareError> {
        let SharingContext { account, holders, epoch } = old.context();
        if (self.account, self.from, self.from_epoch) != (account, holders, epoch) {
            return Err(ReshareError::Plan("another account, holders or number"));
        }
        if self.dealers.len() != usize::from(old.threshold()) {
            return Err(ReshareError::Plan("not as many dealers as the threshold"));
        }
        if self.to_epoch <= self.from_epoch {
            return Err(ReshareError::Plan("the number does not rise"));
        }
        for dealer in &self.dealers {
            old.share(*dealer)?;
        }
        check_size(self.threshold, self.receivers.len())?;
        Ok(())
    }

    fn seal<S: Suite>(
        &self,
        key: &HpkePublicKey,
        (from, to): (ShareIndex, ShareIndex),
        commitment: &Commitment<S>,
        share: &Secret<S>,
        rng: &mut DualRng,
    ) -> Result<SealedScalar, SealError> {
        let aad = encode(&(S::KEY, from, to, commitment.digest()));
        self.sealing(&aad, |context| SealedScalar::seal(key, context, share, rng))
    }

    /// Bound to account, session and both numbers. The receivers' keys stay out of it, so that a
    /// receiver that comes back with another key can still be served.
    fn sealing<T>(&self, aad: &[u8], use_it: impl FnOnce(&SealContext<'_>) -> T) -> T {
        let (from, to) = (self.from_epoch.to_le_bytes(), self.to_epoch.to_le_bytes());
        let session: &[&[u8]] = &[self.account.as_bytes(), self.session.as_bytes(), &from, &to];
        use_it(&SealContext { label: Label::ReshareSubShare, session, aad })
    }
}

/// Deals this holder's share anew. Keep the [`Dealt`] until the session ends: it answers complaints
/// and late receivers.
///
/// # Errors
/// [`ReshareError::Plan`], also when this holder is no dealer; [`ReshareError::Sharing`],
/// [`ReshareError::Seal`].
pub fn deal<S: Suite>(
    plan: &Plan,
    share: &KeyShare<S>,
    old: &Sharing<S>,
    rng: &mut DualRng,
) -> Result<(Dealt<S>, Dealing<S>), ReshareError> {
    plan.check(old)?;
    let secret = share.secret_in(old)?.duplicate();
    let from = share.index();
    if !plan.dealers.contains(&from) {
        return Err(ReshareError::Plan("this holder does not deal"));
    }
    let polynomial = Polynomial::random(secret, plan.threshold, rng);
    let commitment = polynomial.commit().ok_or(SharingError::Malformed)?;
    let shares = plan.receivers.keys().map(|to| (*to, polynomial.at(*to))).collect();
    let dealt = Dealt::new(plan.session, from, commitment.clone(), shares, plan.threshold);
    let mut sealed = BTreeMap::new();
    for (to, key) in &plan.receivers {
        let share = dealt.shares().get(to).ok_or(SharingError::NotAHolder(*to))?;
        sealed.insert(*to, plan.seal(key, (from, *to), &commitment, share, rng)?);
    }
    Ok((dealt, Dealing { from, commitment, sealed }))
}

/// Seals a sub-share once more, for a receiver that was away and comes with a new session key.
///
/// # Errors
/// [`ReshareError::Sharing`] for somebody who receives nothing, [`ReshareError::Seal`].
pub fn redeliver<S: Suite>(
    plan: &Plan,
    dealt: &Dealt<S>,
    from: ShareIndex,
    (to, key): (ShareIndex, &HpkePublicKey),
    rng: &mut DualRng,
) -> Result<SealedScalar, ReshareError> {
    let share = dealt.shares().get(&to).ok_or(SharingError::NotAHolder(to))?;
    Ok(plan.seal(key, (from, to), dealt.commitment(), share, rng)?)
}

/// What every replica checks of one dealing when it arrives: the degree, which keeps the threshold,
/// and the constant term, which keeps the secret. Small-order parts are looked for in [`combine`].
///
/// # Errors
/// [`Blame`] on the dealer.
pub fn check<S: Suite>(plan: &Plan, old: &Sharing<S>, dealing: &Dealing<S>) -> Result<(), Blame> {
    let Dealing { from, commitment, sealed } = dealing;
    if !plan.dealers.contains(from) {
        return Err(Fault::WrongIndex.of(*from));
    }
    if commitment.coefficients().len() != usize::from(plan.threshold) {
        return Err(Fault::WrongDegree.of(*from));
    }
    if commitment.constant() != old.shares().get(from) {
        return Err(Fault::WrongConstant.of(*from));
    }
    if !sealed.keys().eq(plan.receivers.keys()) {
        return Err(Fault::WrongReceivers.of(*from));
    }
    Ok(())
}

/// Puts the dealings of all dealers together: the new public part.
///
/// # Errors
/// [`ReshareError::Missing`]; [`ReshareError::Blame`] with every dealer that broke the rules;
/// [`ReshareError::Plan`], [`ReshareError::Sharing`].
pub fn combine<S: Suite>(
    plan: &Plan,
    old: &Sharing<S>,
    dealings: &BTreeMap<ShareIndex, Dealing<S>>,
) -> Result<Outcome<S>, ReshareError> {
    plan.check(old)?;
    if let Some(missing) = plan.dealers.iter().find(|it| !dealings.contains_key(it)) {
        return Err(ReshareError::Missing(*missing));
    }
    if dealings.len() != plan.dealers.len() {
        return Err(ReshareError::Plan("dealings of somebody who does not deal"));
    }
    let misplaced = |(index, it): (&ShareIndex, &Dealing<S>)| {
        (*index != it.from).then(|| Fault::WrongIndex.of(*index))
    };
    let wrong = dealings.iter().filter_map(misplaced);
    let wrong: Vec<Blame> =
        wrong.chain(dealings.values().filter_map(|it| check(plan, old, it).err())).collect();
    if !wrong.is_empty() {
        return Err(ReshareError::Blame(sorted(wrong)));
    }
    let weights = lagrange(plan.dealers.iter().copied(), None);
    let terms = weights.into_iter().zip(dealings.values().map(|it| &it.commitment));
    let sum = Commitment::weighted_sum(terms).filter(Commitment::is_torsion_free);
    // Only the sums matter, and they are few. Only if one of them is wrong does it pay to look at
    // every coefficient for whose fault it is.
    let Some(sum) = sum else {
        let guilty = dealings.values().filter(|it| !it.commitment.is_torsion_free());
        let blame: Vec<Blame> = guilty.map(|it| Fault::Torsion.of(it.from)).collect();
        return Err(if blame.is_empty() {
            ReshareError::Plan("the dealings cancel each other out: deal anew")
        } else {
            ReshareError::Blame(blame)
        });
    };
    if sum.constant() != Some(old.key()) {
        return Err(ReshareError::Plan("the public key would change"));
    }
    let public = |to: &ShareIndex| {
        let share = crate::group::Element::new(sum.at(*to)).ok_or(SharingError::NotAHolder(*to))?;
        Ok((*to, share))
    };
    let shares = plan.receivers.keys().map(public).collect::<Result<_, SharingError>>()?;
    let context = SharingContext { account: plan.account, holders: plan.to, epoch: plan.to_epoch };
    let sharing = Sharing::new(context, plan.threshold, *old.key(), shares)?;
    let commitments: Vec<_> = dealings.iter().map(|it| (it.0, it.1.commitment.digest())).collect();
    let transcript = Label::ReshareTranscript.digest(&[
        plan.digest().as_bytes(),
        old.id().as_bytes(),
        sharing.id().as_bytes(),
        &encode(&commitments),
    ]);
    Ok(Outcome { sharing, transcript })
}

impl<S: Suite> Outcome<S> {
    /// The new sharing. It is current only once a certified entry names it.
    #[must_use]
    pub const fn sharing(&self) -> &Sharing<S> {
        &self.sharing
    }

    /// What acknowledgements, and the signatures that finish the session, are over.
    #[must_use]
    pub const fn transcript(&self) -> Digest {
        self.transcript
    }

    /// Whether the receiver at `ack.from` has its new share (INV-C10).
    #[must_use]
    pub fn is_acknowledged_by(&self, ack: &Ack) -> bool {
        let Ok(public) = self.sharing.share(ack.from) else {
            return false;
        };
        let message = encode(&(self.transcript, ack.from));
        let base = &S::Point::BASE;
        Statement::<S> { label: Label::ReshareAck, base, image: public, message: &message }
            .verify(&ack.proof)
    }

    /// Says that this receiver has its share.
    ///
    /// # Errors
    /// [`SharingError::OtherSharing`] for any other share.
    pub fn acknowledge(&self, share: &KeyShare<S>, rng: &mut DualRng) -> Result<Ack, SharingError> {
        let secret = share.secret_in(&self.sharing)?;
        let from = share.index();
        let message = encode(&(self.transcript, from));
        let image = self.sharing.share(from)?;
        let base = &S::Point::BASE;
        let statement = Statement::<S> { label: Label::ReshareAck, base, image, message: &message };
        Ok(Ack { from, proof: statement.prove(secret.scalar(), rng) })
    }
}

/// What a receiver works with.
#[derive(Debug)]
pub struct Inbox<'a, S: Suite> {
    /// The receiver.
    pub me: ShareIndex,
    /// Its key for this session.
    pub key: &'a SessionKey,
    /// What the dealers sealed for it, when they did so again.
    pub redelivered: &'a BTreeMap<ShareIndex, SealedScalar>,
    /// What they published in answer to a complaint.
    pub justified: &'a BTreeMap<ShareIndex, SubShare<S>>,
}

/// Puts a receiver's share together. It is checked against the public part that everybody computed;
/// only if it does not fit is every sub-share looked at.
///
/// # Errors
/// [`ReshareError::Complain`] names every dealer whose sub-share is not usable; justified, call again.
pub fn receive<S: Suite>(
    plan: &Plan,
    outcome: &Outcome<S>,
    dealings: &BTreeMap<ShareIndex, Dealing<S>>,
    inbox: &Inbox<'_, S>,
) -> Result<KeyShare<S>, ReshareError> {
    let Inbox { me, key, redelivered, justified } = *inbox;
    let mut opened: BTreeMap<ShareIndex, Secret<S>> = BTreeMap::new();
    let mut bad = Vec::new();
    for &from in &plan.dealers {
        let dealing = dealings.get(&from).ok_or(ReshareError::Missing(from))?;
        let aad = encode(&(S::KEY, from, me, dealing.commitment.digest()));
        let sealed = redelivered.get(&from).or_else(|| dealing.sealed.get(&me));
        let open = |sealed| plan.sealing(&aad, |context| key.open(context, sealed).ok());
        let published = justified.get(&from).map(|it| it.secret().duplicate());
        match published.or_else(|| sealed.and_then(open)) {
            Some(share) => _ = opened.insert(from, share),
            None => bad.push(from),
        }
    }
    if !bad.is_empty() {
        return Err(ReshareError::Complain(bad));
    }
    let weights = lagrange(opened.keys().copied(), None);
    let sum = opened.values().zip(&weights).map(|(share, weight)| share.scalar() * weight).sum();
    match KeyShare::new(&outcome.sharing, me, Secret::new(sum)) {
        Err(SharingError::Mismatch(_)) => {
            let fits = |from: &ShareIndex, share: &Secret<S>| {
                dealings.get(from).is_some_and(|it| it.commitment.verify(me, share))
            };
            let bad = opened.iter().filter(|(from, share)| !fits(from, share));
            Err(ReshareError::Complain(bad.map(|it| *it.0).collect()))
        }
        other => Ok(other?),
    }
}
