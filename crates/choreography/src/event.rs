//! What a session says and hears: events with a label, in rounds.

use alloc::{sync::Arc, vec::Vec};
use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    slice,
};

use aura_protocol_core::encode;
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

/// Bytes of a body that is kept in place; longer ones are shared.
const SHORT_BYTES_MAX: usize = 22;

/// How much of a long body is read at once.
const PIECE_BYTES: usize = 4096;

/// The canonical encoding of a payload, cheap to copy.
#[derive(Clone)]
pub struct Body(Bytes);

#[derive(Clone)]
enum Bytes {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Arc<[u8]>),
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT_BYTES_MAX];
        Self(match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Bytes::Short { len: bytes.len() as u8, bytes: short }
            }
            None => Bytes::Long(Arc::from(bytes)),
        })
    }

    /// The canonical encoding of a payload.
    pub(crate) fn of<T: BorshSerialize + ?Sized>(value: &T) -> Self {
        if cfg!(target_family = "wasm") {
            // A second writer is code, and in a guest size counts.
            return Self::new(&encode(value));
        }
        let mut place = Place { len: 0, bytes: [0; SHORT_BYTES_MAX] };
        match value.serialize(&mut place) {
            Ok(()) => Self(Bytes::Short { len: place.len, bytes: place.bytes }),
            Err(_) => Self::new(&encode(value)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            // It never has more; but a slice that is too long is none.
            Bytes::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

/// Room for what is short, until it turns out to be longer.
struct Place {
    len: u8,
    bytes: [u8; SHORT_BYTES_MAX],
}

impl io::Write for Place {
    #[inline]
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.write_all(more).map(|()| more.len())
    }

    #[inline]
    fn write_all(&mut self, more: &[u8]) -> io::Result<()> {
        let begin = usize::from(self.len);
        let room = self.bytes.get_mut(begin..begin + more.len());
        // Of all errors the one that needs no text.
        room.ok_or(io::ErrorKind::WriteZero)?.copy_from_slice(more);
        self.len += more.len() as u8;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Body {}

impl PartialOrd for Body {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Body {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for Body {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bytes().hash(hasher);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl BorshSerialize for Body {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.bytes().serialize(writer)
    }
}

impl BorshDeserialize for Body {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let len = u32::deserialize_reader(reader)?;
        let mut short = [0; SHORT_BYTES_MAX];
        match short.get_mut(..len as usize) {
            Some(place) => {
                reader.read_exact(place)?;
                Ok(Self(Bytes::Short { len: len as u8, bytes: short }))
            }
            None => {
                // Piece by piece: a length that is not true takes no memory.
                let (mut bytes, len) = (Vec::new(), len as usize);
                while bytes.len() < len {
                    let begin = bytes.len();
                    bytes.resize(len.min(begin + PIECE_BYTES), 0);
                    reader.read_exact(bytes.get_mut(begin..).unwrap_or_default())?;
                }
                Ok(Self(Bytes::Long(bytes.into())))
            }
        }
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

/// Events that answer a wait, cheap to copy: the log and the script both have them.
#[derive(Clone)]
pub struct Events(Answer);

#[derive(Clone)]
enum Answer {
    /// What most waits are for.
    One(Event),
    Many(Arc<[Event]>),
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        match &self.0 {
            Answer::One(event) => slice::from_ref(event),
            Answer::Many(events) => events,
        }
    }
}

impl Events {
    /// The first of them.
    pub(crate) fn into_first(self) -> Option<Event> {
        match self.0 {
            Answer::One(event) => Some(event),
            Answer::Many(events) => events.first().cloned(),
        }
    }
}

impl From<Event> for Events {
    fn from(event: Event) -> Self {
        Self(Answer::One(event))
    }
}

impl From<Vec<Event>> for Events {
    fn from(mut events: Vec<Event>) -> Self {
        match events.pop() {
            Some(event) if events.is_empty() => event.into(),
            last => {
                events.extend(last);
                Self(Answer::Many(events.into()))
            }
        }
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Events {}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

impl BorshSerialize for Events {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self[..].serialize(writer)
    }
}

impl BorshDeserialize for Events {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Vec::deserialize_reader(reader).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use aura_protocol_core::decode;

    use super::*;

    /// A body is its bytes, wherever it keeps them.
    #[test]
    fn bodies_of_every_length_are_their_bytes() {
        for len in 0..3 * SHORT_BYTES_MAX {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let body = Body::new(&bytes);
            assert_eq!(body.bytes(), bytes);
            assert_eq!(Body::of(&bytes), Body::new(&encode(&bytes)), "{len}");
            assert_eq!(encode(&body), encode(&bytes));
            assert_eq!(decode::<Body>(&encode(&bytes), 999).as_ref(), Ok(&body));
            let mut cut = encode(&bytes);
            cut.pop();
            assert!(decode::<Body>(&cut, 999).is_err(), "{len}");
            let longer = Body::new(&[&bytes[..], &[9]].concat());
            assert!(body < longer && body != longer);
        }
        assert_eq!(Body::of(&[7_u8; SHORT_BYTES_MAX]).bytes(), vec![7; SHORT_BYTES_MAX]);
    }

    #[test]
    fn one_event_and_several_are_read_alike() {
        let event = |author| Event {
            author: Dev(author),
            label: Label(3),
            round: 1,
            body: Body::new(&[author]),
        };
        for count in 0..4 {
            let all: Vec<Event> = (0..count).map(event).collect();
            let events = Events::from(all.clone());
            assert_eq!(events[..], all[..]);
            assert_eq!(encode(&events), encode(&all));
            assert_eq!(decode::<Events>(&encode(&all), 999), Ok(events));
        }
        assert_eq!(Events::from(event(7)), Events::from(vec![event(7)]));
    }
}
