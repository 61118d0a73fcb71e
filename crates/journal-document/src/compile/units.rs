//! What a unit writes into the document.
//!
//! An event that breaks a rule of its kind writes nothing: the same rules as those of the ledger's fold,
//! as far as the unit's causal past shows them.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::event::{DeviceMetadata, Event, Opening};
use aura_protocol_core::{AppId, DeviceId};

use crate::{
    compile::{
        Cell, Scope, entries::Container, past::AuthorId, proposals::Proposals, records::Records,
        sessions::Sessions, standing::Standing,
    },
    engine::{Draft, Object},
    text,
};

/// What each author wrote of itself.
#[derive(Debug, Default)]
pub(crate) struct Authors(BTreeMap<AuthorId, Author>);

#[derive(Debug, Default)]
struct Author {
    next_seq: u64,
    changes: u64,
    device: Option<Device>,
}

/// A device's own entry.
#[derive(Debug)]
struct Device {
    object: Object,
    runs_object: Object,
    name: Cell,
    addresses: Cell,
    runs: BTreeMap<AppId, Cell>,
}

impl Authors {
    pub(crate) fn next_seq(&self, author: AuthorId) -> u64 {
        self.0.get(&author).map_or(0, |it| it.next_seq)
    }

    pub(crate) fn saw(&mut self, author: AuthorId, seq: u64) {
        self.0.entry(author).or_default().next_seq = seq.saturating_add(1);
    }

    /// The number of the author's next change, from 1.
    pub(crate) fn next_change(&self, author: AuthorId) -> u64 {
        self.0.get(&author).map_or(0, |it| it.changes).saturating_add(1)
    }

    pub(crate) fn changed(&mut self, author: AuthorId) {
        let author = self.0.entry(author).or_default();
        author.changes = author.changes.saturating_add(1);
    }
}

/// Writes what the unit says.
pub(super) fn compile(
    scope: &Scope<'_>,
    draft: &mut Draft,
    authors: &mut Authors,
    sessions: &mut Sessions,
    proposals: &mut Proposals,
    records: &mut Records,
) {
    match &scope.body.event {
        Event::PublishManifest(metadata) => authors.publish(scope, draft, metadata),
        Event::OpenSession(open) => sessions.open(scope, draft, open, None),
        Event::OpenChild(child) => sessions.open_child(scope, draft, child, None),
        Event::OpenUntil(it) => match &it.opening {
            Opening::Session(open) => sessions.open(scope, draft, open, Some(it.until)),
            Opening::Child(child) => sessions.open_child(scope, draft, child, Some(it.until)),
        },
        Event::SessionMessage(_) => sessions.message(scope, draft),
        Event::CloseSession(close) => sessions.close(scope, draft, close, records),
        Event::ProposeUpgrade(proposal) => proposals.propose(scope, draft, proposal),
        Event::AcknowledgeUpgrade { proposal } => proposals.acknowledge(scope, draft, proposal),
        Event::SignalReady { proposal, receipt } => {
            proposals.ready(scope, draft, proposal, receipt);
        }
        Event::DeclineUpgrade { proposal, code, reason } => {
            proposals.decline(scope, draft, proposal, &format!("{code}: {reason}"));
        }
        // Votes and ticks decide what other things become, and are nothing to look at by themselves.
        _ => {}
    }
}

impl Authors {
    fn publish(&mut self, scope: &Scope<'_>, draft: &mut Draft, metadata: &DeviceMetadata) {
        let (manifest, device) = (&metadata.manifest, scope.body.author);
        if manifest.device == device && manifest.is_within_limits() {
            let devices = scope.container(Container::Devices);
            self.show(draft, (scope.author, device), devices, metadata);
        }
    }

    /// Shows what the devices of a base last said of themselves.
    pub(super) fn stand(&mut self, standing: &mut Standing<'_>) {
        let devices = Container::Devices.object(standing.control);
        for (device, (_, metadata)) in &standing.base.state().metadata {
            let author = standing.past.author(*device);
            self.show(standing.draft, (author, *device), devices, metadata);
        }
    }

    fn show(
        &mut self,
        draft: &mut Draft,
        (author, device): (AuthorId, DeviceId),
        devices: Object,
        metadata: &DeviceMetadata,
    ) {
        let manifest = &metadata.manifest;
        let entry = &mut self.0.entry(author).or_default().device;
        let it = entry.get_or_insert_with(|| Device::begin(draft, devices, &device.to_string()));
        it.name.text(draft, it.object, "name", metadata.name.clone());
        it.addresses.text(draft, it.object, "addresses", text::list(&metadata.addresses));
        let gone: BTreeSet<AppId> =
            it.runs.keys().filter(|app| !manifest.apps.contains_key(app)).copied().collect();
        for app in gone {
            if let Some(mut cell) = it.runs.remove(&app) {
                cell.clear(draft, it.runs_object, app.to_string());
            }
        }
        for (app, versions) in &manifest.apps {
            let cell = it.runs.entry(*app).or_default();
            let versions = versions.iter().map(|(version, digest)| format!("{version} {digest}"));
            cell.text(draft, it.runs_object, app.to_string(), text::list(versions));
        }
    }
}

impl Device {
    fn begin(draft: &mut Draft, devices: Object, device: &str) -> Self {
        let object = Object::Made(draft.make(devices, device, &[]));
        let runs_object = Object::Made(draft.make(object, "runs", &[]));
        let (name, addresses) = (Cell::default(), Cell::default());
        Self { object, runs_object, name, addresses, runs: BTreeMap::new() }
    }
}
