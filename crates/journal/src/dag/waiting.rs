//! V7: units whose parents or configuration are missing wait, in a fixed ring per sending peer.
//!
//! Each peer fills and overwrites only its own ring, so that none can push out what another sent. A
//! unit that falls out is fetched again by the next sync.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use aura_protocol_core::{Digest, limits::DEVICES_MAX};

use crate::{encoded::NamedUnit, error::Reject};

/// Most units that wait for one peer: four sync batches of 64 may arrive out of order.
const UNITS_PER_PEER_MAX: usize = 256;
/// Most bytes that wait for one peer. With [`PEERS_MAX`] this bounds all that waiting can cost.
const BYTES_PER_PEER_MAX: usize = 1 << 20;
/// Most peers that have units waiting: the roster's devices.
const PEERS_MAX: usize = DEVICES_MAX;
/// Most refusals of waiting units that are kept for the caller.
const REFUSALS_MAX: usize = 256;

/// Who sent a unit: the transport key of the connection that it came over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerTag(pub [u8; 32]);

impl fmt::Debug for PeerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerTag:{}", Digest::from_bytes(self.0).short())
    }
}

/// What a waiting unit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The configuration of this index.
    Config(u64),
    /// A parent.
    Unit(Digest),
}

#[derive(Debug, Default)]
struct Ring {
    order: VecDeque<Digest>,
    units: BTreeMap<Digest, (NamedUnit, Need)>,
    bytes: usize,
}

/// All rings, and who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    rings: BTreeMap<PeerTag, Ring>,
    needs: BTreeMap<Need, BTreeSet<(PeerTag, Digest)>>,
}

/// Units that had been waiting and then turned out to break a rule: who sent them, and which.
#[derive(Debug, Default)]
pub(crate) struct Refusals(VecDeque<(PeerTag, Reject)>);

impl Refusals {
    pub(crate) fn push(&mut self, peer: PeerTag, reject: Reject) {
        if REFUSALS_MAX <= self.0.len() {
            self.0.pop_front();
        }
        self.0.push_back((peer, reject));
    }

    pub(crate) fn take(&mut self) -> Vec<(PeerTag, Reject)> {
        std::mem::take(&mut self.0).into()
    }
}

impl Waiting {
    pub(crate) fn contains(&self, peer: PeerTag, unit: &Digest) -> bool {
        self.rings.get(&peer).is_some_and(|ring| ring.units.contains_key(unit))
    }

    /// How many units wait in all rings together.
    pub(crate) fn len(&self) -> usize {
        self.rings.values().map(|ring| ring.units.len()).sum()
    }

    /// Puts a unit into its peer's ring, over the oldest ones there when it is full.
    pub(crate) fn park(
        &mut self,
        peer: PeerTag,
        candidate: NamedUnit,
        need: Need,
    ) -> Result<(), Reject> {
        if !self.rings.contains_key(&peer) && PEERS_MAX <= self.rings.len() {
            return Err(Reject::Crowded { peers: self.rings.len() });
        }
        let size = candidate.bytes().len();
        while let Some(oldest) = self.oldest_to_drop(peer, size) {
            tracing::debug!(?peer, unit = %oldest, "waiting unit dropped: the peer's ring is full");
            self.remove(peer, &oldest);
        }
        let hash = candidate.name();
        let ring = self.rings.entry(peer).or_default();
        ring.order.push_back(hash);
        ring.bytes += size;
        ring.units.insert(hash, (candidate, need));
        self.needs.entry(need).or_default().insert((peer, hash));
        Ok(())
    }

    /// Takes out all units that waited for exactly this.
    pub(crate) fn take(&mut self, need: Need) -> Vec<(PeerTag, NamedUnit)> {
        let waiting = self.needs.remove(&need).unwrap_or_default();
        let mut taken = Vec::new();
        for (peer, hash) in waiting {
            taken.extend(self.remove(peer, &hash).map(|candidate| (peer, candidate)));
        }
        taken
    }

    /// The configurations up to `newest` that units wait for.
    pub(crate) fn configs_up_to(&self, newest: u64) -> Vec<Need> {
        self.needs.range(..=Need::Config(newest)).map(|(need, _)| *need).collect()
    }

    /// Drops all that a peer sent.
    pub(crate) fn forget(&mut self, peer: PeerTag) {
        let hashes: Vec<Digest> = self
            .rings
            .get(&peer)
            .map(|ring| ring.order.iter().copied().collect())
            .unwrap_or_default();
        for hash in hashes {
            self.remove(peer, &hash);
        }
    }

    fn oldest_to_drop(&self, peer: PeerTag, size: usize) -> Option<Digest> {
        let ring = self.rings.get(&peer)?;
        let fits = ring.order.len() < UNITS_PER_PEER_MAX && ring.bytes + size <= BYTES_PER_PEER_MAX;
        if fits { None } else { ring.order.front().copied() }
    }

    fn remove(&mut self, peer: PeerTag, hash: &Digest) -> Option<NamedUnit> {
        let ring = self.rings.get_mut(&peer)?;
        let (candidate, need) = ring.units.remove(hash)?;
        ring.order.retain(|it| it != hash);
        ring.bytes -= candidate.bytes().len();
        // A peer without waiting units costs nothing, so that it never crowds out another.
        if ring.units.is_empty() {
            self.rings.remove(&peer);
        }
        if let Some(waiting) = self.needs.get_mut(&need) {
            waiting.remove(&(peer, *hash));
            if waiting.is_empty() {
                self.needs.remove(&need);
            }
        }
        Some(candidate)
    }
}
