//! The messages of a transfer. Append-only: an old request must always be understood.

use aura_protocol_core::Digest;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

use super::ModuleError;
use crate::Channel;

/// Largest frame of module data. Small, so that at most this much is wasted on a lie and other
/// channels of the session get their turn.
pub const DATA_FRAME_BYTES_MAX: usize = 64 << 10;

/// What a receiver asks of a provider: the first frame of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum ModuleRequest {
    /// The module's bytes from a group boundary on.
    FetchV1 {
        /// Which module.
        digest: Digest,
        /// Where to begin: a multiple of 16 KiB. What is before it was verified earlier.
        from_byte: u32,
    },
    // +- The next request goes here.
}

/// The provider's answer, before any data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum ModuleAnswer {
    /// Ask somebody else.
    NotOffered,
    /// Data follows. The size is a courtesy: it saves the transfer when both disagree.
    OfferedV1 { size: u32 },
    /// The request begins where no group does, or after the end.
    BadOffset,
    // +- The next answer goes here.
}

impl ModuleRequest {
    /// Reads the request that begins a transfer.
    pub async fn read(channel: &mut dyn Channel) -> Result<Self, ModuleError> {
        match channel.recv().await? {
            Some(frame) => Self::decode(&frame),
            None => Err(ModuleError::Malformed { reason: "channel ended before a request" }),
        }
    }

    /// Decodes a request that was read already.
    pub fn decode(frame: &[u8]) -> Result<Self, ModuleError> {
        borsh::from_slice(frame)
            .map_err(|_| ModuleError::Malformed { reason: "this is no request for a module" })
    }

    pub(super) fn encode(self) -> Bytes {
        encode(&self)
    }
}

impl ModuleAnswer {
    pub(super) fn decode(frame: &[u8]) -> Result<Self, ModuleError> {
        borsh::from_slice(frame)
            .map_err(|_| ModuleError::Malformed { reason: "this is no answer about a module" })
    }

    pub(super) fn encode(self) -> Bytes {
        encode(&self)
    }
}

fn encode(message: &impl BorshSerialize) -> Bytes {
    let mut bytes = Vec::new();
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every write, and these types have no limit"
    )]
    message.serialize(&mut bytes).expect("writing to memory succeeds");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of version 1, for ever.
    #[test]
    fn the_wire_stays() {
        let digest = Digest::from_bytes([7; 32]);
        let request = ModuleRequest::FetchV1 { digest, from_byte: 0x0001_4000 };
        let bytes = [&[0][..], &[7; 32], &[0x00, 0x40, 0x01, 0x00]].concat();
        assert_eq!(request.encode(), bytes);
        assert_eq!(ModuleRequest::decode(&bytes), Ok(request));
        assert_eq!(ModuleAnswer::NotOffered.encode(), &[0][..]);
        assert_eq!(ModuleAnswer::OfferedV1 { size: 5 }.encode(), &[1, 5, 0, 0, 0][..]);
        assert_eq!(ModuleAnswer::BadOffset.encode(), &[2][..]);
        for bad in [&b""[..], b"\0", b"\x09", &[&bytes[..], b"x"].concat()] {
            assert!(ModuleRequest::decode(bad).is_err(), "{bad:?}");
        }
    }
}
