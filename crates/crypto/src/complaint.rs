//! Complaints and answers: when a receiver says that its share is bad, the dealer shows it to all.
//!
//! Whoever lies gains nothing. A receiver that complains without need makes its own share public; a
//! dealer that cannot show a share that fits is blamed by everybody, from what is public.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use aura_protocol_core::SessionId;
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{
    blame::{Blame, Fault},
    domain::Domain,
    envelope::Body,
    group::{KeyKind, PublicScalar, Secret, Suite},
    message::Message,
    polynomial::{Commitment, ShareIndex},
};

/// A receiver says that what a dealer sealed for it does not open or does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Complaint {
    /// In which session.
    pub session: SessionId,
    /// About which key.
    pub key: KeyKind,
    /// The dealer.
    pub accused: ShareIndex,
    /// The receiver.
    pub by: ShareIndex,
}

/// The dealer's answer: the share, for everybody to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Justification {
    /// What it answers.
    pub complaint: Complaint,
    share: PublicScalar,
}

impl Message for Complaint {
    const BYTES_MAX: usize = 32 + 1 + 2 + 2;
}

impl Body for Complaint {
    const DOMAIN: Domain = Domain::Complaint;
}

impl Message for Justification {
    const BYTES_MAX: usize = Complaint::BYTES_MAX + 32;
}

impl Body for Justification {
    const DOMAIN: Domain = Domain::Justification;
}

/// A share for one receiver, checked against its dealer's commitment. Never printed.
pub struct SubShare<S: Suite>(Secret<S>);

impl<S: Suite> SubShare<S> {
    pub(crate) const fn secret(&self) -> &Secret<S> {
        &self.0
    }
}

impl<S: Suite> fmt::Debug for SubShare<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubShare(<redacted>)")
    }
}

/// Why a dealer does not answer a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The complaint is about another dealer, session or key, or by nobody who was dealt a share.
    #[error("the complaint is not about a share that was dealt here")]
    NotOurs,
    /// One more answer would let everybody compute what is shared: leave the session, start again.
    #[error("answering would publish {limit} shares or more, and so the secret: leave the session")]
    TooMany {
        /// The number of shares that determine the secret.
        limit: u16,
    },
}

/// What a dealer keeps until its session ends. Wiped when dropped.
pub struct Dealt<S: Suite> {
    session: SessionId,
    me: ShareIndex,
    commitment: Commitment<S>,
    shares: BTreeMap<ShareIndex, Secret<S>>,
    threshold: u16,
    answered: BTreeSet<ShareIndex>,
}

impl<S: Suite> Dealt<S> {
    pub(crate) const fn new(
        session: SessionId,
        me: ShareIndex,
        commitment: Commitment<S>,
        shares: BTreeMap<ShareIndex, Secret<S>>,
        threshold: u16,
    ) -> Self {
        Self { session, me, commitment, shares, threshold, answered: BTreeSet::new() }
    }

    pub(crate) const fn shares(&self) -> &BTreeMap<ShareIndex, Secret<S>> {
        &self.shares
    }

    /// What the shares are of.
    #[must_use]
    pub const fn commitment(&self) -> &Commitment<S> {
        &self.commitment
    }

    /// Answers a complaint in public. Fewer answers than the new threshold reveal nothing about what
    /// is shared; an honest dealer meets more complaints only when more receivers than the sharing
    /// tolerates are corrupt, and stops there. The complaint's author has an index among those who receive:
    /// in a resharing it may be the number that the dealer has among those who deal.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn justify(&mut self, complaint: Complaint) -> Result<Justification, AnswerError> {
        let Complaint { session, key, accused, by } = complaint;
        let share = self.shares.get(&by).ok_or(AnswerError::NotOurs)?;
        if session != self.session || key != S::KEY || accused != self.me {
            return Err(AnswerError::NotOurs);
        }
        let known = self.answered.contains(&by);
        if !known && self.answered.len() + 1 >= usize::from(self.threshold) {
            return Err(AnswerError::TooMany { limit: self.threshold });
        }
        self.answered.insert(by);
        Ok(Justification { complaint, share: PublicScalar(*share.scalar()) })
    }
}

impl<S: Suite> fmt::Debug for Dealt<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dealt(by {}, <redacted>)", self.me)
    }
}

/// Judges the answer to a complaint by the dealer's commitment, as every replica does. The share is
/// the receiver's to use.
///
/// # Errors
/// [`Fault::Unjustified`] for a dealer whose answer does not answer this complaint, or does not fit.
pub fn judge<S: Suite>(
    commitment: &Commitment<S>,
    complaint: &Complaint,
    answer: &Justification,
) -> Result<SubShare<S>, Blame> {
    let share = Secret::new(answer.share.0);
    let answers = answer.complaint == *complaint && complaint.key == S::KEY;
    if answers && commitment.verify(complaint.by, &share) {
        return Ok(SubShare(share));
    }
    Err(Fault::Unjustified.of(complaint.accused))
}
