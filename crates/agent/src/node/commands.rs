//! What the person at this device wants.

use aura_distribution::{Change, Repository, repository::check_content};
use aura_journal::{
    control::{ChainProof, ControlChain, Install, Release, Role, UpgradePolicy},
    event::{Event, OpenSession, ProposeUpgrade},
    session_id,
};
use aura_protocol_core::{
    Agreement, AppId, Descriptor, DeviceId, Digest, Manifest, NegotiationPolicy, NoAgreement,
    ProtocolCapabilities, ProtocolName, ProtocolVersion, Requirement, SessionId, UnixTime,
    manifest::transcript, negotiate,
};

use crate::{
    api::{
        Command, InstallRequest, ProposeRequest, Response, StartRequest, Started, UpgradeRequest,
    },
    error::{AgentError, Whose},
    node::{
        Effect, Entropy, Files, Node, RequestId, control::Intent, sessions::RUNNING_PER_OPENER_MAX,
    },
};

/// A command that waits for modules.
#[derive(Debug)]
pub(super) struct Pending {
    /// The modules, and what their release says of them.
    modules: Vec<(Digest, Descriptor)>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Install(Box<Install>),
    Upgrade { app: AppId, release: Box<Release> },
    Propose(Box<ProposeUpgrade>),
}

/// A release of a chain, and the proof that it is one.
struct Found {
    app: AppId,
    repository: aura_protocol_core::AccountId,
    release: Release,
    proof: ChainProof,
}

impl Node {
    pub(super) fn command(
        &mut self,
        id: RequestId,
        command: Command,
        files: Files,
        entropy: [u8; 32],
    ) {
        let result = match command {
            it if self.is_guardian() && it.is_the_accounts() => Err(Self::not_for_guardians()),
            Command::Invite { valid_seconds, replaces } => {
                match replaces.as_deref().map(|it| self.device_named(it)).transpose() {
                    Ok(replaces) => self.invite(id, valid_seconds, replaces, entropy),
                    Err(error) => self.out.push(Effect::Answer { id, result: Err(error) }),
                }
                return;
            }
            Command::Revoke { device } => self.device_named(&device).map(|device| {
                self.leaving.insert(device);
                self.intents.push_back(Intent::Revoke { device, id });
                None
            }),
            Command::Remove { device } => {
                let device = self.device_named(&device);
                let checked = device.and_then(|it| self.check_guardian_leaves(it).map(|()| it));
                checked.and_then(|device| self.want(id, Change::Remove(device)))
            }
            Command::SetThreshold { votes, shares } => self.set_threshold(id, votes, shares),
            Command::Snapshot => {
                self.ask_for_snapshot(id);
                return;
            }
            Command::TrustClock => self.trust_clock().map(Some),
            Command::Compact => self.compact().map(Some),
            Command::Install(request) => self.install(id, &request, files),
            Command::Upgrade(request) => self.upgrade(id, &request, files),
            Command::Propose(request) => self.propose(id, &request, files),
            Command::Revert { alias } => self.want_revert(id, &alias),
            Command::StartSession(request) => self
                .app_of(&request.alias)
                .and_then(|app| self.start_session(app, &request))
                .map(Some),
            Command::StartBuiltIn(request) => self
                .built_in_app(&request.alias)
                .and_then(|app| self.start_session(app, &request))
                .map(Some),
            Command::DeriveKey { context } => {
                self.derive_key(id, context, Entropy::new(entropy)).map(|()| None)
            }
            Command::Signal { session, input } => self.signal(id, &session, input),
            other => self.recovery_command(id, other, entropy),
        };
        match result {
            Ok(Some(response)) => self.out.push(Effect::Answer { id, result: Ok(response) }),
            Ok(None) => {}
            Err(error) => self.out.push(Effect::Answer { id, result: Err(error) }),
        }
    }

    fn install(
        &mut self,
        id: RequestId,
        request: &InstallRequest,
        files: Files,
    ) -> Result<Option<Response>, AgentError> {
        let requirement: Requirement = request.requirement.parse().map_err(|it| usage(&it))?;
        let policy = parse_policy(&request.policy)?;
        let chain = files.chain.ok_or_else(no_repository)?;
        let protocol = only_protocol(&chain, &request.alias)?;
        let version = match &request.version {
            Some(text) => text.parse().map_err(|it| usage(&it))?,
            None => {
                let repository = Repository::of(&chain, &protocol);
                let found = repository.resolve(&requirement);
                found.ok_or_else(|| not_released(&protocol, requirement.as_str()))?.version
            }
        };
        let found = find(&chain, &protocol, version)?;
        let install = Install {
            app: found.app,
            alias: request.alias.clone(),
            repository: found.repository,
            protocol,
            distributor: None,
            requirement,
            policy,
            capabilities: all_asked(&found.release),
            release: found.proof,
        };
        self.obtain(&found.release.module, files.module);
        let modules = vec![said_of(&found.release)];
        self.pending.insert(id, Pending { modules, then: Then::Install(Box::new(install)) });
        Ok(None)
    }

    fn upgrade(
        &mut self,
        id: RequestId,
        request: &UpgradeRequest,
        files: Files,
    ) -> Result<Option<Response>, AgentError> {
        let app = self.app_of(&request.alias)?;
        let version: ProtocolVersion = request.version.parse().map_err(|it| usage(&it))?;
        let found = self.find_for(app, version, files.chain)?;
        let state = self.ledger.state().apps.get(&app).ok_or_else(|| unknown(&request.alias))?;
        if !state.policy.allows(state.active.version, version) {
            return Err(AgentError::new(
                "PolicyForbids",
                format!(
                    "the account's policy lets devices not go from {} to {version} by themselves",
                    state.active.version
                ),
                Whose::Caller,
                "propose it to the account: `aura upgrade propose`",
            ));
        }
        self.obtain(&found.release.module, files.module);
        let modules = vec![said_of(&found.release)];
        let then = Then::Upgrade { app, release: Box::new(found.release) };
        self.pending.insert(id, Pending { modules, then });
        Ok(None)
    }

    fn propose(
        &mut self,
        id: RequestId,
        request: &ProposeRequest,
        files: Files,
    ) -> Result<Option<Response>, AgentError> {
        let app = self.app_of(&request.alias)?;
        let version: ProtocolVersion = request.version.parse().map_err(|it| usage(&it))?;
        let found = self.find_for(app, version, files.chain)?;
        let state = self.ledger.state().apps.get(&app).ok_or_else(|| unknown(&request.alias))?;
        let from = state.active.version;
        let Some(migration) = found.release.migration.clone() else {
            return Err(AgentError::new(
                "NotAMajor",
                format!("{version} is no major version after {from}"),
                Whose::Caller,
                "run it on each device: `aura installer app … upgrade`",
            ));
        };
        let proposal = ProposeUpgrade {
            app,
            from,
            release: found.proof,
            digest: found.release.module.digest,
            plan: None,
            steps: vec![migration.module.digest],
            capabilities: all_asked(&found.release),
            not_before: request.not_before.map(UnixTime),
            grace_seconds: request.grace_seconds,
            expires: self.now.saturating_add(request.valid_seconds),
        };
        self.obtain(&found.release.module, files.module);
        self.obtain(&migration.module, files.migration);
        let lens = (migration.module.digest, migration.descriptor);
        let modules = vec![said_of(&found.release), lens];
        self.pending.insert(id, Pending { modules, then: Then::Propose(Box::new(proposal)) });
        Ok(None)
    }

    /// Goes on with the commands whose modules are ready, and ends those whose modules are refused.
    pub(super) fn pump_pending(&mut self) {
        let waiting: Vec<RequestId> = self.pending.keys().copied().collect();
        for id in waiting {
            let Some(pending) = self.pending.get(&id) else { continue };
            let failure = pending.modules.iter().find_map(|(it, _)| self.module_failure(it));
            if let Some(error) = failure.cloned().or_else(|| self.first_lie(pending)) {
                self.pending.remove(&id);
                self.out.push(Effect::Answer { id, result: Err(error) });
            } else if pending.modules.iter().all(|(it, _)| self.has_module(it)) {
                self.go_on(id);
            }
        }
    }

    /// A module that is something else than its release says.
    fn first_lie(&self, pending: &Pending) -> Option<AgentError> {
        let lies = |(digest, said): &&(Digest, Descriptor)| {
            self.descriptor(digest).is_some_and(|found| found != said)
        };
        let (digest, _) = pending.modules.iter().find(lies)?;
        Some(AgentError::new(
            "DescriptorMismatch",
            format!("module {} is not what its release says", digest.short()),
            Whose::Publisher,
            "do not use it; tell its publisher",
        ))
    }

    fn go_on(&mut self, id: RequestId) {
        let Some(pending) = self.pending.remove(&id) else { return };
        match pending.then {
            Then::Install(install) => self.intents.push_back(Intent::Install { install, id }),
            Then::Upgrade { app, release } => {
                self.adopt(app, &release);
                self.publish_manifest();
                let alias = self.alias(app);
                let result = self.app_response(&alias);
                self.out.push(Effect::Answer { id, result });
            }
            Then::Propose(proposal) => {
                let result = match self.author(None, Event::ProposeUpgrade(proposal)) {
                    Some(unit) => {
                        Ok(Response::Proposed(crate::api::Proposed { proposal: unit.to_string() }))
                    }
                    None => Err(too_large("the proposal")),
                };
                self.out.push(Effect::Answer { id, result });
            }
        }
    }

    /// How a session of `app` among these devices is opened, if it can begin now.
    pub(super) fn opening(
        &self,
        app: AppId,
        participants: &[DeviceId],
        params: Vec<u8>,
    ) -> Result<OpenSession, AgentError> {
        let state = self.ledger.state();
        let (protocol, policy) = match (self.built_ins.protocol(app), state.apps.get(&app)) {
            (Some(protocol), _) => (protocol.clone(), NegotiationPolicy::default()),
            (None, None) => return Err(unknown(&app.short())),
            (None, Some(installed)) => {
                let major = installed.active.version.major;
                let floor = Some(ProtocolVersion::new(major, 0, 0));
                let policy = NegotiationPolicy { floor, major_max: Some(major) };
                (installed.install.protocol.clone(), policy)
            }
        };
        let published: Vec<(DeviceId, Digest, Manifest)> = participants
            .iter()
            .filter_map(|device| {
                let (unit, metadata) = state.metadata.get(device)?;
                Some((*device, *unit, metadata.manifest.clone()))
            })
            .collect();
        let manifests: Vec<Manifest> = published.iter().map(|(_, _, it)| it.clone()).collect();
        let silent = participants.iter().find(|it| !state.metadata.contains_key(it));
        if let Some(device) = silent {
            return Err(waiting(format!("device {} has announced nothing yet", device.short())));
        }
        let agreement = negotiate(app, &manifests, &policy).map_err(|it| self.disagreement(&it))?;
        self.check_own_start(app, &agreement)?;
        Ok(OpenSession {
            app,
            protocol,
            agreement,
            transcript: transcript(&manifests),
            manifests: published.iter().map(|(device, unit, _)| (*device, *unit)).collect(),
            params,
        })
    }

    fn start_session(
        &mut self,
        app: AppId,
        request: &StartRequest,
    ) -> Result<Response, AgentError> {
        let participants = self.participants(&request.with)?;
        let (session, agreement) = self.open_session(app, &participants, request.params.clone())?;
        if let Some(input) = request.input.clone() {
            self.say(session, input, None)?;
        }
        let runs = agreement
            .runs
            .iter()
            .map(|(device, (version, _))| (self.device_name(*device), version.to_string()));
        Ok(Response::Started(Started {
            session: session.to_string(),
            spoken: agreement.spoken.to_string(),
            runs: runs.collect(),
        }))
    }

    /// Opens a session of `app` among these devices, and takes part.
    pub(super) fn open_session(
        &mut self,
        app: AppId,
        participants: &[DeviceId],
        params: Vec<u8>,
    ) -> Result<(SessionId, Agreement), AgentError> {
        self.check_own_turn()?;
        let open = self.opening(app, participants, params)?;
        let agreement = open.agreement.clone();
        let seq = self.ledger.next_seq(self.me);
        let session = session_id(self.ledger.account(), self.me, seq);
        let opened = self.author(Some(session), Event::OpenSession(Box::new(open)));
        opened.ok_or_else(|| too_large("the session's parameters"))?;
        self.offer_new_units();
        self.judge_sessions();
        Ok((session, agreement))
    }

    /// Whether this device itself can begin at once.
    fn check_own_start(&self, app: AppId, agreement: &Agreement) -> Result<(), AgentError> {
        if let Some(reason) = self.blocked_apps().get(&app) {
            return Err(AgentError::new(
                "AppBlocked",
                format!(
                    "this device cannot run `{}` as the account decided: {reason}",
                    self.alias(app)
                ),
                Whose::Machine,
                "restart the device; if that does not help, leave it out of the session",
            ));
        }
        let own = agreement.runs.get(&self.me);
        if let Some((version, _)) = own.filter(|(_, digest)| !self.runs(app, digest)) {
            return Err(waiting(format!("this device is still preparing version {version}")));
        }
        Ok(())
    }

    fn check_own_turn(&self) -> Result<(), AgentError> {
        let own = self.sessions.values().filter(|it| it.is_of(self.me, self.now));
        if own.count() < RUNNING_PER_OPENER_MAX {
            return Ok(());
        }
        Err(AgentError::new(
            "TooManySessions",
            format!("{RUNNING_PER_OPENER_MAX} sessions that this device opened are running"),
            Whose::Caller,
            "wait until one of them has ended",
        ))
    }

    fn participants(&self, with: &[String]) -> Result<Vec<DeviceId>, AgentError> {
        let roster = &self.ledger.chain().config().roster;
        if with.is_empty() {
            let others = roster.values().filter(|it| it.role != Role::Guardian);
            return Ok(others.map(|it| it.device).collect());
        }
        let mut devices = vec![self.me];
        for text in with {
            let device = self.device_named(text)?;
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        Ok(devices)
    }

    /// The device of the account that has this id or name. An id names one device, whatever others call
    /// themselves.
    pub(super) fn device_named(&self, text: &str) -> Result<DeviceId, AgentError> {
        let roster = &self.ledger.chain().config().roster;
        let by_id = roster.keys().copied().filter(|id| id.to_string() == text);
        let mut found: Vec<DeviceId> = by_id.collect();
        if found.is_empty() {
            let named = |id: &DeviceId| self.device_name(*id) == text;
            found = roster.keys().copied().filter(named).collect();
        }
        match found.as_slice() {
            [device] => Ok(*device),
            _ => Err(AgentError::new(
                "UnknownDevice",
                format!("`{text}` names {} devices of the account", found.len()),
                Whose::Caller,
                "see `aura device list`, and use a device's id where names are alike",
            )),
        }
    }

    fn disagreement(&self, error: &NoAgreement) -> AgentError {
        let message = match error {
            NoAgreement::Lacking(lacking) => {
                let parts = lacking.iter().map(|(device, versions)| {
                    let name = self.device_name(*device);
                    match versions.last() {
                        Some(version) => format!("{name} runs {version}"),
                        None => format!("{name} runs none that is active"),
                    }
                });
                format!("no common version: {}", parts.collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        };
        let next = "wait for the devices that lack one, or leave them out with --with";
        AgentError::new("NoAgreement", message, Whose::Nobody, next)
    }

    fn signal(
        &mut self,
        id: RequestId,
        session: &str,
        input: Vec<u8>,
    ) -> Result<Option<Response>, AgentError> {
        let session: SessionId = session.parse().map_err(|it| usage(&it))?;
        self.say(session, input, Some(id))?;
        Ok(None)
    }

    pub(super) fn app_of(&self, alias: &str) -> Result<AppId, AgentError> {
        let mut apps = self.ledger.state().apps.iter();
        apps.find(|(_, it)| it.install.alias == alias)
            .map(|(id, _)| *id)
            .ok_or_else(|| unknown(alias))
    }

    /// The release of an installed app, from an exported chain of its repository.
    fn find_for(
        &self,
        app: AppId,
        version: ProtocolVersion,
        chain: Option<ControlChain>,
    ) -> Result<Found, AgentError> {
        let chain = chain.ok_or_else(no_repository)?;
        let installed = self.ledger.state().apps.get(&app).map(|it| it.install.clone());
        let installed = installed.ok_or_else(|| unknown(&app.short()))?;
        if chain.account() != installed.repository {
            return Err(AgentError::new(
                "WrongRepository",
                format!("the chain is of another repository than that of `{}`", installed.alias),
                Whose::Caller,
                "use the chain that the app's own publisher exported",
            ));
        }
        if !installed.requirement.matches(version) {
            let requirement = installed.requirement;
            return Err(AgentError::new(
                "OutsideRequirement",
                format!("{version} is outside the installed requirement `{requirement}`"),
                Whose::Caller,
                "choose a version inside it",
            ));
        }
        find(&chain, &installed.protocol, version)
    }
}

fn find(
    chain: &ControlChain,
    protocol: &ProtocolName,
    version: ProtocolVersion,
) -> Result<Found, AgentError> {
    let repository = Repository::of(chain, protocol);
    let missing = || not_released(protocol, &version.to_string());
    let release = repository.release(version).ok_or_else(missing)?.clone();
    check_content(&release).map_err(|error| {
        AgentError::new(error.code(), error, Whose::Publisher, "tell the publisher")
    })?;
    let is_it = |body: &aura_journal::control::EntryBody| matches!(body, aura_journal::control::EntryBody::Release(it) if **it == release);
    let entry = chain.entries().iter().find(|it| is_it(&it.value.body)).ok_or_else(missing)?;
    let proof = chain.prove(entry.slot.k).ok_or_else(missing)?;
    let account = chain.account();
    Ok(Found { app: AppId::derive(account, protocol), repository: account, release, proof })
}

/// The protocol that a chain releases: the one of this name, or the only one.
fn only_protocol(chain: &ControlChain, alias: &str) -> Result<ProtocolName, AgentError> {
    let mut names: Vec<&ProtocolName> = chain
        .entries()
        .iter()
        .filter_map(|it| match &it.value.body {
            aura_journal::control::EntryBody::Release(release) => Some(&release.protocol),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    match (names.iter().find(|it| it.as_str() == alias), names.as_slice()) {
        (Some(name), _) => Ok((**name).clone()),
        (None, [only]) => Ok((*only).clone()),
        _ => Err(AgentError::new(
            "NotReleased",
            format!("the repository releases {} protocols, none called `{alias}`", names.len()),
            Whose::Caller,
            "install under the protocol's own name",
        )),
    }
}

fn said_of(release: &Release) -> (Digest, Descriptor) {
    (release.module.digest, release.descriptor.clone())
}

fn all_asked(release: &Release) -> ProtocolCapabilities {
    release.descriptor.capabilities.iter().copied().collect()
}

fn parse_policy(text: &str) -> Result<UpgradePolicy, AgentError> {
    match text {
        "manual" => Ok(UpgradePolicy::Manual),
        "patch" => Ok(UpgradePolicy::Patch),
        "minor" => Ok(UpgradePolicy::Minor),
        other => Err(usage(&format!("`{other}` is not `manual`, `patch` or `minor`"))),
    }
}

pub(super) fn usage(error: &dyn std::fmt::Display) -> AgentError {
    AgentError::new("BadArgument", error, Whose::Caller, "correct the argument; see --help")
}

pub(super) fn unknown(alias: &str) -> AgentError {
    let next = "see `aura status` for what is installed";
    AgentError::new("NotInstalled", format!("`{alias}` is not installed"), Whose::Caller, next)
}

fn no_repository() -> AgentError {
    usage(&"the repository's exported chain is missing")
}

fn not_released(protocol: &ProtocolName, wanted: &str) -> AgentError {
    AgentError::new(
        "NotReleased",
        format!("the repository has released no {protocol} {wanted}"),
        Whose::Caller,
        "ask the publisher for a newer export, or choose a version that is out",
    )
}

fn waiting(message: String) -> AgentError {
    AgentError::new("NoAgreement", message, Whose::Nobody, "wait until it was connected once")
}

fn too_large(what: &str) -> AgentError {
    let next = "use a smaller one";
    AgentError::new("LimitExceeded", format!("{what} does not fit a unit"), Whose::Caller, next)
}
