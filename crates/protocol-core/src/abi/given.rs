//! What a host gives a module, read in little code.
//!
//! It reads what borsh's readers read, and refuses what they refuse (INV-B2). Those make a text of every
//! way in which bytes can be wrong, which no host ever sees: half of a small guest was that
//! (docs/decisions/0116).

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use super::Lens;
use crate::{
    Capability, DeviceId, Epoch, Outcome, ProtocolCapabilities, ProtocolInput, ProtocolVersion,
    RecordKey, RecordWrite, SchemaId, SessionId, SessionStart, lifecycle::EffectReply,
    migration::RecordBody,
};

/// The state, the rights and the input of an [`Op::Step`](super::Op::Step), behind its index.
#[must_use]
pub fn step(bytes: &[u8]) -> Option<(Vec<u8>, ProtocolCapabilities, ProtocolInput)> {
    all(bytes, |given| Some((Read::read(given)?, Read::read(given)?, Read::read(given)?)))
}

/// The lens and its context of an [`Op::Migrate`](super::Op::Migrate), behind its index.
#[must_use]
pub fn migrate(bytes: &[u8]) -> Option<(Lens, Vec<u8>)> {
    all(bytes, |given| Some((Read::read(given)?, Read::read(given)?)))
}

/// The value that all of `bytes` encode.
fn all<T>(bytes: &[u8], read: impl FnOnce(&mut Given<'_>) -> Option<T>) -> Option<T> {
    let mut given = Given(bytes);
    let value = read(&mut given)?;
    given.0.is_empty().then_some(value)
}

/// Bytes that are still to be read.
struct Given<'a>(&'a [u8]);

/// A value that a host gives.
trait Read: Sized {
    /// The value that comes next; none if the bytes are no encoding of it.
    fn read(given: &mut Given<'_>) -> Option<Self>;
}

impl<'a> Given<'a> {
    #[inline(never)]
    fn next(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.next(N)?.try_into().ok()
    }

    /// What says which of several is meant.
    fn tag(&mut self) -> Option<u8> {
        self.array().map(|[tag]| tag)
    }

    fn count(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Bytes behind their length.
    #[inline(never)]
    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.count()?;
        self.next(usize::try_from(len).ok()?).map(<[u8]>::to_vec)
    }

    fn list<T: Read>(&mut self) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.count()? {
            list.push(T::read(self)?);
        }
        Some(list)
    }

    /// Members that ascend.
    fn set<T: Read + Ord>(&mut self) -> Option<BTreeSet<T>> {
        let mut set = BTreeSet::new();
        for _ in 0..self.count()? {
            let member = T::read(self)?;
            if set.last().is_some_and(|last| member <= *last) {
                return None;
            }
            set.insert(member);
        }
        Some(set)
    }
}

impl Read for Vec<u8> {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        given.bytes()
    }
}

impl Read for String {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Self::from_utf8(given.bytes()?).ok()
    }
}

impl<T: Read> Read for Option<T> {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        match given.tag()? {
            0 => Some(None),
            1 => T::read(given).map(Some),
            _ => None,
        }
    }
}

impl<A: Read, B: Read> Read for (A, B) {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some((A::read(given)?, B::read(given)?))
    }
}

macro_rules! read_identifiers {
    ($($name:ident),*) => {
        $(impl Read for $name {
            fn read(given: &mut Given<'_>) -> Option<Self> {
                given.array().map(Self::from_bytes)
            }
        })*
    };
}

read_identifiers!(DeviceId, SchemaId, SessionId);

impl Read for RecordKey {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        given.bytes().map(Self)
    }
}

impl Read for ProtocolVersion {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        let mut part = || given.array().map(u16::from_le_bytes);
        Some(Self { major: part()?, minor: part()?, patch: part()? })
    }
}

impl Read for ProtocolCapabilities {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        let mut granted = Self::default();
        let mut least = 0;
        for _ in 0..given.count()? {
            let tag = given.tag()?;
            if tag < least {
                return None;
            }
            granted.grant(*Capability::ALL.get(usize::from(tag))?);
            least = tag + 1;
        }
        Some(granted)
    }
}

impl Read for SessionStart {
    #[inline(never)]
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(Self {
            session: Read::read(given)?,
            me: Read::read(given)?,
            opener: Read::read(given)?,
            participants: given.set()?,
            spoken: Read::read(given)?,
            params: given.bytes()?,
        })
    }
}

impl Read for ProtocolInput {
    #[inline(never)]
    fn read(given: &mut Given<'_>) -> Option<Self> {
        let number = |given: &mut Given<'_>| given.array().map(u64::from_le_bytes);
        Some(match given.tag()? {
            0 => Self::Start(Read::read(given)?),
            1 => Self::Event {
                author: Read::read(given)?,
                label: Read::read(given)?,
                payload: given.bytes()?,
            },
            2 => Self::Clock(Epoch(number(given)?)),
            3 => Self::Reply { effect: number(given)?, result: Read::read(given)? },
            4 => Self::Signal(given.bytes()?),
            _ => return None,
        })
    }
}

impl Read for EffectReply {
    #[inline(never)]
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(match given.tag()? {
            0 => Self::Record(Read::read(given)?),
            1 => Self::Records(given.list()?),
            2 => Self::Used(given.bytes()?),
            3 => Self::SubProtocol(Read::read(given)?),
            4 => Self::Denied(Read::read(given)?),
            _ => return None,
        })
    }
}

impl Read for Outcome {
    #[inline(never)]
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(match given.tag()? {
            0 => Self::Completed { result: given.bytes()?, batch: given.list()? },
            1 => Self::Aborted { reason: Read::read(given)? },
            2 => Self::Left { reason: Read::read(given)? },
            _ => return None,
        })
    }
}

impl Read for RecordWrite {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(Self { key: Read::read(given)?, bytes: Read::read(given)? })
    }
}

impl Read for RecordBody {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(Self { schema: Read::read(given)?, key: Read::read(given)?, bytes: given.bytes()? })
    }
}

impl Read for Lens {
    fn read(given: &mut Given<'_>) -> Option<Self> {
        Some(match given.tag()? {
            0 => Self::Forward { record: Read::read(given)? },
            1 => Self::Backward {
                origin: Read::read(given)?,
                original: Read::read(given)?,
                current: given.list()?,
            },
            _ => return None,
        })
    }
}
