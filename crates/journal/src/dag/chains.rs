//! An author's units by their places. There is one at each, unless the author has forked.

use std::collections::BTreeSet;

use aura_protocol_core::Digest;

/// All units of one author. The places are taken without a gap: a unit names the one before it.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// The unit that came first at each place.
    firsts: Vec<Digest>,
    /// All others, with their places.
    others: BTreeSet<(u64, Digest)>,
    /// Once it has forked: its units that none of its own rests on.
    tips: BTreeSet<Digest>,
}

impl Chain {
    pub(super) fn insert(&mut self, seq: u64, unit: Digest, prev: Option<Digest>) {
        if seq == self.len() {
            self.firsts.push(unit);
        } else {
            self.tips.extend(self.firsts.last().copied().filter(|_| self.others.is_empty()));
            self.others.insert((seq, unit));
        }
        if !self.others.is_empty() {
            self.tips.extend([unit]);
            if let Some(prev) = prev {
                self.tips.remove(&prev);
            }
        }
    }

    /// How many places are taken.
    pub(crate) const fn len(&self) -> u64 {
        self.firsts.len() as u64
    }

    /// The first unit that came for the last place.
    pub(crate) fn last(&self) -> Option<Digest> {
        self.firsts.last().copied()
    }

    /// The first unit that came for a place.
    pub(crate) fn first_at(&self, seq: u64) -> Option<Digest> {
        self.firsts.get(usize::try_from(seq).ok()?).copied()
    }

    /// The lowest place that is taken twice. The units below it are one chain.
    pub(crate) fn fork(&self) -> Option<u64> {
        self.others.first().map(|(seq, _)| *seq)
    }

    /// Once it has forked: the ends of its branches.
    pub(crate) const fn tips(&self) -> &BTreeSet<Digest> {
        &self.tips
    }

    /// All units at a place.
    pub(crate) fn at(&self, seq: u64) -> impl Iterator<Item = Digest> + '_ {
        let others = self.others.range((seq, Digest::ZERO)..).take_while(move |it| it.0 == seq);
        self.first_at(seq).into_iter().chain(others.map(|(_, unit)| *unit))
    }

    /// All units from one place up to another, by place.
    pub(crate) fn between(&self, from: u64, until: u64) -> impl Iterator<Item = Digest> + '_ {
        (from..until.min(self.len())).flat_map(|seq| self.at(seq))
    }

    /// The places that are taken twice, in ascending order.
    pub(crate) fn forks(&self) -> impl Iterator<Item = u64> + '_ {
        self.others.iter().map(|(seq, _)| *seq)
    }
}
