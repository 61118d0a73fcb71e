//! Where the time comes from that votes and proposals go by. The trait is here; its implementations
//! are the host's.

use aura_protocol_core::UnixTime;

/// The clock of a host.
pub trait TimeSource: Send + Sync {
    /// The time by this device's own clock. Never goes back.
    fn unix_time(&self) -> UnixTime;
}
