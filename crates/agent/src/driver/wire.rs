//! What the first frame of a channel says it is for.

use aura_protocol_core::{DecodeError, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

/// Largest first frame, in bytes.
const KIND_BYTES_MAX: usize = 16;

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub(crate) enum ChannelKind {
    /// Units and entries, both ways, as long as the session lasts.
    Sync,
    /// One module.
    Module,
    /// One request to join. The only kind that a stranger may open.
    Join,
}

impl ChannelKind {
    pub(crate) fn to_frame(self) -> Bytes {
        encode(&self).into()
    }

    pub(crate) fn from_frame(frame: &[u8]) -> Result<Self, DecodeError> {
        decode(frame, KIND_BYTES_MAX)
    }
}
