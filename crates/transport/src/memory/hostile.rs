//! A peer that breaks the rules of framing. Everything below framing stays honest, as in a QUIC
//! stack that nobody tampered with.

use bytes::Bytes;

use super::{channel::MemoryChannel, session::MemorySession};
use crate::{Channel, Result, Session};

/// A session whose owner writes what it likes.
pub struct HostileSession(MemorySession);

impl HostileSession {
    pub(super) fn new(session: MemorySession) -> Self {
        Self(session)
    }

    /// The session itself, for what is done by the rules.
    #[must_use]
    pub fn session(&self) -> &dyn Session {
        &self.0
    }

    /// Opens a channel without framing.
    pub async fn open(&self) -> Result<HostileChannel> {
        Ok(HostileChannel(self.0.open_channel().await?))
    }
}

/// A channel that carries any bytes.
pub struct HostileChannel(MemoryChannel);

impl HostileChannel {
    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: Bytes) -> Result<()> {
        self.0.send_bytes([Bytes::new(), bytes]).await
    }

    /// The channel itself, for what is done by the rules.
    pub fn channel(&mut self) -> &mut dyn Channel {
        &mut self.0
    }
}
