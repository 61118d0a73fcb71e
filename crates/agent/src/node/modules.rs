//! Which modules this device has, needs and announces.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    Stored,
    event::{DeviceMetadata, Event},
};
use aura_protocol_core::{
    AppId, Descriptor, DeviceId, Digest, Manifest, ModuleRef, ProtocolVersion, UnixTime,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    error::AgentError,
    node::{Effect, Node, restore::prefixed},
};

/// Longest pause between two attempts to get a module, in seconds.
const RETRY_SECONDS_MAX: u64 = 30;

/// The modules of this device.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// What this device runs, by digest: announced in its manifest while it is ready.
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
}

impl Modules {
    /// The modules that were adopted before the restart. None is ready yet.
    pub(super) fn restore(stored: &Stored) -> Result<Self, AgentError> {
        Ok(Self { adopted: prefixed(stored, "adopted/")?, ..Self::default() })
    }

    pub(super) fn is_ready(&self, digest: &Digest) -> bool {
        self.ready.contains_key(digest)
    }
}

#[derive(Debug)]
struct Failure {
    attempts: u32,
    retry: UnixTime,
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
        self.modules.failed.get(digest).map(|it| &it.error)
    }

    pub(super) fn modules_under_way(&self) -> bool {
        !self.modules.under_way.is_empty()
    }

    /// Gets a module, unless it is here, under way, or failed a moment ago. Bytes that were brought
    /// along are always tried.
    pub(super) fn obtain(&mut self, module: &ModuleRef, offered: Option<Vec<u8>>) {
        let digest = module.digest;
        let known = self.has_module(&digest) || self.modules.under_way.contains(&digest);
        let failed = offered.is_none() && self.modules.failed.contains_key(&digest);
        if known || failed {
            return;
        }
        self.modules.failed.remove(&digest);
        self.modules.under_way.insert(digest);
        let providers = self.providers(&digest);
        self.out.push(Effect::Obtain { module: module.clone(), offered, providers });
    }

    /// The connected devices, those first that are known to have the module: they announce it, or
    /// they proposed it.
    fn providers(&self, digest: &Digest) -> Vec<DeviceId> {
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
        let (first, rest): (Vec<DeviceId>, Vec<DeviceId>) =
            self.peers.iter().partition(|device| known.contains(device));
        first.into_iter().chain(rest).collect()
    }

    pub(super) fn obtained(&mut self, digest: Digest, result: Result<Descriptor, AgentError>) {
        self.modules.under_way.remove(&digest);
        match result {
            Ok(descriptor) => {
                self.modules.failed.remove(&digest);
                self.modules.ready.insert(digest, descriptor);
            }
            Err(error) => {
                self.log(format!("module {}: {error}", digest.short()));
                let attempts = self.modules.failed.get(&digest).map_or(0, |it| it.attempts);
                let pause = 1u64.checked_shl(attempts).unwrap_or(RETRY_SECONDS_MAX);
                let retry = self.now.saturating_add(pause.min(RETRY_SECONDS_MAX));
                let attempts = attempts.saturating_add(1);
                self.modules.failed.insert(digest, Failure { attempts, retry, error });
            }
        }
    }

    /// Lets failed modules be tried again whose pause is over.
    pub(super) fn retry_modules(&mut self) {
        let now = self.now;
        self.modules.failed.retain(|_, failure| now < failure.retry);
    }

    /// Lets all failed modules be tried again: somebody new may have them.
    pub(super) fn retry_modules_now(&mut self) {
        self.modules.failed.clear();
    }

    /// Has this device run `module` as `version` of `app`, now and after every restart.
    pub(super) fn adopt(&mut self, app: AppId, version: ProtocolVersion, module: &ModuleRef) {
        let adopted = Adopted { app, version, module: module.clone() };
        if self.modules.adopted.get(&module.digest) != Some(&adopted) {
            self.keep(&format!("adopted/{}", module.digest), &adopted);
            self.modules.adopted.insert(module.digest, adopted);
        }
    }

    /// Gets the active version of every app and whatever else this device runs, and announces it.
    pub(super) fn want_modules(&mut self) {
        let apps = self.ledger.state().apps.iter();
        let active: Vec<(AppId, ProtocolVersion, ModuleRef)> = apps
            .map(|(id, it)| (*id, it.active.version, it.active.release.module.clone()))
            .collect();
        for (app, version, module) in active {
            self.adopt(app, version, &module);
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
        if self.addresses.is_empty() {
            return;
        }
        let state = self.ledger.state();
        let published = state.metadata.get(&self.me).map(|(_, it)| it);
        let mut manifest =
            published.map_or_else(|| Manifest::empty(self.me), |it| it.manifest.clone());
        for (digest, adopted) in &self.modules.adopted {
            if self.has_module(digest) {
                manifest.announce(adopted.app, adopted.version, *digest);
            }
        }
        let (name, addresses) = (self.name.clone(), self.addresses.clone());
        let metadata = DeviceMetadata { name, addresses, manifest };
        if published != Some(&metadata) && metadata.manifest.is_within_limits() {
            self.author(None, Event::PublishManifest(metadata));
        }
    }
}

fn announces(manifest: &Manifest, digest: &Digest) -> bool {
    manifest.apps.values().any(|versions| versions.values().any(|it| it == digest))
}
