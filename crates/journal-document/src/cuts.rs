//! Units that a cut leaves out.
//!
//! A cut counts from the segment of its own entry on, and an entry may come after units that lie beyond its
//! cut. So what was compiled is compared with what counts, as often as something comes.

use std::collections::BTreeMap;

use aura_journal::{Ledger, UnitBody};
use aura_protocol_core::{DeviceId, Digest};

/// The cuts of an account, and the units of those devices that lie at them or beyond.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// How many entries were looked at.
    entries: usize,
    /// Of each device that was cut, the last place that counts.
    last: BTreeMap<DeviceId, u64>,
    /// Which of its units from there on were left out.
    left_out: BTreeMap<Digest, bool>,
}

impl Cuts {
    /// The cuts of a chain.
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let mut cuts = Self::default();
        cuts.look(ledger);
        cuts
    }

    /// Takes note of new cuts. The devices that they are of.
    fn look(&mut self, ledger: &Ledger) -> Vec<DeviceId> {
        let entries = ledger.chain().entries();
        let mut new = Vec::new();
        for entry in entries.get(self.entries..).unwrap_or_default() {
            if let Some(it) = entry.value.body.cut() {
                let last = self.last.entry(it.device).or_insert(it.last_seq);
                *last = it.last_seq.min(*last);
                new.push(it.device);
            }
        }
        self.entries = entries.len();
        new
    }

    /// Whether a unit is cut off.
    pub(crate) fn leave_out(&mut self, ledger: &Ledger, unit: &Digest, body: &UnitBody) -> bool {
        if self.last.get(&body.author).is_none_or(|last| body.seq < *last) {
            return false;
        }
        let is_out = !ledger.counts(unit);
        self.left_out.insert(*unit, is_out);
        is_out
    }

    /// Whether a unit of the first `compiled` was compiled and is cut off now, or the other way round.
    pub(crate) fn moved(&mut self, ledger: &Ledger, compiled: usize) -> bool {
        let new = self.look(ledger);
        if !new.is_empty() {
            for unit in ledger.arrivals().iter().take(compiled) {
                let Some(body) = ledger.unit(unit).map(|it| it.body) else { continue };
                let last = self.last.get(&body.author).filter(|_| new.contains(&body.author));
                if last.is_some_and(|last| *last <= body.seq) {
                    self.left_out.entry(*unit).or_insert(false);
                }
            }
        }
        self.left_out.iter().any(|(unit, is_out)| *is_out == ledger.counts(unit))
    }
}
