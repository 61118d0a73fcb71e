//! Which modules this device has, needs and announces.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    ActiveVersion, Stored,
    control::Release,
    event::{DeviceMetadata, Event},
};
use aura_protocol_core::{
    AppId, Descriptor, DeviceId, Digest, Manifest, ModuleRef, ProtocolVersion, UnixTime, encode,
    limits::{MANIFEST_VERSIONS_MAX, UNIT_BODY_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    error::{AgentError, Whose},
    node::{Effect, Node, Providers, restore::prefixed},
};

/// Longest pause between two attempts to get a module, in seconds.
const RETRY_SECONDS_MAX: u64 = 30;

/// The modules of this device.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// What this device runs, by app and digest: announced in its manifest while it is ready.
    adopted: BTreeMap<Digest, Adopted>,
    /// Verified and compiled.
    ready: BTreeMap<Digest, Descriptor>,
    /// Being fetched or compiled.
    under_way: BTreeSet<Digest>,
    /// Failed, and when to try again.
    failed: BTreeMap<Digest, Failure>,
}

/// A module that this device runs, as one version of one app.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Adopted {
    app: AppId,
    version: ProtocolVersion,
    module: ModuleRef,
    /// What its release says of it. A module that says something else of itself is not run.
    descriptor: Descriptor,
}

impl Modules {
    /// The modules that were adopted before the restart. None is ready yet.
    pub(super) fn restore(stored: &Stored) -> Result<Self, AgentError> {
        Ok(Self { adopted: prefixed(stored, "adopted/")?, ..Self::default() })
    }

    pub(super) fn is_ready(&self, digest: &Digest) -> bool {
        self.ready.contains_key(digest)
    }

    /// How many are ready.
    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }
}

#[derive(Debug)]
struct Failure {
    attempts: u32,
    /// When it is tried again; never, where the module itself is at fault: its bytes stay the same.
    retry: Option<UnixTime>,
    /// Whether the time to try again has come.
    due: bool,
    error: AgentError,
}

impl Node {
    pub(super) fn has_module(&self, digest: &Digest) -> bool {
        self.modules.is_ready(digest)
    }

    pub(super) fn descriptor(&self, digest: &Digest) -> Option<&Descriptor> {
        self.modules.ready.get(digest)
    }

    /// The last failure to get a module, while there is one.
    pub(super) fn module_failure(&self, digest: &Digest) -> Option<&AgentError> {
        let failed = self.modules.failed.get(digest);
        failed.filter(|_| !self.modules.under_way.contains(digest)).map(|it| &it.error)
    }

    pub(super) fn modules_under_way(&self) -> bool {
        !self.modules.under_way.is_empty()
    }

    /// Whether this device is getting a module of `app` ready that it has announced: after a restart.
    pub(super) fn is_preparing(&self, app: AppId) -> bool {
        let own = self.ledger.state().metadata.get(&self.me);
        let mut announced = own.into_iter().flat_map(|(_, it)| it.manifest.versions(app));
        announced.any(|(_, digest)| self.modules.under_way.contains(&digest))
    }

    /// Gets a module, unless it is here, under way, or failed a moment ago. Bytes that were brought
    /// along are always tried.
    pub(super) fn obtain(&mut self, module: &ModuleRef, offered: Option<Vec<u8>>) {
        let digest = module.digest;
        let known = self.has_module(&digest) || self.modules.under_way.contains(&digest);
        let paused = self.modules.failed.get(&digest).is_some_and(|it| !it.due);
        if known || (offered.is_none() && paused) {
            return;
        }
        self.modules.under_way.insert(digest);
        let providers = self.providers(&digest);
        self.out.push(Effect::Obtain { module: module.clone(), offered, providers });
    }

    /// The connected devices, and which of them are known to have the module: they announce it, or
    /// they proposed it.
    fn providers(&self, digest: &Digest) -> Providers {
        let state = self.ledger.state();
        let proposed = state.proposals.values().filter(|it| {
            let migration = it.release.migration.as_ref().map(|it| it.module.digest);
            it.release.module.digest == *digest || migration == Some(*digest)
        });
        let mut known: BTreeSet<DeviceId> =
            proposed.flat_map(|it| it.ready.keys().chain([&it.author])).copied().collect();
        let announced =
            state.metadata.iter().filter(|(_, (_, it))| announces(&it.manifest, digest));
        known.extend(announced.map(|(device, _)| *device));
        let (known, others) = self.peers.iter().partition(|device| known.contains(device));
        Providers { known, others }
    }

    pub(super) fn obtained(&mut self, digest: Digest, result: Result<Descriptor, AgentError>) {
        self.modules.under_way.remove(&digest);
        match result {
            Ok(descriptor) => {
                self.module_ready(digest, descriptor);
            }
            Err(error) => {
                self.log(format!("module {}: {error}", digest.short()));
                let attempts = self.modules.failed.get(&digest).map_or(0, |it| it.attempts);
                let pause = 1u64.checked_shl(attempts).unwrap_or(RETRY_SECONDS_MAX);
                let next = self.now.saturating_add(pause.min(RETRY_SECONDS_MAX));
                let retry = (error.whose != Whose::Publisher).then_some(next);
                let attempts = attempts.saturating_add(1);
                let failure = Failure { attempts, retry, due: false, error };
                self.modules.failed.insert(digest, failure);
                self.stir_all();
            }
        }
    }

    pub(super) fn module_ready(&mut self, digest: Digest, descriptor: Descriptor) {
        self.modules.failed.remove(&digest);
        self.modules.ready.insert(digest, descriptor);
        self.stir_all();
    }

    /// Lets failed modules be tried again whose pause is over.
    pub(super) fn retry_modules(&mut self) {
        for failure in self.modules.failed.values_mut() {
            failure.due |= failure.retry.is_some_and(|it| it <= self.now);
        }
    }

    /// Lets all failed modules be tried again that are not at fault themselves: somebody new may have
    /// them.
    pub(super) fn retry_modules_now(&mut self) {
        for failure in self.modules.failed.values_mut() {
            failure.due |= failure.retry.is_some();
        }
    }

    /// Has this device run a release of `app`, now and after every restart.
    pub(super) fn adopt(&mut self, app: AppId, release: &Release) {
        let (version, module) = (release.version, release.module.clone());
        let adopted = Adopted { app, version, module, descriptor: release.descriptor.clone() };
        // Two apps may release the same bytes.
        let name = adopted_name(app, &release.module.digest);
        if self.modules.adopted.get(&name) != Some(&adopted) {
            self.keep(&format!("adopted/{name}"), &adopted);
            self.modules.adopted.insert(name, adopted);
        }
    }

    /// Whether this device runs a module for `app`: it is ready, and is what its release says of it
    /// (INV-A3).
    pub(super) fn runs(&self, app: AppId, digest: &Digest) -> bool {
        let adopted = self.modules.adopted.get(&adopted_name(app, digest));
        adopted.is_some_and(|it| self.is_as_released(it)) || self.built_ins.runs(app, digest)
    }

    fn is_as_released(&self, adopted: &Adopted) -> bool {
        self.descriptor(&adopted.module.digest) == Some(&adopted.descriptor)
    }

    /// Gets the active version of every app and whatever else this device runs, and announces it.
    pub(super) fn want_modules(&mut self) {
        let apps = self.ledger.state().apps.iter();
        let is_adopted = |app: AppId, it: &ActiveVersion| {
            self.modules.adopted.contains_key(&adopted_name(app, &it.digest))
        };
        let fresh: Vec<(AppId, Release)> = apps
            .filter(|(id, it)| !is_adopted(**id, &it.active))
            .map(|(id, it)| (*id, it.active.release.clone()))
            .collect();
        for (app, release) in fresh {
            self.adopt(app, &release);
        }
        let adopted = self.modules.adopted.values().map(|it| it.module.clone());
        // Migrations stay at hand: a session that began before an activation may still write.
        let proposals = self.ledger.state().proposals.values();
        let certified = proposals.filter(|it| it.activated_at.is_some());
        let migrations =
            certified.filter_map(|it| Some(it.release.migration.as_ref()?.module.clone()));
        for module in adopted.chain(migrations).collect::<Vec<_>>() {
            self.obtain(&module, None);
        }
        self.publish_manifest();
    }

    /// Writes name, addresses and manifest, when they differ from what is written.
    pub(super) fn publish_manifest(&mut self) {
        self.publish(false);
    }

    /// Says what this device runs, though everybody was told.
    pub(super) fn publish_again(&mut self) {
        self.publish(true);
    }

    fn publish(&mut self, again: bool) {
        if self.addresses.is_empty() {
            return;
        }
        let state = self.ledger.state();
        let published = state.metadata.get(&self.me).map(|(_, it)| it);
        let mut manifest =
            published.map_or_else(|| Manifest::empty(self.me), |it| it.manifest.clone());
        for adopted in self.modules.adopted.values().filter(|it| self.is_as_released(it)) {
            manifest.announce(adopted.app, adopted.version, adopted.module.digest);
        }
        // What was announced and is neither adopted nor built in was built in once.
        let adopted: BTreeSet<AppId> = self.modules.adopted.values().map(|it| it.app).collect();
        manifest.apps.retain(|app, _| adopted.contains(app));
        self.built_ins.announce(&mut manifest);
        for versions in manifest.apps.values_mut() {
            while MANIFEST_VERSIONS_MAX < versions.len() {
                // The oldest: nobody begins a session with it any more.
                versions.pop_first();
            }
        }
        let (name, addresses) = (self.name.clone(), self.addresses.clone());
        let metadata = DeviceMetadata { name, addresses, manifest };
        let enrolled = self.ledger.chain().config().roster.contains_key(&self.me);
        if enrolled && (again || published != Some(&metadata)) && fits(&metadata) {
            self.author(None, Event::PublishManifest(metadata));
        }
    }
}

fn adopted_name(app: AppId, digest: &Digest) -> Digest {
    Digest::tagged("aura adopted module v1", &[app.as_bytes(), digest.as_bytes()])
}

/// Whether a unit can carry it, and everybody takes it for what it is.
fn fits(metadata: &DeviceMetadata) -> bool {
    // The event's tag is one byte.
    metadata.manifest.is_within_limits() && encode(metadata).len() < UNIT_BODY_BYTES_MAX
}

fn announces(manifest: &Manifest, digest: &Digest) -> bool {
    manifest.apps.values().any(|versions| versions.values().any(|it| it == digest))
}
