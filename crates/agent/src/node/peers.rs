//! Exchanging units and entries with connected devices.

use std::net::SocketAddr;

use aura_journal::{
    Event, Outcome, PeerTag, Reject,
    control::ChainError,
    sync::{self, SyncMessage, UnreadEntries},
};
use aura_protocol_core::{
    DeviceId, Digest,
    limits::{FRAME_BYTES_MAX, UNIT_BODY_BYTES_MAX},
};
use aura_transport::DIRECT_ADDRS_MAX;

use crate::node::{AgentEvent, Contact, Effect, Node, Roster};

/// How often everybody is told how far this device is, in seconds. New units are pushed at once; this
/// finds what a lost connection swallowed.
const HELLO_SECONDS: u64 = 30;
/// Most formats of other versions that are remembered.
const FORMATS_MAX: usize = 8;
/// Most bytes of units in one push.
const PUSH_BYTES_MAX: usize = FRAME_BYTES_MAX - 2 * UNIT_BODY_BYTES_MAX;

impl Node {
    pub(super) fn peer_connected(&mut self, device: DeviceId) {
        if let Some(reason) = self.spent_reason(device) {
            self.out.push(Effect::Disconnect { device, reason });
            return;
        }
        self.peers.insert(device);
        self.notify(AgentEvent::PeerConnected { device: device.to_string() });
        self.say_hello(device);
        self.retry_modules_now();
    }

    pub(super) fn peer_gone(&mut self, device: DeviceId) {
        self.peers.remove(&device);
        self.pulls.remove(&device);
        self.forget_incoming(device);
        self.ledger.forget_peer(PeerTag(*device.as_bytes()));
        self.notify(AgentEvent::PeerGone { device: device.to_string() });
    }

    fn say_hello(&mut self, to: DeviceId) {
        let message = SyncMessage::Hello(sync::hello(&self.ledger));
        self.out.push(Effect::Send { to, message });
    }

    /// Greets those who sent something that rests on what is not here. Not at once: what is missing may
    /// be on its way, and each greeting may be answered with megabytes.
    pub(super) fn say_hello_when_due(&mut self) {
        for device in std::mem::take(&mut self.greet) {
            if self.peers.contains(&device) {
                self.say_hello(device);
            }
        }
        if self.now < self.hello_due {
            return;
        }
        self.hello_due = self.now.saturating_add(HELLO_SECONDS);
        for device in self.peers.clone() {
            self.say_hello(device);
        }
    }

    pub(super) fn peer_message(&mut self, from: DeviceId, message: SyncMessage) {
        if self.standings.unheard_seconds(from, self.now).is_some() {
            return;
        }
        match message {
            SyncMessage::Hello(_) if !self.standings.may_greet(from, self.now) => {}
            SyncMessage::Hello(hello) => {
                for message in sync::answer(&self.ledger, &hello) {
                    self.out.push(Effect::Send { to: from, message });
                }
            }
            SyncMessage::Entries(entries) => {
                for entry in entries {
                    let (k, generation) = (entry.slot.k, self.ledger.chain().generation());
                    if let Err(error) = self.ledger.import_entry(entry) {
                        self.entry_refused(from, &error);
                        return;
                    }
                    if generation != self.ledger.chain().generation() {
                        self.generation_began(k);
                    }
                }
                self.voter.advance(self.ledger.chain());
            }
            SyncMessage::Units(units) => self.import_units(from, &units),
            SyncMessage::More => {
                let pull = self.pulls.entry(from).or_default();
                if pull.more(&self.ledger) {
                    self.say_hello(from);
                } else {
                    // Its answers bring nothing.
                    self.greet.insert(from);
                }
            }
            SyncMessage::Base(part) => self.base_arrived(from, part),
            SyncMessage::WantBase { k, from: at } => self.base_wanted(from, k, at),
            _ => self.cut_off(from, "it speaks a newer sync protocol"),
        }
    }

    /// Decisions of a newer minor version are no misbehaviour. This device stays where it is, exactly before
    /// the first that it cannot read, and says so.
    pub(super) fn entries_unread(&mut self, from: DeviceId, unread: UnreadEntries) {
        let UnreadEntries { before, slot } = unread;
        self.peer_message(from, SyncMessage::Entries(before));
        let next = self.ledger.chain().next_slot();
        if slot.account != next.account || slot.k < next.k {
            self.offended(from, "it sent a decision that is none");
        } else if slot.k == next.k && self.unread_entry != Some(slot.k) {
            self.unread_entry = Some(slot.k);
            self.log(format!(
                "the decision at {} is of a newer version: this device decides no more until it is upgraded",
                slot.k
            ));
        }
    }

    fn entry_refused(&mut self, from: DeviceId, error: &ChainError) {
        if matches!(error, ChainError::Gap { .. }) {
            // It is ahead by more than it sent: ask for the rest.
            self.greet.insert(from);
        } else if !self.is_excused(from, error) {
            self.offended(from, &format!("it sent a bad entry: {error}"));
        }
    }

    fn import_units(&mut self, from: DeviceId, units: &[Vec<u8>]) {
        let peer = PeerTag(*from.as_bytes());
        let own = self.ledger.next_seq(self.me);
        let outcomes = self.ledger.import_all(peer, units.iter().map(Vec::as_slice));
        if self.ledger.next_seq(self.me) != own || self.ledger.forks().contains_key(&self.me) {
            self.went_back();
        }
        let mut incomplete = false;
        for outcome in outcomes {
            match outcome {
                Ok(Outcome::Applied(applied)) => {
                    self.sources.extend(applied.into_iter().map(|unit| (unit, from)));
                }
                Ok(Outcome::Fork { author, seq, applied }) => {
                    let author = author.short();
                    self.log(format!(
                        "device {author} signed two units at {seq}: it counts no more"
                    ));
                    self.sources.extend(applied.into_iter().map(|unit| (unit, from)));
                }
                Ok(Outcome::Duplicate) => {}
                Ok(_) | Err(Reject::Crowded { .. }) => incomplete = true,
                Err(error) => {
                    self.unit_refused(from, &error);
                    if error.culprit().is_none() && !matches!(error, Reject::Version { .. }) {
                        return;
                    }
                }
            }
        }
        if incomplete {
            self.greet.insert(from);
        }
    }

    /// Whoever sends a unit that breaks a rule is cut off; whoever passes on what a forked author wrote
    /// is not.
    fn unit_refused(&mut self, from: DeviceId, error: &Reject) {
        match (error, error.culprit()) {
            (Reject::Version { found }, _) => self.format_unknown(*found, error),
            (_, Some(author)) => self.log(format!("unit of {} refused: {error}", author.short())),
            (_, None) => self.offended(from, &format!("bad unit ({}): {error}", error.code())),
        }
    }

    /// Another major version of this program is no misbehaviour: it is said once, and shown.
    fn format_unknown(&mut self, found: u16, error: &Reject) {
        if self.newer_formats.len() < FORMATS_MAX && self.newer_formats.insert(found) {
            self.log(format!("a unit is not taken: {error}"));
        }
    }

    /// Units that waited and turned out to break a rule.
    fn late_refusals(&mut self) {
        for (peer, error) in self.ledger.take_refusals() {
            self.unit_refused(DeviceId::from_bytes(peer.0), &error);
        }
    }

    pub(super) fn cut_off(&mut self, device: DeviceId, reason: &str) {
        self.log(format!("device {} is cut off: {reason}", device.short()));
        self.out.push(Effect::Disconnect { device, reason: reason.to_string() });
    }

    /// Shows new units to whoever acts on units.
    pub(super) fn offer_new_units(&mut self) {
        self.late_refusals();
        while let Some(hash) = self.ledger.arrivals().get(self.offered).copied() {
            self.offered += 1;
            let Some(unit) = self.ledger.unit(&hash) else { continue };
            let (author, session) = (unit.body.author, unit.body.session);
            match unit.body.event {
                Event::Control(message) => {
                    self.voter.observe(self.ledger.chain(), author, &message);
                }
                Event::OpenSession(_) | Event::OpenChild(_) => {
                    if let Some(session) = session {
                        self.resharing_opened(session);
                        self.session_opened(session);
                        self.stir_parent(&hash);
                    }
                }
                Event::CloseSession(_) => self.stir_parent(&hash),
                Event::SessionMessage(_) => {
                    if let Some(session) = session {
                        self.note_grant(session, &hash);
                        self.session_message(session, hash, author);
                        self.tell_event(&hash);
                    }
                }
                _ => {}
            }
        }
    }

    /// Pushes new units to every connected device but the one that they came from.
    pub(super) fn push_new_units(&mut self) {
        let new = self.ledger.units_after(self.pushed).iter();
        let new: Vec<Digest> =
            new.copied().filter(|unit| !self.ledger.is_on_account(unit)).collect();
        self.pushed = self.ledger.len();
        for to in self.peers.clone() {
            let lacking = new.iter().filter(|unit| self.sources.get(unit) != Some(&to));
            let units: Vec<Digest> = lacking.copied().collect();
            for batch in self.batches(&units) {
                self.out.push(Effect::Send { to, message: SyncMessage::Units(batch) });
            }
        }
        self.sources.clear();
    }

    fn batches(&self, units: &[Digest]) -> Vec<Vec<Vec<u8>>> {
        let mut batches: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut room = 0;
        for bytes in units.iter().filter_map(|unit| self.ledger.unit_bytes(unit)) {
            if room < bytes.len() {
                batches.push(Vec::new());
                room = PUSH_BYTES_MAX;
            }
            room = room.saturating_sub(bytes.len());
            if let Some(batch) = batches.last_mut() {
                batch.push(bytes.to_vec());
            }
        }
        batches
    }

    /// Tells the driver who may connect, when that changed.
    pub(super) fn refresh_roster(&mut self) {
        let roster = self.current_roster();
        if roster != self.roster {
            let config = self.ledger.chain().config();
            self.standings.retain(|it| config.roster.contains_key(it));
            self.roster = roster.clone();
            self.out.push(Effect::Roster(roster));
        }
    }

    /// Who may connect, and where everybody can be reached.
    #[must_use]
    pub fn current_roster(&self) -> Roster {
        let state = self.ledger.state();
        let config = self.ledger.chain().config();
        let devices = config.roster.values().filter(|it| it.device != self.me).map(|entry| {
            let published = state.metadata.get(&entry.device).map(|(_, it)| it.addresses.clone());
            let addresses = published.or_else(|| self.seeds.get(&entry.device).cloned());
            let mut addresses = addresses.unwrap_or_default();
            // Each costs a dialler packets, and a device says of itself what it likes.
            addresses.retain(|it| it.parse::<SocketAddr>().is_ok());
            addresses.truncate(DIRECT_ADDRS_MAX);
            Contact { device: entry.device, key: *entry.transport_key.as_bytes(), addresses }
        });
        Roster { devices: devices.collect(), open: self.has_open_invitation() }
    }
}
