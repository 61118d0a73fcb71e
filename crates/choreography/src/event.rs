//! What a session says and hears: events with a label, in rounds.

use alloc::sync::Arc;
use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::Dev;

/// A message of a session, as its place among the labels of the session's type and then of those
/// that it runs as parts. There are at most [`LABELS_MAX`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Label(pub u16);

/// Most labels of one session, those of its parts included: a set of them is one word.
pub const LABELS_MAX: u16 = 128;

/// A set of labels.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct LabelSet(u128);

impl LabelSet {
    /// One label.
    #[must_use]
    pub const fn one(label: Label) -> Self {
        Self(0).with(label)
    }

    /// This set and `label`.
    #[must_use]
    pub const fn with(self, label: Label) -> Self {
        if label.0 < LABELS_MAX { Self(self.0 | 1 << label.0) } else { self }
    }

    /// Whether `label` is in it.
    #[must_use]
    pub const fn contains(self, label: Label) -> bool {
        label.0 < LABELS_MAX && self.0 >> label.0 & 1 == 1
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl Iterator<Item = Label> {
        (0..LABELS_MAX).map(Label).filter(move |it| self.contains(*it))
    }
}

/// The canonical encoding of a payload, shared by all who hold it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Body(Arc<[u8]>);

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl BorshSerialize for Body {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0[..].serialize(writer)
    }
}

impl BorshDeserialize for Body {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        alloc::vec::Vec::<u8>::deserialize_reader(reader).map(|it| Self(it.into()))
    }
}

/// What a device said. Signed and ordered by whoever carries it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Event {
    /// Who said it.
    pub author: Dev,
    /// As what.
    pub label: Label,
    /// In which round: how often the session went back to an earlier state before.
    pub round: u32,
    /// What it says.
    pub body: Body,
}
