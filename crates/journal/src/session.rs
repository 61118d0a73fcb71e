//! Names of sessions.

use aura_protocol_core::{AccountId, DeviceId, Digest, SessionId};

/// The session that runs as a part of `parent`, as its part of this number, counted
/// from 0.
///
/// Every participant knows it before it begins, and a restart finds it again.
#[must_use]
pub fn child_session_id(parent: SessionId, part: u64) -> SessionId {
    let parts: [&[u8]; 2] = [parent.as_bytes(), &part.to_le_bytes()];
    Digest::tagged("aura child session id v1", &parts).into()
}

/// The session that the unit of `author` at `seq` opens.
///
/// It follows from the place of the opening unit, so that it is known before the unit is written and
/// no two devices can claim the same one.
#[must_use]
pub fn session_id(account: AccountId, author: DeviceId, seq: u64) -> SessionId {
    let parts: [&[u8]; 3] = [account.as_bytes(), author.as_bytes(), &seq.to_le_bytes()];
    Digest::tagged("aura session id v1", &parts).into()
}
