//! What a node shows: the answers to questions, in words.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::{choreography::upgrade::UpgradeState, execution::SessionStatus};
use aura_crypto::PublicKey;
use aura_journal::{
    Event, ProposalState, SessionState,
    control::{Entry, EntryBody, RecoverySays, Role, RosterChange, UpgradePolicy},
    event::ChildOpening,
    state_root,
};
use aura_protocol_core::{AppId, DeviceId, Digest, Manifest, Outcome, SessionId};

use crate::{
    api::{
        self, App, Command, DeviceRow, Devices, LedgerSize, Log, LogLine, Proposal, Proposals,
        Response, Session, Sessions, Status,
    },
    copy,
    error::{AgentError, Whose},
    identity::NAME_BYTES_MAX,
    node::{
        Node,
        commands::{unknown, usage},
        control::Intent,
    },
    text::printable,
};

/// Longest text of others that an answer repeats, in bytes. Whole results are in the ledger.
const SHOWN_BYTES_MAX: usize = 1024;

impl Node {
    /// Answers a command that changes nothing.
    ///
    /// # Errors
    /// When what is asked about is unknown, or the command is none that only reads.
    pub fn read_command(&self, command: &Command) -> Result<Response, AgentError> {
        match command {
            Command::Status => Ok(Response::Status(Box::new(self.status()))),
            Command::Guardians => Ok(Response::Guardians(self.guardian_list())),
            Command::RecoveryStatus => Ok(Response::RecoveryStatus(self.recovery_status())),
            Command::Devices => Ok(Response::Devices(self.devices())),
            Command::App { alias } => self.app_response(alias),
            Command::Proposals { alias } => self.proposals(alias.as_deref()),
            Command::Session { session } => {
                self.session_response(session.parse().map_err(|it| usage(&it))?)
            }
            Command::Sessions => {
                let ids = self.ledger.state().sessions.keys();
                let sessions = ids.filter_map(|id| self.session_view(*id)).collect();
                Ok(Response::Sessions(Sessions { sessions }))
            }
            Command::Locks => Ok(Response::Locks(self.locks())),
            Command::Log { limit } => Ok(Response::Log(self.log_view(*limit))),
            Command::Copy { entries, units, base } => {
                Ok(Response::Piece(copy::piece(&self.ledger, *entries, *units, *base)))
            }
            _ => Err(AgentError::new(
                "NotRunning",
                "this needs a running device",
                Whose::Caller,
                "start it with `aura run`",
            )),
        }
    }

    fn status(&self) -> Status {
        let chain = self.ledger.chain();
        let state = self.ledger.state();
        let apps = || state.apps.iter().map(|(id, app)| (id, app.install.alias.clone(), app));
        let own = state.metadata.get(&self.me).map(|(_, it)| &it.manifest);
        Status {
            account: chain.account().to_string(),
            account_name: chain.name().to_string(),
            device: self.me.to_string(),
            name: self.name.clone(),
            running: !self.addresses.is_empty(),
            addresses: self.addresses.clone(),
            devices: chain.config().roster.len(),
            m: chain.config().m,
            peers: self.peers.len(),
            active: apps().map(|(_, alias, it)| (alias, it.active.version.to_string())).collect(),
            manifest: own.map(|it| self.manifest_view(it)).unwrap_or_default(),
            ledger: LedgerSize {
                units: self.ledger.len(),
                entries: chain.height().saturating_add(1),
                head: chain.head().to_string(),
                parked: self.parked(),
            },
            state_root: self.state_root().to_string(),
            app_roots: apps()
                .map(|(id, alias, _)| (alias, self.records.root(*id).to_string()))
                .collect(),
            records: apps().map(|(id, alias, _)| (alias, self.records.count(*id))).collect(),
            blocked: self
                .blocked_apps()
                .into_iter()
                .map(|(app, reason)| (self.alias(app), reason))
                .collect(),
            keys: self.keys_view(),
            clock: self.clock_view(),
            settled: self.is_settled(),
        }
    }

    /// What this build cannot read, by kind, and the formats of what it refuses.
    fn parked(&self) -> api::Parked {
        let unread = self.ledger.unread();
        let mut kinds: BTreeMap<u8, usize> = BTreeMap::new();
        for kind in unread.values() {
            *kinds.entry(*kind).or_default() += 1;
        }
        let formats: Vec<u16> = self.newer_formats.iter().copied().collect();
        let decision = self.unread_entry.filter(|k| self.ledger.chain().height() < *k);
        let next = if unread.is_empty() && formats.is_empty() && decision.is_none() {
            String::new()
        } else {
            "another version of aura wrote these: upgrade this device to read them".to_owned()
        };
        api::Parked { units: unread.len(), kinds, formats, decision, next }
    }

    fn keys_view(&self) -> api::Keys {
        let config = self.ledger.chain().config();
        let hex = |key: &PublicKey| key.as_bytes().iter().map(|it| format!("{it:02x}")).collect();
        api::Keys {
            group_key: config.group_key.map(|it| hex(&it.0)).unwrap_or_default(),
            needed: config.group_key.map_or(0, |_| config.t_sign),
            share: self.share(),
            sealed_under: self.sealed_under().unwrap_or_default(),
        }
    }

    /// BLAKE3 over the control head and every app's records.
    #[must_use]
    pub fn state_root(&self) -> Digest {
        let apps = self.ledger.state().apps.keys();
        let roots: BTreeMap<AppId, Digest> =
            apps.map(|app| (*app, self.records.root(*app))).collect();
        state_root(self.ledger.chain().head(), &roots)
    }

    fn is_settled(&self) -> bool {
        let done = |state: &UpgradeState| {
            matches!(
                state,
                UpgradeState::Active
                    | UpgradeState::Reverted
                    | UpgradeState::Failed(_)
                    | UpgradeState::Blocked { .. }
            )
        };
        self.records.is_settled()
            && !self.modules_under_way()
            && self.intents.iter().all(Intent::is_upkeep)
            && !self.makes_keys()
            && !self.reshares()
            && self.pending.is_empty()
            && self.upgrades.values().all(|it| done(it.state()))
    }

    fn devices(&self) -> Devices {
        let state = self.ledger.state();
        let announced = self.ledger.announced(&self.ledger.heads()).unwrap_or_default();
        let chain = self.ledger.chain();
        let rows = chain.config().roster.values().map(|entry| DeviceRow {
            device: entry.device.to_string(),
            name: self.published_name(entry.device).unwrap_or_default(),
            role: match entry.role {
                Role::Voter => "voter".to_string(),
                Role::Reader => "reader".to_string(),
                Role::Guardian => "guardian".to_string(),
            },
            this: entry.device == self.me,
            connected: entry.device == self.me || self.peers.contains(&entry.device),
            score: self.standings.score(entry.device, self.now),
            vote_key_since: chain.vote_key_since(entry.device).unwrap_or_default(),
            next_vote_key: announced.contains_key(&entry.device),
            manifest: state
                .metadata
                .get(&entry.device)
                .map(|(_, it)| self.manifest_view(&it.manifest))
                .unwrap_or_default(),
        });
        Devices { devices: rows.collect() }
    }

    fn manifest_view(&self, manifest: &Manifest) -> BTreeMap<String, Vec<String>> {
        // What every device has is no news.
        let apps = manifest.apps.iter().filter(|(app, _)| !self.is_key_app(**app));
        apps.map(|(app, versions)| {
            (self.alias(*app), versions.keys().map(ToString::to_string).collect())
        })
        .collect()
    }

    /// What the account calls an app; the beginning of its id where it is not installed.
    #[must_use]
    pub fn app_alias(&self, app: AppId) -> String {
        self.alias(app)
    }

    pub(super) fn alias(&self, app: AppId) -> String {
        let installed = self.ledger.state().apps.get(&app);
        let built_in =
            || self.built_ins.protocol(app).map_or_else(|| app.short(), ToString::to_string);
        installed.map_or_else(built_in, |it| shown(&it.install.alias))
    }

    fn published_name(&self, device: DeviceId) -> Option<String> {
        if device == self.me {
            return Some(self.name.clone());
        }
        let published = self.ledger.state().metadata.get(&device);
        published.map(|(_, it)| printable(&it.name, NAME_BYTES_MAX))
    }

    /// What a device is called; the beginning of its id where it has not said.
    pub(super) fn device_name(&self, device: DeviceId) -> String {
        self.published_name(device).unwrap_or_else(|| device.short())
    }

    pub(super) fn app_response(&self, alias: &str) -> Result<Response, AgentError> {
        let mut apps = self.ledger.state().apps.iter();
        let (id, app) =
            apps.find(|(_, it)| it.install.alias == alias).ok_or_else(|| unknown(alias))?;
        let own = self.ledger.state().metadata.get(&self.me);
        let runs =
            own.map(|(_, it)| it.manifest.versions(*id).map(|it| it.0.to_string()).collect());
        Ok(Response::App(App {
            app: id.to_string(),
            alias: alias.to_string(),
            protocol: app.install.protocol.to_string(),
            repository: app.install.repository.to_string(),
            requirement: app.install.requirement.to_string(),
            policy: policy_name(app.policy).to_string(),
            active: app.active.version.to_string(),
            digest: app.active.digest.to_string(),
            runs: runs.unwrap_or_default(),
        }))
    }

    fn proposals(&self, alias: Option<&str>) -> Result<Response, AgentError> {
        if let Some(alias) = alias {
            self.app_of(alias)?;
        }
        let state = self.ledger.state();
        let mut known: Vec<&ProposalState> = state
            .proposals
            .values()
            .filter(|it| alias.is_none_or(|alias| self.alias(it.proposal.app) == alias))
            .collect();
        known.sort_by_key(|it| self.ledger.unit(&it.unit).map(|unit| unit.body.lamport));
        let proposals = known.into_iter().map(|it| self.proposal_view(it)).collect();
        Ok(Response::Proposals(Proposals { proposals }))
    }

    fn proposal_view(&self, known: &ProposalState) -> Proposal {
        let state = self.upgrades.get(&known.unit).map(|it| it.state());
        // A stopped device says what its ledger says.
        let from_ledger = match known.activated_at {
            Some(_) if self.is_reverted(known) => "Reverted",
            Some(_) => "Active",
            None => "Proposing",
        };
        let reason = match state {
            Some(UpgradeState::Failed(reason)) => reason.to_string(),
            Some(UpgradeState::Blocked { code, reason }) => format!("{code}: {reason}"),
            _ => String::new(),
        };
        Proposal {
            proposal: known.unit.to_string(),
            alias: self.alias(known.proposal.app),
            from: known.proposal.from.to_string(),
            version: known.release.version.to_string(),
            state: state.map_or_else(|| from_ledger.to_string(), ToString::to_string),
            reason: shown(&reason),
            ready: known.ready.keys().map(|it| self.device_name(*it)).collect(),
            declined: known
                .declined
                .iter()
                .map(|(device, (code, reason))| {
                    (self.device_name(*device), shown(&format!("{code}: {reason}")))
                })
                .collect(),
            needed: self.ledger.chain().config().m,
        }
    }

    pub(super) fn session_response(&self, session: SessionId) -> Result<Response, AgentError> {
        self.session_view(session).map(Response::Session).ok_or_else(|| {
            AgentError::new(
                "UnknownSession",
                format!("there is no session {}", session.short()),
                Whose::Caller,
                "see `aura session list`; a session that was opened elsewhere may still be on its way",
            )
        })
    }

    fn session_view(&self, session: SessionId) -> Option<Session> {
        let known = self.ledger.state().sessions.get(&session)?;
        let open = &known.open;
        let version = open.agreement.runs.get(&self.me).map(|(it, _)| *it);
        let (status, outcome) = self.session_standing(known);
        let heard: BTreeSet<DeviceId> = known
            .messages
            .iter()
            .filter_map(|unit| self.ledger.place_of(unit))
            .map(|(author, _)| author)
            .collect();
        Some(Session {
            session: session.to_string(),
            part_of: known.parent.map(|(parent, _)| parent.to_string()),
            alias: self.alias(open.app),
            status: status.to_string(),
            spoken: open.agreement.spoken.to_string(),
            version: version.unwrap_or(open.agreement.spoken).to_string(),
            outcome,
            participants: open.agreement.runs.keys().map(|it| self.device_name(*it)).collect(),
            heard: heard.into_iter().map(|it| self.device_name(it)).collect(),
        })
    }

    /// What this device itself computed, else what the opener published.
    fn session_standing(&self, known: &SessionState) -> (&'static str, String) {
        if let Some(missing) = self.stalled(known.id) {
            let names: Vec<String> = missing.into_iter().map(|it| self.device_name(it)).collect();
            return ("stalled", format!("waits for the clock; missing: {}", names.join(", ")));
        }
        let local = self.session_status(known.id).filter(|it| *it != SessionStatus::Running);
        if let Some(status) = local {
            return status_of(&status);
        }
        match &known.outcome {
            Some(outcome) => outcome_of(outcome),
            None if known.messages.is_empty() => ("pending", String::new()),
            None => ("active", String::new()),
        }
    }

    fn log_view(&self, limit: usize) -> Log {
        let entries = self.ledger.chain().entries().iter().map(|entry| LogLine {
            what: "entry".to_string(),
            at: entry.slot.k,
            hash: entry.value.hash().to_string(),
            author: String::new(),
            says: entry_says(&entry.value),
        });
        let units = self.ledger.arrivals().iter().filter_map(|hash| {
            let unit = self.ledger.unit(hash)?;
            Some(LogLine {
                what: "unit".to_string(),
                at: unit.body.lamport.0,
                hash: hash.to_string(),
                author: self.device_name(unit.body.author),
                says: event_says(&unit.body.event),
            })
        });
        let mut lines: Vec<LogLine> = entries.chain(units).collect();
        lines.drain(..lines.len().saturating_sub(limit));
        Log { lines }
    }
}

/// A session's standing on this device, in words.
pub(super) fn status_of(status: &SessionStatus) -> (&'static str, String) {
    match status {
        SessionStatus::Running => ("active", String::new()),
        SessionStatus::Ended(outcome) => outcome_of(outcome),
        SessionStatus::Failed { code, reason } => ("failed", shown(&format!("{code}: {reason}"))),
    }
}

fn outcome_of(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Completed { result, .. } => ("completed", text_or_hex(result)),
        Outcome::Aborted { reason } => ("aborted", shown(reason)),
        Outcome::Left { reason } => ("left", shown(reason)),
    }
}

/// A module's result for people: text where it is text, else hexadecimal digits.
fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => shown(text),
        Err(_) => {
            let first = bytes.iter().take(SHOWN_BYTES_MAX / 2);
            first.map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

pub(crate) fn shown(text: &str) -> String {
    printable(text, SHOWN_BYTES_MAX)
}

pub(crate) fn policy_name(policy: UpgradePolicy) -> &'static str {
    match policy {
        UpgradePolicy::Manual => "manual",
        UpgradePolicy::Patch => "patch",
        UpgradePolicy::Minor => "minor",
    }
}

/// An entry in a few words.
pub(crate) fn entry_says(entry: &Entry) -> String {
    let says = match &entry.body {
        EntryBody::Genesis(genesis) => format!("account `{}` begins", genesis.name),
        EntryBody::Reconfigure(next) => {
            format!("{} devices, {} votes decide", next.roster.len(), next.m)
        }
        EntryBody::Install(install) => {
            format!("install `{}`, versions {}", install.alias, install.requirement)
        }
        EntryBody::SetUpgradePolicy { policy, .. } => format!("policy {}", policy_name(*policy)),
        EntryBody::ActivateVersion(it) => format!("activate {} of {}", it.version, it.app.short()),
        EntryBody::Release(release) => format!("release {} {}", release.protocol, release.version),
        EntryBody::Revoke(it) => {
            format!(
                "device {} leaves, its units after {} do not count",
                it.device.short(),
                it.last_seq
            )
        }
        EntryBody::Snapshot(it) => {
            format!(
                "a snapshot stands for all units before: {}, {} bytes",
                it.base.short(),
                it.bytes
            )
        }
        EntryBody::ReAdmit(it) => {
            format!("device {} gets the seat of {}", it.entry.device.short(), it.device.short())
        }
        EntryBody::Rekeyed(it) => {
            let change = match &it.change {
                RosterChange::Revoke(revoke) => EntryBody::Revoke(*revoke),
                RosterChange::ReAdmit(readmit) => EntryBody::ReAdmit(readmit.clone()),
            };
            let change = entry_says(&Entry { past: Vec::new(), body: change });
            format!("{change}; new vote keys: {}", it.keys.len())
        }
        EntryBody::Recover(it) => {
            let (generation, devices) = (it.generation, it.config.roster.len());
            format!("the account is recovered: generation {generation}, {devices} devices")
        }
        EntryBody::RevertVersion(it) => {
            format!(
                "take back the activation at {}: {} of {}",
                it.activation,
                it.version,
                it.app.short()
            )
        }
        EntryBody::VetoRecovery { request } => format!("veto recovery {}", request.short()),
        _ => "an entry of a newer version".to_string(),
    };
    shown(&says)
}

/// An event in a few words.
fn event_says(event: &Event) -> String {
    let says = match event {
        Event::PublishManifest(it) => format!("`{}` says what it runs", it.name),
        Event::Control(aura_journal::control::ControlMessage::Propose { slot, value, .. }) => {
            format!("propose for {}: {}", slot.k, entry_says(value))
        }
        Event::Control(aura_journal::control::ControlMessage::Vote(vote)) => {
            format!("vote for {}: {:?} {}", vote.slot.k, vote.phase, vote.value.short())
        }
        Event::Control(aura_journal::control::ControlMessage::Announce(it)) => {
            format!("announce vote key {}", it.key)
        }
        Event::Control(aura_journal::control::ControlMessage::RequestRecovery(it)) => {
            format!("ask to recover the account with {} devices", it.next.roster.len())
        }
        Event::Control(aura_journal::control::ControlMessage::Recovery(it)) => {
            let says = match it.says {
                RecoverySays::Approve => "approve",
                RecoverySays::Sign { .. } => "sign",
                RecoverySays::Object => "object to",
                RecoverySays::Cancel => "take back",
                RecoverySays::Nudge => "ask again for",
            };
            format!("{says} recovery {}", it.request.short())
        }
        Event::Control(_) => "a control message of a newer version".to_string(),
        Event::ProposeUpgrade(it) => format!("propose upgrade from {}", it.from),
        Event::AcknowledgeUpgrade { proposal } => format!("acknowledge {}", proposal.short()),
        Event::SignalReady { proposal, .. } => format!("ready for {}", proposal.short()),
        Event::DeclineUpgrade { proposal, code, .. } => {
            format!("decline {}: {code}", proposal.short())
        }
        Event::OpenSession(it) => {
            format!("open a session of {} {}", it.protocol, it.agreement.spoken)
        }
        Event::SessionMessage(it) => format!("`{}`, {} bytes", it.label, it.payload.len()),
        Event::OpenChild(it) => match &it.opening {
            ChildOpening::Opened(open) => {
                format!("open a part of session {}: {}", it.parent.short(), open.protocol)
            }
            ChildOpening::Refused(reason) => {
                format!("no part of session {}: {reason}", it.parent.short())
            }
        },
        Event::EpochTick { epoch } => format!("epoch {epoch}"),
        Event::CloseSession(it) => format!("close the session: {}", outcome_of(&it.outcome).0),
        Event::Unread(bytes) => {
            format!("parked: {} bytes of kind {} of a newer version", bytes.len(), event.tag())
        }
        _ => "an event of a newer version".to_string(),
    };
    shown(&says)
}
