//! Where a module's bytes come from, and what they must hash to.

use alloc::{string::String, vec::Vec};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Digest,
    limits::{MODULE_BYTES_MAX, MODULE_URLS_MAX, URL_BYTES_MAX},
};

/// A reference to a module that travels in signed data. Its size bounds what a fetch may download.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ModuleRef {
    /// BLAKE3-256 of the original bytes: the module's identity, and the root of verified streaming.
    pub digest: Digest,
    /// SHA-256 of the same bytes, for tools that know no BLAKE3.
    pub sha256: Digest,
    /// Length in bytes.
    pub size: u32,
    /// http(s) or file locations, in the order in which to try them.
    pub urls: Vec<String>,
    /// Whether devices may fetch it from each other.
    pub peers_ok: bool,
}

impl ModuleRef {
    /// Whether size and locations keep to the limits.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        (1..=MODULE_BYTES_MAX).contains(&(self.size as usize))
            && self.urls.len() <= MODULE_URLS_MAX
            && self.urls.iter().all(|url| url.len() <= URL_BYTES_MAX)
    }
}
