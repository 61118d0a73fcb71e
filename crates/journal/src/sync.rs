//! Anti-entropy: two devices tell each other how far they are, and send what the other lacks.
//!
//! Each sends a [`Hello`]; each answers with the decisions after the other's height, then the units
//! that its frontier does not cover, in causal order, in batches that fit a frame. An exchange that
//! breaks off goes on with the next hello, since a frontier says exactly what has arrived.
//!
//! Invariants:
//! - INV-J12: every message of an answer fits into one frame, and one answer has a bounded size.
//! - INV-J13: hellos and answers, repeated until nothing is missing, make both sides equal, wherever
//!   they are cut off.

use std::collections::BTreeMap;

use aura_protocol_core::{
    AccountId, DecodeError, DeviceId, Digest, decode, encode, limits::FRAME_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::CertifiedEntry;

/// Most bytes of entries and units in one answer. A device that lacks more is told so and asks again;
/// what waits in memory for a slow peer stays bounded.
pub const ANSWER_BYTES_MAX: usize = 16 * FRAME_BYTES_MAX;
/// Bytes of a batch's frame that are not its items: the message's tag and the number of items.
const BATCH_OVERHEAD_BYTES: usize = 1 + 4;
/// Bytes that a unit takes in a batch besides its own: its length.
const UNIT_OVERHEAD_BYTES: usize = 4;

/// How far a device has got with each author: how many units, and the last one's hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Frontier(pub BTreeMap<DeviceId, (u64, Digest)>);

/// How far a device is: with the control chain, and with each author's units.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// Which account.
    pub account: AccountId,
    /// The height of its last entry.
    pub k: u64,
    /// The head of its chain.
    pub head: Digest,
    /// Its units.
    pub frontier: Frontier,
}

/// What synchronising devices send each other.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum SyncMessage {
    /// How far the sender is.
    Hello(Hello),
    /// Decisions, in order.
    Entries(Vec<CertifiedEntry>),
    /// Units as their authors encoded them, in causal order.
    Units(Vec<Vec<u8>>),
    /// The answer was cut at [`ANSWER_BYTES_MAX`]: say hello again to get more.
    More,
}

impl SyncMessage {
    /// The message that a frame canonically encodes.
    ///
    /// # Errors
    /// [`DecodeError`], the sender's fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, FRAME_BYTES_MAX)
    }

    /// The frame.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}
