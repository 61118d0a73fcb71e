//! The votes that were seen for one slot, each verified, counted by canonical key.
//!
//! Invariants:
//! - INV-J14: a quorum is m distinct voters of the slot's configuration, whatever is sent.

use std::collections::BTreeMap;

use aura_crypto::{PublicKey, Signature};
use aura_protocol_core::{Digest, quorum::tally};

use crate::control::{Certificate, Phase, Vote};

/// Most values that one key's votes of one view and phase are kept for. An honest one votes once; the
/// rest of an equivocator's votes can be missed, since they only could have helped a quorum.
const VALUES_PER_VOTER_MAX: usize = 4;

/// Verified votes of one slot. A map by key, so that nobody counts twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Ballots {
    votes: BTreeMap<(u64, Phase, PublicKey), BTreeMap<Digest, Signature>>,
}

impl Ballots {
    pub(super) fn contains(&self, vote: &Vote) -> bool {
        self.of(vote).is_some_and(|it| it.contains_key(&vote.value))
    }

    /// Whether the vote's key has spent its votes of this view and phase.
    pub(super) fn is_spent(&self, vote: &Vote) -> bool {
        self.of(vote).is_some_and(|it| VALUES_PER_VOTER_MAX <= it.len())
    }

    /// Adds a vote whose signature and voter were checked.
    pub(super) fn add(&mut self, vote: &Vote) {
        let values = self.votes.entry((vote.view, vote.phase, vote.key)).or_default();
        values.insert(vote.value, vote.signature);
    }

    /// How many distinct keys stand behind `value` in `view` and `phase`.
    pub(super) fn count(&self, view: u64, phase: Phase, value: Digest) -> usize {
        tally(self.cast(view, phase)).get(&value).map_or(0, |voters| voters.len())
    }

    /// The values that at least `threshold` keys stand behind in `view` and `phase`.
    pub(super) fn quorums(&self, view: u64, phase: Phase, threshold: usize) -> Vec<Digest> {
        let tally = tally(self.cast(view, phase));
        tally.into_iter().filter(|(_, it)| threshold <= it.len()).map(|(value, _)| value).collect()
    }

    /// The highest view in which at least `threshold` keys prepared a value, among those from
    /// `after` + 1 (from 0 without it) to `before` − 1, with that value.
    pub(super) fn last_prepared(
        &self,
        after: Option<u64>,
        before: u64,
        threshold: usize,
    ) -> Option<(u64, Digest)> {
        let from = after.map_or(0, |it| it.saturating_add(1));
        (from..before).rev().find_map(|view| {
            let value = self.quorums(view, Phase::Prepare, threshold).first().copied()?;
            Some((view, value))
        })
    }

    /// Whether `value` was prepared by `threshold` keys in a view between the two, both excluded.
    pub(super) fn was_prepared(
        &self,
        value: Digest,
        after: u64,
        before: u64,
        threshold: usize,
    ) -> bool {
        let mut views = after.saturating_add(1)..before;
        views.any(|view| threshold <= self.count(view, Phase::Prepare, value))
    }

    /// The highest view that at least `threshold` keys have entered.
    pub(super) fn entered_by(&self, threshold: usize) -> Option<u64> {
        let mut highest: BTreeMap<PublicKey, u64> = BTreeMap::new();
        for (view, phase, key) in self.votes.keys() {
            if *phase == Phase::NewView {
                let entered = highest.entry(*key).or_default();
                *entered = (*entered).max(*view);
            }
        }
        let mut views: Vec<u64> = highest.into_values().collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        views.get(threshold.checked_sub(1)?).copied()
    }

    /// A certificate of the commit votes of the first `m` keys in the lowest view that has them; none
    /// when there are fewer in each.
    pub(super) fn certificate(&self, value: Digest, m: usize) -> Option<Certificate> {
        let mut by_view: BTreeMap<u64, BTreeMap<PublicKey, Signature>> = BTreeMap::new();
        for ((view, phase, key), values) in &self.votes {
            if let (Phase::Commit, Some(signature)) = (phase, values.get(&value)) {
                let votes = by_view.entry(*view).or_default();
                if votes.len() < m {
                    votes.insert(*key, *signature);
                }
            }
        }
        let full = by_view.into_iter().find(|(_, votes)| votes.len() == m);
        full.map(|(view, votes)| Certificate { view, votes })
    }

    fn of(&self, vote: &Vote) -> Option<&BTreeMap<Digest, Signature>> {
        self.votes.get(&(vote.view, vote.phase, vote.key))
    }

    fn cast(&self, view: u64, phase: Phase) -> impl Iterator<Item = (PublicKey, Digest)> + '_ {
        let of_phase =
            self.votes.iter().filter(move |((of, it, _), _)| *of == view && *it == phase);
        of_phase.flat_map(|((_, _, key), values)| values.keys().map(|value| (*key, *value)))
    }
}
