//! What one device announces that it can run: app → version → digest.
//!
//! RFC 140, section 3, counts labels; here an entry names the digest too, since two binaries that
//! are both called 2.0.0 are two things (INV-M1).

use alloc::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    AppId, DeviceId, Digest, ProtocolVersion, encode,
    limits::{MANIFEST_PROTOCOLS_MAX, MANIFEST_VERSIONS_MAX},
};

/// The modules of one app that a device has verified, compiled and is ready to run.
pub type Versions = BTreeMap<ProtocolVersion, Digest>;

/// A device's replicated, signed announcement.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// The device that announces.
    pub device: DeviceId,
    /// What it can run.
    pub apps: BTreeMap<AppId, Versions>,
}

impl Manifest {
    /// The manifest of a device that can run nothing yet.
    #[must_use]
    pub const fn empty(device: DeviceId) -> Self {
        Self { device, apps: BTreeMap::new() }
    }

    /// The versions of `app` that the device can run, lowest first.
    pub fn versions(&self, app: AppId) -> impl Iterator<Item = (ProtocolVersion, Digest)> + '_ {
        self.apps.get(&app).into_iter().flatten().map(|(version, digest)| (*version, *digest))
    }

    /// Adds one version, and says whether that changed anything.
    pub fn announce(&mut self, app: AppId, version: ProtocolVersion, digest: Digest) -> bool {
        self.apps.entry(app).or_default().insert(version, digest) != Some(digest)
    }

    /// Whether the counts keep to the limits.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        self.apps.len() <= MANIFEST_PROTOCOLS_MAX
            && self.apps.values().all(|versions| versions.len() <= MANIFEST_VERSIONS_MAX)
    }
}

/// The hash of all manifests that a negotiation read. It goes into a session's first event: whoever
/// strips a version from somebody's manifest breaks the session, not its security.
#[must_use]
pub fn transcript(manifests: &[Manifest]) -> Digest {
    let by_device: BTreeMap<DeviceId, &Manifest> =
        manifests.iter().map(|it| (it.device, it)).collect();
    Digest::tagged("aura negotiation transcript v1", &[&encode(&by_device)])
}
