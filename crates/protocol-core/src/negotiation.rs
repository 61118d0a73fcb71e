//! Which version a set of devices speaks, from their manifests alone (RFC 140, section 3).
//!
//! The highest major that all can run; inside it the lowest of the participants' highest minors is
//! what is spoken; each runs its own highest patch of it, or, where it no longer has that minor, its
//! lowest later one, which by the class of its release understands the lower.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{AppId, DeviceId, Digest, Manifest, ProtocolVersion};

/// What binds a negotiation besides the manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NegotiationPolicy {
    /// No version below this one: the activated version, or an authority's floor.
    pub floor: Option<ProtocolVersion>,
    /// No version of a later major than this one: a hard fork that is ready but not activated.
    pub major_max: Option<u16>,
}

/// What the participants run together.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agreement {
    /// The version that they speak. At least one of them runs exactly it.
    pub spoken: ProtocolVersion,
    /// What each of them runs.
    pub runs: BTreeMap<DeviceId, (ProtocolVersion, Digest)>,
}

/// Why there is no common version. Nobody's fault: wait, upgrade, or leave somebody out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoAgreement {
    /// Nobody takes part.
    #[error("no participants")]
    NoParticipants,
    /// No major version is common to all.
    #[error("no common version: {}", Lacking(.0))]
    Lacking(
        /// For each participant, the versions that it could run under the policy, lowest first.
        Vec<(DeviceId, Vec<ProtocolVersion>)>,
    ),
}

struct Lacking<'a>(&'a [(DeviceId, Vec<ProtocolVersion>)]);

impl fmt::Display for Lacking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.0.iter().map(|(device, versions)| line(*device, versions)).collect();
        f.write_str(&parts.join("; "))
    }
}

fn line(device: DeviceId, versions: &[ProtocolVersion]) -> String {
    match versions.last() {
        Some(highest) => alloc::format!("device {} runs up to {highest}", device.short()),
        None => alloc::format!("device {} runs none", device.short()),
    }
}

/// The version that the devices of `manifests` run `app` in. Symmetric in its arguments (INV-V1).
///
/// # Errors
/// [`NoAgreement`], which says who lacks what.
pub fn negotiate(
    app: AppId,
    manifests: &[Manifest],
    policy: &NegotiationPolicy,
) -> Result<Agreement, NoAgreement> {
    if manifests.is_empty() {
        return Err(NoAgreement::NoParticipants);
    }
    let offers: BTreeMap<DeviceId, BTreeMap<ProtocolVersion, Digest>> =
        manifests.iter().map(|it| (it.device, offer(app, it, policy))).collect();
    let lacking = || {
        NoAgreement::Lacking(
            offers.iter().map(|(device, it)| (*device, it.keys().copied().collect())).collect(),
        )
    };
    let major = common_major(&offers).ok_or_else(lacking)?;
    let minor = offers
        .values()
        .filter_map(|it| it.keys().rfind(|version| version.major == major))
        .map(|highest| highest.minor)
        .min()
        .ok_or_else(lacking)?;
    let runs: Option<BTreeMap<_, _>> = offers
        .iter()
        .map(|(device, offer)| run_of(offer, major, minor).map(|run| (*device, run)))
        .collect();
    let runs = runs.ok_or_else(lacking)?;
    let spoken = runs.values().map(|(version, _)| *version).min().ok_or_else(lacking)?;
    Ok(Agreement { spoken, runs })
}

fn offer(
    app: AppId,
    manifest: &Manifest,
    policy: &NegotiationPolicy,
) -> BTreeMap<ProtocolVersion, Digest> {
    manifest
        .versions(app)
        .filter(|(version, _)| policy.floor.is_none_or(|floor| floor <= *version))
        .filter(|(version, _)| policy.major_max.is_none_or(|major| version.major <= major))
        .collect()
}

/// The highest major that every participant has some version of.
fn common_major(offers: &BTreeMap<DeviceId, BTreeMap<ProtocolVersion, Digest>>) -> Option<u16> {
    let first = offers.values().next()?;
    first
        .keys()
        .rev()
        .map(|version| version.major)
        .find(|major| offers.values().all(|it| it.keys().any(|version| version.major == *major)))
}

/// The highest patch of the spoken minor, else the lowest version above it in the same major.
fn run_of(
    offer: &BTreeMap<ProtocolVersion, Digest>,
    major: u16,
    minor: u16,
) -> Option<(ProtocolVersion, Digest)> {
    let spoken =
        ProtocolVersion::new(major, minor, 0)..=ProtocolVersion::new(major, minor, u16::MAX);
    let above = ProtocolVersion::new(major, minor, u16::MAX)
        ..=ProtocolVersion::new(major, u16::MAX, u16::MAX);
    let exact = offer.range(spoken).next_back();
    exact.or_else(|| offer.range(above).next()).map(|(version, digest)| (*version, *digest))
}
