//! What a device agrees to: the rules behind each of its votes.
//!
//! Implements the ledger's [`EntryPolicy`]. Pure: all that a device knows comes in as its ledger, its
//! rehearsals and the time. No other account's chain is looked at: whatever an entry rests on is
//! embedded in it with its proof, and the proof is checked here before the vote.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use aura_crypto::PublicKey;
use aura_journal::{
    AccountState, AppState, Ledger, ProposalState, SnapshotError,
    control::{
        ActivateVersion, Configuration, Denied, Entry, EntryBody, EntryPolicy, Install, ReAdmit,
        RecoveryRole, Release, RevertVersion, Revoke, RosterChange, RosterEntry, Slot, Snapshot,
        Verdict,
    },
};
use aura_protocol_core::{
    AppId, DeviceId, Digest, ProtocolCapabilities, Requirement, UnixTime, limits::NAME_BYTES_MAX,
    quorum::tally,
};

use crate::{
    Change, Rehearsal,
    change::voters_of,
    repository::{Repository, check_content, check_release},
};

/// The policy of one device at one moment.
pub struct Consent<'a> {
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Proposal → what its rehearsal led to here.
    pub rehearsals: &'a BTreeMap<Digest, Rehearsal>,
    /// The devices that the person at this device wants to leave.
    pub leaving: &'a BTreeSet<DeviceId>,
    /// What else the person at this device wants to be changed.
    pub wanted: &'a BTreeSet<Change>,
    /// The guardians that the person at this device wants, if there are any to be set up.
    pub guardians: Option<&'a WantedGuardians>,
    /// The activations that the person at this device wants to be taken back: app and height.
    pub unwanted_activations: &'a BTreeSet<(AppId, u64)>,
    /// The requests to recover the account that the person at this device does not want to be granted.
    pub unwanted_recoveries: &'a BTreeSet<Digest>,
    /// The keys that it holds a share of and the account has not certified yet.
    pub offered_keys: &'a [OfferedKeys],
    /// Whether it used its share of the keys that are certified.
    pub keys_used: bool,
    /// The time by its own clock.
    pub now: UnixTime,
    /// Whether it is sure of the time. If not, it votes for nothing that depends on it.
    pub clock_is_sure: bool,
}

/// Who is to recover the account from now on, as the person at a device said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedGuardians {
    /// How many guardians bring the account back.
    pub threshold: u16,
    /// How long they wait, in seconds.
    pub delay_seconds: u64,
    /// Whether those who recover the account now could have recovered it since the person said so.
    pub is_due: bool,
    /// The sharings that all guardians are known to have their parts of, by name, with those guardians.
    pub shared: BTreeMap<Digest, BTreeSet<DeviceId>>,
}

/// Keys that a device holds a share of, as the account would certify them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedKeys {
    /// The group key.
    pub key: PublicKey,
    /// The name of the sharings.
    pub name: Digest,
    /// Shares needed.
    pub threshold: u16,
    /// Who holds a share.
    pub holders: BTreeSet<DeviceId>,
    /// How they came about.
    pub origin: Origin,
}

/// How keys came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The account's devices made them.
    Made,
    /// They are the keys that are certified, among other holders.
    Reshared {
        /// Whether these holders and this number of shares follow from the roster alone. Otherwise a person
        /// has to want them.
        follows: bool,
    },
}

impl EntryPolicy for Consent<'_> {
    fn check(&self, _slot: &Slot, value: &Entry) -> Verdict {
        if let Some(missing) = value.past.iter().find(|it| self.ledger.place_of(it).is_none()) {
            return Verdict::Wait(format!("unit {} has not arrived", missing.short()));
        }
        let state = self.ledger.state();
        match &value.body {
            EntryBody::Genesis(_) => deny("SecondGenesis", "a chain begins once"),
            EntryBody::Reconfigure(next) => self.check_reconfigure(&value.past, next),
            EntryBody::Install(install) => check_install(state, install),
            EntryBody::SetUpgradePolicy { app, .. } => check_installed(state, *app),
            EntryBody::ActivateVersion(activate) => self.check_activation(state, value, activate),
            EntryBody::Release(release) => check_own_release(self.ledger, release),
            EntryBody::Revoke(_) | EntryBody::ReAdmit(_) | EntryBody::Rekeyed(_) => {
                self.check_change(value)
            }
            EntryBody::Recover(_) => deny("NotByVotes", "votes certify no recovery"),
            EntryBody::VetoRecovery { request } => self.check_veto(*request),
            EntryBody::RevertVersion(revert) => self.check_revert(state, revert),
            EntryBody::Snapshot(snapshot) => check_snapshot(self.ledger, value, snapshot),
            _ => deny("UnknownEntry", "this device does not know this kind of entry"),
        }
    }
}

fn deny(code: &str, reason: impl Into<String>) -> Verdict {
    Verdict::Deny(Denied { code: code.to_string(), reason: reason.into() })
}

/// A device votes for what it computed itself, and for nothing else.
fn check_snapshot(ledger: &Ledger, value: &Entry, snapshot: &Snapshot) -> Verdict {
    match ledger.snapshot(&value.past) {
        Ok(own) if own == *snapshot => Verdict::Accept,
        Ok(own) if own.base == snapshot.base && own.keys != snapshot.keys => other_keys(),
        Ok(_) => deny("SnapshotMismatch", "this device came to something else"),
        Err(error @ SnapshotError::Behind { .. }) => Verdict::Wait(error.to_string()),
        Err(error) => deny(error.code(), error.to_string()),
    }
}

/// The vote keys that an entry names are those that are announced in its past, all of them.
fn other_keys() -> Verdict {
    deny("UnannouncedKey", "its vote keys are not those that are announced in its past")
}

fn check_installed(state: &AccountState, app: AppId) -> Verdict {
    if state.apps.contains_key(&app) {
        Verdict::Accept
    } else {
        deny("NotInstalled", format!("app {} is not installed", app.short()))
    }
}

fn check_install(state: &AccountState, install: &Install) -> Verdict {
    let (alias, length) = (&install.alias, install.alias.len());
    if length == 0 || NAME_BYTES_MAX < length || alias.contains(char::is_control) {
        let rule = format!("an alias has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return deny("BadAlias", rule);
    }
    let taken = state.apps.values().any(|it| it.install.alias == *alias);
    if taken || state.apps.contains_key(&install.app) {
        return deny("AlreadyInstalled", format!("`{alias}` is already installed"));
    }
    if install.distributor.is_some() {
        // Nothing here could ask for its consent, and an account that names one counts on that.
        return deny("UnknownDistributor", "this device cannot ask a distributor for its consent");
    }
    if install.app != AppId::derive(install.repository, &install.protocol) {
        return deny("AppMismatch", "the app's id is not that of its repository and protocol");
    }
    let proved = match install.release.verify() {
        Ok(proved) => proved,
        Err(error) => return deny("ReleaseUnproved", with_causes(&error)),
    };
    let EntryBody::Release(release) = &proved.entry.body else {
        return deny("ReleaseUnproved", "the proof leads to something else than a release");
    };
    if proved.account != install.repository || release.protocol != install.protocol {
        return deny("AppMismatch", "the release is another repository's or protocol's");
    }
    if let Err(error) = check_content(release) {
        return deny(error.code(), error.to_string());
    }
    if !install.requirement.matches(release.version) {
        return deny("OutsideRequirement", outside(&install.requirement, release));
    }
    check_capabilities(release, &install.capabilities)
}

/// An error's text, and those of the errors behind it, which it does not print itself.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn outside(requirement: &Requirement, release: &Release) -> String {
    format!("version {} is outside the installed requirement `{requirement}`", release.version)
}

/// What is granted must be asked for: a grant that nobody asked for is a mistake or a trick.
fn check_capabilities(release: &Release, granted: &ProtocolCapabilities) -> Verdict {
    let asked = &release.descriptor.capabilities;
    match granted.iter().find(|it| !asked.contains(it)) {
        None => Verdict::Accept,
        Some(excess) => {
            deny("CapabilityExcess", format!("`{excess}` is granted but not asked for"))
        }
    }
}

/// The decision that takes back the activation of an app's active version.
///
/// # Errors
/// [`Denied`]: `NothingToRevert` for the version that was installed; `NotReversible` where it is no other
/// major, which sessions negotiate and no decision rules, or its migration has no way back.
pub fn revert_of(app: &AppState) -> Result<RevertVersion, Denied> {
    let denied = |code: &str, reason: String| Denied { code: code.to_string(), reason };
    let version = app.active.version;
    let Some((activation, before)) = app.before() else {
        let reason = format!("version {version} came with the installation");
        return Err(denied("NothingToRevert", reason));
    };
    if before.version.major == version.major {
        let reason = format!("{} and {version} are of one major version", before.version);
        return Err(denied("NotReversible", reason));
    }
    let migration = app.active.release.migration.as_ref();
    if !migration.and_then(|it| it.descriptor.migration()).is_some_and(|it| it.reversible) {
        let reason = format!("the migration to {version} has no way back");
        return Err(denied("NotReversible", reason));
    }
    let (version, digest) = (before.version, before.digest);
    Ok(RevertVersion { app: app.install.app, activation, version, digest })
}

fn check_own_release(ledger: &Ledger, release: &Release) -> Verdict {
    let repository = Repository::of(ledger.chain(), &release.protocol);
    match check_release(&repository, release) {
        Ok(()) => Verdict::Accept,
        Err(error) => deny(error.code(), error.to_string()),
    }
}

impl Consent<'_> {
    /// A device that has proved by two signatures that its key is not its own may be sent away by whoever
    /// proposes it. Who else should go is for people: each says so at the device that votes for it.
    fn check_leaving(&self, device: DeviceId) -> Verdict {
        if self.ledger.forks().contains_key(&device) || self.leaving.contains(&device) {
            return Verdict::Accept;
        }
        let short = device.short();
        deny(
            "NotWanted",
            format!("nobody here wants device {short} to leave, and it has not forked"),
        )
    }

    /// Whoever leaves, the others get the vote keys that they announced.
    fn check_change(&self, value: &Entry) -> Verdict {
        let Some(change) = value.body.roster_change() else { return other_keys() };
        let verdict = match &change {
            RosterChange::Revoke(it) => self.check_revoke(it),
            RosterChange::ReAdmit(it) => self.check_readmit(it),
        };
        if verdict != Verdict::Accept {
            return verdict;
        }
        let expected = self.ledger.announced(&value.past).map(|keys| change.with_keys(keys));
        match expected {
            Ok(expected) if value.body == expected => Verdict::Accept,
            Ok(_) => other_keys(),
            Err(missing) => Verdict::Wait(missing.to_string()),
        }
    }

    fn check_revoke(&self, revoke: &Revoke) -> Verdict {
        let Some(last) = self.ledger.place_of(&revoke.last_hash) else {
            return Verdict::Wait(format!("unit {} has not arrived", revoke.last_hash.short()));
        };
        if last != (revoke.device, revoke.last_seq) {
            return deny("BadCut", "the cut is not at a unit of the device that leaves");
        }
        self.check_leaving(revoke.device)
    }

    /// Whether the account should be recovered is for people, each at their device.
    fn check_veto(&self, request: Digest) -> Verdict {
        if self.unwanted_recoveries.contains(&request) {
            return Verdict::Accept;
        }
        deny("NotWanted", "nobody here has vetoed this recovery")
    }

    /// Whether an activation should be taken back is for people, each at their device (INV-D7).
    fn check_revert(&self, state: &AccountState, revert: &RevertVersion) -> Verdict {
        let Some(app) = state.apps.get(&revert.app) else {
            return check_installed(state, revert.app);
        };
        match revert_of(app) {
            Err(denied) => Verdict::Deny(denied),
            Ok(own) if own != *revert => {
                deny("RevertMismatch", "that is not the active version and the one before it")
            }
            Ok(own) if self.unwanted_activations.contains(&(own.app, own.activation)) => {
                Verdict::Accept
            }
            Ok(_) => deny("NotWanted", "nobody here wants this version to be taken back"),
        }
    }

    /// The seat stays as it is; only the keys are others.
    fn check_readmit(&self, readmit: &ReAdmit) -> Verdict {
        let old = self.ledger.chain().config().roster.get(&readmit.device);
        if old.is_some_and(|it| it.role != readmit.entry.role) {
            return deny("RosterChange", "a device is admitted anew in the role that it had");
        }
        self.check_leaving(readmit.device)
    }

    /// One device more at a time, or other keys, or what the person here wants, and nothing else changes.
    fn check_reconfigure(&self, past: &[Digest], next: &Configuration) -> Verdict {
        let current = self.ledger.chain().config();
        let keys = match self.ledger.announced(past) {
            Ok(keys) => keys,
            Err(missing) => return Verdict::Wait(missing.to_string()),
        };
        let plans = self.wanted.iter().filter_map(|it| it.of(current).ok());
        let mut wanted = plans
            .map(|it| it.with_vote_keys(&keys))
            .filter(|it| *it == Configuration { group_key: current.group_key, ..next.clone() });
        if let Some(plan) = wanted.next() {
            return self.check_wanted(current, &plan, next);
        }
        if next.recovery != current.recovery {
            return self.check_role(&current.with_vote_keys(&keys), next);
        }
        let same = next.roster.keys().eq(current.roster.keys());
        if same && next.group_key != current.group_key {
            return self.check_keys(&current.with_vote_keys(&keys), next);
        }
        let grown = |entry: &RosterEntry| current.with_device(entry.clone());
        let new: Vec<_> =
            next.roster.iter().filter(|it| !current.roster.contains_key(it.0)).collect();
        match new.as_slice() {
            [(_, entry)] if *next == grown(entry).with_vote_keys(&keys) => Verdict::Accept,
            [(_, entry)] if next.with_keys_of(current) == grown(entry) => other_keys(),
            [_] => {
                deny("RosterChange", "a new device changes the default thresholds and nothing else")
            }
            _ => deny("RosterChange", "a reconfiguration adds exactly one device"),
        }
    }

    /// What the person here wants counts once the keys are where it takes them: among those who stay, or in
    /// as many shares (INV-D6).
    fn check_wanted(
        &self,
        current: &Configuration,
        plan: &Configuration,
        next: &Configuration,
    ) -> Verdict {
        let holders = voters_of(plan);
        let stays = holders == voters_of(current) && plan.t_sign == current.t_sign;
        let Some((key, _)) = current.group_key.filter(|_| !stays) else {
            return match next.group_key == current.group_key {
                true => Verdict::Accept,
                false => deny("KeyChange", "this changes no keys"),
            };
        };
        let fits = |it: &&OfferedKeys| {
            next.group_key == Some((it.key, it.name))
                && it.key == key
                && it.origin != Origin::Made
                && it.threshold == plan.t_sign
                && it.holders == holders
        };
        match self.offered_keys.iter().find(fits) {
            Some(_) => Verdict::Accept,
            None => Verdict::Wait("the keys are not known to be among those who stay".to_string()),
        }
    }

    /// Who recovers the account changes when the persons at m devices said so, nothing else changes with it,
    /// all guardians have their shares, and whoever recovers it now had the time to (INV-D9).
    fn check_role(&self, current: &Configuration, next: &Configuration) -> Verdict {
        let RecoveryRole::Guardians { keys, threshold, delay_seconds, sharing } = &next.recovery
        else {
            return deny("NotWanted", "nobody here wants others to recover the account");
        };
        if *next != (Configuration { recovery: next.recovery.clone(), ..current.clone() }) {
            return deny("RoleChange", "a change of who recovers the account changes nothing else");
        }
        let wanted = self
            .guardians
            .filter(|it| (it.threshold, it.delay_seconds) == (*threshold, *delay_seconds));
        let Some(wanted) = wanted else {
            return deny("NotWanted", "nobody here wants these guardians");
        };
        let guardians: BTreeSet<DeviceId> = current.guardians().map(|it| it.device).collect();
        if *keys != current.guardians().map(|it| it.vote_key).collect() {
            return deny("RoleChange", "the guardians are all those of the account");
        }
        if wanted.shared.get(sharing) != Some(&guardians) {
            return Verdict::Wait("the guardians are not known to have their shares".to_string());
        }
        if !self.clock_is_sure {
            return Verdict::Wait("this device is not sure of the time".to_string());
        }
        if !wanted.is_due {
            return Verdict::Wait("whoever recovers the account now still may object".to_string());
        }
        Verdict::Accept
    }

    /// Keys count once every voter holds a share of them. Others take their place only while nobody has
    /// used them, as far as this device can answer for itself (INV-D5).
    fn check_keys(&self, current: &Configuration, next: &Configuration) -> Verdict {
        let held = |it: &&OfferedKeys| next.group_key == Some((it.key, it.name));
        let Some(keys) = self.offered_keys.iter().find(held) else {
            return Verdict::Wait("this device holds no share of these keys".to_string());
        };
        let (t_sign, t_dkd) = (keys.threshold, keys.threshold);
        if *next != (Configuration { group_key: next.group_key, t_sign, t_dkd, ..current.clone() })
        {
            return deny(
                "KeyChange",
                "new keys change the shares that are needed and nothing else",
            );
        }
        if keys.holders != current.voters().map(|it| it.device).collect() {
            return deny("KeyChange", "not every voter holds a share of these keys");
        }
        if let Origin::Reshared { follows } = keys.origin {
            return match follows && current.group_key.is_some_and(|it| it.0 == keys.key) {
                true => Verdict::Accept,
                false => deny("KeyChange", "nobody here wants the keys in so many shares"),
            };
        }
        if self.keys_used {
            return deny(
                "KeysInUse",
                "the account's keys are in use, and no others may take their place",
            );
        }
        Verdict::Accept
    }

    fn check_activation(
        &self,
        state: &AccountState,
        value: &Entry,
        activate: &ActivateVersion,
    ) -> Verdict {
        let Some(proposal) = state.proposals.get(&activate.proposal) else {
            return deny("NoProposal", "no valid proposal of this id");
        };
        let Some(app) = state.apps.get(&activate.app) else {
            return deny("NotInstalled", "the app is not installed");
        };
        if !self.clock_is_sure {
            return Verdict::Wait("this device is not sure of the time".to_string());
        }
        if let Err(verdict) = check_proposal(app, proposal, self.now) {
            return verdict;
        }
        let Some(rehearsal) = self.rehearsals.get(&activate.proposal) else {
            return Verdict::Wait("this device has not rehearsed the proposal".to_string());
        };
        if value.past != [activate.proposal] {
            return deny("PrestateMismatch", "the prestate is not the proposal's past");
        }
        if *activate != activation(proposal, rehearsal) {
            return deny("ResultMismatch", "this device's rehearsal led elsewhere");
        }
        let m = usize::from(self.ledger.chain().config().m);
        let ready = confirmed(self.ledger, proposal, rehearsal);
        if ready < m {
            return Verdict::Wait(format!("{ready} of {m} devices are ready"));
        }
        Verdict::Accept
    }
}

/// Whether `proposal` could be activated on `app` at `now` by what it says of itself.
///
/// # Errors
/// The verdict that stands in the way.
pub fn check_proposal(
    app: &AppState,
    proposal: &ProposalState,
    now: UnixTime,
) -> Result<(), Verdict> {
    let said = &proposal.proposal;
    let release = &proposal.release;
    if said.expires < now {
        return Err(deny("Expired", "the proposal has expired"));
    }
    if said.not_before.is_some_and(|it| now < it) {
        return Err(Verdict::Wait("the proposal's time has not come".to_string()));
    }
    if said.from != app.active.version {
        return Err(deny("Superseded", format!("version {} is active now", app.active.version)));
    }
    let is_next_major = said.from.major.checked_add(1) == Some(release.version.major);
    let Some(migration) = release.migration.as_ref().filter(|_| is_next_major) else {
        return Err(deny("NotAMajor", "only the next major version is activated by decision"));
    };
    if !app.install.requirement.matches(release.version) {
        return Err(deny("OutsideRequirement", outside(&app.install.requirement, release)));
    }
    if let Err(error) = check_content(release) {
        return Err(deny(error.code(), error.to_string()));
    }
    let reads_active = migration.descriptor.migration().is_some_and(|offer| {
        offer.from.matches(app.active.version) && offer.from_schema == app.active.schema
    });
    if !reads_active {
        return Err(deny("MigrationMismatch", "the migration does not read the active records"));
    }
    if said.steps != [migration.module.digest]
        || said.digest != release.module.digest
        || said.plan.is_some()
    {
        return Err(deny("PlanMismatch", "the proposal's steps are not the release's"));
    }
    match check_capabilities(release, &said.capabilities) {
        Verdict::Accept => Ok(()),
        verdict => Err(verdict),
    }
}

/// The value that every device proposes for a proposal that it rehearsed with this result. It names
/// nothing that could differ between honest devices, so that two proposers propose the same.
#[must_use]
pub fn activation(proposal: &ProposalState, rehearsal: &Rehearsal) -> ActivateVersion {
    ActivateVersion {
        app: proposal.proposal.app,
        version: proposal.release.version,
        digest: proposal.proposal.digest,
        proposal: proposal.unit,
        plan: None,
        steps: proposal.proposal.steps.clone(),
        prestate: vec![proposal.unit],
        pre_root: rehearsal.pre_root,
        post_root: rehearsal.post_root,
        capabilities: proposal.proposal.capabilities,
        intent: None,
        repository_head: proposal.repository_head,
        distributor_head: None,
    }
}

/// How many voters have signalled ready with a receipt that this device's rehearsal confirms
/// (INV-D2, INV-D3).
#[must_use]
pub fn confirmed(ledger: &Ledger, proposal: &ProposalState, rehearsal: &Rehearsal) -> usize {
    let voters = ledger.chain().config();
    let ready = proposal.ready.iter().filter(|(device, receipt)| {
        voters.voters().any(|it| it.device == **device) && rehearsal.confirms(**device, receipt)
    });
    let by_root = tally(ready.map(|(device, receipt)| (*device, receipt.post_root)));
    by_root.get(&rehearsal.post_root).map_or(0, BTreeSet::len)
}
