//! The base that a ledger stands on, read back into the ledger's parts.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{DeviceId, Digest};

use crate::{
    control::{ControlChain, EntryBody},
    dag::{Below, Chain, Dag, Place, Segments},
    encoded::NamedUnit,
    fold::{Fold, state::AccountState},
    snapshot::{Base, SnapshotError, base::BASE_VERSION},
    unit::Unit,
};

/// A base that a certified entry names, with its encoding.
#[derive(Debug)]
pub(crate) struct Settled {
    base: Base,
    bytes: Vec<u8>,
    /// The units that nobody rested on: the past of the entry.
    tips: Vec<Digest>,
}

impl Settled {
    /// Reads a base, if a snapshot of the chain names it.
    pub(crate) fn of(chain: &ControlChain, bytes: Vec<u8>) -> Result<Self, SnapshotError> {
        let digest = Base::digest_of(&bytes);
        let named = chain.snapshots().iter().rev().filter_map(|it| chain.entry(it.k)).find(
            |it| matches!(&it.value.body, EntryBody::Snapshot(named) if named.base == digest),
        );
        let entry = named.ok_or(SnapshotError::Unknown)?;
        let version = bytes.first_chunk().map(|it| u16::from_le_bytes(*it));
        if let Some(found) = version.filter(|it| *it != BASE_VERSION) {
            return Err(SnapshotError::Version { found });
        }
        let base = Base::from_bytes(&bytes).map_err(SnapshotError::Malformed)?;
        let is_of_chain = base.account == chain.account() && base.k == entry.slot.k;
        if !is_of_chain {
            return Err(SnapshotError::Unknown);
        }
        Ok(Self { base, bytes, tips: entry.value.past.clone() })
    }

    pub(crate) const fn k(&self) -> u64 {
        self.base.k
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn base(&self) -> &Base {
        &self.base
    }

    pub(crate) const fn state(&self) -> &AccountState {
        &self.base.state
    }

    pub(crate) const fn forks(&self) -> &BTreeMap<DeviceId, BTreeMap<u64, u64>> {
        &self.base.forks
    }

    pub(crate) fn fold(&self) -> Fold {
        Fold::from(self.base.state.clone(), self.base.config)
    }

    pub(crate) fn segments(&self, segments: &mut Segments) {
        for known in self.base.authors.values() {
            for it in &known.units {
                segments.below(it.segment, [it.unit].into_iter());
            }
        }
        let kept = self.base.kept.iter().map(|it| Unit::hash_of(it));
        let unknown: Vec<Digest> = kept.filter(|it| self.base.k < segments.of(it)).collect();
        segments.below(self.base.k, unknown.into_iter());
    }

    pub(crate) fn dag(&self) -> Dag {
        let mut below = Below::with_ticks(self.base.ticks.clone());
        let mut authors = BTreeMap::new();
        for (author, known) in &self.base.authors {
            for it in &known.units {
                let place =
                    Place { author: *author, seq: it.seq, lamport: it.lamport, config: it.config };
                below.stub(it.unit, place);
            }
            below.spent(*author, known.spent);
            let units: Vec<(u64, Digest)> =
                known.units.iter().map(|it| (it.seq, it.unit)).collect();
            let chain = Chain::below(known.count, known.fork, &units, known.tips.clone());
            authors.insert(*author, chain);
        }
        for bytes in &self.base.kept {
            below.keep(&NamedUnit::of(bytes.as_slice()));
        }
        let heads: BTreeSet<Digest> = self.tips.iter().copied().collect();
        Dag::above(below, authors, heads)
    }
}
