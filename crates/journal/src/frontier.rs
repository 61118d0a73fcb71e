//! Frontiers: how far a ledger is with each author, and what another one lacks.
//!
//! An author's units are one chain, so its last unit says which are there. Once it has forked they are a
//! tree: one chain up to the fork, then branches, each with an end. Whoever knows of the fork needs no
//! more of it than what other authors have built on, since the fold leaves it out; so that is all that
//! is sent.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{DeviceId, Digest};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Ledger, UnitScheme,
    dag::{Chain, Dag, Held},
};

/// Most points that are named of one author: a frontier of all devices fits into a frame.
const POINTS_MAX: usize = 64;

/// How far a device has got with each author.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Frontier {
    /// How many units, and the last one's hash; of an author that has forked, up to the fork.
    pub chains: BTreeMap<DeviceId, (u64, Digest)>,
    /// More of the authors of which a chain's end does not say enough.
    pub branches: BTreeMap<DeviceId, Branches>,
}

/// Units of one author that are held, each with all of its author's before it.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Branches {
    /// The lowest place for which two units are held; none where no fork is known.
    pub fork: Option<u64>,
    /// Places and units: the ends of branches, or points along the way where somebody has to find where
    /// two chains part. At most 64.
    pub points: Vec<(u64, Digest)>,
}

/// What a frontier says of one author, read against what is held here.
struct Known {
    /// The units below this place.
    below: u64,
    /// And these.
    units: BTreeSet<Digest>,
    /// Nothing beyond this place has to be sent for its own sake.
    fork: u64,
    /// Both have units of the author for the same place, and nothing in common is known.
    is_lost: bool,
}

/// Units that somebody lacks: a mark for each that arrived here.
struct Missing<'a> {
    dag: &'a Dag,
    marks: Vec<bool>,
}

impl<'a> Missing<'a> {
    fn of(dag: &'a Dag) -> Self {
        Self { dag, marks: vec![false; dag.arrivals().len()] }
    }

    /// Adds a unit. Whether it is new, and here: for others a snapshot stands.
    fn insert(&mut self, unit: &Digest) -> bool {
        let mark = self.dag.index(unit).and_then(|it| self.marks.get_mut(it));
        mark.is_some_and(|it| !std::mem::replace(it, true))
    }

    /// Them, in the order in which they arrived: each after those that it rests on.
    fn arrivals(&self) -> impl Iterator<Item = (&'a Digest, &'a Held)> {
        let dag = self.dag;
        let marked = self.marks.iter().enumerate().filter(|(_, it)| **it);
        marked.filter_map(move |(index, _)| dag.arrival(index))
    }

    fn into_arrivals(self) -> impl Iterator<Item = (&'a Digest, &'a Held)> {
        let dag = self.dag;
        let marked = self.marks.into_iter().enumerate().filter(|(_, it)| *it);
        marked.filter_map(move |(index, _)| dag.arrival(index))
    }
}

impl<S: UnitScheme> Ledger<S> {
    /// How far this ledger is with each author.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut frontier = Frontier::default();
        for (author, chain) in self.dag.authors() {
            let count = chain.fork().unwrap_or(chain.len());
            if let Some(last) = count.checked_sub(1).and_then(|it| chain.first_at(it)) {
                frontier.chains.insert(*author, (count, last));
            }
            if chain.fork().is_some() {
                frontier.branches.insert(*author, self.branches(chain));
            }
        }
        frontier
    }

    fn branches(&self, chain: &Chain) -> Branches {
        let tips = chain.tips().iter().filter_map(|it| self.dag.held(it).map(|held| (held, it)));
        let mut points: Vec<_> = tips.map(|(held, unit)| (held.unit().seq(), *unit)).collect();
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.truncate(POINTS_MAX);
        Branches { fork: chain.fork(), points }
    }

    /// The units that whoever has this frontier lacks, each after those that it rests on.
    ///
    /// Of an author that its owner knows to have forked, beyond the fork only those that others' units
    /// rest on.
    pub fn missing_for(&self, frontier: &Frontier) -> impl Iterator<Item = &[u8]> {
        let mut known = BTreeMap::new();
        let mut missing = Missing::of(&self.dag);
        for (author, chain) in self.dag.authors() {
            let has = self.known(author, chain, frontier);
            // They may have all of it; they are told enough to find where the chains part.
            let end = if has.is_lost { has.below } else { has.fork };
            for unit in chain.between(has.below, end.min(chain.len())) {
                if !has.units.contains(&unit) && !self.accounts.contains(&unit) {
                    missing.insert(&unit);
                }
            }
            // Two units at one place show a fork to whoever has the one before them.
            let unheard = chain.fork().filter(|it| has.is_lost && *it < has.fork);
            for unit in unheard.into_iter().flat_map(|it| chain.at(it)) {
                missing.insert(&unit);
            }
            known.insert(*author, has);
        }
        self.add_demanded(&known, &mut missing);
        missing.into_arrivals().map(|(_, it)| it.bytes().as_ref())
    }

    /// Whether whoever has this frontier lacks units for which only a snapshot stands here.
    #[must_use]
    pub fn needs_base(&self, frontier: &Frontier) -> bool {
        self.dag.authors().iter().any(|(author, chain)| {
            let below = chain.fork().unwrap_or(u64::MAX).min(chain.dropped());
            self.known(author, chain, frontier).below < below
        })
    }

    /// Adds what the units in `missing` and the entries rest on and the other lacks.
    fn add_demanded(&self, known: &BTreeMap<DeviceId, Known>, missing: &mut Missing<'_>) {
        if known.values().all(|it| it.fork == u64::MAX) {
            return;
        }
        let mut open: Vec<Digest> = missing.arrivals().map(|(unit, _)| *unit).collect();
        for (author, has) in known.iter().filter(|(_, it)| it.fork != u64::MAX) {
            let chain = self.dag.chain_of(author).into_iter();
            let beyond = chain.flat_map(|it| it.between(has.fork, it.len()));
            let closed = beyond.filter(|it| self.segment(it).is_some() && !has.units.contains(it));
            open.extend(closed.filter(|it| missing.insert(it)));
        }
        while let Some(unit) = open.pop() {
            let Some(held) = self.dag.held(&unit) else { continue };
            for parent in held.unit().parents() {
                let Some(body) = self.dag.held(&parent).map(Held::unit) else { continue };
                let Some(has) = known.get(&body.author()) else { continue };
                let lacks = has.below <= body.seq() && !has.units.contains(&parent);
                if lacks && has.fork != u64::MAX && missing.insert(&parent) {
                    open.push(parent);
                }
            }
        }
    }

    /// What the owner of a frontier has of an author.
    fn known(&self, author: &DeviceId, chain: &Chain, frontier: &Frontier) -> Known {
        let branches = frontier.branches.get(author);
        let last =
            frontier.chains.get(author).map(|(count, last)| (count.saturating_sub(1), *last));
        let points = branches.into_iter().flat_map(|it| it.points.iter().take(POINTS_MAX).copied());
        let points: Vec<(u64, Digest)> = last.into_iter().chain(points).collect();
        let prefix = chain.fork().unwrap_or(chain.len());
        let mut known = Known {
            below: 0,
            units: BTreeSet::new(),
            fork: branches.and_then(|it| it.fork).unwrap_or(u64::MAX),
            is_lost: !points.is_empty(),
        };
        for (_, unit) in &points {
            let mut at = Some(*unit);
            while let Some((unit, place)) = at.and_then(|it| Some((it, self.dag.place(&it)?))) {
                if place.author != *author {
                    break;
                }
                known.is_lost = false;
                if place.seq < prefix {
                    known.below = known.below.max(place.seq.saturating_add(1));
                    break;
                }
                let is_new = known.units.insert(unit);
                let held = self.dag.held(&unit);
                at = held.and_then(|it| it.unit().prev()).filter(|_| is_new);
            }
        }
        let floor = chain.floor();
        if known.is_lost && points.iter().all(|(seq, _)| *seq < floor) {
            // It stands where nothing is known any more, and begins with the base.
            known.below = floor;
            known.is_lost = false;
        } else if points.iter().any(|(seq, _)| *seq == 0) {
            // Whatever parts from ours at its first unit has nothing else in common with it.
            known.is_lost = false;
        } else if chain.fork().is_none() && points.iter().all(|(seq, _)| chain.len() <= *seq) {
            // It may go on from ours.
            known.below = if known.is_lost { chain.len() } else { known.below };
            known.is_lost = false;
        }
        known
    }

    /// This ledger's frontier with points along the chains of which whoever has `frontier` and this
    /// ledger hold different units, so that it finds where they part; none where there are no such.
    pub(crate) fn frontier_for_lost(&self, frontier: &Frontier) -> Option<Frontier> {
        let mut answer = None;
        for (author, chain) in self.dag.authors() {
            if self.known(author, chain, frontier).is_lost {
                let answer = answer.get_or_insert_with(|| self.frontier());
                let branches = answer.branches.entry(*author).or_default();
                let prefix = chain.fork().unwrap_or(chain.len());
                let mut back = 1;
                let mut points = Vec::new();
                while let Some(seq) = prefix.checked_sub(back) {
                    points.extend(chain.first_at(seq).map(|unit| (seq, unit)));
                    back = back.saturating_mul(2);
                }
                points.extend(chain.first_at(0).filter(|_| 0 < prefix).map(|unit| (0, unit)));
                branches.points.truncate(POINTS_MAX.saturating_sub(points.len()));
                branches.points.extend(points);
            }
        }
        answer
    }
}
