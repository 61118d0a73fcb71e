//! What devices say of shares that they were dealt, and what a decider makes of it.

use aura_choreography::{Dev, DeviceSet, Each, Me, Payload, Reason};
use borsh::{BorshDeserialize, BorshSerialize};

use super::table::Heard;

/// A device's word on what it received.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
#[borsh(use_discriminant = false)]
pub enum Report {
    /// Everything fits: its signature on how the keys came about, or its proof that it has its share.
    Confirm(Vec<u8>),
    /// What these devices sealed for it does not open or does not fit.
    Complain(DeviceSet),
    /// These devices broke the rules, as everybody can check.
    Accuse(DeviceSet),
    /// What others say rests on something else than this device heard.
    Differ,
}

/// What a device makes of what it heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fits,
    Differs,
    Accuses(DeviceSet),
}

/// What the decider makes of all verdicts. Whom it found guilty itself it names; others' say-so names
/// nobody.
pub(super) fn judge(own: Verdict, mut others: impl Iterator<Item = Verdict>) -> Result<(), Reason> {
    match own {
        Verdict::Accuses(culprits) => Err(Reason::Byzantine { culprits }),
        Verdict::Fits if others.all(|it| it == Verdict::Fits) => Ok(()),
        Verdict::Fits | Verdict::Differs => Err(Reason::VerificationFailed),
    }
}

impl Report {
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Self::Confirm(_) | Self::Complain(_) => Verdict::Fits,
            Self::Accuse(devices) => Verdict::Accuses(*devices),
            Self::Differ => Verdict::Differs,
        }
    }

    pub(super) const fn complaints(&self) -> DeviceSet {
        match self {
            Self::Complain(devices) => *devices,
            Self::Confirm(_) | Self::Accuse(_) | Self::Differ => DeviceSet::EMPTY,
        }
    }

    fn word(&self) -> Option<Vec<u8>> {
        match self {
            Self::Confirm(word) => Some(word.clone()),
            Self::Complain(_) | Self::Accuse(_) | Self::Differ => None,
        }
    }
}

pub(super) fn union(sets: impl Iterator<Item = DeviceSet>) -> DeviceSet {
    sets.fold(DeviceSet::EMPTY, DeviceSet::union)
}

/// Who complained, and about whom.
pub(super) fn complaints(
    said: &Each<Vec<(Dev, Report)>>,
    me: &Me,
) -> Result<Heard<DeviceSet>, Reason> {
    let complaints = said.here(me)?.iter().map(|(by, it)| (*by, it.complaints()));
    Ok(complaints.filter(|it| !it.1.is_empty()).collect())
}

/// What those said who confirmed.
pub(super) fn words(said: &Each<Vec<(Dev, Report)>>, me: &Me) -> Result<Heard<Vec<u8>>, Reason> {
    Ok(said.here(me)?.iter().filter_map(|(by, it)| Some((*by, it.word()?))).collect())
}
