//! An author's units by their places. There is one at each, unless the author has forked. Of those that
//! a snapshot stands for, only the newest may be known.

use std::collections::BTreeSet;

use aura_protocol_core::Digest;

/// All units of one author. The places from the floor on are taken without a gap: a unit names the one
/// before it.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Of the units below this place nothing is known here.
    floor: u64,
    /// A snapshot stands for the units below this place.
    dropped: u64,
    /// The lowest place that is taken twice below it.
    fork_below: Option<u64>,
    tips_below: BTreeSet<Digest>,
    /// The unit that came first at each place from the floor on.
    firsts: Vec<Digest>,
    /// All others, with their places.
    others: BTreeSet<(u64, Digest)>,
    /// Once it has forked: its units that none of its own rests on.
    tips: BTreeSet<Digest>,
}

impl Chain {
    /// What a snapshot knows of an author: how many of its units it stands for, its fork, and the units
    /// that are known yet, by place. Once it has forked, the ends of its branches.
    pub(crate) fn below(
        dropped: u64,
        fork: Option<u64>,
        units: &[(u64, Digest)],
        tips: BTreeSet<Digest>,
    ) -> Self {
        let floor = units.first().map_or(dropped, |(seq, _)| *seq);
        let mut chain = Self { floor, dropped, fork_below: fork, ..Self::default() };
        chain.tips_below = tips.clone();
        chain.tips = tips;
        for (seq, unit) in units {
            if *seq == chain.len() {
                chain.firsts.push(*unit);
            } else {
                chain.others.insert((*seq, *unit));
            }
        }
        chain
    }

    /// Of the units below this place nothing is known here.
    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    /// A snapshot stands for the units below this place.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The fork that a snapshot knows of.
    pub(crate) const fn fork_below(&self) -> Option<u64> {
        self.fork_below
    }

    /// Of that one: the ends of its branches as the snapshot knows them.
    pub(crate) const fn tips_below(&self) -> &BTreeSet<Digest> {
        &self.tips_below
    }

    pub(super) fn insert(&mut self, seq: u64, unit: Digest, prev: Option<Digest>) {
        if seq == self.len() {
            self.firsts.push(unit);
        } else {
            self.tips.extend(self.firsts.last().copied().filter(|_| self.fork().is_none()));
            self.others.insert((seq, unit));
        }
        if self.fork().is_some() {
            self.tips.extend([unit]);
            if let Some(prev) = prev {
                self.tips.remove(&prev);
            }
        }
    }

    /// How many places are taken.
    pub(crate) const fn len(&self) -> u64 {
        self.floor + self.firsts.len() as u64
    }

    /// The first unit that came for the last place.
    pub(crate) fn last(&self) -> Option<Digest> {
        self.firsts.last().copied()
    }

    /// The first unit that came for a place.
    pub(crate) fn first_at(&self, seq: u64) -> Option<Digest> {
        self.firsts.get(usize::try_from(seq.checked_sub(self.floor)?).ok()?).copied()
    }

    /// The lowest place that is taken twice. The units below it are one chain.
    pub(crate) fn fork(&self) -> Option<u64> {
        let known = self.others.first().map(|(seq, _)| *seq);
        [known, self.fork_below].into_iter().flatten().min()
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
        (from.max(self.floor)..until.min(self.len())).flat_map(|seq| self.at(seq))
    }

    /// The places that are taken twice, in ascending order.
    pub(crate) fn forks(&self) -> impl Iterator<Item = u64> + '_ {
        let below = self.fork_below.into_iter();
        below.chain(self.others.iter().map(|(seq, _)| *seq))
    }

    /// Units below a snapshot that stand beyond a place of which nothing is known.
    pub(crate) fn beyond(&self) -> impl Iterator<Item = Digest> + '_ {
        self.others.range((self.len(), Digest::ZERO)..).map(|(_, unit)| *unit)
    }
}
