//! The graph of units: a set that only grows and is causally closed at all times.

mod account;
mod below;
mod chains;
mod import;
mod names;
mod segments;
mod usage;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aura_protocol_core::{DeviceId, Digest, Epoch, Lamport};

pub(crate) use account::Accounts;
pub(crate) use below::{Below, Place};
pub(crate) use chains::Chain;
pub(crate) use import::{Check, Trust, check, check_size, is_late, next_lamport, read};
pub(crate) use names::ByName;
pub(crate) use segments::{Moved, OPEN_SEGMENT, Segments};
pub use usage::{QUOTA_BYTES, QUOTA_UNITS};
pub(crate) use usage::{Spent, Usage};
pub use waiting::PeerTag;
pub(crate) use waiting::{Need, Refusals, Waiting};

use crate::{
    control::ControlChain,
    encoded::{Encoded, NamedUnit},
    error::Missing,
    ticks::Ticks,
};

/// A unit that passed every check.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Arc<[u8]>,
    /// What the ticks in its past come to, itself included.
    pub(crate) ticks: Arc<Ticks>,
    /// Where the clock stood here when it arrived.
    pub(crate) arrived_at: Epoch,
    /// What its author has used up of its quota with it.
    spent: Spent,
}

impl Held {
    /// The unit as its author encoded it.
    pub(crate) const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Its parts.
    pub(crate) fn unit(&self) -> Encoded<'_> {
        Encoded::known(&self.bytes)
    }
}

/// All units held, with their links.
#[derive(Debug, Default)]
pub(crate) struct Dag {
    /// In the order of arrival.
    units: ByName<Held>,
    authors: BTreeMap<DeviceId, Chain>,
    heads: BTreeSet<Digest>,
    /// What all ticks held here come to.
    ticks: Arc<Ticks>,
    /// What is known of what is gone here.
    below: Below,
}

impl Dag {
    /// A graph that goes on from what a snapshot stands for: these authors' units, of which these are
    /// rested on by none.
    pub(crate) fn above(
        below: Below,
        authors: BTreeMap<DeviceId, Chain>,
        heads: BTreeSet<Digest>,
    ) -> Self {
        let ticks = Arc::clone(below.ticks());
        Self { authors, heads, ticks, below, ..Self::default() }
    }

    /// Makes room for so many more units.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.units.reserve(more);
    }

    /// Adds a unit that passed every check, so that its parents are here. One that is on account covers
    /// nothing: nobody else may rest on it.
    pub(crate) fn insert(&mut self, candidate: &NamedUnit, chain: &ControlChain, on_account: bool) {
        let unit = candidate.encoded();
        let hash = candidate.name();
        // Checked before: a unit of an unknown configuration waits.
        let config = chain.config_at(unit.config()).unwrap_or_else(|| chain.config());
        let spent = self.spent(chain, &unit).unwrap_or_else(|| self.spent_before(&unit));
        let ticks = Ticks::with(self.ticks_before(chain, &unit), &unit, config);
        // By the unit's own configuration, so that a restart finds what was.
        let arrived_at = self.ticks.stand(config);
        self.ticks = Ticks::join(Arc::clone(&self.ticks), &ticks);
        if !on_account {
            self.heads.insert(hash);
            for parent in unit.parents() {
                self.heads.remove(&parent);
            }
        }
        self.authors.entry(unit.author()).or_default().insert(unit.seq(), hash, unit.prev());
        let bytes = Arc::clone(candidate.shared());
        self.units.push(hash, Held { bytes, ticks, arrived_at, spent });
    }

    /// These units were on account until now; `by` rests on them, if a unit does.
    pub(crate) fn settled(&mut self, units: &[Digest], by: Option<Digest>) {
        self.heads.extend(units);
        for unit in by.iter().chain(units) {
            for parent in self.units.get(unit).into_iter().flat_map(|it| it.unit().parents()) {
                self.heads.remove(&parent);
            }
        }
    }

    /// What its author has used up with this unit, if the quota allows it. Its parents are here.
    pub(crate) fn spent(&self, chain: &ControlChain, unit: &Encoded<'_>) -> Option<Spent> {
        let moves_clock = unit.is_tick() && {
            let config = chain.config_at(unit.config()).unwrap_or_else(|| chain.config());
            let past = self.ticks_before(chain, unit);
            !Arc::ptr_eq(&past, &Ticks::with(Arc::clone(&past), unit, config))
        };
        Spent::next(self.spent_before(unit), unit.kind(), unit.bytes(), moves_clock)
    }

    fn spent_before(&self, unit: &Encoded<'_>) -> Spent {
        let Some(prev) = unit.prev() else { return Spent::default() };
        if self.place(&prev).is_none_or(|it| it.config != unit.config()) {
            return Spent::default();
        }
        self.units.get(&prev).map_or_else(|| self.below.spent_of(&unit.author()), |it| it.spent)
    }

    /// What an author had used up of its quota with its last unit below a place, which is this one.
    pub(crate) fn spent_at(&self, author: DeviceId, unit: &Digest) -> Spent {
        self.units.get(unit).map_or_else(|| self.below.spent_of(&author), |it| it.spent)
    }

    /// What all ticks held here come to.
    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// What the ticks in the past of these units come to, themselves included.
    pub(crate) fn ticks_of(&self, tips: impl Iterator<Item = Digest>) -> Arc<Ticks> {
        tips.fold(Ticks::none(), |ticks, tip| match self.units.get(&tip) {
            Some(held) => Ticks::join(ticks, &held.ticks),
            None if self.below.place(&tip).is_some() => Ticks::join(ticks, self.below.ticks()),
            None => ticks,
        })
    }

    /// What the ticks come to in what a unit rests on, and in what the newest snapshot closes over that its
    /// configuration knows: the same whether those units are here or only the snapshot.
    fn ticks_before(&self, chain: &ControlChain, unit: &Encoded<'_>) -> Arc<Ticks> {
        let ticks = self.ticks_of(unit.parents());
        let Some(point) = chain.snapshots_until(unit.config()).last() else { return ticks };
        // Its author's units of the same configuration had the snapshot in their past.
        let before = unit.prev().and_then(|it| self.place(&it)).map(|it| it.config);
        if before == Some(unit.config()) {
            return ticks;
        }
        let past = chain.entry(point.k).map(|it| it.value.past.as_slice());
        Ticks::join(ticks, &self.ticks_of(past.unwrap_or_default().iter().copied()))
    }

    /// A unit that can be read.
    pub(crate) fn held(&self, unit: &Digest) -> Option<&Held> {
        self.units.get(unit).or_else(|| self.below.kept(unit))
    }

    /// Whether others may rest on it here.
    pub(crate) fn contains(&self, unit: &Digest) -> bool {
        self.units.index(unit).is_some() || self.below.place(unit).is_some()
    }

    /// Whether it is among the units that no snapshot stands for here.
    pub(crate) fn is_above(&self, unit: &Digest) -> bool {
        self.units.index(unit).is_some()
    }

    /// Where a unit stands on which others may rest.
    pub(crate) fn place(&self, unit: &Digest) -> Option<Place> {
        self.units.get(unit).map(|it| Place::from(&it.unit())).or_else(|| self.below.place(unit))
    }

    pub(crate) const fn below(&self) -> &Below {
        &self.below
    }

    pub(crate) fn arrivals(&self) -> &[Digest] {
        self.units.names()
    }

    /// The how-manieth arrival a unit was.
    pub(crate) fn index(&self, unit: &Digest) -> Option<usize> {
        self.units.index(unit)
    }

    /// The unit that arrived as this one.
    pub(crate) fn arrival(&self, index: usize) -> Option<(&Digest, &Held)> {
        self.units.at(index)
    }

    pub(crate) fn heads(&self) -> &BTreeSet<Digest> {
        &self.heads
    }

    pub(crate) fn authors(&self) -> &BTreeMap<DeviceId, Chain> {
        &self.authors
    }

    /// The author's units.
    pub(crate) fn chain_of(&self, author: &DeviceId) -> Option<&Chain> {
        self.authors.get(author)
    }

    /// The lowest place at which the author signed two units.
    pub(crate) fn fork_of(&self, author: &DeviceId) -> Option<u64> {
        self.chain_of(author)?.fork()
    }

    pub(crate) fn lamport(&self, unit: &Digest) -> Option<Lamport> {
        self.place(unit).map(|it| it.lamport)
    }

    /// The named units and all that they rest on, but for those that a snapshot stands for here.
    pub(crate) fn closure(&self, past: &[Digest]) -> Result<BTreeSet<Digest>, Missing> {
        let mut closure = BTreeSet::new();
        let mut open = past.to_vec();
        while let Some(unit) = open.pop() {
            if self.below.place(&unit).is_some() {
                continue;
            }
            let held = self.units.get(&unit).ok_or(Missing { unit })?;
            if closure.insert(unit) {
                open.extend(held.unit().parents().filter(|it| !closure.contains(it)));
            }
        }
        Ok(closure)
    }

    /// Whether `unit` is surely among `tips` or what they rest on. Looks at no more than
    /// `visits_max` units, and says no when that did not settle it.
    pub(crate) fn surely_covers(&self, tips: &[Digest], unit: &Digest, visits_max: usize) -> bool {
        let Some(floor) = self.lamport(unit) else { return false };
        let mut seen: BTreeSet<Digest> = tips.iter().copied().collect();
        let mut open = tips.to_vec();
        while let Some(tip) = open.pop() {
            if tip == *unit {
                return true;
            }
            if visits_max < seen.len() {
                return false;
            }
            // Only units above `unit` can rest on it.
            let Some(held) = self.held(&tip).filter(|it| floor < it.unit().lamport()) else {
                continue;
            };
            open.extend(held.unit().parents().filter(|it| seen.insert(*it)));
        }
        false
    }
}
