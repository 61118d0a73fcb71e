//! Releases that travel inside units and entries, with their proofs verified once.
//!
//! A proof costs a signature check for each vote in it; the fold may pass a unit many times, so what
//! a proof shows is kept here.

use std::collections::BTreeMap;

use aura_protocol_core::{AccountId, AppId, DeviceId, Digest};

use crate::{
    control::{CertifiedEntry, ChainProof, EntryBody, Release},
    event::ProposeUpgrade,
    fold::state::AccountState,
};

/// A release as its repository's chain proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvedRelease {
    pub(crate) release: Release,
    /// The head of the repository's chain after it.
    pub(crate) head: Digest,
}

/// What has been proved by the units and entries held here.
#[derive(Debug, Default)]
pub(crate) struct Proved {
    proposals: BTreeMap<Digest, ProvedRelease>,
    installs: BTreeMap<u64, ProvedRelease>,
}

impl Proved {
    /// Looks at a proposal that was accepted.
    pub(crate) fn unit(&mut self, hash: Digest, author: DeviceId, proposal: &ProposeUpgrade) {
        match prove_proposal(proposal) {
            Some(proved) => {
                self.proposals.insert(hash, proved);
            }
            None => tracing::warn!(
                unit = %hash, %author, "proposal ignored: it proves no release"
            ),
        }
    }

    /// Takes what was proved below a snapshot.
    pub(crate) fn below(&mut self, state: &AccountState) {
        for (unit, it) in &state.proposals {
            let proved = ProvedRelease { release: it.release.clone(), head: it.repository_head };
            self.proposals.insert(*unit, proved);
        }
    }

    /// Looks at an entry that was accepted.
    pub(crate) fn entry(&mut self, entry: &CertifiedEntry) {
        let EntryBody::Install(install) = &entry.value.body else { return };
        match prove(&install.release, install.app) {
            Some((repository, proved)) if repository == install.repository => {
                self.installs.insert(entry.slot.k, proved);
            }
            _ => tracing::warn!(
                k = entry.slot.k, app = %install.app, "installation ignored: it proves no release"
            ),
        }
    }

    /// What the proposal of this unit proves.
    pub(crate) fn proposal(&self, unit: &Digest) -> Option<&ProvedRelease> {
        self.proposals.get(unit)
    }

    /// What the installation at this height proves.
    pub(crate) fn install(&self, k: u64) -> Option<&ProvedRelease> {
        self.installs.get(&k)
    }
}

fn prove_proposal(proposal: &ProposeUpgrade) -> Option<ProvedRelease> {
    let (_, proved) = prove(&proposal.release, proposal.app)?;
    (proved.release.module.digest == proposal.digest).then_some(proved)
}

/// The release of `app` that a proof ends in, and the account whose chain it is.
fn prove(proof: &ChainProof, app: AppId) -> Option<(AccountId, ProvedRelease)> {
    let proved = proof.verify().ok()?;
    let EntryBody::Release(release) = proved.entry.body else { return None };
    // The same name from another repository is another app.
    let same = AppId::derive(proved.account, &release.protocol) == app;
    same.then(|| (proved.account, ProvedRelease { release: *release, head: proved.head }))
}
