//! Key generation: all members make a key together, and nobody ever holds it.
//!
//! Three parts, those of FROST: each publishes a commitment to a random polynomial with a proof that it
//! knows the constant term ([`begin`]), seals a share for each other one ([`Dealer::deliver`]), and adds
//! up what it received ([`Gatherer::gather`]). The proof is bound to the session as well.
//!
//! That is not enough: somebody who publishes two commitments leaves two groups behind, each content
//! with a key of its own (trap 3). So the result is only a [`Draft`] until *every* member has signed
//! the same transcript ([`agree`]); only then does it become a share.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use aura_protocol_core::{AccountId, Digest, SessionId, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::hpke::{HpkePublicKey, SealContext, SealError, SealedScalar, SessionKey};
use crate::{
    blame::{Blame, Fault},
    complaint::{Dealt, SubShare},
    domain::{Context, Domain, Label},
    group::{Element, Point as _, Scalar, Secret, Suite},
    keys::{PublicKey, SecretKey, Signature},
    message::Message,
    polynomial::{Commitment, Polynomial, ShareIndex},
    proof::{LogProof, Statement},
    rng::DualRng,
    sharing::{HOLDERS_MAX, Holders, KeyShare, Sharing, SharingContext, SharingError, check_size},
};

/// Who generates a key with whom. A signed entry names it; both of an account's keys may be generated
/// under the same terms.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// The number of the sharing that results.
    pub epoch: u64,
    /// Shares that will be needed.
    pub threshold: u16,
    /// Who takes part.
    pub members: BTreeMap<ShareIndex, Member>,
}

/// A member of a key generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Member {
    /// Signs the transcript.
    pub unit: PublicKey,
    /// Fresh for this session: its shares are sealed to it.
    pub session: HpkePublicKey,
}

/// What a member publishes first.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Broadcast<S: Suite> {
    /// Who.
    pub from: ShareIndex,
    /// To which polynomial.
    #[borsh(bound(serialize = "", deserialize = ""))]
    pub commitment: Commitment<S>,
    proof: LogProof,
}

/// What a member publishes next: a share for each other member.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delivery {
    /// Who.
    pub from: ShareIndex,
    /// For whom what is sealed.
    pub sealed: BTreeMap<ShareIndex, SealedScalar>,
}

/// Why a key generation does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DkgError {
    /// The terms make no sharing. One device alone uses [`KeyShare::sole`].
    #[error("key generation: {0}")]
    Terms(#[from] SharingError),
    /// Somebody broke the rules: start again without it.
    #[error("key generation: {0}")]
    Blame(#[from] Blame),
    /// Somebody has not sent its part yet.
    #[error("key generation: member {0} has not sent its part")]
    Missing(ShareIndex),
    /// These dealers' shares do not open or do not match: complain about them in public.
    #[error("key generation: {} share(s) are not usable: complain and await justification", .0.len())]
    Complain(Vec<ShareIndex>),
    /// Nothing can be sealed to a member's key.
    #[error("key generation: {0}")]
    Seal(#[from] SealError),
    /// Parts of different sessions, or of somebody else, were put together: the caller's fault.
    #[error("key generation: the parts do not belong together")]
    Misuse,
}

impl Message for Terms {
    const BYTES_MAX: usize = 32 + 32 + 8 + 2 + 4 + HOLDERS_MAX * (2 + 32 + 32);
}

impl<S: Suite> Message for Broadcast<S> {
    const BYTES_MAX: usize = 2 + 4 + HOLDERS_MAX * 32 + 64;
}

impl Message for Delivery {
    const BYTES_MAX: usize = 2 + 4 + HOLDERS_MAX * (2 + 80);
}

impl Terms {
    /// Its name, in every transcript and sealed share.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Label::DkgTerms.digest(&[&encode(self)])
    }

    fn check(&self) -> Result<(), SharingError> {
        check_size(self.threshold, self.members.len())?;
        if self.threshold < 2 {
            return Err(SharingError::Size { threshold: self.threshold, holders: 1 });
        }
        Ok(())
    }

    const fn context(&self, domain: Domain) -> Context {
        Context { domain, account: self.account, epoch: self.epoch }
    }
}

fn seal_aad<S: Suite>(from: ShareIndex, to: ShareIndex, commitment: &Commitment<S>) -> Vec<u8> {
    encode(&(S::KEY, from, to, commitment.digest()))
}

/// A member after the first part.
#[derive(Debug)]
pub struct Dealer<S: Suite> {
    terms: Terms,
    me: ShareIndex,
    own: Broadcast<S>,
    polynomial: Polynomial<S>,
}

/// The first part, for the member `me`.
///
/// # Errors
/// [`DkgError::Terms`], or [`DkgError::Misuse`] when `me` is no member.
pub fn begin<S: Suite>(
    terms: &Terms,
    me: ShareIndex,
    rng: &mut DualRng,
) -> Result<(Dealer<S>, Broadcast<S>), DkgError> {
    terms.check()?;
    if !terms.members.contains_key(&me) {
        return Err(DkgError::Misuse);
    }
    let polynomial = Polynomial::random(Secret::random(rng), terms.threshold, rng);
    let commitment = polynomial.commit().ok_or(DkgError::Misuse)?;
    let image = commitment.constant().ok_or(DkgError::Misuse)?;
    let proof = with_statement(terms, me, image, |statement| {
        statement.prove(polynomial.constant().scalar(), rng)
    });
    let own = Broadcast { from: me, commitment, proof };
    Ok((Dealer { terms: terms.clone(), me, own: own.clone(), polynomial }, own))
}

/// What a member proves of its constant term: that it, in this session, knows it.
fn with_statement<S: Suite, T>(
    terms: &Terms,
    from: ShareIndex,
    image: &Element<S>,
    use_it: impl FnOnce(&Statement<'_, S>) -> T,
) -> T {
    let message = encode(&(terms.digest(), from));
    let base = &S::Point::BASE;
    use_it(&Statement { label: Label::DkgProof, base, image, message: &message })
}

impl<S: Suite> Dealer<S> {
    /// The second part: checks what everybody published, and seals a share for each other member.
    /// Keep the [`Dealt`] until the key is there: it answers complaints.
    ///
    /// # Errors
    /// [`DkgError::Blame`] for a wrong commitment or proof, [`DkgError::Missing`], [`DkgError::Seal`].
    pub fn deliver(
        self,
        broadcasts: &BTreeMap<ShareIndex, Broadcast<S>>,
        rng: &mut DualRng,
    ) -> Result<(Gatherer<S>, Dealt<S>, Delivery), DkgError> {
        let Self { terms, me, own, polynomial } = self;
        if broadcasts.keys().any(|it| !terms.members.contains_key(it)) {
            return Err(DkgError::Misuse);
        }
        let mut all = BTreeMap::from([(me, own)]);
        for index in terms.members.keys().filter(|it| **it != me) {
            let it = broadcasts.get(index).ok_or(DkgError::Missing(*index))?;
            if it.from != *index {
                return Err(Fault::WrongIndex.of(*index).into());
            }
            if it.commitment.coefficients().len() != usize::from(terms.threshold) {
                return Err(Fault::WrongDegree.of(*index).into());
            }
            let image = it.commitment.constant().ok_or(Fault::WrongDegree.of(*index))?;
            if !with_statement(&terms, *index, image, |statement| statement.verify(&it.proof)) {
                return Err(Fault::BadProof.of(*index).into());
            }
            all.insert(*index, it.clone());
        }
        let others = terms.members.keys().filter(|it| **it != me);
        let shares = others.map(|it| (*it, polynomial.at(*it))).collect();
        let commitment = all.get(&me).ok_or(DkgError::Misuse)?.commitment.clone();
        let dealt = Dealt::new(terms.session, me, commitment.clone(), shares, terms.threshold);
        let mut sealed = BTreeMap::new();
        for (to, share) in dealt.shares() {
            let key = terms.members.get(to).ok_or(DkgError::Misuse)?.session;
            sealed.insert(*to, terms.seal(&key, (me, *to), &commitment, share, rng)?);
        }
        let own = polynomial.at(me);
        let gatherer = Gatherer { terms, me, broadcasts: all, own };
        Ok((gatherer, dealt, Delivery { from: me, sealed }))
    }
}

impl Terms {
    fn seal<S: Suite>(
        &self,
        key: &HpkePublicKey,
        (from, to): (ShareIndex, ShareIndex),
        commitment: &Commitment<S>,
        share: &Secret<S>,
        rng: &mut DualRng,
    ) -> Result<SealedScalar, SealError> {
        let terms = self.digest();
        let aad = seal_aad(from, to, commitment);
        let session: &[&[u8]] = &[terms.as_bytes()];
        SealedScalar::seal(
            key,
            &SealContext { label: Label::DkgShare, session, aad: &aad },
            share,
            rng,
        )
    }
}

/// A member after the second part.
#[derive(Debug)]
pub struct Gatherer<S: Suite> {
    terms: Terms,
    me: ShareIndex,
    broadcasts: BTreeMap<ShareIndex, Broadcast<S>>,
    own: Secret<S>,
}

impl<S: Suite> Gatherer<S> {
    /// The commitment that complaints about `dealer` are judged by.
    #[must_use]
    pub fn commitment(&self, dealer: ShareIndex) -> Option<&Commitment<S>> {
        self.broadcasts.get(&dealer).map(|it| &it.commitment)
    }

    /// The third part: opens the shares that were sealed for this member and puts them together.
    /// Shares that their dealers published in answer to a complaint stand in `justified`.
    ///
    /// # Errors
    /// [`DkgError::Complain`] names every dealer whose share is not usable; justified, call again.
    /// [`DkgError::Blame`] for a commitment with a small-order part.
    pub fn gather(
        &self,
        deliveries: &BTreeMap<ShareIndex, Delivery>,
        justified: &BTreeMap<ShareIndex, SubShare<S>>,
        key: &SessionKey,
    ) -> Result<Draft<S>, DkgError> {
        let mut opened: BTreeMap<ShareIndex, Secret<S>> = BTreeMap::new();
        let mut bad = Vec::new();
        for (&from, broadcast) in self.broadcasts.iter().filter(|it| *it.0 != self.me) {
            if let Some(share) = justified.get(&from) {
                opened.insert(from, share.secret().duplicate());
                continue;
            }
            let delivery = deliveries.get(&from).ok_or(DkgError::Missing(from))?;
            match self.open(delivery, broadcast, key) {
                Some(share) => _ = opened.insert(from, share),
                None => bad.push(from),
            }
        }
        if !bad.is_empty() {
            return Err(DkgError::Complain(bad));
        }
        let sum = opened.values().fold(*self.own.scalar(), |sum, it| sum + it.scalar());
        let sharing = self.public()?;
        match KeyShare::new(&sharing, self.me, Secret::new(sum)) {
            Ok(share) => Ok(self.draft(sharing, share)),
            Err(SharingError::Mismatch(_)) => Err(DkgError::Complain(self.mismatched(&opened))),
            Err(error) => Err(error.into()),
        }
    }

    /// The public part: the sum of all commitments, at every member's place. As in a resharing, only
    /// if a sum has a small-order part is every commitment looked at for whose fault it is.
    fn public(&self) -> Result<Sharing<S>, DkgError> {
        let Terms { account, epoch, threshold, .. } = self.terms;
        let commitments = self.broadcasts.values().map(|it| &it.commitment);
        let sum = Commitment::weighted_sum(commitments.map(|it| (Scalar::ONE, it)));
        let Some(sum) = sum.filter(Commitment::is_torsion_free) else {
            let guilty = self.broadcasts.values().find(|it| !it.commitment.is_torsion_free());
            return Err(guilty.map_or(DkgError::Misuse, |it| Fault::Torsion.of(it.from).into()));
        };
        let share = |to: &ShareIndex| {
            Ok((*to, Element::new(sum.at(*to)).ok_or(SharingError::NotAHolder(*to))?))
        };
        let shares = self.terms.members.keys().map(share).collect::<Result<_, SharingError>>()?;
        let key = *sum.constant().ok_or(DkgError::Misuse)?;
        let context = SharingContext { account, holders: Holders::Devices, epoch };
        Ok(Sharing::new(context, threshold, key, shares)?)
    }

    fn open(
        &self,
        delivery: &Delivery,
        broadcast: &Broadcast<S>,
        key: &SessionKey,
    ) -> Option<Secret<S>> {
        let terms = self.terms.digest();
        let aad = seal_aad(broadcast.from, self.me, &broadcast.commitment);
        let session: &[&[u8]] = &[terms.as_bytes()];
        let context = SealContext { label: Label::DkgShare, session, aad: &aad };
        key.open(&context, delivery.sealed.get(&self.me)?).ok()
    }

    fn mismatched(&self, opened: &BTreeMap<ShareIndex, Secret<S>>) -> Vec<ShareIndex> {
        let fits = |from: &ShareIndex, share: &Secret<S>| {
            self.commitment(*from).is_some_and(|it| it.verify(self.me, share))
        };
        opened.iter().filter(|(from, share)| !fits(from, share)).map(|it| *it.0).collect()
    }

    fn draft(&self, sharing: Sharing<S>, share: KeyShare<S>) -> Draft<S> {
        let broadcasts: Vec<&Broadcast<S>> = self.broadcasts.values().collect();
        let transcript = Label::DkgTranscript.digest(&[
            self.terms.digest().as_bytes(),
            &[S::KEY as u8],
            &encode(&broadcasts),
            sharing.id().as_bytes(),
        ]);
        Draft { transcript, sharing, share }
    }
}

/// A share that waits for everybody to agree on how it came about.
pub struct Draft<S: Suite> {
    transcript: Digest,
    sharing: Sharing<S>,
    share: KeyShare<S>,
}

/// Proof that every member signed the same transcripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed(Vec<Digest>);

/// A member's word on the transcripts, one for each key that is generated, in the order of
/// [`crate::KeyKind`].
#[must_use]
pub fn confirm(terms: &Terms, transcripts: &[Digest], key: &SecretKey) -> Signature {
    let context = terms.context(Domain::KeyGeneration);
    key.sign(&context, &encode(&(terms.digest(), transcripts)))
}

/// Checks that every member signed these transcripts.
///
/// # Errors
/// [`DkgError::Missing`], or [`DkgError::Blame`] for whoever signed something else: somebody
/// published two things, and nobody may use this key.
pub fn agree(
    terms: &Terms,
    transcripts: &[Digest],
    signatures: &BTreeMap<ShareIndex, Signature>,
) -> Result<Agreed, DkgError> {
    let context = terms.context(Domain::KeyGeneration);
    let body = encode(&(terms.digest(), transcripts));
    for (index, member) in &terms.members {
        let signature = signatures.get(index).ok_or(DkgError::Missing(*index))?;
        member
            .unit
            .verify(&context, &body, signature)
            .map_err(|_| Fault::OtherTranscript.of(*index))?;
    }
    Ok(Agreed(transcripts.to_vec()))
}

impl<S: Suite> Draft<S> {
    /// What every member has to sign.
    #[must_use]
    pub const fn transcript(&self) -> Digest {
        self.transcript
    }

    /// The sharing that would result.
    #[must_use]
    pub const fn sharing(&self) -> &Sharing<S> {
        &self.sharing
    }

    /// The share and its sharing, once all agreed (INV-C8).
    ///
    /// # Errors
    /// [`DkgError::Misuse`] when they agreed on something else.
    pub fn accept(self, agreed: &Agreed) -> Result<(KeyShare<S>, Sharing<S>), DkgError> {
        if !agreed.0.contains(&self.transcript) {
            return Err(DkgError::Misuse);
        }
        Ok((self.share, self.sharing))
    }
}

impl<S: Suite> fmt::Debug for Draft<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({:?}, <redacted>)", self.sharing)
    }
}
