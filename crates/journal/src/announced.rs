//! What units say for the control chain beside proposals and votes: the vote keys that devices announced,
//! as an entry that closes over some units has to name them, and requests to recover the account.
//!
//! Invariants:
//! - INV-J61: which keys an entry has to name is a function of what it closes over and of the chain before
//!   it, the same on devices that dropped units and on those that keep all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use aura_crypto::{PublicKey, Signature};
use aura_protocol_core::{DeviceId, Digest};

use crate::{
    Ledger, UnitScheme,
    control::{ControlMessage, RecoveryRequest, RecoverySays, RecoveryWord, Slot},
    error::Missing,
    event::Event,
    unit::UnitBody,
};

/// Most pasts of one slot for which the keys are remembered: those of a few proposals.
const COMPUTED_MAX: usize = 16;
/// Most requests to recover the account of which something was said.
const WORDS_MAX: usize = 256;

/// For one slot: past → the keys that an entry with it has to name.
type Computed = (Option<Slot>, BTreeMap<Vec<Digest>, BTreeMap<DeviceId, PublicKey>>);

/// A request to recover the account, and where it stands.
#[derive(Debug, Clone)]
struct Asked {
    request: RecoveryRequest,
    unit: Digest,
}

/// What was said of a request to recover the account, by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryWords {
    /// Whose persons confirmed the new devices.
    pub approvals: BTreeSet<DeviceId>,
    /// Who does not want it.
    pub objections: BTreeSet<DeviceId>,
    /// Who takes it back: counts only of whoever asked.
    pub cancelled: BTreeSet<DeviceId>,
    /// Who asked for an answer, and how often.
    pub nudges: BTreeMap<DeviceId, u32>,
    /// Parts of its certificate, unverified.
    pub signatures: BTreeMap<DeviceId, (PublicKey, Signature)>,
}

/// The announcements that are here, by unit, and what was made of them.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    units: BTreeMap<Digest, (DeviceId, PublicKey)>,
    /// Requests to recover the account, by their ids.
    requests: BTreeMap<Digest, Asked>,
    /// What was said of them, also of those that are not here yet.
    words: BTreeMap<Digest, RecoveryWords>,
    computed: Mutex<Computed>,
}

impl Announced {
    /// Looks at a unit that was accepted.
    pub(crate) fn unit(&mut self, hash: Digest, body: &UnitBody) {
        if let Event::Control(ControlMessage::RequestRecovery(it)) = &body.event {
            if it.verify(body.account).is_ok() {
                let asked = || Asked { request: RecoveryRequest::clone(it), unit: hash };
                self.requests.entry(it.id()).or_insert_with(asked);
            }
            return;
        }
        if let Event::Control(ControlMessage::Recovery(it)) = &body.event {
            self.word(body.author, it);
            return;
        }
        let Event::Control(ControlMessage::Announce(said)) = &body.event else { return };
        match said.verify(body.account, body.author) {
            Ok(()) => {
                self.units.insert(hash, (body.author, said.key));
            }
            Err(_) => tracing::warn!(
                unit = %hash, author = %body.author, "a vote key is announced without being held"
            ),
        }
    }
}

impl Announced {
    fn word(&mut self, author: DeviceId, word: &RecoveryWord) {
        let known = self.requests.contains_key(&word.request);
        if !known && !self.words.contains_key(&word.request) && WORDS_MAX <= self.words.len() {
            return;
        }
        let words = self.words.entry(word.request).or_default();
        match &word.says {
            RecoverySays::Approve => {
                words.approvals.insert(author);
            }
            RecoverySays::Object => {
                words.objections.insert(author);
            }
            RecoverySays::Cancel => {
                words.cancelled.insert(author);
            }
            RecoverySays::Nudge => {
                let count = words.nudges.entry(author).or_default();
                *count = count.saturating_add(1);
            }
            RecoverySays::Sign { key, signature } => {
                words.signatures.insert(author, (**key, *signature));
            }
        }
    }
}

impl<S: UnitScheme> Ledger<S> {
    /// What was said of a request to recover the account.
    #[must_use]
    pub fn recovery_words(&self, request: &Digest) -> RecoveryWords {
        self.announced.words.get(request).cloned().unwrap_or_default()
    }

    /// The unit that a request stands in.
    #[must_use]
    pub fn recovery_request_unit(&self, request: &Digest) -> Option<Digest> {
        self.announced.requests.get(request).map(|it| it.unit)
    }

    /// The vote keys that an entry for the next slot has to name, if it closes over these units: of each
    /// device of the roster the one that it announced there since the last snapshot, that is not in
    /// force and never was. A device that announced several is not to be trusted, and keeps its key.
    ///
    /// # Errors
    /// [`Missing`] when one of the units is not here.
    pub fn announced(&self, past: &[Digest]) -> Result<BTreeMap<DeviceId, PublicKey>, Missing> {
        let slot = self.chain.next_slot();
        {
            let known = self.announced.computed.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = known.1.get(past).filter(|_| known.0 == Some(slot));
            if let Some(keys) = keys {
                return Ok(keys.clone());
            }
        }
        let keys = self.announced_in(past)?;
        let mut known = self.announced.computed.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != Some(slot) || COMPUTED_MAX <= known.1.len() {
            *known = (Some(slot), BTreeMap::new());
        }
        known.1.insert(past.to_vec(), keys.clone());
        Ok(keys)
    }

    /// The requests to recover the account from the configuration in force, by one of the keys that may
    /// ask for it, that the account has not vetoed.
    pub fn recovery_requests(&self) -> impl Iterator<Item = (Digest, &RecoveryRequest)> {
        let (slot, config) = self.chain.recovers_from();
        let keys = config.recovery_keys();
        let may_ask = move |key: &PublicKey| keys.contains(key);
        let requests = self.announced.requests.iter().map(|(id, it)| (*id, &it.request));
        requests.filter(move |(id, it)| {
            it.generation == slot.generation
                && it.config == slot.config
                && may_ask(&it.key)
                && !self.chain.is_vetoed(*id)
        })
    }

    /// Whether a unit of this device announces the key, above the last snapshot.
    #[must_use]
    pub fn has_announced(&self, device: DeviceId, key: &PublicKey) -> bool {
        let mut units = self.announced.units.iter();
        units.any(|(unit, it)| *it == (device, *key) && !self.is_below_snapshot(unit))
    }

    fn announced_in(&self, past: &[Digest]) -> Result<BTreeMap<DeviceId, PublicKey>, Missing> {
        let config = self.chain.config();
        let roster = &config.roster;
        let in_use: BTreeSet<[u8; 32]> = roster
            .values()
            .flat_map(|it| [it.unit_key, it.vote_key, it.transport_key].map(|key| *key.as_bytes()))
            .chain(roster.values().map(|it| it.hpke_key.0))
            .collect();
        let may_come =
            |key: &PublicKey| !in_use.contains(key.as_bytes()) && !self.chain.is_retired(key);
        let open = self.announced.units.iter().filter(|(unit, (device, key))| {
            roster.contains_key(device) && may_come(key) && !self.is_below_snapshot(unit)
        });
        let open: BTreeMap<Digest, (DeviceId, PublicKey)> =
            open.map(|(unit, it)| (*unit, *it)).collect();
        let mut by_device: BTreeMap<DeviceId, BTreeSet<PublicKey>> = BTreeMap::new();
        for unit in self.covered(past, open.keys().copied().collect())? {
            if let Some((device, key)) = open.get(&unit) {
                by_device.entry(*device).or_default().insert(*key);
            }
        }
        let one = |(device, keys): (DeviceId, BTreeSet<PublicKey>)| {
            let mut keys = keys.into_iter();
            let key = keys.next()?;
            keys.next().is_none().then_some((device, key))
        };
        Ok(by_device.into_iter().filter_map(one).collect())
    }

    /// Whether the newest snapshot closes over a unit.
    fn is_below_snapshot(&self, unit: &Digest) -> bool {
        let last = self.chain.snapshots().last();
        last.is_some_and(|it| self.segments.of(unit) <= it.k)
    }

    /// Those of the `wanted` units that these are, or rest on.
    fn covered(
        &self,
        past: &[Digest],
        mut wanted: BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, Missing> {
        if let Some(unit) = past.iter().find(|it| !self.dag.contains(it)) {
            return Err(Missing { unit: *unit });
        }
        if past.iter().eq(self.dag.heads()) {
            // All that is here, but for what is kept only in case somebody rests on it.
            wanted.retain(|it| !self.is_on_account(it));
            return Ok(wanted);
        }
        let mut found = BTreeSet::new();
        let floor =
            |wanted: &BTreeSet<Digest>| wanted.iter().filter_map(|it| self.dag.lamport(it)).min();
        let mut lowest = floor(&wanted);
        let mut seen: BTreeSet<Digest> = past.iter().copied().collect();
        let mut open = past.to_vec();
        while let Some(unit) = open.pop() {
            let Some(least) = lowest else { break };
            if wanted.remove(&unit) {
                found.insert(unit);
                lowest = floor(&wanted);
            }
            // Only what stands above a unit can rest on it.
            let above = self.dag.held(&unit).filter(|it| least < it.unit().lamport());
            let Some(held) = above.filter(|_| !self.is_below_snapshot(&unit)) else { continue };
            open.extend(held.unit().parents().filter(|it| seen.insert(*it)));
        }
        Ok(found)
    }
}
