//! What an entry of the control chain writes into the document.
//!
//! Entries are compiled in order, each when all that it closes over is here, by one actor of their own.
//! A unit's change never rests on an entry's: units do not say which entries their authors had seen.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    Base, Event, Ledger, RecordId,
    control::{
        ActivateVersion, CertifiedEntry, Configuration, EntryBody, Install, RecoveryRole, Release,
        RevertVersion, Role,
    },
};
use aura_protocol_core::{AccountId, AppId, DeviceId, Digest, Lamport};

use crate::{
    compile::{
        Cell, Compiler, actor,
        past::{Clock, NodeId},
        proposals::proved,
        records::BUCKETS,
    },
    engine::{Actor, Draft, Hash, OPS_PER_CHANGE_MAX, Object, Op, Scalar},
    text,
};

/// The containers that the first change makes, in the order of their ops from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Account = 1,
    Roster,
    Devices,
    Apps,
    Proposals,
    Releases,
    Sessions,
    Records,
}

/// Whether the next entry can be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waits {
    /// It was.
    No,
    /// What it closes over is not all here, or there is none.
    Yes,
}

/// The actor of the control chain, and what it wrote.
#[derive(Debug)]
pub(crate) struct Control {
    actor: Actor,
    /// How many entries were compiled.
    done: usize,
    /// The configuration in force after them.
    config: u64,
    /// The first change, which all others rest on.
    genesis: Option<Hash>,
    /// The last change.
    last: Option<Hash>,
    /// How many changes there are.
    changes: u64,
    /// What all entries so far close over.
    clock: Clock,
    /// The counter of its next op at the least.
    next: u64,
    keys: BTreeMap<(Object, String), Cell>,
    apps: BTreeMap<AppId, App>,
}

/// An app that is installed.
#[derive(Debug, Clone)]
struct App {
    object: Object,
    history: Object,
    /// What led to the active version, and that: each version with its release and what it was granted.
    lineage: Vec<(Release, String)>,
}

/// What an entry closes over.
struct Closed {
    /// With what the entries before close over: its change comes after theirs.
    clock: Clock,
    /// The units whose changes its change rests on.
    below: Vec<NodeId>,
    lamport: Lamport,
    /// The records that units wrote which no entry before closed over.
    touched: BTreeSet<RecordId>,
}

impl Container {
    /// All of them, in the order of their ops.
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Account, "account"),
        (Self::Roster, "roster"),
        (Self::Devices, "devices"),
        (Self::Apps, "apps"),
        (Self::Proposals, "proposals"),
        (Self::Releases, "releases"),
        (Self::Sessions, "sessions"),
        (Self::Records, "records"),
    ];

    /// The map that it is.
    pub(crate) const fn object(self, control: Actor) -> Object {
        Object::Made(Op { counter: self as u64, actor: control })
    }
}

impl Control {
    pub(crate) fn new(account: AccountId) -> Self {
        Self {
            actor: actor(&[account.as_bytes()]),
            done: 0,
            config: 0,
            genesis: None,
            last: None,
            changes: 0,
            clock: Clock::default(),
            next: 1,
            keys: BTreeMap::new(),
            apps: BTreeMap::new(),
        }
    }

    pub(crate) const fn actor(&self) -> Actor {
        self.actor
    }

    pub(crate) const fn genesis(&self) -> Option<Hash> {
        self.genesis
    }

    pub(crate) const fn done(&self) -> usize {
        self.done
    }

    fn set(&mut self, draft: &mut Draft, object: Object, key: &str, value: Scalar) {
        self.keys.entry((object, key.to_owned())).or_default().set(draft, object, key, value);
    }

    fn text(&mut self, draft: &mut Draft, object: Object, key: &str, text: impl ToString) {
        self.set(draft, object, key, Scalar::Text(text.to_string()));
    }

    fn number(&mut self, draft: &mut Draft, object: Object, key: &str, number: u64) {
        self.set(draft, object, key, Scalar::Number(number));
    }

    fn body(&mut self, draft: &mut Draft, ledger: &Ledger, entry: &CertifiedEntry) {
        let k = entry.slot.k;
        match &entry.value.body {
            EntryBody::Genesis(genesis) => {
                let account = Container::Account.object(self.actor);
                self.text(draft, account, "name", &genesis.name);
                let first = genesis.first.clone();
                self.configure(draft, &Configuration::with_defaults([first]));
            }
            EntryBody::Reconfigure(config) => {
                self.config = self.config.saturating_add(1);
                self.configure(draft, config);
            }
            EntryBody::Install(install) => self.install(draft, k, install),
            EntryBody::SetUpgradePolicy { app, policy } => {
                if let Some(App { object, .. }) = self.apps.get(app) {
                    self.text(draft, *object, "policy", policy_name(*policy));
                }
            }
            EntryBody::Release(release) => self.release(draft, k, release),
            EntryBody::RevertVersion(revert) => self.revert(draft, k, revert),
            // Whatever else begins a configuration.
            body if body.configures() => {
                self.config = self.config.saturating_add(1);
                if let Some(config) = ledger.chain().config_at(self.config) {
                    self.configure(draft, config);
                }
            }
            // Activations need what a unit proved; kinds that are not known here show nothing.
            _ => {}
        }
    }

    fn configure(&mut self, draft: &mut Draft, config: &Configuration) {
        let account = Container::Account.object(self.actor);
        self.number(draft, account, "configuration", self.config);
        self.number(draft, account, "votes_needed", u64::from(config.m));
        self.number(draft, account, "shares_to_sign", u64::from(config.t_sign));
        self.number(draft, account, "shares_to_derive", u64::from(config.t_dkd));
        self.text(draft, account, "recovery", recovery_text(&config.recovery));
        if let Some((key, _)) = &config.group_key {
            self.text(draft, account, "group_key", text::hex(key.as_bytes()));
        }
        let roster = Container::Roster.object(self.actor);
        let names: BTreeSet<String> = config.roster.keys().map(DeviceId::to_string).collect();
        let mut gone = Vec::new();
        for ((object, device), cell) in &mut self.keys {
            if *object == roster && !names.contains(device) {
                cell.clear(draft, roster, device);
                gone.push((*object, device.clone()));
            }
        }
        for key in gone {
            self.keys.remove(&key);
        }
        for (device, entry) in &config.roster {
            let role = match entry.role {
                Role::Voter => "voter",
                Role::Reader => "reader",
                Role::Guardian => "guardian",
            };
            self.text(draft, roster, &device.to_string(), role);
        }
    }

    fn install(&mut self, draft: &mut Draft, k: u64, install: &Install) {
        if self.apps.contains_key(&install.app) {
            return;
        }
        let Some((repository, release)) = proved(&install.release, install.app) else { return };
        if repository != install.repository {
            return;
        }
        let apps = Container::Apps.object(self.actor);
        let object = Object::Made(draft.make(apps, install.app.to_string(), &[]));
        let history = Object::Made(draft.make(object, "history", &[]));
        let granted = text::list(install.capabilities.iter());
        let lineage = vec![(release.clone(), granted.clone())];
        self.apps.insert(install.app, App { object, history, lineage });
        self.text(draft, object, "alias", &install.alias);
        self.text(draft, object, "protocol", &install.protocol);
        self.text(draft, object, "repository", install.repository);
        if let Some(distributor) = install.distributor {
            self.text(draft, object, "distributor", distributor);
        }
        self.text(draft, object, "requirement", &install.requirement);
        self.text(draft, object, "policy", policy_name(install.policy));
        self.text(draft, object, "capabilities", granted);
        self.number(draft, object, "installed_at", k);
        self.active(draft, object, k, &release);
    }

    fn active(&mut self, draft: &mut Draft, object: Object, k: u64, release: &Release) {
        self.text(draft, object, "version", release.version);
        self.text(draft, object, "module", release.module.digest);
        self.text(draft, object, "schema", release.descriptor.schema);
        self.number(draft, object, "active_since", k);
    }

    fn activate(
        &mut self,
        draft: &mut Draft,
        k: u64,
        activation: &ActivateVersion,
        proposal: Option<Object>,
        release: &Release,
    ) {
        let Some(app) = self.apps.get_mut(&activation.app) else { return };
        if release.version != activation.version || release.module.digest != activation.digest {
            return;
        }
        let (object, history) = (app.object, app.history);
        let before = app.lineage.last().map(|(it, _)| active_text(it)).unwrap_or_default();
        let granted = text::list(activation.capabilities.iter());
        app.lineage.push((release.clone(), granted.clone()));
        self.text(draft, history, &format!("until {k}"), before);
        self.text(draft, object, "capabilities", granted);
        self.active(draft, object, k, release);
        if let Some(proposal) = proposal {
            self.number(draft, proposal, "activated_at", k);
        }
    }

    /// The version before is active again.
    fn revert(&mut self, draft: &mut Draft, k: u64, revert: &RevertVersion) {
        let Some(app) = self.apps.get_mut(&revert.app) else { return };
        let [.., (before, granted), (active, _)] = app.lineage.as_slice() else { return };
        if (before.version, before.module.digest) != (revert.version, revert.digest) {
            return;
        }
        let (object, history, ended) = (app.object, app.history, active_text(active));
        let (release, granted) = (before.clone(), granted.clone());
        app.lineage.pop();
        self.text(draft, history, &format!("until {k}"), ended);
        self.text(draft, object, "capabilities", granted);
        self.active(draft, object, k, &release);
    }

    fn release(&mut self, draft: &mut Draft, k: u64, release: &Release) {
        let releases = Container::Releases.object(self.actor);
        let key = format!("{} {}", release.protocol, release.version);
        if self.keys.contains_key(&(releases, key.clone())) {
            return;
        }
        let made = draft.make(releases, &key, &[]);
        self.keys.insert((releases, key), Cell(Some(made)));
        let object = Object::Made(made);
        self.text(draft, object, "module", release.module.digest);
        self.text(draft, object, "schema", release.descriptor.schema);
        self.text(draft, object, "notes", &release.notes);
        self.number(draft, object, "released_at", k);
    }
}

impl Compiler {
    /// Compiles the next entry, if there is one and all that it closes over was compiled.
    pub(crate) fn next_entry(&mut self, ledger: &Ledger) -> Waits {
        let Some(entry) = ledger.chain().entries().get(self.control.done) else {
            return Waits::Yes;
        };
        let Some(closed) = self.closed(ledger, entry) else { return Waits::Yes };
        let above = closed.lamport.0.saturating_add(1).saturating_mul(OPS_PER_CHANGE_MAX);
        let above = above.saturating_add(self.offset);
        let start = if entry.slot.k == 0 { 1 } else { above.max(self.control.next) };
        let mut draft = Draft::new(self.control.actor, start);
        if entry.slot.k == 0 {
            begin(&mut draft, self.account);
        }
        self.control.body(&mut draft, ledger, entry);
        if let EntryBody::ActivateVersion(activation) = &entry.value.body
            && let Some(proposal) = self.proposals.known(&activation.proposal, &closed.clock)
        {
            let (object, release) = (proposal.object, &proposal.release);
            self.control.activate(&mut draft, entry.slot.k, activation, Some(object), release);
        }
        let account = Container::Account.object(self.control.actor);
        self.control.number(&mut draft, account, "height", entry.slot.k);
        self.records.settle(
            &mut draft,
            self.control.actor,
            &self.past,
            &closed.clock,
            ledger,
            &closed.touched,
        );
        self.control.clock = closed.clock;
        self.finish_entry(draft, &closed.below);
        Waits::No
    }

    /// How many entries were compiled.
    pub(crate) const fn entries(&self) -> usize {
        self.control.done()
    }

    /// Compiles the entries up to a base, and the base, into the first changes.
    pub(crate) fn stand(&mut self, ledger: &Ledger, base: &Base) {
        let until = ledger.chain().entries().iter().take_while(|it| it.slot.k <= base.k());
        for entry in until {
            let mut draft = Draft::new(self.control.actor, self.control.next);
            if entry.slot.k == 0 {
                begin(&mut draft, self.account);
            }
            self.control.body(&mut draft, ledger, entry);
            if let EntryBody::ActivateVersion(activation) = &entry.value.body {
                self.activated(&mut draft, base, entry.slot.k, activation);
            }
            let account = Container::Account.object(self.control.actor);
            self.control.number(&mut draft, account, "height", entry.slot.k);
            self.finish_entry(draft, &[]);
        }
        let mut draft = Draft::new(self.control.actor, self.control.next);
        let account = Container::Account.object(self.control.actor);
        self.control.number(&mut draft, account, "since", base.k());
        let ended = base.state().ended.count();
        self.control.number(&mut draft, account, "sessions_before", ended);
        self.stand_on(&mut draft, base);
        let done = self.control.done;
        self.finish_entry(draft, &[]);
        self.control.done = done;
        // What every later change rests on.
        self.control.genesis = self.control.last;
        self.offset = self.control.next;
        self.since = Some(base.k());
    }

    /// Activates what a base says was activated: the proposal may be gone.
    fn activated(&mut self, draft: &mut Draft, base: &Base, k: u64, activation: &ActivateVersion) {
        let Some(app) = base.state().apps.get(&activation.app) else { return };
        let mut versions = app.history.iter().chain([&app.active]);
        if let Some(version) = versions.find(|it| it.k == k) {
            self.control.activate(draft, k, activation, None, &version.release);
        }
    }

    fn finish_entry(&mut self, draft: Draft, below: &[NodeId]) {
        let mut deps = self.past.changes(below);
        deps.extend(self.control.last);
        deps.sort_unstable();
        deps.dedup();
        let control = &mut self.control;
        control.done = control.done.saturating_add(1);
        let next = draft.next();
        // Where the counters end, entries show nothing any more, and neither do those after them.
        let Some(change) = draft.finish(control.changes.saturating_add(1), &deps) else {
            control.next = u64::MAX;
            return;
        };
        control.next = next;
        control.changes = control.changes.saturating_add(1);
        control.last = Some(change.hash());
        control.genesis = control.genesis.or(control.last);
        self.changes.push(change);
    }

    /// What an entry closes over; none while that is not all here.
    fn closed(&self, ledger: &Ledger, entry: &CertifiedEntry) -> Option<Closed> {
        let above = entry.value.past.iter().filter(|it| !self.is_below(ledger, it));
        let tips: Option<Vec<NodeId>> = above.clone().map(|it| self.past.id(it)).collect();
        let tips = tips?;
        let mut clock = self.past.clock_of(&tips);
        clock.join(&self.control.clock);
        let lamport = |it: &Digest| ledger.unit(it).map(|it| it.body.lamport);
        Some(Closed {
            clock,
            below: self.past.with_changes(&tips),
            lamport: above.filter_map(lamport).max().unwrap_or_default(),
            touched: self.touched(ledger, entry),
        })
    }

    /// The records that the units of an entry's segment wrote.
    fn touched(&self, ledger: &Ledger, entry: &CertifiedEntry) -> BTreeSet<RecordId> {
        let mut touched = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<Digest> = entry.value.past.clone();
        while let Some(unit) = open.pop() {
            if ledger.segment(&unit) != Some(entry.slot.k) || !seen.insert(unit) {
                continue;
            }
            let Some(body) = ledger.unit(&unit).map(|it| it.body) else { continue };
            if let Event::CloseSession(close) = &body.event
                && let Some(app) = body.session.and_then(|it| self.sessions.app(it))
            {
                touched.extend(close.batch.iter().map(|it| (app, close.schema, it.key.clone())));
            }
            open.extend(body.parents());
        }
        touched
    }
}

/// Makes the containers.
fn begin(draft: &mut Draft, account: AccountId) {
    let mut objects = Vec::new();
    for (_, name) in Container::ALL {
        objects.push(draft.make(Object::Root, name, &[]));
    }
    if let (Some(first), Some(records)) = (objects.first(), objects.last()) {
        for bucket in 0..BUCKETS {
            draft.make(Object::Made(*records), format!("{bucket:02x}"), &[]);
        }
        draft.put(Object::Made(*first), "id", Scalar::Text(account.to_string()), &[]);
    }
}

fn active_text(release: &Release) -> String {
    format!("{} {}", release.version, release.module.digest)
}

const fn policy_name(policy: aura_journal::control::UpgradePolicy) -> &'static str {
    use aura_journal::control::UpgradePolicy;
    match policy {
        UpgradePolicy::Manual => "manual",
        UpgradePolicy::Patch => "patch",
        UpgradePolicy::Minor => "minor",
    }
}

fn recovery_text(recovery: &RecoveryRole) -> String {
    match recovery {
        RecoveryRole::Nobody => "nobody".to_owned(),
        RecoveryRole::Keys { keys, threshold, delay_seconds } => {
            format!("{threshold} of {} keys after {delay_seconds} seconds", keys.len())
        }
        RecoveryRole::Guardians { keys, threshold, delay_seconds, .. } => {
            format!("{threshold} of {} guardians after {delay_seconds} seconds", keys.len())
        }
    }
}
