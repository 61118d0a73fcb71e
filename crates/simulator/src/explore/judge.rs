//! What must never happen, looked for wherever a device has ended.

use aura_choreography::Ended;
use rustc_hash::FxHashMap;

use super::{Model, key::Key, world::World};

/// What does not hold.
pub(super) enum Broken {
    Agreement,
    Decision,
    Invariant(String),
}

/// Remembers what was judged before.
pub(super) struct Judge<K> {
    slots: usize,
    known: FxHashMap<K, Option<String>>,
}

impl<K: Key> Judge<K> {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, known: FxHashMap::default() }
    }

    /// What is broken in a state.
    pub(super) fn look(&mut self, world: &World<'_>, model: &Model<'_>, key: K) -> Option<Broken> {
        let (mut finished, mut aborted) = (None, false);
        for slot in 0..self.slots {
            let outcome = world.brief(slot, key.at(slot)).outcome;
            match world.code.outcome(outcome) {
                Some(Ok(_)) if finished.is_some_and(|it| it != outcome) => {
                    return Some(Broken::Agreement);
                }
                Some(Ok(_)) => finished = Some(outcome),
                Some(Err(_)) => aborted |= world.code.is_told(outcome),
                None => {}
            }
        }
        if finished.is_some() && aborted {
            return Some(Broken::Decision);
        }
        let invariant = model.invariant.as_ref()?;
        let outcomes = self.outcomes(world, key);
        let judged = self
            .known
            .entry(outcomes)
            .or_insert_with(|| invariant(&spell_one(world, model.devices, outcomes)).err());
        judged.clone().map(Broken::Invariant)
    }

    /// How the devices of a state have ended, in numbers.
    pub(super) fn outcomes(&self, world: &World<'_>, key: K) -> K {
        let outcome = |slot| world.brief(slot, key.at(slot)).outcome;
        (0..self.slots).fold(K::default(), |all, slot| all.with(slot, outcome(slot)))
    }

    /// The same in full, each once, in the order in which they came up.
    pub(super) fn spell(&self, world: &World<'_>, outcomes: &[K]) -> Vec<Vec<Option<Ended>>> {
        let mut seen = rustc_hash::FxHashSet::default();
        let new = outcomes.iter().filter(|it| seen.insert(**it));
        new.map(|it| spell_one(world, world.devices, *it)).collect()
    }
}

/// How each device has ended, by its place; none for those that run no script.
fn spell_one<K: Key>(world: &World<'_>, devices: u8, outcomes: K) -> Vec<Option<Ended>> {
    let mut ended = vec![None; usize::from(devices)];
    for (slot, it) in world.slots.iter().enumerate() {
        if let Some(cell) = it.dev.and_then(|dev| ended.get_mut(usize::from(dev.0))) {
            *cell = world.code.outcome(outcomes.at(slot)).cloned();
        }
    }
    ended
}
