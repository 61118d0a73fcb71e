//! A node from what its store holds.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::execution::ProtocolContext;
use aura_crypto::{HpkeSecretKey, SecretKey, seal::source_of};
use aura_journal::{Event, Ledger, StoreBatch, Stored, control::Voter};
use aura_protocol_core::{DeviceId, SessionId, UnixTime, decode};

use crate::{
    error::{AgentError, Whose},
    identity::Identity,
    node::{
        KEYS_ROW, Node, Roster, built_ins::BuiltIns, clock::Ticking, derive::Derivations,
        guardians, joins::Invitation, keys::Making, modules::Modules, records::Records,
        recovery::Recoveries, resharing::Resharings, rights::Drawing, running::Running,
        sessions::Waiting, standing::Standings, upkeep::Upkeep, votes::VoteKeys, wall::Wall,
    },
};

/// The keys that a node signs with, and the public one that it is dialled by.
pub struct NodeKeys {
    /// Signs units.
    pub unit: SecretKey,
    /// Signs votes, until the store holds a key for that.
    pub vote: SecretKey,
    /// Opens what is sealed to it.
    pub hpke: HpkeSecretKey,
    /// What others authenticate its connections by.
    pub transport: [u8; 32],
}

impl NodeKeys {
    /// The keys of an identity.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        Self {
            unit: SecretKey::from_seed(*identity.unit.danger_seed()),
            vote: SecretKey::from_seed(*identity.vote.danger_seed()),
            hpke: HpkeSecretKey::from_seed(*identity.hpke.danger_seed()),
            transport: *identity.roster_entry().transport_key.as_bytes(),
        }
    }
}

impl Node {
    /// The node of `name` with `keys`, as it was when `stored` was written.
    ///
    /// # Errors
    /// `StoreDamaged` when the store's content is no ledger.
    pub fn restore(name: String, keys: NodeKeys, stored: &Stored) -> Result<Self, AgentError> {
        let ledger = Ledger::restore(stored).map_err(|error| damaged(&error))?;
        let me = DeviceId::derive(keys.unit.public().as_bytes());
        let clock = UnixTime(local(stored, "clock")?.unwrap_or_default());
        let mut node = Self {
            me,
            name,
            unit_key: keys.unit,
            hpke_key: keys.hpke,
            drawing: Drawing::default(),
            vote_keys: VoteKeys::enrolled(keys.vote),
            vault: None,
            sealed: stored.local.get(KEYS_ROW).and_then(|it| source_of(it).ok()),
            making: Making::default(),
            derivations: Derivations::default(),
            resharing: Resharings::default(),
            transport_key: keys.transport,
            voter: Voter::new(stored.vote_record),
            set_back: local(stored, "set-back")?,
            contention: None,
            now: clock,
            wall: Wall::new(clock),
            clock_stored: clock,
            addresses: Vec::new(),
            seeds: prefixed(stored, "seed/")?,
            peers: BTreeSet::new(),
            hello_due: clock,
            greet: BTreeSet::new(),
            pulls: BTreeMap::new(),
            roster: Roster::default(),
            modules: Modules::restore(stored)?,
            records: Records::restore(stored, &ledger)?,
            sessions: sessions(stored, &ledger, clock)?,
            stirred: BTreeSet::new(),
            looks: 0,
            children_asked: 0,
            built_ins: BuiltIns::default(),
            ticking: Ticking::new(clock),
            unjudged: Waiting::default(),
            upgrades: BTreeMap::new(),
            rehearsals: BTreeMap::new(),
            rehearsing: BTreeSet::new(),
            recoveries: Recoveries::restore(stored)?,
            guarding: local(stored, guardians::ROW)?,
            told_conflict: None,
            intents: std::collections::VecDeque::new(),
            leaving: BTreeSet::new(),
            unwanted_activations: BTreeSet::new(),
            wanted: BTreeSet::new(),
            deferred: None,
            invitations: prefixed::<_, Invitation>(stored, "ticket/")?,
            pending: BTreeMap::new(),
            noted: ledger.chain().entries().len(),
            offered: ledger.len(),
            pushed: ledger.len(),
            sources: BTreeMap::new(),
            incoming: None,
            standings: Standings::default(),
            newer_formats: BTreeSet::new(),
            unread_entry: None,
            upkeep: Upkeep::default(),
            batch: StoreBatch::default(),
            out: Vec::new(),
            logged: 0,
            ledger,
        };
        node.replay_votes();
        node.restore_resharings();
        node.stir_all();
        node.unjudged = node.not_begun();
        Ok(node)
    }

    /// The open sessions that this device takes part in and has not begun.
    fn not_begun(&self) -> Waiting {
        let open = self.ledger.state().sessions.values().filter(|it| {
            it.outcome.is_none()
                && it.open.agreement.runs.contains_key(&self.me)
                && !self.sessions.contains_key(&it.id)
        });
        Waiting::of(open.map(|it| it.id))
    }

    /// Shows the voter every proposal and vote again: its memory is not stored, its record is.
    fn replay_votes(&mut self) {
        let units: Vec<_> = self.ledger.arrivals().to_vec();
        for hash in units {
            let Some(unit) = self.ledger.unit(&hash) else { continue };
            if let Event::Control(message) = &unit.body.event {
                self.voter.observe(self.ledger.chain(), unit.body.author, message);
            }
        }
    }
}

/// One value of this device's own.
fn local<T: borsh::BorshDeserialize + borsh::BorshSerialize>(
    stored: &Stored,
    key: &str,
) -> Result<Option<T>, AgentError> {
    let Some(bytes) = stored.local.get(key) else { return Ok(None) };
    decode(bytes, bytes.len()).map(Some).map_err(|error| damaged(&error))
}

/// All values whose keys begin with `prefix` and go on with an id.
pub(super) fn prefixed<K, T>(stored: &Stored, prefix: &str) -> Result<BTreeMap<K, T>, AgentError>
where
    K: std::str::FromStr + Ord,
    T: borsh::BorshDeserialize + borsh::BorshSerialize,
{
    let rows =
        stored.local.iter().filter_map(|(key, bytes)| Some((key.strip_prefix(prefix)?, bytes)));
    rows.map(|(id, bytes)| {
        let id = id.parse().map_err(|_| damaged(&format!("`{prefix}{id}` is no id")))?;
        // The store's checksums have shown that these are this device's own bytes.
        Ok((id, decode(bytes, bytes.len()).map_err(|error| damaged(&error))?))
    })
    .collect()
}

fn sessions(
    stored: &Stored,
    ledger: &Ledger,
    now: UnixTime,
) -> Result<BTreeMap<SessionId, Running>, AgentError> {
    let contexts: BTreeMap<SessionId, ProtocolContext> = prefixed(stored, "session/")?;
    let sessions = contexts.into_iter();
    Ok(sessions.map(|(id, context)| (id, Running::restore(context, ledger, now))).collect())
}

pub(super) fn damaged(error: &dyn std::fmt::Display) -> AgentError {
    AgentError::new(
        "StoreDamaged",
        format!("the store's content is damaged: {error}"),
        Whose::Machine,
        "restore the folder from a copy, or remove this device and join again as a new one",
    )
}
