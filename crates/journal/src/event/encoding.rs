//! The encoding of events: a tag, then the content.
//!
//! A newer minor version appends kinds. Whoever does not know them yet takes their units in all the same, so
//! what an event says is no part of whether its unit is valid (V1): one that cannot be read is
//! [`Event::Unread`] with the same bytes, and the build that can read it finds it there. The same holds for
//! what nobody can ever read, so that no two builds differ in which units there are.

use std::io::{self, Error, ErrorKind, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::event::Event;

/// The tag of [`Event::Control`].
const CONTROL: u8 = 1;
/// The tag of [`Event::EpochTick`].
const TICK: u8 = 9;

impl BorshSerialize for Event {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        let tag = self.tag();
        match self {
            Self::PublishManifest(it) => (tag, it).serialize(writer),
            Self::Control(it) => (tag, it).serialize(writer),
            Self::ProposeUpgrade(it) => (tag, it).serialize(writer),
            Self::AcknowledgeUpgrade { proposal } => (tag, proposal).serialize(writer),
            Self::SignalReady { proposal, receipt } => (tag, proposal, receipt).serialize(writer),
            Self::DeclineUpgrade { proposal, code, reason } => {
                (tag, proposal, code, reason).serialize(writer)
            }
            Self::OpenSession(it) => (tag, it).serialize(writer),
            Self::SessionMessage(it) => (tag, it).serialize(writer),
            Self::CloseSession(it) => (tag, it).serialize(writer),
            Self::EpochTick { epoch } => (tag, epoch).serialize(writer),
            Self::OpenChild(it) => (tag, it).serialize(writer),
            Self::OpenUntil(it) => (tag, it).serialize(writer),
            Self::Unread(bytes) => writer.write_all(bytes),
        }
    }
}

impl BorshDeserialize for Event {
    /// An event that this build can read. One that it cannot has no end of its own: only whoever has all of
    /// its bytes can take it.
    fn deserialize_reader<R: Read>(from: &mut R) -> io::Result<Self> {
        Ok(match read(from)? {
            0u8 => Self::PublishManifest(read(from)?),
            CONTROL => Self::Control(read(from)?),
            2 => Self::ProposeUpgrade(read(from)?),
            3 => Self::AcknowledgeUpgrade { proposal: read(from)? },
            4 => Self::SignalReady { proposal: read(from)?, receipt: read(from)? },
            5 => {
                let (proposal, code, reason) = read(from)?;
                Self::DeclineUpgrade { proposal, code, reason }
            }
            6 => Self::OpenSession(read(from)?),
            7 => Self::SessionMessage(read(from)?),
            8 => Self::CloseSession(read(from)?),
            TICK => Self::EpochTick { epoch: read(from)? },
            10 => Self::OpenChild(read(from)?),
            11 => Self::OpenUntil(read(from)?),
            tag => {
                return Err(Error::new(ErrorKind::InvalidData, format!("unknown event {tag}")));
            }
        })
    }
}

fn read<T: BorshDeserialize>(from: &mut impl Read) -> io::Result<T> {
    T::deserialize_reader(from)
}

impl Event {
    /// The tag of this kind: a number that no other kind gets, in no version.
    #[must_use]
    pub fn tag(&self) -> u8 {
        match self {
            Self::PublishManifest(_) => 0,
            Self::Control(_) => CONTROL,
            Self::ProposeUpgrade(_) => 2,
            Self::AcknowledgeUpgrade { .. } => 3,
            Self::SignalReady { .. } => 4,
            Self::DeclineUpgrade { .. } => 5,
            Self::OpenSession(_) => 6,
            Self::SessionMessage(_) => 7,
            Self::CloseSession(_) => 8,
            Self::EpochTick { .. } => TICK,
            Self::OpenChild(_) => 10,
            Self::OpenUntil(_) => 11,
            Self::Unread(bytes) => bytes.first().copied().unwrap_or(u8::MAX),
        }
    }
}
