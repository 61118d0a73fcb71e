//! Anti-entropy: two devices tell each other how far they are, and send what the other lacks.
//!
//! Each sends a [`Hello`]; each answers with the decisions after the other's height, then the units
//! that its frontier does not cover, in causal order, in batches that fit a frame. An exchange that
//! breaks off goes on with the next hello, since a frontier says exactly what has arrived.
//!
//! Invariants:
//! - INV-J12: every message of an answer fits into one frame, and one answer has a bounded size.
//! - INV-J18: what a peer withholds, sends in another order, makes up or promises costs a bounded amount,
//!   and nothing of it keeps away what others send; a peer whose answers bring nothing is not asked again
//!   at once.
//! - INV-J13: hellos and answers, repeated until nothing is missing, make both sides equal, wherever
//!   they are cut off.

use aura_protocol_core::{
    AccountId, DecodeError, Digest, decode,
    limits::{DEVICES_MAX, FRAME_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize, object_length};

pub use crate::frontier::{Branches, Frontier};
use crate::{
    Ledger, UnitScheme,
    control::{CertifiedEntry, ENTRY_BYTES_MAX, Slot},
    unit::UNIT_BYTES_MAX,
};

/// Most bytes of entries and units in one answer. A device that lacks more is told so and asks again;
/// what waits in memory for a slow peer stays bounded.
pub const ANSWER_BYTES_MAX: usize = 16 * FRAME_BYTES_MAX;
/// Bytes of a batch's frame that are not its items: the message's tag and the number of items.
const BATCH_OVERHEAD_BYTES: usize = 1 + 4;
/// Bytes that a unit takes in a batch besides its own: its length.
const UNIT_OVERHEAD_BYTES: usize = 4;
/// Bytes of a base in one message.
const PART_BYTES: usize = FRAME_BYTES_MAX / 2;

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
    /// A part of what stands for units that the sender no longer has.
    Base(BasePart),
    /// Asks for the part of a base that begins at a place.
    WantBase {
        /// The height of its snapshot.
        k: u64,
        /// The place, in bytes.
        from: u64,
    },
}

/// A part of an encoded [`Base`](crate::snapshot::Base).
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BasePart {
    /// The height of its snapshot.
    pub k: u64,
    /// Where the part begins, in bytes.
    pub from: u64,
    /// The part.
    pub bytes: Vec<u8>,
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
        let length = object_length(self).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length);
        match self.serialize(&mut bytes) {
            Ok(()) => bytes,
            Err(_) => unreachable!("writing to a Vec does not fail"),
        }
    }
}

/// The tag of [`SyncMessage::Entries`].
const ENTRIES: u8 = 1;

/// What can be read of a message with decisions of which one cannot be read here: most likely a newer version
/// can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadEntries {
    /// Those before it.
    pub before: Vec<CertifiedEntry>,
    /// The slot of the first that cannot be read.
    pub slot: Slot,
}

impl UnreadEntries {
    /// Of a frame that is no [`SyncMessage`]; none where it is no message with decisions either.
    #[must_use]
    pub fn from_bytes(frame: &[u8]) -> Option<Self> {
        let (tag, mut rest) = frame.split_first().filter(|_| frame.len() <= FRAME_BYTES_MAX)?;
        let count = u32::deserialize(&mut rest).ok().filter(|_| *tag == ENTRIES)?;
        let mut before = Vec::new();
        for _ in 0..count {
            let mut next = rest;
            let Ok(entry) = CertifiedEntry::deserialize(&mut next) else {
                let slot = Slot::deserialize(&mut rest).ok()?;
                return Some(Self { before, slot });
            };
            before.push(entry);
            rest = next;
        }
        None
    }
}

/// Whether a peer that says [`SyncMessage::More`] is asked again at once.
///
/// An answer that was cut has brought something, so asking again ends where the peer is honest. One that
/// brought nothing is asked again no sooner than at any other time, so a peer that says so for ever costs
/// no more than one that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pull {
    had: Option<(u64, usize)>,
}

impl Pull {
    /// Takes note that there is said to be more. Whether anything came since that was said last.
    pub fn more<S: UnitScheme>(&mut self, ledger: &Ledger<S>) -> bool {
        let has = Some((ledger.chain().height(), ledger.len()));
        std::mem::replace(&mut self.had, has) != has
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
    let mut whole = answer.fill(entries, SyncMessage::Entries);
    if whole && let Some((k, _)) = ledger.base().filter(|_| ledger.needs_base(&hello.frontier)) {
        // What is here rests on the base: it comes with the next hello.
        answer.messages.extend(base_part(ledger, k, 0));
    } else if whole {
        let units = ledger.missing_for(&hello.frontier);
        let units = units.map(|it| (UNIT_OVERHEAD_BYTES + it.len(), it.to_vec()));
        whole = answer.fill(units, SyncMessage::Units);
    }
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

/// What a device lacks that knows of no generation above this one: the chain from where the next begins.
#[must_use]
pub fn entries_above<S: UnitScheme>(ledger: &Ledger<S>, generation: u64) -> Vec<SyncMessage> {
    let entries = ledger.chain().entries().iter();
    let above = entries.skip_while(|it| it.slot.generation <= generation);
    let mut answer = Answer { messages: Vec::new(), left_bytes: ANSWER_BYTES_MAX };
    let whole = answer.fill(above.map(|it| (entry_bytes(it), it.clone())), SyncMessage::Entries);
    if !whole {
        answer.messages.push(SyncMessage::More);
    }
    answer.messages
}

fn entry_bytes(entry: &CertifiedEntry) -> usize {
    // Counting the bytes of a value in memory does not fail; if it did, the entry would not fit.
    object_length(entry).unwrap_or(usize::MAX)
}

/// The part of this ledger's base that begins at a place; none where it stands on another one, or there
/// is nothing more.
#[must_use]
pub fn base_part<S: UnitScheme>(ledger: &Ledger<S>, k: u64, from: u64) -> Option<SyncMessage> {
    let (_, base) = ledger.base().filter(|(at, _)| *at == k)?;
    let rest = base.get(usize::try_from(from).ok()?..)?;
    let bytes = rest.get(..rest.len().min(PART_BYTES))?.to_vec();
    (!bytes.is_empty()).then_some(SyncMessage::Base(BasePart { k, from, bytes }))
}

/// A base that arrives in parts. It is as long as the certified entry says, and no longer.
#[derive(Debug, Default)]
pub struct BaseInbox {
    k: u64,
    bytes: Vec<u8>,
}

/// What became of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gathered {
    /// Ask for the next one.
    Want(SyncMessage),
    /// The base is here: [`Ledger::adopt`] takes it.
    Whole(Vec<u8>),
    /// It is not needed, or not the next one.
    Ignored,
}

impl BaseInbox {
    /// Takes a part, if it is the next one of the base that `ledger` needs.
    pub fn take<S: UnitScheme>(&mut self, ledger: &Ledger<S>, part: BasePart) -> Gathered {
        let k = part.k;
        let Some(length) = ledger.needed_base(k) else { return Gathered::Ignored };
        if self.k != k {
            *self = Self { k, bytes: Vec::new() };
        }
        let room = length.saturating_sub(self.bytes.len() as u64);
        if part.from != self.bytes.len() as u64 || room < part.bytes.len() as u64 {
            return Gathered::Ignored;
        }
        self.bytes.extend(part.bytes);
        if self.bytes.len() as u64 == length {
            return Gathered::Whole(std::mem::take(self).bytes);
        }
        Gathered::Want(SyncMessage::WantBase { k, from: self.bytes.len() as u64 })
    }
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
