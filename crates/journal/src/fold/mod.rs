//! The fold: the pure function from units and entries to state.
//!
//! The order is (segment, lamport, hash), with entry k between segment k and the next (`02-ledger`,
//! section 2). The fold holds the whole order as a stack of steps, each with what it changed; a unit
//! that sorts before others is folded by taking back those after it. So the state is that of the
//! sorted order whatever arrived first, and a unit that sorts last costs one step.

mod entries;
mod proved;
mod sessions;
mod skips;
pub mod state;
mod undo;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{AppId, Digest, Epoch, Lamport};

pub(crate) use proved::Proved;
pub(crate) use skips::{Lowered, Skips};
use undo::Undo;

use crate::{
    control::{Configuration, ControlChain},
    dag::{Dag, OPEN_SEGMENT},
    error::Missing,
    event::EventKind,
    fold::state::{AccountState, Position, RawRecord, RecordId},
};

/// A place in the order of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A unit. Before the entry of its segment.
    Unit(Position),
    /// An entry.
    Entry(u64),
}

impl Place {
    fn key(&self) -> (u64, bool, Lamport, Digest) {
        match self {
            Self::Unit(it) => (it.segment, false, it.lamport, it.unit),
            Self::Entry(k) => (*k, true, Lamport(0), Digest::ZERO),
        }
    }
}

/// What the fold reads.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) dag: &'a Dag,
    pub(crate) chain: &'a ControlChain,
    pub(crate) proved: &'a Proved,
    /// Units of which this build cannot read what happened: nothing, until one can.
    pub(crate) unread: &'a BTreeMap<Digest, u8>,
}

/// How the order changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Places that are left.
    pub(crate) removed: BTreeSet<PlaceKey>,
    /// Places that are taken.
    pub(crate) added: Vec<Place>,
    /// A place that has to be folded once more, because what it reads has changed.
    pub(crate) again: Option<Place>,
}

/// A place, ordered as the fold goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceKey((u64, bool, Lamport, Digest));

impl PlaceKey {
    /// The segment.
    pub(crate) const fn segment(&self) -> u64 {
        self.0.0
    }
}

impl From<&Place> for PlaceKey {
    fn from(place: &Place) -> Self {
        Self(place.key())
    }
}

impl Change {
    /// Puts `later` behind this change, so that both are folded at once.
    pub(crate) fn merge(&mut self, later: Self) {
        if !later.removed.is_empty() {
            self.added.retain(|place| !later.removed.contains(&PlaceKey::from(place)));
        }
        self.added.extend(later.added);
        self.removed.extend(later.removed);
        self.again = [self.again, later.again].into_iter().flatten().min_by_key(Place::key);
    }
}

#[derive(Debug)]
struct Step {
    place: Place,
    undo: Vec<Undo>,
}

/// The state with the way that led there.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    state: AccountState,
    /// The index of the configuration that is in force where the fold stands.
    config: u64,
    steps: Vec<Step>,
    /// What each record was when the changes were last taken, for those touched since.
    touched: BTreeMap<RecordId, Option<RawRecord>>,
}

impl Fold {
    /// A fold that goes on from a state, where the configuration of this index is in force.
    pub(crate) fn from(state: AccountState, config: u64) -> Self {
        Self { state, config, ..Self::default() }
    }

    /// Folds these places after all others, and forgets how to take them back.
    pub(crate) fn run(&mut self, sources: Sources<'_>, mut places: Vec<Place>) {
        places.sort_unstable_by_key(Place::key);
        for place in places {
            self.step(sources, place);
            self.steps.clear();
        }
        self.touched.clear();
    }

    /// An app's records, deletions included.
    pub(crate) fn records_of(self, app: AppId) -> Vec<RawRecord> {
        let records = self.state.records.into_iter();
        records.filter(|((of, _, _), _)| *of == app).map(|(_, record)| record).collect()
    }

    pub(crate) fn into_state(self) -> AccountState {
        self.state
    }

    /// Takes the place of another fold: the records in which they differ have changed.
    pub(crate) fn succeed(&mut self, before: Self) {
        self.touched = before.touched;
        let ids = before.state.records.keys().chain(self.state.records.keys());
        let changed: Vec<&RecordId> = ids
            .filter(|it| self.state.records.get(*it) != before.state.records.get(*it))
            .filter(|it| !self.touched.contains_key(*it))
            .collect();
        let changed: Vec<_> = changed
            .into_iter()
            .map(|it| (it.clone(), before.state.records.get(it).cloned()))
            .collect();
        self.touched.extend(changed);
    }

    pub(crate) fn state(&self) -> &AccountState {
        &self.state
    }

    /// Brings the order, and with it the state, up to date.
    pub(crate) fn change(&mut self, sources: Sources<'_>, change: Change) {
        let Change { removed, mut added, again } = change;
        let first_added = added.iter().map(PlaceKey::from).min();
        let first = [first_added, removed.first().copied(), again.as_ref().map(PlaceKey::from)];
        let Some(first) = first.into_iter().flatten().min() else { return };
        while let Some(step) = self.steps.pop_if(|step| first <= PlaceKey::from(&step.place)) {
            self.take_back(step.undo);
            if !removed.contains(&PlaceKey::from(&step.place)) {
                added.push(step.place);
            }
        }
        added.sort_unstable_by_key(Place::key);
        for place in added {
            self.step(sources, place);
        }
    }

    /// The records that changed since the last call.
    pub(crate) fn take_touched(&mut self) -> Vec<RecordId> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .filter(|(id, before)| self.state.records.get(id) != before.as_ref())
            .map(|(id, _)| id)
            .collect()
    }

    fn step(&mut self, sources: Sources<'_>, place: Place) {
        let mut undo = Vec::new();
        match place {
            Place::Unit(position) => self.unit(sources, position, &mut undo),
            Place::Entry(k) => self.entry(sources, k, &mut undo),
        }
        // There are as many steps as units.
        undo.shrink_to_fit();
        self.steps.push(Step { place, undo });
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for change in undo.into_iter().rev() {
            if let Undo::Record(id, _) = &change {
                self.touch(id);
            }
            change.apply(&mut self.state, &mut self.config);
        }
    }

    /// Remembers what a record is before it changes.
    fn touch(&mut self, id: &RecordId) {
        if !self.touched.contains_key(id) {
            self.touched.insert(id.clone(), self.state.records.get(id).cloned());
        }
    }

    /// The configuration in force where the fold stands.
    fn config<'a>(&self, sources: Sources<'a>) -> Option<&'a Configuration> {
        sources.chain.config_at(self.config)
    }
}

/// Where the quorum clock stood in what a unit rests on, by the configuration that it names.
pub(crate) fn clock_before(dag: &Dag, chain: &ControlChain, unit: &Digest) -> Option<Epoch> {
    let held = dag.held(unit)?;
    // A unit is no part of its own past, but one that is no tick adds nothing to it.
    chain.config_at(held.unit().config()).map(|it| held.ticks.stand(it))
}

/// An app's records as a causal closure alone has them, sorted, deletions included.
///
/// The same fold, but over the closure only and in one segment: which entries a replica holds is not
/// part of the closure, and so must not show. Whoever holds the closure gets the same records.
///
/// The fold goes on from `fold`, which has what `below` names, up to where `config` was the newest.
pub(crate) fn records_at(
    sources: Sources<'_>,
    app: AppId,
    past: &[Digest],
    mut fold: Fold,
    config: u64,
    below: impl Fn(&Digest) -> bool,
) -> Result<Vec<RawRecord>, Missing> {
    let mut closure = sources.dag.closure(past)?;
    closure.retain(|it| !below(it));
    let configs = closure.iter().filter_map(|it| sources.dag.held(it));
    let newest = configs.map(|it| it.unit().config()).fold(config, u64::max);
    let within = |it: &Digest| closure.contains(it) || below(it);
    let skips = Skips::of_closure(sources.dag, sources.chain, newest, within);
    fold.run(sources, writes(sources, &skips, &closure)?);
    Ok(fold.records_of(app))
}

/// The places of the units that write records, all in one segment.
fn writes(
    sources: Sources<'_>,
    skips: &Skips,
    closure: &BTreeSet<Digest>,
) -> Result<Vec<Place>, Missing> {
    let mut places = Vec::new();
    for unit in closure.iter().copied() {
        let held = sources.dag.held(&unit).ok_or(Missing { unit })?;
        let parts = held.unit();
        if skips.skips(&unit, &parts, OPEN_SEGMENT) {
            continue;
        }
        let writes = [
            EventKind::OpenSession,
            EventKind::OpenChild,
            EventKind::OpenUntil,
            EventKind::CloseSession,
        ];
        if parts.kind().is_some_and(|it| writes.contains(&it)) {
            let lamport = parts.lamport();
            places.push(Place::Unit(Position { segment: OPEN_SEGMENT, lamport, unit }));
        }
    }
    Ok(places)
}
