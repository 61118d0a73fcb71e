//! The secret with which a device proves its [`PeerId`](crate::PeerId).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// An Ed25519 transport secret key. Its public half is in the device's roster entry; it signs
/// handshakes and nothing else. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TransportKey([u8; 32]);

impl TransportKey {
    /// The key with this seed.
    #[must_use]
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The seed, for whoever performs handshakes with it.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportKey(<redacted>)")
    }
}
