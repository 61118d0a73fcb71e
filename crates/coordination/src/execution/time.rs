//! Where a session's time comes from. The trait is here; its implementations are the host's.

use aura_protocol_core::UnixTime;

/// The clocks of a host: tokio and the system's in production.
pub trait TimeSource: Send + Sync {
    /// The time by this device's own clock. Never goes back.
    fn unix_time(&self) -> UnixTime;
}
