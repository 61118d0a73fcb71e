//! The quorum clock: epochs that no fewer than m devices can drive (`02-ledger`, section 3).
//!
//! A device signs tick e + 1 only after m distinct voters have signed tick e, so the clock goes as
//! fast as the m-th fastest of them lets it. A tick that is signed earlier is in the set like any unit
//! and means nothing.
//!
//! What counts of all ticks in a causal past is the newest epoch and who has signed it: a valid tick
//! of it proves that the epoch before was reached. So each unit carries no more than that, shared with
//! its parents where it adds nothing, and two pasts are joined by taking the newer epoch or both sets
//! of signers. Joining is associative, commutative and idempotent: the clock is a function of the set
//! of units, whatever arrived first (INV-J28).

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use aura_protocol_core::{DeviceId, Epoch, quorum};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    control::{Configuration, Role},
    encoded::Encoded,
};

/// What the valid ticks of a causal past come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Ticks {
    /// The newest epoch that a valid tick names.
    newest: Epoch,
    /// Who has signed a valid tick of that epoch.
    by: BTreeSet<DeviceId>,
}

/// A past without ticks, which most units share.
static NONE: LazyLock<Arc<Ticks>> = LazyLock::new(Arc::default);

impl Ticks {
    /// Those of a past without ticks.
    pub(crate) fn none() -> Arc<Self> {
        Arc::clone(&NONE)
    }

    /// Those of both pasts.
    pub(crate) fn join(one: Arc<Self>, other: &Arc<Self>) -> Arc<Self> {
        if Arc::ptr_eq(&one, other) || other.newest < one.newest {
            return one;
        }
        if one.newest < other.newest || one.by.is_subset(&other.by) {
            return Arc::clone(other);
        }
        if other.by.is_subset(&one.by) {
            return one;
        }
        let by = one.by.union(&other.by).copied().collect();
        Arc::new(Self { newest: one.newest, by })
    }

    /// The epoch that m distinct voters of `config` have signed, or that a valid tick proves.
    pub(crate) fn stand(&self, config: &Configuration) -> Epoch {
        let votes = self.by.iter().filter(|it| is_voter(config, it)).map(|it| (*it, self.newest));
        match quorum::decided(votes, usize::from(config.m)) {
            Some((epoch, _)) => epoch,
            None => Epoch(self.newest.0.saturating_sub(1)),
        }
    }

    /// The voters of `config` whose tick is what the next epoch waits for.
    pub(crate) fn missing(&self, config: &Configuration) -> BTreeSet<DeviceId> {
        let signed = if self.stand(config) == self.newest { None } else { Some(&self.by) };
        let has_signed = |it: &DeviceId| signed.is_some_and(|by| by.contains(it));
        config.voters().map(|it| it.device).filter(|it| !has_signed(it)).collect()
    }

    /// Those of a unit's past with the unit itself. A tick that its past does not allow changes
    /// nothing.
    pub(crate) fn with(past: Arc<Self>, unit: &Encoded<'_>, config: &Configuration) -> Arc<Self> {
        let Some(epoch) = unit.tick() else { return past };
        let allowed = epoch <= past.stand(config).saturating_add(1);
        let author = unit.author();
        if !allowed || epoch == Epoch(0) || !is_voter(config, &author) {
            return past;
        }
        let own = Arc::new(Self { newest: epoch, by: BTreeSet::from([author]) });
        Self::join(past, &own)
    }
}

fn is_voter(config: &Configuration, device: &DeviceId) -> bool {
    config.roster.get(device).is_some_and(|it| it.role == Role::Voter)
}
