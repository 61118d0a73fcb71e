//! Segments: which control entry closes over a unit first.
//!
//! A unit's segment is the least k such that the past of entry k contains it. As the set of units
//! held is causally closed, each unit that such a past names brings its whole closure along; so the
//! map is a function of the units and entries held, whatever arrived first, and it is complete as
//! soon as the named units are here.

use std::collections::BTreeMap;

use aura_protocol_core::Digest;

use crate::dag::Dag;

/// The segment of units that no entry held here closes over.
pub(crate) const OPEN_SEGMENT: u64 = u64::MAX;

/// Segment of each closed unit, and the units that entries name but that are not here yet.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    closed: BTreeMap<Digest, u64>,
    awaited: BTreeMap<Digest, u64>,
}

/// A unit that went from one segment to an earlier one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) unit: Digest,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Segments {
    pub(crate) fn of(&self, unit: &Digest) -> u64 {
        self.closed.get(unit).copied().unwrap_or(OPEN_SEGMENT)
    }

    /// Takes in entry `k`, later than all before, with its past.
    pub(crate) fn close(&mut self, dag: &Dag, k: u64, past: &[Digest]) -> Vec<Moved> {
        let mut moved = Vec::new();
        for head in past {
            if dag.contains(head) {
                self.assign(dag, *head, k, &mut moved);
            } else {
                self.awaited.entry(*head).or_insert(k);
            }
        }
        moved
    }

    /// Takes note of units that a snapshot at height `k` stands for.
    pub(crate) fn below(&mut self, k: u64, units: impl Iterator<Item = Digest>) {
        self.closed.extend(units.map(|unit| (unit, k)));
    }

    /// A unit that entry `k` or one before it closes over, and that is not here yet.
    pub(crate) fn missing_until(&self, k: u64) -> Option<Digest> {
        self.awaited.iter().find(|(_, at)| **at <= k).map(|(unit, _)| *unit)
    }

    /// How many units are closed.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&Digest, &u64)> {
        self.closed.iter()
    }

    /// Takes in a unit that was just added to `dag`.
    pub(crate) fn arrive(&mut self, dag: &Dag, unit: Digest) -> Vec<Moved> {
        let mut moved = Vec::new();
        if let Some(k) = self.awaited.remove(&unit) {
            self.assign(dag, unit, k, &mut moved);
        }
        moved
    }

    /// Gives `head` and what it rests on segment `k`, except what is in an earlier one: all below
    /// that is in an earlier one too.
    fn assign(&mut self, dag: &Dag, head: Digest, k: u64, moved: &mut Vec<Moved>) {
        let mut open = vec![head];
        while let Some(unit) = open.pop() {
            let from = self.of(&unit);
            if from <= k {
                continue;
            }
            self.closed.insert(unit, k);
            moved.push(Moved { unit, from, to: k });
            open.extend(dag.held(&unit).into_iter().flat_map(|it| it.unit().parents()));
        }
    }
}
