//! Computing what a snapshot stands for, before a vote and again before anything is dropped.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{AppId, DeviceId, Digest};

use crate::{
    Ledger, UnitScheme,
    control::Snapshot,
    dag::{Chain, OPEN_SEGMENT, Place as Stands, Spent},
    error::Missing,
    fold::{
        Fold, Place, Skips, records_at,
        state::{Position, RawRecord},
    },
    snapshot::{
        Settled, SnapshotError,
        base::{BASE_BYTES_MAX, BASE_VERSION, Base, BaseAuthor, BaseUnit},
    },
};

/// A ledger as a snapshot at one height sees it.
struct View<'a, S> {
    ledger: &'a Ledger<S>,
    /// The snapshot's height and past, and that of the one before; 0 where there is none.
    k: u64,
    past: &'a [Digest],
    before: u64,
    /// Units that it closes over, where it is not decided yet.
    closing: BTreeSet<Digest>,
}

impl<S: UnitScheme> Ledger<S> {
    /// The snapshot whose entry closes over these units, for the next slot, with the vote keys that
    /// are announced there. To be computed by whoever proposes it and by each that votes for it.
    ///
    /// # Errors
    /// [`SnapshotError`] when something is missing here, or the past leaves out what is closed already.
    pub fn snapshot(&self, past: &[Digest]) -> Result<Snapshot, SnapshotError> {
        let slot = self.chain.next_slot();
        let known = self.computed.get(&slot, past);
        let (base, bytes) = match known {
            Some(known) => known,
            None => self.compute_base(past)?,
        };
        self.computed.put(slot, past, (base, bytes));
        let keys = self.announced(past).map_err(|it| SnapshotError::Behind { unit: it.unit })?;
        Ok(Snapshot { base, bytes, keys })
    }

    fn compute_base(&self, past: &[Digest]) -> Result<(Digest, u64), SnapshotError> {
        if let Some(unit) = self.segments.missing_until(OPEN_SEGMENT) {
            return Err(SnapshotError::Behind { unit });
        }
        if let Some(unit) = past.iter().find(|it| !self.dag.contains(it)) {
            return Err(SnapshotError::Behind { unit: *unit });
        }
        let closing =
            self.dag.closure(past).map_err(|it| SnapshotError::Behind { unit: it.unit })?;
        let outside = |it: &Digest| self.dag.is_above(it) && !closing.contains(it);
        if let Some((unit, _)) = self.segments.closed().find(|(it, _)| outside(it)) {
            return Err(SnapshotError::Uncovered { unit: *unit });
        }
        let is_needed = |it: &&Digest| self.counts(it) && closing.contains(*it);
        if let Some(unit) = self.unread().keys().find(is_needed) {
            return Err(SnapshotError::Unread { unit: *unit });
        }
        let before = self.chain.snapshots().last().map_or(0, |it| it.k);
        let (k, config) = (self.chain.next_slot().k, self.chain.config_index().saturating_add(1));
        let base = View { ledger: self, k, past, before, closing }.base(config).to_bytes();
        let bytes = base.len() as u64;
        if BASE_BYTES_MAX < bytes {
            return Err(SnapshotError::TooLarge { found: bytes });
        }
        Ok((Base::digest_of(&base), bytes))
    }

    /// What the snapshot at a decided height stands for. All that it closes over is here.
    pub(super) fn base_at(&self, k: u64, config: u64) -> Base {
        self.view(k).base(config)
    }

    /// What this ledger computes for the snapshot at a decided height: what its entry should name. None
    /// where there is no snapshot, something of it is missing here, or it is gone.
    #[must_use]
    pub fn base_of(&self, k: u64) -> Option<Digest> {
        let point = self.chain.snapshots().iter().find(|it| it.k == k)?;
        let is_here = !self.needs(k) && self.base.as_ref().is_none_or(|it| it.k() < k);
        is_here.then(|| Base::digest_of(&self.base_at(k, point.config).to_bytes()))
    }

    /// The height of the newest snapshot of which everything is here, or its base.
    #[must_use]
    pub fn newest_base(&self) -> Option<u64> {
        let standing = self.base.as_ref().map_or(0, Settled::k);
        let mut newest = self.chain.snapshots().iter().rev().map(|it| it.k);
        newest.find(|k| standing <= *k && !self.needs(*k))
    }

    /// What the snapshot at a height stands for: the same on a device that dropped those units and on one
    /// that has them. None where there is no snapshot, something of it is missing here, or it is gone.
    #[must_use]
    pub fn base_for(&self, k: u64) -> Option<Base> {
        match &self.base {
            Some(it) if it.k() == k => Some(it.base().clone()),
            Some(it) if k < it.k() => None,
            _ => {
                let point = self.chain.snapshots().iter().find(|it| it.k == k)?;
                (!self.needs(k)).then(|| self.base_at(k, point.config))
            }
        }
    }

    fn view(&self, k: u64) -> View<'_, S> {
        let past = self.chain.entry(k).map(|it| it.value.past.as_slice()).unwrap_or_default();
        let earlier = self.chain.snapshots().iter().take_while(|it| it.k < k);
        let before = earlier.last().map_or(0, |it| it.k);
        View { ledger: self, k, past, before, closing: BTreeSet::new() }
    }

    /// An app's records as a causal closure alone has them, sorted, deletions included: the same for
    /// everyone who holds the closure, whatever else they hold. What the newest snapshot stands for that
    /// the closure names is part of it.
    ///
    /// # Errors
    /// [`Missing`] when a unit of `past`, or what it rests on, is not here, or is gone.
    pub fn records_at(&self, app: AppId, past: &[Digest]) -> Result<Vec<RawRecord>, Missing> {
        let sources = self.sources();
        let named =
            past.iter().filter(|it| self.dag.is_above(it)).filter_map(|it| self.dag.place(it));
        let config = named.map(|it| it.config).max().unwrap_or(0);
        let standing = self.base.as_ref().map(Settled::k);
        let Some(point) = self.chain.snapshots_until(config).last() else {
            return match (standing, past) {
                (Some(_), [unit, ..]) => Err(Missing { unit: *unit }),
                _ => records_at(sources, app, past, Fold::default(), 0, |_| false),
            };
        };
        let fold = match standing {
            Some(k) if k == point.k => self.empty_fold(),
            Some(k) if point.k < k => {
                return Err(Missing { unit: past.first().copied().unwrap_or(Digest::ZERO) });
            }
            _ => {
                let view = self.view(point.k);
                view.fold(&view.skips())
            }
        };
        let below = |it: &Digest| self.segments.of(it) <= point.k;
        records_at(sources, app, past, fold, config, below)
    }
}

impl<S: UnitScheme> View<'_, S> {
    /// The segment of a unit that lies below; none of one that does not.
    fn segment(&self, unit: &Digest) -> Option<u64> {
        let closing = self.closing.contains(unit).then_some(self.k);
        let segment = self.ledger.segments.of(unit);
        if segment <= self.k { Some(segment) } else { closing }
    }

    fn base(&self, config: u64) -> Base {
        let skips = self.skips();
        let fold = self.fold(&skips);
        let kept = self.kept(&fold);
        Base {
            version: BASE_VERSION,
            account: self.ledger.account(),
            k: self.k,
            config,
            authors: self.authors(),
            forks: skips.forks_until(self.k),
            ticks: self.ledger.dag.ticks_of(self.past.iter().copied()).as_ref().clone(),
            state: fold.into_state(),
            kept,
        }
    }

    fn skips(&self) -> Skips {
        let mut skips = self.ledger.skips.clone();
        let segment = |unit: &Digest| self.segment(unit).unwrap_or(OPEN_SEGMENT);
        for (author, chain) in self.ledger.dag.authors() {
            for seq in chain.forks() {
                skips.look(*author, seq, chain, segment);
            }
        }
        skips
    }

    /// The state after the snapshot.
    fn fold(&self, skips: &Skips) -> Fold {
        let sources = self.ledger.sources();
        let mut places = Vec::new();
        for unit in sources.dag.arrivals() {
            let Some(parts) = self.ledger.folded(unit) else { continue };
            let Some(segment) = self.segment(unit).filter(|it| !skips.skips(unit, &parts, *it))
            else {
                continue;
            };
            places.push(Place::Unit(Position { segment, lamport: parts.lamport(), unit: *unit }));
        }
        let from = self.ledger.base.as_ref().map_or(0, |it| it.k().saturating_add(1));
        places.extend((from..self.k).map(Place::Entry));
        let mut fold = self.ledger.empty_fold();
        fold.run(sources, places);
        fold.snapshot(&mut Vec::new());
        fold
    }

    fn authors(&self) -> BTreeMap<DeviceId, BaseAuthor> {
        let authors = self.ledger.dag.authors().iter();
        authors
            .filter_map(|(author, chain)| Some((*author, self.author(*author, chain)?)))
            .collect()
    }

    /// What is known of an author that has units below.
    fn author(&self, author: DeviceId, chain: &Chain) -> Option<BaseAuthor> {
        let dag = &self.ledger.dag;
        let stands = |unit: Digest| {
            let Stands { seq, lamport, config, .. } = dag.place(&unit)?;
            let segment = self.segment(&unit)?;
            Some(BaseUnit { seq, unit, lamport, config, segment })
        };
        let below: BTreeSet<BaseUnit> =
            chain.between(0, u64::MAX).chain(chain.beyond()).filter_map(stands).collect();
        let last = *below.last()?;
        let fork = Self::fork(chain, &below);
        let earlier = below.iter().filter(|it| it.segment <= self.before).map(|it| it.seq).max();
        let tips = self.ledger.chain.entry(self.before);
        let tips = tips.map(|it| it.value.past.as_slice()).unwrap_or_default();
        let is_needed = |it: &&BaseUnit| {
            self.before < it.segment
                || Some(it.seq) == earlier
                || fork.is_some_and(|fork| it.seq.checked_add(1) == Some(fork))
                || self.past.contains(&it.unit)
                || tips.contains(&it.unit)
        };
        let spent = match fork {
            Some(_) => Spent::default(),
            None => dag.spent_at(author, &last.unit),
        };
        Some(BaseAuthor {
            count: last.seq.saturating_add(1),
            fork,
            spent,
            tips: fork.map(|fork| self.tips(chain, fork, &below)).unwrap_or_default(),
            units: below.iter().filter(is_needed).copied().collect(),
        })
    }

    /// The lowest place that two units below have.
    fn fork(chain: &Chain, below: &BTreeSet<BaseUnit>) -> Option<u64> {
        let pairs = below.iter().zip(below.iter().skip(1));
        let twice = pairs.filter(|(a, b)| a.seq == b.seq).map(|(a, _)| a.seq);
        twice.chain(chain.fork_below()).min()
    }

    /// The ends of the branches below.
    fn tips(&self, chain: &Chain, fork: u64, below: &BTreeSet<BaseUnit>) -> BTreeSet<Digest> {
        let dag = &self.ledger.dag;
        let mut tips: BTreeSet<Digest> = match chain.fork_below() {
            Some(_) => chain.tips_below().clone(),
            None => BTreeSet::new(),
        };
        let beyond = below.iter().filter(|it| fork.saturating_sub(1) <= it.seq);
        let new: Vec<Digest> = beyond.map(|it| it.unit).filter(|it| dag.is_above(it)).collect();
        tips.extend(&new);
        for unit in &new {
            let prev = dag.held(unit).and_then(|it| it.unit().prev());
            prev.map(|it| tips.remove(&it));
        }
        tips
    }

    /// The units that are still read.
    fn kept(&self, fold: &Fold) -> Vec<Vec<u8>> {
        let state = fold.state();
        let mut wanted: BTreeSet<Digest> = state.proposals.keys().copied().collect();
        wanted.extend(state.metadata.values().map(|(unit, _)| *unit));
        for session in state.sessions.values() {
            wanted.insert(session.opened_by);
            wanted.extend(&session.messages);
            let is_new = |it: &&Digest| self.segment(it).is_some_and(|it| self.before < it);
            wanted.extend(session.open.manifests.values().filter(is_new));
        }
        wanted.iter().filter_map(|it| self.ledger.unit_bytes(it)).map(<[u8]>::to_vec).collect()
    }
}
