//! Keeping the ledger small without being asked: a voter proposes a snapshot once enough was added, and units
//! are dropped once everybody has heard of it.

use aura_protocol_core::{DeviceId, Digest, UnixTime};

use crate::node::{Node, control::Intent};

/// Units since the last snapshot after which the next one is proposed.
pub const SNAPSHOT_UNITS: usize = 1 << 16;
/// How long each voter waits for the one whose turn comes before its own, in seconds. All voters at once would
/// close over different units, and split the vote.
const TURN_SECONDS: u64 = 60;
/// How long it takes until it is tried again to drop units, in seconds.
const RETRY_SECONDS: u64 = 60;

/// What is due.
#[derive(Debug)]
pub(super) struct Upkeep {
    units_max: usize,
    /// The snapshots and the base for which the units were counted that lie below the newest snapshot.
    counted: Option<(usize, Option<u64>)>,
    below: usize,
    /// Since when a snapshot is due.
    due_since: Option<UnixTime>,
    retry_at: UnixTime,
    /// The snapshot for which this device cannot drop anything: only a later one helps.
    passed: Option<u64>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            units_max: SNAPSHOT_UNITS,
            counted: None,
            below: 0,
            due_since: None,
            retry_at: UnixTime(0),
            passed: None,
        }
    }
}

impl Node {
    /// Sets after how many units a snapshot is proposed without being asked for.
    pub const fn set_snapshot_units(&mut self, units: usize) {
        self.upkeep.units_max = units;
    }

    /// Does what is due.
    pub(super) fn keep_small(&mut self) {
        self.count_units();
        self.compact_when_due();
        self.snapshot_when_due();
    }

    /// Counts once for each snapshot.
    fn count_units(&mut self) {
        let snapshots = self.ledger.chain().snapshots();
        let now = (snapshots.len(), self.ledger.base().map(|(k, _)| k));
        if self.upkeep.counted != Some(now) {
            let newest = snapshots.last().map(|it| it.k);
            self.upkeep.below = newest.map_or(0, |k| self.ledger.units_until(k));
            self.upkeep.counted = Some(now);
        }
    }

    /// Drops what the newest snapshot stands for, if that is much, and nothing is in the way.
    fn compact_when_due(&mut self) {
        let newest = self.ledger.chain().snapshots().last().map(|it| it.k);
        let Some(k) = newest.filter(|k| !self.stands_on(*k)) else { return };
        let is_much = self.upkeep.units_max <= self.upkeep.below.saturating_mul(2);
        if !is_much || self.upkeep.passed == Some(k) || self.now < self.upkeep.retry_at {
            return;
        }
        self.upkeep.retry_at = self.now.saturating_add(RETRY_SECONDS);
        let Err(error) = self.compact() else { return };
        if matches!(error.code.as_str(), "SnapshotDiffers" | "LateUnit") {
            self.upkeep.passed = Some(k);
            self.log(format!("no units are dropped for the snapshot at {k}: {error}"));
        }
    }

    /// Proposes a snapshot when it is this device's turn. While a voter has not heard of the last one, the
    /// next would drop nothing, and shut that voter out.
    fn snapshot_when_due(&mut self) {
        let chain = self.ledger.chain();
        let newest = chain.snapshots().last().map_or(0, |it| it.config);
        let heard = |it: DeviceId| self.ledger.last_config(it).is_some_and(|it| newest <= it);
        let is_done = newest == 0 || chain.config().voters().all(|it| heard(it.device));
        let added = self.ledger.len().saturating_sub(self.upkeep.below);
        let is_asked = self.intents.iter().any(|it| matches!(it, Intent::Snapshot { .. }));
        if !is_done || added < self.upkeep.units_max {
            self.upkeep.due_since = None;
            return;
        }
        let Some(turn) = self.turn().filter(|_| !is_asked) else { return };
        let since = *self.upkeep.due_since.get_or_insert(self.now);
        if self.now < since.saturating_add(turn.saturating_mul(TURN_SECONDS)) {
            return;
        }
        match self.ledger.snapshot(&self.ledger.heads()) {
            Ok(_) => {
                self.log(format!("a snapshot is proposed after {added} units"));
                let known = self.ledger.chain().snapshots().len();
                self.intents.push_back(Intent::Snapshot { known, id: None });
            }
            Err(error) => self.snapshot_put_off(&error),
        }
    }

    /// A snapshot that nobody asked for cannot be had now.
    pub(super) fn snapshot_put_off(&mut self, error: &dyn std::fmt::Display) {
        self.log(format!("no snapshot is taken: {error}"));
        // The others come first now.
        self.upkeep.due_since = Some(self.now.saturating_add(RETRY_SECONDS));
    }

    fn stands_on(&self, k: u64) -> bool {
        self.ledger.base().is_some_and(|(base, _)| base == k)
    }

    /// How many voters come before this device; none where it does not vote.
    fn turn(&self) -> Option<u64> {
        let chain = self.ledger.chain();
        let height = chain.height().to_le_bytes();
        let turn = |device: &DeviceId| {
            let parts: [&[u8]; 2] = [&height, device.as_bytes()];
            Digest::tagged("aura snapshot turn v1", &parts)
        };
        let mut voters = chain.config().voters().map(|it| it.device);
        let own = voters.find(|it| *it == self.me).map(|it| turn(&it))?;
        let voters = chain.config().voters();
        Some(voters.filter(|it| turn(&it.device) < own).count() as u64)
    }
}
