//! Names of the protocols spoken over sessions.
//!
//! A name carries its major version, so two peers a hard fork apart fail at once with
//! [`NoProtocol`](crate::TransportError::NoProtocol) instead of misreading each other.

/// Ledger synchronisation among the devices of one account: roster keys and invited devices only.
pub const SYNC_V1: &str = "aura/sync/1";
/// Following another account's chain: anyone may read its public entries and modules.
pub const FOLLOW_V1: &str = "aura/follow/1";
/// Messages of running protocol sessions, admitted by presence tickets bound to the session.
pub const SESSION_V1: &str = "aura/session/1";

/// Longest protocol name, in bytes: the length of a name on the wire is one byte.
pub const PROTOCOL_BYTES_MAX: usize = 255;
