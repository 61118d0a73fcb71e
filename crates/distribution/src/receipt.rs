//! Receipts: how devices show each other that they rehearsed (`05-upgrades`, section 7).
//!
//! A receipt stops copying: whoever signs one has the migrated bytes and ran the new module. It does
//! not stop a liar who computes elsewhere.

use std::collections::BTreeMap;

use aura_journal::event::Receipt;
use aura_protocol_core::{DeviceId, Digest};

/// What a device learned by rehearsing a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// The root over the app's records in the prestate.
    pub pre_root: Digest,
    /// The root after the migration.
    pub post_root: Digest,
    /// The personal part that each device's receipt must have.
    pub personal: BTreeMap<DeviceId, Digest>,
}

impl Rehearsal {
    /// The receipt that `device` is to sign.
    #[must_use]
    pub fn receipt(&self, device: DeviceId) -> Option<Receipt> {
        let personal = *self.personal.get(&device)?;
        Some(Receipt { post_root: self.post_root, personal })
    }

    /// Whether `receipt` is what `device` must have computed (INV-D3).
    #[must_use]
    pub fn confirms(&self, device: DeviceId, receipt: &Receipt) -> bool {
        self.receipt(device).is_some_and(|ours| ours == *receipt)
    }
}

/// The seed of the trace that `signer` runs through the new module for `proposal`.
#[must_use]
pub fn challenge(proposal: Digest, signer: DeviceId) -> Digest {
    Digest::tagged("aura rehearsal challenge v1", &[proposal.as_bytes(), signer.as_bytes()])
}

/// H(proposal ‖ signer ‖ all migrated bytes ‖ trace).
#[must_use]
pub fn personal(proposal: Digest, signer: DeviceId, migrated: Digest, trace: Digest) -> Digest {
    Digest::tagged(
        "aura rehearsal receipt v1",
        &[proposal.as_bytes(), signer.as_bytes(), migrated.as_bytes(), trace.as_bytes()],
    )
}
