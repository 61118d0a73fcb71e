//! What a session is told of the clock, and when.
//!
//! A session that has never asked for the time is never told. One that has asked is told before
//! everything that came at a later epoch than the last it was told, so that it judges each event by the
//! epoch at which that event came; and once nothing waits for it any more, as soon as the epoch has come
//! that it asked for. So an event that is there wins over a deadline that has passed since (INV-X4).

use aura_protocol_core::Epoch;
use borsh::{BorshDeserialize, BorshSerialize};

/// The clock of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub(super) struct Wake {
    /// Where the clock stands, as far as the host has said.
    now: Epoch,
    /// Whether the session has ever asked for the time.
    asked: bool,
    /// The epoch that it asked for last.
    wish: Option<Epoch>,
    /// The last epoch that it was told.
    told: Option<Epoch>,
    /// Whether it was told by the last step. It is not told the same twice in a row.
    just_told: bool,
}

impl Wake {
    pub(super) const fn now(&self) -> Epoch {
        self.now
    }

    pub(super) const fn wish(&self) -> Option<Epoch> {
        self.wish
    }

    /// The clock stands at `now`. It never goes back.
    pub(super) fn advance(&mut self, now: Epoch) {
        self.now = self.now.max(now);
    }

    /// The epoch to tell before an input that came at `at`.
    pub(super) fn before(&self, at: Epoch) -> Option<Epoch> {
        (self.asked && self.told.is_none_or(|told| told < at)).then_some(at)
    }

    /// The epoch to tell when nothing waits.
    pub(super) fn due(&self) -> Option<Epoch> {
        let known = self.just_told && self.told == Some(self.now);
        (self.wish? <= self.now && !known).then_some(self.now)
    }

    /// A step is over that was told `told`, if anything; it asks for `wish`.
    pub(super) fn stepped(&mut self, told: Option<Epoch>, wish: Option<Epoch>) {
        self.asked |= wish.is_some();
        self.wish = wish;
        self.refused(told);
    }

    /// A step is over that was told `told` and changed nothing.
    pub(super) fn refused(&mut self, told: Option<Epoch>) {
        self.just_told = told.is_some();
        self.told = told.or(self.told);
    }
}
