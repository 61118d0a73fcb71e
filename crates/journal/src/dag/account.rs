//! What forked authors may make a replica keep.
//!
//! Two units for one place prove a fork, and the fold leaves their author out from there on; so more
//! of its units say nothing. Yet an honest device that had not heard of it may have built on any of
//! them, and what it built has to come in everywhere. So units of a forked author from the fork on
//! are taken *on account* of the peer that sends them, up to what two quotas allow, and written off
//! once another author's unit rests on them, up to as much for each such author, or an entry closes
//! over them. An honest peer sends none but those, so its account is empty after each exchange; and a
//! hostile one fills its own and no more.

use std::collections::BTreeMap;

use aura_protocol_core::{DeviceId, Digest};

use crate::{
    dag::{Dag, PeerTag, Usage},
    encoded::Encoded,
};

/// Whose account a unit is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Payer(PeerTag, DeviceId);

/// The accounts of all peers.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    open: BTreeMap<Digest, Payer>,
    spent: BTreeMap<Payer, Usage>,
    /// By who rests on units and whose they are: what was written off.
    written_off: BTreeMap<(DeviceId, DeviceId), Usage>,
}

impl Accounts {
    /// Whether nobody rests on the unit yet.
    pub(crate) fn contains(&self, unit: &Digest) -> bool {
        self.open.contains_key(unit)
    }

    /// Whether the peer may bring that many bytes more of this author's.
    pub(crate) fn has_room(&self, peer: PeerTag, author: DeviceId, bytes: usize) -> bool {
        let spent = self.spent.get(&Payer(peer, author)).copied().unwrap_or_default();
        spent.and(bytes).is_within_forks()
    }

    /// Takes a unit on account.
    pub(crate) fn take(&mut self, peer: PeerTag, author: DeviceId, unit: Digest, bytes: usize) {
        let payer = Payer(peer, author);
        self.open.insert(unit, payer);
        let spent = self.spent.entry(payer).or_default();
        *spent = spent.and(bytes);
    }

    /// A unit that is on no account came in: what it rests on is written off. Returns that.
    pub(crate) fn rest(&mut self, dag: &Dag, unit: &Encoded<'_>) -> Vec<Digest> {
        let mut settled = Vec::new();
        if self.open.is_empty() {
            return settled;
        }
        let mut waiting = vec![(unit.author(), *unit)];
        while let Some((payer, resting)) = waiting.pop() {
            for unit in
                resting.parents().filter(|it| self.open.contains_key(it)).collect::<Vec<_>>()
            {
                let Some(held) = dag.held(&unit) else { continue };
                let author = held.unit().author();
                // What a unit of the same author rests on is for whoever rests on that unit.
                let by = if author == resting.author() { payer } else { resting.author() };
                let total = self.written_off.entry((by, author)).or_default();
                let more = total.and(held.bytes().len());
                if more.is_within_forks() && self.open.contains_key(&unit) {
                    *total = more;
                    self.settle(dag, unit);
                    settled.push(unit);
                    waiting.push((by, held.unit()));
                }
            }
        }
        settled
    }

    /// Writes a unit off.
    pub(crate) fn settle(&mut self, dag: &Dag, unit: Digest) -> bool {
        let Some(payer) = self.open.remove(&unit) else { return false };
        let bytes = dag.held(&unit).map_or(0, |it| it.bytes().len());
        if let Some(spent) = self.spent.get_mut(&payer) {
            *spent = spent.without(bytes);
            if *spent == Usage::default() {
                self.spent.remove(&payer);
            }
        }
        true
    }
}
