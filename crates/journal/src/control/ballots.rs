//! The votes that were seen for one slot, each verified, counted by canonical key.
//!
//! Invariants:
//! - INV-J14: a quorum is m distinct voters of the slot's configuration, whatever is sent.

use std::collections::BTreeMap;

use aura_crypto::{PublicKey, Signature};
use aura_protocol_core::{Digest, quorum::tally};

use crate::control::{Certificate, Phase, Vote};

/// Most values that one key's votes of one phase are kept for. An honest one votes once; the rest of
/// an equivocator's votes can be missed, since they only could have helped a quorum.
const VALUES_PER_VOTER_MAX: usize = 4;

/// Verified votes of one slot and view. A map by key, so that nobody counts twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Ballots {
    votes: BTreeMap<(Phase, PublicKey), BTreeMap<Digest, Signature>>,
}

impl Ballots {
    pub(super) fn contains(&self, vote: &Vote) -> bool {
        self.of(vote.phase, &vote.key).is_some_and(|it| it.contains_key(&vote.value))
    }

    /// Whether the key has spent its votes of this phase.
    pub(super) fn is_spent(&self, phase: Phase, key: &PublicKey) -> bool {
        self.of(phase, key).is_some_and(|it| VALUES_PER_VOTER_MAX <= it.len())
    }

    /// Adds a vote whose signature and voter were checked.
    pub(super) fn add(&mut self, vote: &Vote) {
        let values = self.votes.entry((vote.phase, vote.key)).or_default();
        values.insert(vote.value, vote.signature);
    }

    /// How many distinct keys stand behind `value` in `phase`.
    pub(super) fn count(&self, phase: Phase, value: Digest) -> usize {
        tally(self.cast(phase)).get(&value).map_or(0, |voters| voters.len())
    }

    /// The values that at least `threshold` keys stand behind in `phase`.
    pub(super) fn quorums(&self, phase: Phase, threshold: usize) -> Vec<Digest> {
        let tally = tally(self.cast(phase));
        tally.into_iter().filter(|(_, it)| threshold <= it.len()).map(|(value, _)| value).collect()
    }

    /// A certificate of the commit votes of the first `m` keys; none when there are fewer.
    pub(super) fn certificate(&self, view: u64, value: Digest, m: usize) -> Option<Certificate> {
        let of_value = |((phase, key), values): (&(Phase, PublicKey), &BTreeMap<_, _>)| {
            let signature = values.get(&value).copied()?;
            (*phase == Phase::Commit).then_some((*key, signature))
        };
        let votes: BTreeMap<_, _> = self.votes.iter().filter_map(of_value).take(m).collect();
        (votes.len() == m).then_some(Certificate { view, votes })
    }

    fn of(&self, phase: Phase, key: &PublicKey) -> Option<&BTreeMap<Digest, Signature>> {
        self.votes.get(&(phase, *key))
    }

    fn cast(&self, phase: Phase) -> impl Iterator<Item = (PublicKey, Digest)> + '_ {
        let of_phase = self.votes.iter().filter(move |((it, _), _)| *it == phase);
        of_phase.flat_map(|((_, key), values)| values.keys().map(|value| (*key, *value)))
    }
}
