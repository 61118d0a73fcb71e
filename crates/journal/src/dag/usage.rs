//! V6: how much one author may write.
//!
//! A quota is for one author and one interval; an interval ends with the next configuration that the
//! author names. What a unit uses up is counted along its author's own chain, so whether it is within
//! the quota is a function of its causal past (V1).
//!
//! Two things come on top. Proposals and votes have a reserve of their own, which nothing else can use
//! up: an author that has written too much can still vote for the entry that begins the next interval.
//! A tick that moves the clock is free, since a quorum sets the pace of those; so are a few ticks after
//! it, which do no more than link the heads of a large account.

use aura_protocol_core::limits::{DEVICES_MAX, UNIT_DEPS_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::event::EventKind;

/// Most units of one author in one interval. Eight devices can write eight million.
pub const QUOTA_UNITS: u64 = 1 << 20;
/// Most bytes of one author in one interval.
pub const QUOTA_BYTES: u64 = 256 << 20;
/// The part of both that is left to proposals and votes alone: one in this many.
const RESERVE: u64 = 16;
/// Ticks after one that moved the clock that are free: as many as link the heads of all devices.
const IDLE_TICKS_MAX: u8 = 32;
const _: () = assert!(DEVICES_MAX <= UNIT_DEPS_MAX * IDLE_TICKS_MAX as usize);

/// A number of units and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Usage {
    units: u64,
    bytes: u64,
}

/// What an author has used up of its quota, at one of its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(crate) struct Spent {
    total: Usage,
    idle_ticks: u8,
}

impl Usage {
    /// With one unit more, of so many bytes.
    pub(crate) const fn and(self, bytes: usize) -> Self {
        let (units, bytes) =
            (self.units.saturating_add(1), self.bytes.saturating_add(bytes as u64));
        Self { units, bytes }
    }

    /// With one unit less.
    pub(crate) const fn without(self, bytes: usize) -> Self {
        let (units, bytes) =
            (self.units.saturating_sub(1), self.bytes.saturating_sub(bytes as u64));
        Self { units, bytes }
    }

    const fn is_within(self, units: u64, bytes: u64) -> bool {
        self.units <= units && self.bytes <= bytes
    }

    /// Whether it is no more than what a forked author may have beside its chain: two quotas.
    pub(crate) const fn is_within_forks(self) -> bool {
        self.is_within(2 * QUOTA_UNITS, 2 * QUOTA_BYTES)
    }
}

impl Spent {
    /// What is used up with the author's next unit, if the quota allows it. `before` is what was at
    /// its last one in the same interval, and `moves_clock` whether it is a tick that counts.
    pub(crate) fn next(
        before: Self,
        kind: Option<EventKind>,
        bytes: usize,
        moves_clock: bool,
    ) -> Option<Self> {
        if kind == Some(EventKind::EpochTick) {
            let idle_ticks = if moves_clock { 0 } else { before.idle_ticks.saturating_add(1) };
            if idle_ticks <= IDLE_TICKS_MAX {
                return Some(Self { idle_ticks, ..before });
            }
        }
        let total = before.total.and(bytes);
        let (units, bytes) = match kind {
            Some(EventKind::Control) => (QUOTA_UNITS, QUOTA_BYTES),
            _ => (QUOTA_UNITS - QUOTA_UNITS / RESERVE, QUOTA_BYTES - QUOTA_BYTES / RESERVE),
        };
        total.is_within(units, bytes).then_some(Self { total, ..before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Option<EventKind> = Some(EventKind::SessionMessage);
    const CONTROL: Option<EventKind> = Some(EventKind::Control);
    const TICK: Option<EventKind> = Some(EventKind::EpochTick);

    fn at(units: u64, bytes: u64) -> Spent {
        Spent { total: Usage { units, bytes }, idle_ticks: 0 }
    }

    /// INV-J43: what is left to votes cannot be used up by anything else.
    #[test]
    fn votes_have_a_reserve() {
        let units = QUOTA_UNITS - QUOTA_UNITS / RESERVE;
        let bytes = QUOTA_BYTES - QUOTA_BYTES / RESERVE;
        for (before, fits) in [
            (at(0, 0), true),
            (at(units - 1, 0), true),
            (at(units, 0), false),
            (at(0, bytes - 10), true),
            (at(0, bytes - 9), false),
        ] {
            assert_eq!(Spent::next(before, MESSAGE, 10, false).is_some(), fits, "{before:?}");
            assert!(Spent::next(before, CONTROL, 10, false).is_some(), "{before:?}");
        }
        for full in [at(QUOTA_UNITS, 0), at(0, QUOTA_BYTES - 9)] {
            assert_eq!(Spent::next(full, CONTROL, 10, false), None);
        }
        let spent = Spent::next(at(3, 100), MESSAGE, 10, false);
        assert_eq!(spent, Some(at(4, 110)));
    }

    /// Ticks that move the clock cost nothing, and so do a few after each; more are like any unit.
    #[test]
    fn ticks_are_free_at_the_pace_of_the_clock() {
        let full = at(QUOTA_UNITS, QUOTA_BYTES);
        let mut spent = Spent::next(full, TICK, 10, true).unwrap();
        for _ in 0..IDLE_TICKS_MAX {
            spent = Spent::next(spent, TICK, 10, false).unwrap();
        }
        assert_eq!(spent.total, full.total);
        assert_eq!(Spent::next(spent, TICK, 10, false), None);
        assert!(Spent::next(spent, TICK, 10, true).is_some_and(|it| it.idle_ticks == 0));
        let charged =
            Spent::next(Spent { idle_ticks: IDLE_TICKS_MAX, ..at(0, 0) }, TICK, 10, false);
        assert_eq!(charged.map(|it| it.total), Some(at(1, 10).total));
        assert_eq!(u64::from(IDLE_TICKS_MAX), 32);
    }
}
