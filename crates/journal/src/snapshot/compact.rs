//! Dropping what a snapshot stands for, and beginning with one.

use std::{collections::BTreeMap, sync::Arc};

use aura_protocol_core::{DeviceId, Digest, UnixTime};

use crate::{
    Ledger, UnitScheme,
    control::{EntryBody, Snapshot, SnapshotPoint},
    dag::{Check, Held, Need, Trust, check},
    encoded::NamedUnit,
    ledger::PeerTag,
    snapshot::{Base, Settled, SnapshotError},
    store::Compaction,
};

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The height of the snapshot.
    pub k: u64,
    /// Units that are gone.
    pub dropped: usize,
    /// Units that came after it, and stay.
    pub units: usize,
    /// How long the base is, in bytes.
    pub bytes: usize,
}

/// Units that come after a base, and those that do not fit on it.
struct Moved<S> {
    ledger: Ledger<S>,
    left: BTreeMap<Digest, DeviceId>,
}

impl<S: UnitScheme> Ledger<S> {
    /// The base that this ledger stands on, with its height: what others may begin with.
    #[must_use]
    pub fn base(&self) -> Option<(u64, &[u8])> {
        self.base.as_ref().map(|it| (it.k(), it.bytes()))
    }

    /// Drops the units that the newest snapshot stands for. The next batch says so; it must be stored
    /// before anything else is. `now` by this device's clock tells which proposals have expired.
    ///
    /// # Errors
    /// [`SnapshotError`], saying what is in the way; nothing has changed then.
    pub fn compact(&mut self, now: UnixTime) -> Result<Compacted, SnapshotError> {
        let standing = self.base.as_ref().map(Settled::k);
        let point = self.chain.snapshots().last().copied().filter(|it| standing != Some(it.k));
        let point = point.ok_or(SnapshotError::None)?;
        self.may_compact(point, now)?;
        let bytes = self.base_at(point.k, point.config).to_bytes();
        let computed = Base::digest_of(&bytes);
        let certified = self.certified_base(point.k).map_or(Digest::ZERO, |it| it.base);
        if certified != computed {
            return Err(SnapshotError::Differs { k: point.k, certified, computed });
        }
        let base = Settled::of(&self.chain, bytes)?;
        let segments = &self.segments;
        let Moved { ledger, left } = self.moved(Some(base), |unit, _| segments.of(unit) <= point.k);
        if let Some(unit) = self.rested_on(&ledger, &left) {
            return Err(SnapshotError::Late { unit });
        }
        Ok(self.succeed(ledger))
    }

    /// Takes the base of a snapshot from another device, in the place of units that did not arrive. What
    /// this ledger holds beside them stays.
    ///
    /// # Errors
    /// [`SnapshotError::Unknown`] and [`SnapshotError::Malformed`] where it is none,
    /// [`SnapshotError::None`] where this ledger needs none, and [`SnapshotError::Late`] where a unit of
    /// `me` has no place on it; nothing has changed then.
    pub fn adopt(&mut self, me: DeviceId, bytes: Vec<u8>) -> Result<Compacted, SnapshotError> {
        let base = Settled::of(&self.chain, bytes)?;
        let standing = self.base.as_ref().map_or(0, Settled::k);
        if base.k() <= standing || !self.needs(base.k()) {
            return Err(SnapshotError::None);
        }
        let dag = base.dag();
        let Moved { ledger, left } = self.moved(Some(base), |unit, held| {
            let known = dag.chain_of(&held.unit().author());
            let below = known.map_or(0, |it| it.fork_below().unwrap_or_else(|| it.dropped()));
            held.unit().seq() < below || dag.contains(unit)
        });
        if let Some((unit, _)) = left.iter().find(|(_, author)| **author == me) {
            return Err(SnapshotError::Late { unit: *unit });
        }
        Ok(self.succeed(ledger))
    }

    /// Whether units are missing here that the snapshot at a height closes over.
    #[must_use]
    pub fn needs(&self, k: u64) -> bool {
        self.segments.missing_until(k).is_some()
    }

    /// How long the base of the snapshot at a height is, if it is needed here.
    #[must_use]
    pub fn needed_base(&self, k: u64) -> Option<u64> {
        self.certified_base(k).filter(|_| self.needs(k)).map(|it| it.bytes)
    }

    fn certified_base(&self, k: u64) -> Option<Snapshot> {
        match &self.chain.entry(k)?.value.body {
            EntryBody::Snapshot(it) => Some(it.clone()),
            _ => None,
        }
    }

    fn may_compact(&self, point: SnapshotPoint, now: UnixTime) -> Result<(), SnapshotError> {
        if let Some(unit) = self.segments.missing_until(point.k) {
            return Err(SnapshotError::Behind { unit });
        }
        let has_heard = |device: &DeviceId| {
            let last = self.dag.chain_of(device).and_then(|it| it.last());
            last.and_then(|it| self.dag.place(&it)).is_some_and(|it| point.config <= it.config)
        };
        let mut voters = self.chain.config().voters().map(|it| it.device);
        if let Some(device) = voters.find(|it| !has_heard(it)) {
            return Err(SnapshotError::Unheard { device });
        }
        let state = self.state();
        let is_open = |it: &&crate::ProposalState| {
            let app = state.apps.get(&it.proposal.app);
            let may_come = app.is_some_and(|app| app.active.version == it.proposal.from);
            it.activated_at.is_none() && may_come && now <= it.proposal.expires
        };
        let below = |it: &&crate::ProposalState| {
            self.dag.held(&it.unit).is_some_and(|it| it.unit().config() < point.config)
        };
        match state.proposals.values().filter(below).find(is_open) {
            Some(it) => Err(SnapshotError::UnderWay { proposal: it.unit }),
            None => Ok(()),
        }
    }

    /// This ledger's units on top of a base, but for those that it stands for.
    fn moved(&self, base: Option<Settled>, is_below: impl Fn(&Digest, &Held) -> bool) -> Moved<S> {
        let mut ledger = Self::above(self.chain.clone(), base);
        let mut left = BTreeMap::new();
        for hash in self.dag.arrivals() {
            let Some(held) = self.dag.held(hash) else { continue };
            if is_below(hash, held) {
                continue;
            }
            let Ledger { dag, chain, segments, .. } = &ledger;
            let payer = match check::<S>(dag, chain, segments, &held.unit(), Trust::Verified) {
                Ok(Check::Ready | Check::Fork) => None,
                Ok(Check::Account) => Some(PeerTag([0; 32])),
                Ok(Check::Wait(_) | Check::Settled) | Err(_) => {
                    left.insert(*hash, held.unit().author());
                    continue;
                }
            };
            ledger.link(&NamedUnit::known(*hash, Arc::clone(held.bytes())), payer);
        }
        ledger.fold_everything();
        Moved { ledger, left }
    }

    /// A unit for which there is no place and on which another one rests, or that is its author's last.
    fn rested_on(&self, next: &Self, left: &BTreeMap<Digest, DeviceId>) -> Option<Digest> {
        let rests = |unit: &Digest| {
            let held = self.dag.held(unit).into_iter();
            held.flat_map(|it| it.unit().parents()).find(|it| left.contains_key(it))
        };
        let roster = &next.chain.config().roster;
        let in_roster = left.iter().find(|(_, author)| roster.contains_key(*author));
        left.keys().find_map(rests).or_else(|| in_roster.map(|(unit, _)| *unit))
    }

    /// Goes on from where the chain does that a recovery led to: with those of the units that have a place
    /// there, on the base that there was.
    pub(crate) fn follow(&mut self) {
        let bytes = self.base().map(|(_, bytes)| bytes.to_vec());
        let base = bytes.and_then(|it| Settled::of(&self.chain, it).ok());
        let Moved { mut ledger, left } = self.moved(base, |_, _| false);
        tracing::info!(units = left.len(), "units of the generation before count no more");
        self.hand_over(&mut ledger);
        ledger.batch = std::mem::take(&mut self.batch);
        *self = ledger;
        let needs = self.waiting.configs_up_to(self.chain.config_index());
        self.release(needs.into());
    }

    /// Gives the ledger that takes the place of this one whatever waits here, and what is to be told.
    fn hand_over(&mut self, next: &mut Self) {
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        let names = self.dag.arrivals();
        subscriptions.retain(|it| next.dag.index(names.get(it)?));
        next.subscriptions = subscriptions;
        next.waiting = std::mem::take(&mut self.waiting);
        next.refusals = std::mem::take(&mut self.refusals);
        next.fold.succeed(std::mem::take(&mut self.fold));
    }

    /// Puts a ledger that stands on a base in the place of this one.
    fn succeed(&mut self, mut next: Self) -> Compacted {
        let (k, bytes) = next.base().map_or((0, 0), |(k, bytes)| (k, bytes.len()));
        let compacted = Compacted {
            k,
            dropped: self.len().saturating_sub(next.len()),
            units: next.len(),
            bytes,
        };
        self.hand_over(&mut next);
        let mut batch = std::mem::take(&mut self.batch);
        batch.units.clear();
        let units = (0..next.len()).filter_map(|it| next.dag.arrival(it));
        let units =
            units.map(|(name, it)| NamedUnit::known(*name, Arc::clone(it.bytes()))).collect();
        let base = next.base().map(|(_, bytes)| bytes.to_vec()).unwrap_or_default();
        batch.compaction = Some(Compaction { base, units });
        next.batch = batch;
        *self = next;
        let below: Vec<Need> = self.dag.below().units().map(Need::Unit).collect();
        self.release(below.into());
        compacted
    }
}
