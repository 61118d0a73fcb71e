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

use aura_protocol_core::{
    AccountId, DecodeError, Digest, decode, encode,
    limits::{DEVICES_MAX, FRAME_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize, object_length};

pub use crate::frontier::{Branches, Frontier};
use crate::{
    Ledger, UnitScheme,
    control::{CertifiedEntry, ENTRY_BYTES_MAX},
    unit::UNIT_BYTES_MAX,
};

/// Most bytes of entries and units in one answer. A device that lacks more is told so and asks again;
/// what waits in memory for a slow peer stays bounded.
pub const ANSWER_BYTES_MAX: usize = 16 * FRAME_BYTES_MAX;
/// Bytes of a batch's frame that are not its items: the message's tag and the number of items.
const BATCH_OVERHEAD_BYTES: usize = 1 + 4;
/// Bytes that a unit takes in a batch besides its own: its length.
const UNIT_OVERHEAD_BYTES: usize = 4;

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
    /// Whether it is part of an answer: it shows where chains part, and is answered with what its sender
    /// lacks alone.
    pub is_answer: bool,
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

/// How far `ledger` is.
#[must_use]
pub fn hello<S: UnitScheme>(ledger: &Ledger<S>) -> Hello {
    let chain = ledger.chain();
    let frontier = ledger.frontier();
    Hello {
        account: chain.account(),
        k: chain.height(),
        head: chain.head(),
        frontier,
        is_answer: false,
    }
}

/// What a device that said `hello` lacks of `ledger`, in the order in which to send it: decisions
/// first, since units need the configurations among them. Nothing for another account.
#[must_use]
pub fn answer<S: UnitScheme>(ledger: &Ledger<S>, hello: &Hello) -> Vec<SyncMessage> {
    let chain = ledger.chain();
    if hello.account != chain.account() {
        return Vec::new();
    }
    // Where the chains differ the other must see with what: it takes what it has for a duplicate, and
    // finds the conflict itself.
    let agreed = chain.head_at(hello.k).is_none_or(|head| head == hello.head);
    let known = if agreed { hello.k.saturating_add(1) } else { 0 };
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    let mut answer = Answer { messages: Vec::new(), left_bytes: ANSWER_BYTES_MAX };
    let entries = chain.entries().iter().skip(known).map(|it| (entry_bytes(it), it.clone()));
    let units = ledger.missing_for(&hello.frontier);
    let units = units.map(|it| (UNIT_OVERHEAD_BYTES + it.len(), it.to_vec()));
    let whole =
        answer.fill(entries, SyncMessage::Entries) && answer.fill(units, SyncMessage::Units);
    let mut messages = answer.messages;
    let lost = if hello.is_answer { None } else { ledger.frontier_for_lost(&hello.frontier) };
    if let Some(frontier) = lost {
        let hello = Hello { frontier, is_answer: true, ..self::hello(ledger) };
        messages.push(SyncMessage::Hello(hello));
    }
    if !whole {
        messages.push(SyncMessage::More);
    }
    messages
}

fn entry_bytes(entry: &CertifiedEntry) -> usize {
    // Counting the bytes of a value in memory does not fail; if it did, the entry would not fit.
    object_length(entry).unwrap_or(usize::MAX)
}

/// An answer in the making.
struct Answer {
    messages: Vec<SyncMessage>,
    left_bytes: usize,
}

impl Answer {
    /// Adds items with their sizes in batches, until the answer is full. Whether all had room.
    fn fill<T>(
        &mut self,
        items: impl Iterator<Item = (usize, T)>,
        message: fn(Vec<T>) -> SyncMessage,
    ) -> bool {
        let (mut batch, mut batch_bytes) = (Vec::new(), BATCH_OVERHEAD_BYTES);
        let mut whole = true;
        for (bytes, item) in items {
            if self.left_bytes < bytes {
                whole = false;
                break;
            }
            self.left_bytes -= bytes;
            if FRAME_BYTES_MAX < batch_bytes + bytes && !batch.is_empty() {
                self.messages.push(message(std::mem::take(&mut batch)));
                batch_bytes = BATCH_OVERHEAD_BYTES;
            }
            batch_bytes += bytes;
            batch.push(item);
        }
        if !batch.is_empty() {
            self.messages.push(message(batch));
        }
        whole
    }
}

// Every item fits into a frame of its own: a unit, and an entry with the votes of a full roster (a
// slot is below 128 bytes, a vote is a key and a signature).
const _: () =
    assert!(BATCH_OVERHEAD_BYTES + UNIT_OVERHEAD_BYTES + UNIT_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX + 128 + DEVICES_MAX * (32 + 64) < FRAME_BYTES_MAX);
