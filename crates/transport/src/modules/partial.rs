//! The part of a module that is here so far.

use std::{fmt, io, path::Path};

use aura_protocol_core::{Digest, ModuleRef};
use bytes::Bytes;
use sha2::Digest as _;

use super::{ModuleError, part_file::PartFile, tree};

/// What was fetched of a module, kept from one provider to the next and, in a file, from one run to
/// the next.
///
/// Bytes of devices were verified as they came. Bytes of a location, and those of an earlier run, are
/// believed only until the end.
pub struct PartialModule {
    digest: Digest,
    size: usize,
    bytes: Vec<u8>,
    /// How many of the first bytes verified against the digest.
    verified: usize,
    file: Option<PartFile>,
}

impl PartialModule {
    /// Nothing yet, and kept in memory alone.
    #[must_use]
    pub fn new(module: &ModuleRef) -> Self {
        Self::with(module, Vec::new(), None)
    }

    /// Takes up bytes that an earlier run stored.
    #[must_use]
    pub fn restore(module: &ModuleRef, stored: Vec<u8>) -> Self {
        Self::with(module, stored, None)
    }

    /// Takes up what the file at `path` holds, and from now on keeps in it whatever arrives.
    ///
    /// # Errors
    /// When the file cannot be opened or read. One that cannot be written later is given up, and the
    /// module goes on in memory.
    pub fn open(module: &ModuleRef, path: &Path) -> io::Result<Self> {
        let (file, stored) = PartFile::open(path, module.size.into())?;
        Ok(Self::with(module, stored, Some(file)))
    }

    fn with(module: &ModuleRef, mut bytes: Vec<u8>, file: Option<PartFile>) -> Self {
        let size = module.size as usize;
        bytes.truncate(size);
        let mut partial = Self { digest: module.digest, size, bytes, verified: 0, file };
        partial.align();
        partial
    }

    /// The beginning of the module, as far as it is here.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much of the module is here.
    #[must_use]
    pub fn held_bytes(&self) -> u32 {
        // A size has 32 bits, and this is at most the size.
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.bytes.len() == self.size
    }

    /// Whether every byte that is here verified.
    pub(super) fn is_verified(&self) -> bool {
        self.verified == self.bytes.len()
    }

    /// Forgets what did not verify, in the file too.
    pub fn restart(&mut self) {
        self.keep(self.verified);
    }

    /// Removes the file: the module is somewhere else now, or nobody wants it.
    pub fn remove_file(&mut self) {
        if let Some(file) = self.file.take() {
            file.remove();
        }
    }

    pub(super) fn check_belongs_to(&self, module: &ModuleRef) -> Result<(), ModuleError> {
        if self.digest == module.digest && self.size == module.size as usize {
            return Ok(());
        }
        Err(ModuleError::PartialOfAnother { digest: module.digest })
    }

    /// Drops a group that is not whole: peers give whole ones.
    pub(super) fn align(&mut self) {
        self.keep(tree::verified_length(self.size, self.bytes.len()));
    }

    pub(super) fn append_verified(&mut self, group: &[u8]) {
        let whole = self.is_verified();
        self.append(group);
        if whole {
            self.verified = self.bytes.len();
        }
    }

    /// Whoever calls this sees to it that no more than the size comes together.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.in_file(|file| file.append(bytes));
    }

    fn keep(&mut self, length: usize) {
        if length < self.bytes.len() {
            self.bytes.truncate(length);
            self.in_file(|file| file.truncate(length));
        }
    }

    fn in_file(&mut self, act: impl FnOnce(&mut PartFile) -> io::Result<()>) {
        if let Some(file) = &mut self.file
            && let Err(error) = act(file)
        {
            tracing::warn!("the part of module {} is kept in memory alone: {error}", self.digest);
            self.remove_file();
        }
    }

    /// The whole module, hashed once more as a whole. If that fails, what did not verify is given up.
    pub(super) fn take_whole(&mut self, module: &ModuleRef) -> Result<Bytes, ModuleError> {
        let digest = module.digest;
        if self.bytes.len() != self.size || Digest::of(&self.bytes) != digest {
            self.restart();
            return Err(ModuleError::PartialDamaged { digest });
        }
        if sha2::Sha256::digest(&self.bytes)[..] != module.sha256.as_bytes()[..] {
            self.verified = 0;
            self.restart();
            return Err(ModuleError::Sha256Mismatch { digest });
        }
        Ok(self.bytes.clone().into())
    }
}

impl fmt::Debug for PartialModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes of module {}", self.bytes.len(), self.size, self.digest)
    }
}
