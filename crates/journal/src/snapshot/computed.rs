//! Snapshots of the next slot that were computed, since a voter asks for each at every turn.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aura_protocol_core::Digest;

use crate::control::Slot;

/// Most that are remembered: those of a few proposals.
const COMPUTED_MAX: usize = 16;

/// For one slot: past → the digest of its base, and how long that is.
type Known = (Option<Slot>, BTreeMap<Vec<Digest>, (Digest, u64)>);

/// What was computed. A base is a function of its past and slot, so nothing else shows.
#[derive(Debug, Default)]
pub(crate) struct Computed(Mutex<Known>);

impl Computed {
    pub(crate) fn get(&self, slot: &Slot, past: &[Digest]) -> Option<(Digest, u64)> {
        let known = self.lock();
        if known.0 == Some(*slot) { known.1.get(past).copied() } else { None }
    }

    pub(crate) fn put(&self, slot: Slot, past: &[Digest], base: (Digest, u64)) {
        let mut known = self.lock();
        if known.0 != Some(slot) || COMPUTED_MAX <= known.1.len() {
            *known = (Some(slot), BTreeMap::new());
        }
        known.1.insert(past.to_vec(), base);
    }

    /// Whoever panicked with the lock left whole values only.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
