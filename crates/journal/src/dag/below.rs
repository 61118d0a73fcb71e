//! What is known of units that a snapshot stands for: where a few of them stood, and the whole of still
//! fewer.
//!
//! A unit may rest on one that is gone here, as long as enough is known of that to check the links. What
//! is kept whole is there to be read, and nothing new may rest on it for that alone.

use std::{collections::BTreeMap, sync::Arc};

use aura_protocol_core::{DeviceId, Digest, Epoch, Lamport};

use crate::{
    dag::{Held, Spent},
    encoded::{Encoded, NamedUnit},
    ticks::Ticks,
};

/// Where a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) author: DeviceId,
    pub(crate) seq: u64,
    pub(crate) lamport: Lamport,
    pub(crate) config: u64,
}

impl From<&Encoded<'_>> for Place {
    fn from(unit: &Encoded<'_>) -> Self {
        Self {
            author: unit.author(),
            seq: unit.seq(),
            lamport: unit.lamport(),
            config: unit.config(),
        }
    }
}

/// The units below a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Below {
    stubs: BTreeMap<Digest, Place>,
    kept: BTreeMap<Digest, Held>,
    /// What its author had used up of its quota with its last one.
    spent: BTreeMap<DeviceId, Spent>,
    ticks: Arc<Ticks>,
}

impl Below {
    pub(crate) fn with_ticks(ticks: Ticks) -> Self {
        Self { ticks: Arc::new(ticks), ..Self::default() }
    }

    /// Remembers where a unit stood.
    pub(crate) fn stub(&mut self, unit: Digest, place: Place) {
        self.stubs.insert(unit, place);
    }

    /// Remembers what an author had used up.
    pub(crate) fn spent(&mut self, author: DeviceId, spent: Spent) {
        self.spent.insert(author, spent);
    }

    /// Keeps a whole unit.
    pub(crate) fn keep(&mut self, unit: &NamedUnit) {
        let (ticks, spent, arrived_at) = (Arc::clone(&self.ticks), Spent::default(), Epoch(0));
        let bytes = Arc::clone(unit.shared());
        self.kept.insert(unit.name(), Held { bytes, ticks, arrived_at, spent });
    }

    pub(crate) fn place(&self, unit: &Digest) -> Option<Place> {
        self.stubs.get(unit).copied()
    }

    pub(crate) fn kept(&self, unit: &Digest) -> Option<&Held> {
        self.kept.get(unit)
    }

    pub(crate) fn spent_of(&self, author: &DeviceId) -> Spent {
        self.spent.get(author).copied().unwrap_or_default()
    }

    /// What all ticks below come to.
    pub(crate) const fn ticks(&self) -> &Arc<Ticks> {
        &self.ticks
    }

    /// All units of which anything is known.
    pub(crate) fn units(&self) -> impl Iterator<Item = Digest> + '_ {
        self.stubs.keys().chain(self.kept.keys()).copied()
    }
}
