//! What can be read of a ledger: its units, where they stand, and the state.

use std::{collections::BTreeSet, sync::Arc};

use aura_protocol_core::{DeviceId, Digest, Epoch};

use crate::{
    Ledger, UnitScheme,
    dag::{Chain, OPEN_SEGMENT},
    encoded::NamedUnit,
    error::Missing,
    fold::{clock_before, state::AccountState},
    unit::Unit,
};

impl<S: UnitScheme> Ledger<S> {
    /// The unit of this name. It is decoded for each call: what is kept are its bytes.
    #[must_use]
    pub fn unit(&self, unit: &Digest) -> Option<Unit> {
        Unit::from_bytes(self.unit_bytes(unit)?).ok()
    }

    /// The unit of this name as its author encoded it.
    #[must_use]
    pub fn unit_bytes(&self, unit: &Digest) -> Option<&[u8]> {
        self.dag.held(unit).map(|it| it.bytes().as_ref())
    }

    /// The unit of this name as its author encoded it, to keep or to store.
    #[must_use]
    pub fn named_unit(&self, unit: &Digest) -> Option<NamedUnit> {
        self.dag.held(unit).map(|it| NamedUnit::known(*unit, Arc::clone(it.bytes())))
    }

    /// Whether the unit is here. One that waits is not.
    #[must_use]
    pub fn contains(&self, unit: &Digest) -> bool {
        self.dag.held(unit).is_some()
    }

    /// How many units are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dag.arrivals().len()
    }

    /// Whether no unit is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dag.arrivals().is_empty()
    }

    /// All units, in the order in which they arrived: each after those that it rests on.
    #[must_use]
    pub fn arrivals(&self) -> &[Digest] {
        self.dag.arrivals()
    }

    /// The units that arrived from place `index` on.
    #[must_use]
    pub fn units_after(&self, index: usize) -> &[Digest] {
        self.dag.arrivals().get(index..).unwrap_or_default()
    }

    /// How many of the units that are here an entry up to this height closes over.
    #[must_use]
    pub fn units_until(&self, k: u64) -> usize {
        self.dag.arrivals().iter().filter(|it| self.segments.of(it) <= k).count()
    }

    /// The units that no other rests on, sorted.
    #[must_use]
    pub fn heads(&self) -> Vec<Digest> {
        self.dag.heads().iter().copied().collect()
    }

    /// The segment of a unit: the height of the entry that first closes over it, if one does.
    #[must_use]
    pub fn segment(&self, unit: &Digest) -> Option<u64> {
        Some(self.segments.of(unit)).filter(|it| *it != OPEN_SEGMENT)
    }

    /// The named units and all that they rest on, but for those that a snapshot stands for here.
    ///
    /// # Errors
    /// [`Missing`] when one of them is not here.
    pub fn closure(&self, past: &[Digest]) -> Result<BTreeSet<Digest>, Missing> {
        self.dag.closure(past)
    }

    /// Where the quorum clock stands: at the newest epoch whose tick m distinct voters of the newest
    /// configuration have signed, or that a valid tick proves. A function of the units and entries
    /// held (INV-J28). It goes back by one at most, where a new configuration asks for more votes.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.dag.ticks().stand(self.chain.config())
    }

    /// Where the clock stood in what a unit rests on, by the configuration that it names: what says whether
    /// it came before its session's deadline. None of a unit that is gone. Of one whose author had not heard
    /// of a snapshot before it, whoever keeps the snapshot alone is told that of the snapshot.
    #[must_use]
    pub fn clock_before(&self, unit: &Digest) -> Option<Epoch> {
        clock_before(&self.dag, &self.chain, unit)
    }

    /// The voters that have not signed the tick of the next epoch.
    #[must_use]
    pub fn ticks_missing(&self) -> BTreeSet<DeviceId> {
        self.dag.ticks().missing(self.chain.config())
    }

    /// Where the clock stood here when a unit arrived. The same after a restart.
    #[must_use]
    pub fn arrived_at(&self, unit: &Digest) -> Option<Epoch> {
        self.dag.held(unit).map(|it| it.arrived_at)
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &AccountState {
        self.fold.state()
    }

    /// Whether only a snapshot stands here for a unit and what it rests on.
    #[must_use]
    pub fn is_settled(&self, unit: &Digest) -> bool {
        !self.dag.is_above(unit) && (self.dag.held(unit).is_some() || self.dag.contains(unit))
    }

    /// Whose unit this is, and at which place; also of one that is gone, as long as others may rest on it.
    #[must_use]
    pub fn place_of(&self, unit: &Digest) -> Option<(DeviceId, u64)> {
        self.dag.place(unit).map(|it| (it.author, it.seq))
    }

    /// The last unit of a device that is known here, with its place. Of one that has forked, the last
    /// before that.
    #[must_use]
    pub fn last_of(&self, device: DeviceId) -> Option<(u64, Digest)> {
        let chain = self.dag.chain_of(&device)?;
        let last = chain.fork().unwrap_or_else(|| chain.len()).checked_sub(1)?;
        Some((last, chain.first_at(last)?))
    }

    /// The configuration that a device's last unit names.
    #[must_use]
    pub fn last_config(&self, device: DeviceId) -> Option<u64> {
        let last = self.dag.chain_of(&device)?.last()?;
        self.dag.place(&last).map(|it| it.config)
    }

    /// The next place in a device's chain.
    #[must_use]
    pub fn next_seq(&self, device: DeviceId) -> u64 {
        self.dag.chain_of(&device).map_or(0, Chain::len)
    }
}
