//! The graph of units: a set that only grows and is causally closed at all times.

mod import;
mod segments;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aura_protocol_core::{DeviceId, Digest, Epoch, Lamport};

pub(crate) use import::{Candidate, Check, Trust, check, check_size, next_lamport, read};
pub(crate) use segments::{Moved, OPEN_SEGMENT, Segments};
pub use waiting::PeerTag;
pub(crate) use waiting::{Need, Refusals, Waiting};

use crate::{control::Configuration, error::Missing, ticks::Ticks, unit::Unit};

/// A unit that passed every check.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) unit: Unit,
    pub(crate) bytes: Vec<u8>,
    /// Its place in the order of arrival.
    pub(crate) index: usize,
    /// What the ticks in its past come to, itself included.
    pub(crate) ticks: Arc<Ticks>,
    /// Where the clock stood here when it arrived.
    pub(crate) arrived_at: Epoch,
}

/// All units held, with their links.
#[derive(Debug, Default)]
pub(crate) struct Dag {
    units: BTreeMap<Digest, Held>,
    arrivals: Vec<Digest>,
    authors: BTreeMap<DeviceId, Vec<Digest>>,
    heads: BTreeSet<Digest>,
    /// What all ticks held here come to.
    ticks: Arc<Ticks>,
}

impl Dag {
    /// Adds a unit that passed every check, so that its parents are here. `config` is its own
    /// configuration.
    pub(crate) fn insert(&mut self, candidate: Candidate, config: &Configuration) {
        let Candidate { hash, unit, bytes } = candidate;
        let ticks = Ticks::with(self.ticks_of(unit.body.parents()), &unit.body, config);
        // By the unit's own configuration, so that a restart finds what was.
        let arrived_at = self.ticks.stand(config);
        self.ticks = Ticks::join(Arc::clone(&self.ticks), &ticks);
        for parent in unit.body.parents() {
            self.heads.remove(&parent);
        }
        self.heads.insert(hash);
        self.authors.entry(unit.body.author).or_default().push(hash);
        let index = self.arrivals.len();
        self.arrivals.push(hash);
        self.units.insert(hash, Held { unit, bytes, index, ticks, arrived_at });
    }

    /// What all ticks held here come to.
    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// What the ticks in the past of these units come to, themselves included.
    pub(crate) fn ticks_of(&self, tips: impl Iterator<Item = Digest>) -> Arc<Ticks> {
        let held = tips.filter_map(|it| self.held(&it));
        held.fold(Ticks::none(), |ticks, it| Ticks::join(ticks, &it.ticks))
    }

    pub(crate) fn held(&self, unit: &Digest) -> Option<&Held> {
        self.units.get(unit)
    }

    pub(crate) fn contains(&self, unit: &Digest) -> bool {
        self.units.contains_key(unit)
    }

    pub(crate) fn arrivals(&self) -> &[Digest] {
        &self.arrivals
    }

    pub(crate) fn heads(&self) -> &BTreeSet<Digest> {
        &self.heads
    }

    pub(crate) fn authors(&self) -> &BTreeMap<DeviceId, Vec<Digest>> {
        &self.authors
    }

    /// The author's units, from seq 0 on.
    pub(crate) fn chain_of(&self, author: &DeviceId) -> &[Digest] {
        self.authors.get(author).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn lamport(&self, unit: &Digest) -> Option<Lamport> {
        self.units.get(unit).map(|it| it.unit.body.lamport)
    }

    /// The named units and all that they rest on.
    pub(crate) fn closure(&self, past: &[Digest]) -> Result<BTreeSet<Digest>, Missing> {
        let mut closure = BTreeSet::new();
        let mut open = past.to_vec();
        while let Some(unit) = open.pop() {
            let held = self.held(&unit).ok_or(Missing { unit })?;
            if closure.insert(unit) {
                open.extend(held.unit.body.parents().filter(|it| !closure.contains(it)));
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
            let Some(held) = self.held(&tip).filter(|it| floor < it.unit.body.lamport) else {
                continue;
            };
            open.extend(held.unit.body.parents().filter(|it| seen.insert(*it)));
        }
        false
    }
}
