//! The pure node: everything that a device decides, without a clock, randomness or I/O.
//!
//! `step(Input) -> Vec<Effect>`: inputs are what the world did, effects are what is to be done to it.
//! The driver carries effects out in order, so a unit is on disk before it is sent. The same node runs
//! under tokio and could run in a simulation.
//!
//! Data flows one way: bytes → import → fold → sessions, upgrades and votes → step → effects → signed
//! unit → bytes.

mod built_ins;
mod children;
mod clock;
mod commands;
mod control;
mod derive;
mod derived;
mod effect;
mod guarded;
mod guardians;
mod input;
mod joins;
mod keys;
mod lenses;
mod locks;
mod modules;
mod peers;
mod records;
mod recovery;
mod regain;
mod resharing;
mod restore;
mod revert;
mod rights;
mod running;
mod sessions;
mod snapshots;
mod standing;
mod upgrades;
mod upkeep;
mod vault;
mod view;
mod votes;
mod waits;
mod wall;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_coordination::choreography::upgrade::UpgradeCoordinator;
use aura_crypto::{HpkeSecretKey, PublicKey, SecretKey, seal::KeySource};
use aura_distribution::{Change, Rehearsal};
use aura_journal::{
    control::{Slot, Voter},
    event::Event,
    ledger::Ledger,
    store::StoreBatch,
    sync::Pull,
};
use aura_protocol_core::{AppId, DeviceId, Digest, SessionId, UnixTime};

pub use clock::INTERVAL_SECONDS;
pub use derive::CONTEXT_BYTES_MAX;
pub use effect::{AgentEvent, Contact, Effect, MigrateJob, Providers, RehearseJob, Roster};
pub use input::{Files, Input, MigratedRecords, RequestId};
pub use lenses::{Back, Group};
pub use restore::NodeKeys;
pub use upkeep::SNAPSHOT_UNITS;
pub use vault::{Entropy, ROW as KEYS_ROW};
pub use votes::ROW as VOTE_KEYS_ROW;
pub use wall::{BACK_SECONDS_MAX, JUMP_SECONDS_MAX};

pub(crate) use derived::latest;
pub(crate) use view::{entry_says, policy_name, shown};

use crate::{
    node::{
        commands::Pending, control::Intent, joins::Invitation, modules::Modules, records::Records,
        running::Running, sessions::Waiting,
    },
    text::printable,
};

/// Longest line in the log, in bytes: a path, two ids and a sentence.
const LINE_BYTES_MAX: usize = 1024;

/// One device of one account.
pub struct Node {
    me: DeviceId,
    name: String,
    unit_key: SecretKey,
    hpke_key: HpkeSecretKey,
    drawing: rights::Drawing,
    vote_keys: votes::VoteKeys,
    vault: Option<vault::Vault>,
    /// What the store says its secrets are sealed under.
    sealed: Option<KeySource>,
    making: keys::Making,
    derivations: derive::Derivations,
    resharing: resharing::Resharings,
    transport_key: [u8; 32],
    ledger: Ledger,
    voter: Voter,
    /// Set once it is not known here what this device has voted: the key by which it stood in the roster.
    set_back: Option<PublicKey>,
    contention: Option<control::Contention>,
    now: UnixTime,
    wall: wall::Wall,
    clock_stored: UnixTime,
    addresses: Vec<String>,
    seeds: BTreeMap<DeviceId, Vec<String>>,
    peers: BTreeSet<DeviceId>,
    hello_due: UnixTime,
    greet: BTreeSet<DeviceId>,
    /// What peers that said that there is more have brought since.
    pulls: BTreeMap<DeviceId, Pull>,
    roster: Roster,
    modules: Modules,
    records: Records,
    sessions: BTreeMap<SessionId, Running>,
    /// The sessions that may have something to do.
    stirred: BTreeSet<SessionId>,
    /// How often a session was looked at.
    looks: u64,
    /// How many parts of sessions were asked for.
    children_asked: usize,
    built_ins: built_ins::BuiltIns,
    ticking: clock::Ticking,
    unjudged: Waiting,
    upgrades: BTreeMap<Digest, UpgradeCoordinator>,
    rehearsals: BTreeMap<Digest, Rehearsal>,
    rehearsing: BTreeSet<Digest>,
    recoveries: recovery::Recoveries,
    /// The guardians that the person here wants.
    guarding: Option<guardians::Wish>,
    /// The value of the second certificate of a slot, once others were told.
    told_conflict: Option<Digest>,
    intents: VecDeque<Intent>,
    /// The devices that the person here wants to leave.
    leaving: BTreeSet<DeviceId>,
    /// What else the person here wants to be changed.
    wanted: BTreeSet<Change>,
    /// The activations that the person here wants to be taken back.
    unwanted_activations: BTreeSet<(AppId, u64)>,
    /// A slot for which a value was proposed that cannot be judged, and how long it is waited for.
    deferred: Option<(Slot, UnixTime)>,
    invitations: BTreeMap<Digest, Invitation>,
    pending: BTreeMap<RequestId, Pending>,
    noted: usize,
    offered: usize,
    pushed: usize,
    sources: BTreeMap<Digest, DeviceId>,
    incoming: Option<snapshots::Incoming>,
    standings: standing::Standings,
    /// The formats of units that were refused because this build does not read them.
    newer_formats: BTreeSet<u16>,
    /// The height of a decision that this build cannot read: the chain ends before it here.
    unread_entry: Option<u64>,
    upkeep: upkeep::Upkeep,
    batch: StoreBatch,
    out: Vec<Effect>,
    logged: usize,
}

impl Node {
    /// Takes one input, and says what is to be done. What is to be stored comes first.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        self.handle(input);
        self.settle();
        self.flush()
    }

    /// How far this device's clock had come when the node was last stored, or has come since.
    #[must_use]
    pub const fn clock(&self) -> UnixTime {
        self.now
    }

    /// Where the device could be reached when it ran last, as it told the others.
    #[must_use]
    pub fn last_addresses(&self) -> Vec<String> {
        let own = self.ledger.state().metadata.get(&self.me);
        own.map(|(_, it)| it.addresses.clone()).unwrap_or_default()
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Started { addresses } => self.started(addresses),
            Input::Tick(now) => self.tick(now),
            Input::Recall { id, conditions } => self.recall(id, &conditions),
            Input::PeerConnected(device) => self.peer_connected(device),
            Input::PeerGone(device) => self.peer_gone(device),
            Input::PeerMessage { from, message } => self.peer_message(from, message),
            Input::EntriesUnread { from, unread } => self.entries_unread(from, unread),
            Input::Command { id, command, files, entropy } => {
                self.command(id, command, *files, entropy);
            }
            Input::Join { id, request } => self.join_requested(id, &request),
            Input::Obtained { digest, result } => self.obtained(digest, result),
            Input::Stepped { session, result } => self.stepped(session, result),
            Input::Drawn { session, effect, entropy } => self.drawn(session, effect, entropy),
            Input::VoteKeyDrawn(entropy) => self.vote_key_drawn(entropy),
            Input::Rehearsed { proposal, result } => self.rehearsed(proposal, result),
            Input::Migrated { app, result } => self.migrated(app, result),
        }
    }

    fn started(&mut self, addresses: Vec<String>) {
        self.addresses = addresses;
        self.publish_manifest();
    }

    fn tick(&mut self, now: UnixTime) {
        self.read_clock(now);
        self.retry_modules();
        self.expire_upgrades();
        self.watch_contention();
        // What is written here goes out before anything is dropped.
        self.keep_small();
        self.answer_snapshot();
        self.tick_clock();
        self.make_keys_when_due();
        self.reshare_when_due();
        self.share_with_guardians_when_due();
        self.regain_when_due();
        self.watch_patience();
        self.say_hello_when_due();
    }

    /// Follows every consequence to its end: what one part did may let another go on.
    fn settle(&mut self) {
        loop {
            let before = self.progress();
            self.offer_new_units();
            self.advance_upgrades();
            self.swap_reverted();
            self.want_modules();
            self.pump_pending();
            self.pump_records();
            self.pump_clock();
            self.pump_keys();
            self.pump_derivations();
            self.pump_sessions();
            self.pump_control();
            self.pump_vote_keys();
            self.pump_guardians();
            self.note_requests();
            self.pump_recovery();
            self.note_decisions();
            if self.progress() == before {
                break;
            }
        }
        self.refresh_roster();
    }

    /// A number that grows with everything that could let another part go on. A line in the log could
    /// not.
    fn progress(&self) -> (usize, u64, usize, usize) {
        let (units, height) = (self.ledger.len(), self.ledger.chain().height());
        let effects = self.out.len().saturating_sub(self.logged);
        (units, height, effects, self.batch.local.len() + self.batch.records.len())
    }

    fn flush(&mut self) -> Vec<Effect> {
        self.push_new_units();
        self.batch.merge(self.ledger.take_batch());
        if self.clock_stored.saturating_add(60) <= self.now {
            self.clock_stored = self.now;
            let now = self.now.0;
            self.keep("clock", &now);
        }
        let mut effects = Vec::with_capacity(self.out.len() + 1);
        if !self.batch.is_empty() {
            effects.push(Effect::Commit(Box::new(std::mem::take(&mut self.batch))));
        }
        effects.append(&mut self.out);
        self.logged = 0;
        effects
    }

    /// Writes a unit of this device.
    fn author(&mut self, session: Option<SessionId>, event: Event) -> Option<Digest> {
        match self.ledger.author(self.me, &self.unit_key, session, event) {
            Ok(unit) => Some(unit),
            Err(error) => {
                self.log(format!("an event could not be written: {error}"));
                None
            }
        }
    }

    /// Remembers something of this device's own across restarts.
    fn keep<T: borsh::BorshSerialize>(&mut self, key: &str, value: &T) {
        self.keep_bytes(key, aura_protocol_core::encode(value));
    }

    fn keep_bytes(&mut self, key: &str, bytes: Vec<u8>) {
        self.batch.local.push((key.to_string(), Some(bytes)));
    }

    /// Others choose parts of what is logged; neither terminal nor log file must obey them.
    fn log(&mut self, line: String) {
        self.logged += 1;
        self.out.push(Effect::Log(printable(&line, LINE_BYTES_MAX)));
    }

    fn notify(&mut self, event: AgentEvent) {
        self.out.push(Effect::Notify(event));
    }
}
