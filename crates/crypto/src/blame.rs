//! Whose fault it is, in a form that every replica finds alike.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::polynomial::ShareIndex;

/// What a participant did that no honest one does. Each can be checked by everybody from what was
/// published, so blame is never one device's word.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Error,
)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Fault {
    /// Its message stands under another's index.
    #[error("its message carries another index")]
    WrongIndex,
    /// Its commitment is to a polynomial of another degree than agreed.
    #[error("its commitment has another degree than agreed")]
    WrongDegree,
    /// Its commitment has a small-order part.
    #[error("its commitment has a small-order part")]
    Torsion,
    /// It shares something else than its own share.
    #[error("it does not share its own share")]
    WrongConstant,
    /// It sealed nothing for somebody, or for a stranger.
    #[error("it did not seal for exactly the receivers")]
    WrongReceivers,
    /// Its proof does not hold.
    #[error("its proof does not hold")]
    BadProof,
    /// It was asked in public to justify a share and gave none that matches.
    #[error("it could not justify a share that it dealt")]
    Unjustified,
    /// Its signature share does not fit.
    #[error("its signature share does not fit")]
    BadSignatureShare,
    /// What it revealed is not what it committed to.
    #[error("it revealed something else than it committed to")]
    CommitMismatch,
    /// It revealed without a commitment.
    #[error("it revealed without a commitment")]
    NoCommitment,
    /// It signed another transcript than the others.
    #[error("it signed another transcript")]
    OtherTranscript,
}

/// A fault and who is guilty of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Error,
)]
#[error("participant {who} is at fault: {fault}")]
pub struct Blame {
    /// Who.
    pub who: ShareIndex,
    /// What.
    pub fault: Fault,
}

impl Fault {
    /// Puts it on `who`.
    #[must_use]
    pub const fn of(self, who: ShareIndex) -> Blame {
        Blame { who, fault: self }
    }
}

/// Who is to blame, in the order of their indices.
pub(crate) fn sorted(mut blamed: Vec<Blame>) -> Vec<Blame> {
    blamed.sort_unstable();
    blamed.dedup();
    blamed
}
