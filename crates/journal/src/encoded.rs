//! A unit's encoding, read where it stands.
//!
//! A ledger keeps each unit once, as its author encoded it. Most questions are about its place in the
//! graph, and its bytes answer them; what happened is decoded where somebody wants to know.

use std::{ops::Deref, sync::Arc};

use aura_crypto::{Context, Domain, PublicKey, Signature, SignatureError};
use aura_protocol_core::{AccountId, DecodeError, DeviceId, Digest, Epoch, Lamport, SessionId};
use borsh::BorshDeserialize as _;

use crate::{
    event::{Event, EventKind},
    scheme::UnitScheme,
    unit::{Unit, UnitBody},
};

/// Bytes of a signature, with which a unit's encoding ends.
const SIGNATURE_BYTES: usize = size_of::<Signature>();
/// The parts of equal length, with which it begins: version, account, configuration, author, place in the
/// author's chain, causal height.
const FIXED_BYTES: usize = 2 + 32 + 8 + 32 + 8 + 8;
const ACCOUNT: usize = 2;
const CONFIG: usize = ACCOUNT + 32;
const AUTHOR: usize = CONFIG + 8;
const SEQ: usize = AUTHOR + 32;
const LAMPORT: usize = SEQ + 8;

/// A unit as its author encoded it, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUnit {
    name: Digest,
    bytes: Arc<[u8]>,
}

impl NamedUnit {
    /// Names the unit that `bytes` encode.
    #[must_use]
    pub fn of(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { name: Unit::hash_of(&bytes), bytes }
    }

    /// Names the unit that `bytes` canonically encode.
    ///
    /// # Errors
    /// [`DecodeError`], the sender's fault.
    pub fn read(bytes: impl Into<Arc<[u8]>>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        Unit::from_bytes(&bytes).map(|_| Self::of(bytes))
    }

    /// A unit whose name is known.
    pub(crate) fn known(name: Digest, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name, bytes: bytes.into() }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Digest {
        self.name
    }

    /// Its encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its encoding, to share.
    pub(crate) const fn shared(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Its parts.
    pub(crate) fn encoded(&self) -> Encoded<'_> {
        Encoded::known(&self.bytes)
    }
}

impl Deref for NamedUnit {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The parts of a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'a> {
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
    fixed: &'a [u8; FIXED_BYTES],
    prev: Option<&'a [u8; 32]>,
    deps: &'a [[u8; 32]],
    session: Option<&'a [u8; 32]>,
    event: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The parts of what may be a unit. That they are there does not make it one.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (signed, signature) = bytes.split_last_chunk()?;
        let (fixed, rest) = signed.split_first_chunk()?;
        let (prev, rest) = optional(rest)?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (deps, rest) = rest.split_at_checked(count.checked_mul(32)?)?;
        let (session, event) = optional(rest)?;
        Some(Self { signed, signature, fixed, prev, deps: deps.as_chunks().0, session, event })
    }

    /// The parts of what was read as a unit before.
    pub(crate) fn known(bytes: &'a [u8]) -> Self {
        const NONE: Encoded<'_> = Encoded {
            signed: &[],
            signature: &[0; SIGNATURE_BYTES],
            fixed: &[0; FIXED_BYTES],
            prev: None,
            deps: &[],
            session: None,
            event: &[],
        };
        Self::of(bytes).unwrap_or(NONE)
    }

    fn part<const N: usize>(&self, from: usize) -> [u8; N] {
        let part = self.fixed.get(from..).and_then(|it| it.first_chunk());
        part.copied().unwrap_or([0; N])
    }

    pub(crate) fn account(&self) -> AccountId {
        AccountId::from_bytes(self.part(ACCOUNT))
    }

    pub(crate) fn config(&self) -> u64 {
        u64::from_le_bytes(self.part(CONFIG))
    }

    pub(crate) fn author(&self) -> DeviceId {
        DeviceId::from_bytes(self.part(AUTHOR))
    }

    pub(crate) fn seq(&self) -> u64 {
        u64::from_le_bytes(self.part(SEQ))
    }

    pub(crate) fn lamport(&self) -> Lamport {
        Lamport(u64::from_le_bytes(self.part(LAMPORT)))
    }

    /// The author's unit before it.
    pub(crate) fn prev(&self) -> Option<Digest> {
        self.prev.copied().map(Digest::from_bytes)
    }

    /// The other units that it names.
    pub(crate) fn deps(&self) -> impl Iterator<Item = Digest> + use<'a> {
        self.deps.iter().copied().map(Digest::from_bytes)
    }

    /// All units that it names: its author's previous one, then the others.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Digest> + use<'a> {
        self.prev.into_iter().chain(self.deps).copied().map(Digest::from_bytes)
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session.copied().map(SessionId::from_bytes)
    }

    /// How long all of it is.
    pub(crate) const fn bytes(&self) -> usize {
        self.signed.len() + SIGNATURE_BYTES
    }

    /// How long its event is.
    pub(crate) const fn event_bytes(&self) -> usize {
        self.event.len()
    }

    /// Of which kind its event is; none of one that is not known here.
    pub(crate) fn kind(&self) -> Option<EventKind> {
        let kind = EventKind::try_from_slice(self.event.get(..1)?).ok();
        kind.filter(|it| *it != EventKind::Unread)
    }

    /// The number that its event's encoding begins with.
    pub(crate) fn tag(&self) -> u8 {
        self.event.first().copied().unwrap_or(u8::MAX)
    }

    /// Whether a build with this scheme can read what happened. Of the kinds that there are most of, the
    /// lengths say so.
    pub(crate) fn is_read<S: UnitScheme>(&self) -> bool {
        if !S::reads(self.tag()) {
            return false;
        }
        match self.kind() {
            None => false,
            Some(EventKind::EpochTick) => self.event.len() == 1 + size_of::<u64>(),
            Some(EventKind::SessionMessage) => self.event.get(1..).is_some_and(is_message),
            Some(_) => {
                Event::try_from_slice(self.event).is_ok_and(|it| it.kind() != EventKind::Unread)
            }
        }
    }

    pub(crate) fn is_tick(&self) -> bool {
        self.kind() == Some(EventKind::EpochTick)
    }

    /// The epoch that a tick names.
    pub(crate) fn tick(&self) -> Option<Epoch> {
        let epoch = self.event.get(1..)?.try_into().ok().filter(|_| self.is_tick())?;
        Some(Epoch(u64::from_le_bytes(epoch)))
    }

    /// Whether the author's key signed it: all of it but the signature at its end.
    pub(crate) fn verify<S: UnitScheme>(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let context =
            Context { domain: Domain::Unit, account: self.account(), epoch: self.config() };
        S::verify(key, &context, self.signed, &Signature(*self.signature))
    }
}

/// Whether these are a label and a payload, each behind its length, and nothing else.
fn is_message(bytes: &[u8]) -> bool {
    let sized = |bytes: &[u8]| -> Option<(usize, usize)> {
        let (len, rest) = bytes.split_first_chunk()?;
        Some((usize::try_from(u32::from_le_bytes(*len)).ok()?, rest.len()))
    };
    let label = sized(bytes).filter(|(len, left)| len <= left);
    let Some((label, _)) = label else { return false };
    let (text, rest) = bytes.get(4..).unwrap_or_default().split_at(label);
    core::str::from_utf8(text).is_ok() && sized(rest).is_some_and(|(len, left)| len == left)
}

/// A name that may be there.
fn optional(bytes: &[u8]) -> Option<(Option<&[u8; 32]>, &[u8])> {
    match bytes.split_first()? {
        (0, rest) => Some((None, rest)),
        (1, rest) => rest.split_first_chunk().map(|(name, rest)| (Some(name), rest)),
        _ => None,
    }
}

/// What was read as a unit before.
pub(crate) fn decoded(bytes: &[u8]) -> Option<UnitBody> {
    Unit::from_bytes(bytes).ok().map(|it| it.body)
}

#[cfg(test)]
mod tests {
    use aura_crypto::SecretKey;
    use aura_protocol_core::encode;

    use super::*;
    use crate::{
        event::{Event, SessionMessage},
        scheme::Strict,
        unit::UNIT_VERSION,
    };

    fn body(session: Option<SessionId>, deps: &[u8], event: Event) -> UnitBody {
        UnitBody {
            version: UNIT_VERSION,
            account: AccountId::from_bytes([1; 32]),
            config: 2,
            author: DeviceId::from_bytes([3; 32]),
            seq: u64::from(session.is_some()),
            lamport: Lamport(5),
            prev: session.map(|_| Digest::of(b"prev")),
            deps: deps.iter().map(|it| Digest::from_bytes([*it; 32])).collect(),
            session,
            event,
        }
    }

    /// What the bytes say is what decoding says; of part of them nothing is said that is not there.
    #[test]
    fn the_bytes_say_what_decoding_says() {
        let key = SecretKey::from_seed([7; 32]);
        let session = Some(SessionId::from_bytes([6; 32]));
        let message = SessionMessage { label: "Say".to_owned(), payload: vec![1, 2, 3] };
        for body in [
            body(None, &[], Event::EpochTick { epoch: Epoch(9) }),
            body(None, &[1], Event::SessionMessage(message.clone())),
            body(session, &[1, 2, 3, 4], Event::SessionMessage(message)),
        ] {
            let unit = NamedUnit::of(encode(&body.clone().sign(&key)));
            let it = unit.encoded();
            assert_eq!((it.account(), it.config()), (body.account, 2));
            assert_eq!((it.author(), it.seq(), it.lamport()), (body.author, body.seq, Lamport(5)));
            assert_eq!((it.prev(), it.session()), (body.prev, body.session));
            assert_eq!(it.deps().collect::<Vec<_>>(), body.deps);
            assert_eq!(it.parents().collect::<Vec<_>>(), body.parents().collect::<Vec<_>>());
            assert_eq!(
                (it.kind(), it.event_bytes()),
                (Some(body.event.kind()), body.event_bytes())
            );
            let tick =
                if body.prev.is_none() && body.deps.is_empty() { Some(Epoch(9)) } else { None };
            assert_eq!(it.tick(), tick);
            assert!(it.verify::<Strict>(&key.public()).is_ok());
            assert_eq!(decoded(unit.bytes()), Some(body));
            for length in 0..FIXED_BYTES + 2 + SIGNATURE_BYTES {
                assert!(Encoded::of(unit.bytes().get(..length).unwrap_or_default()).is_none());
            }
        }
    }
}
