//! The part of a module that was verified so far.

use aura_protocol_core::{Digest, ModuleRef};
use bytes::Bytes;
use sha2::Digest as _;

use super::{ModuleError, tree};

/// What was fetched and verified, kept from one provider to the next and, if its owner stores it,
/// from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialModule {
    digest: Digest,
    size: usize,
    verified: Vec<u8>,
}

impl PartialModule {
    /// Nothing yet.
    #[must_use]
    pub fn new(module: &ModuleRef) -> Self {
        Self { digest: module.digest, size: module.size as usize, verified: Vec::new() }
    }

    /// Takes up bytes that an earlier run stored. They are believed only until the end: when the
    /// whole does not match, these were damaged, since everything fetched since then was verified.
    #[must_use]
    pub fn restore(module: &ModuleRef, mut stored: Vec<u8>) -> Self {
        let size = module.size as usize;
        stored.truncate(size);
        stored.truncate(tree::verified_length(size, stored.len()));
        Self { digest: module.digest, size, verified: stored }
    }

    /// The beginning of the module, for storing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.verified
    }

    /// How much of the module is there.
    #[must_use]
    pub fn verified_bytes(&self) -> u32 {
        // A size has 32 bits, and this is at most the size.
        u32::try_from(self.verified.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.verified.len() == self.size
    }

    pub(super) fn check_belongs_to(&self, module: &ModuleRef) -> Result<(), ModuleError> {
        if self.digest == module.digest && self.size == module.size as usize {
            return Ok(());
        }
        Err(ModuleError::PartialOfAnother { digest: module.digest })
    }

    pub(super) fn append(&mut self, group: &[u8]) {
        self.verified.extend_from_slice(group);
    }

    /// The whole module, hashed once more as a whole. Whatever fails here, the part is given up.
    pub(super) fn take_whole(&mut self, module: &ModuleRef) -> Result<Bytes, ModuleError> {
        let (digest, whole) = (module.digest, std::mem::take(&mut self.verified));
        if whole.len() != self.size || Digest::of(&whole) != digest {
            return Err(ModuleError::PartialDamaged { digest });
        }
        if sha2::Sha256::digest(&whole)[..] != module.sha256.as_bytes()[..] {
            return Err(ModuleError::Sha256Mismatch { digest });
        }
        Ok(whole.into())
    }
}
