//! Units: the signed, hash-linked atoms of the ledger.
//!
//! A unit names its author's previous unit and up to four others, so the set of all units is a graph
//! of who had seen what (a blocklace). The set only grows; it is the replicated truth, and state is a
//! fold over it (`02-ledger`, section 2).

use aura_crypto::{Context, Domain, PublicKey, SecretKey, Signature, SignatureError};
use aura_protocol_core::{
    AccountId, DecodeError, DeviceId, Digest, Lamport, SessionId, decode, encode,
    limits::UNIT_BODY_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize, object_length};

use crate::{
    event::Event,
    scheme::{Strict, UnitScheme},
};

/// The version of this format.
pub const UNIT_VERSION: u16 = 1;
/// Largest encoded unit, in bytes: its body, links and signature.
pub const UNIT_BYTES_MAX: usize = UNIT_BODY_BYTES_MAX + 1024;

/// Bytes of a signature, with which a unit's encoding ends.
const SIGNATURE_BYTES: usize = size_of::<Signature>();

/// What stands before a unit's event.
type Links =
    (u16, AccountId, u64, DeviceId, u64, Lamport, Option<Digest>, Vec<Digest>, Option<SessionId>);

/// One signed unit.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Unit {
    /// What is signed.
    pub body: UnitBody,
    /// The author's signature, by the unit key of its roster entry, in the unit's configuration.
    pub signature: Signature,
}

/// What a unit says, and where it stands in the graph.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UnitBody {
    /// [`UNIT_VERSION`].
    pub version: u16,
    /// The account that it belongs to.
    pub account: AccountId,
    /// The index of the configuration whose roster its author is in.
    pub config: u64,
    /// Who wrote it.
    pub author: DeviceId,
    /// Its place in the author's chain, from 0.
    pub seq: u64,
    /// 1 + the greatest of its parents', or 1.
    pub lamport: Lamport,
    /// The author's unit at `seq - 1`; none at 0.
    pub prev: Option<Digest>,
    /// Up to four other units that the author had seen, in strictly ascending order.
    pub deps: Vec<Digest>,
    /// The session that it belongs to.
    pub session: Option<SessionId>,
    /// What happened.
    pub event: Event,
}

impl UnitBody {
    /// Signs this body.
    #[must_use]
    pub fn sign(self, key: &SecretKey) -> Unit {
        self.sign_with::<Strict>(key)
    }

    /// Signs this body by a scheme that a simulation may choose.
    #[must_use]
    pub fn sign_with<S: UnitScheme>(self, key: &SecretKey) -> Unit {
        let signature = S::sign(key, &self.context(), &encode(&self));
        Unit { body: self, signature }
    }

    fn context(&self) -> Context {
        Context { domain: Domain::Unit, account: self.account, epoch: self.config }
    }

    /// All units that this one names: its author's previous one, then the others.
    pub fn parents(&self) -> impl Iterator<Item = Digest> + '_ {
        self.prev.iter().chain(&self.deps).copied()
    }

    /// How long the event is, encoded.
    #[must_use]
    pub fn event_bytes(&self) -> usize {
        // Counting the bytes of a value in memory does not fail; if it did, it would be too long.
        object_length(&self.event).unwrap_or(usize::MAX)
    }
}

impl Unit {
    /// The unit that `bytes` canonically encode. Its event is [`Event::Unread`] where this build cannot
    /// read it.
    ///
    /// # Errors
    /// [`DecodeError`], the sender's fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, UNIT_BYTES_MAX).or_else(|error| Self::unread(bytes).ok_or(error))
    }

    /// The format that a unit is said to have: the one thing that stands at the same place in all of them.
    pub(crate) fn version_of(bytes: &[u8]) -> Option<u16> {
        bytes.first_chunk().map(|it| u16::from_le_bytes(*it))
    }

    /// A unit whose event is left as it stands, between the links and the signature.
    pub(crate) fn unread(bytes: &[u8]) -> Option<Self> {
        let (mut rest, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>()?;
        if UNIT_BYTES_MAX < bytes.len() {
            return None;
        }
        let links = Links::deserialize(&mut rest).ok()?;
        let (version, account, config, author, seq, lamport, prev, deps, session) = links;
        let event = Event::Unread(Some(rest).filter(|it| !it.is_empty())?.to_vec());
        let body =
            UnitBody { version, account, config, author, seq, lamport, prev, deps, session, event };
        let unit = Self { body, signature: Signature(*signature) };
        (encode(&unit) == bytes).then_some(unit)
    }

    /// The unit's identity: the hash of its canonical encoding.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Self::hash_of(&encode(self))
    }

    /// The identity of the unit that `bytes` encode.
    #[must_use]
    pub fn hash_of(bytes: &[u8]) -> Digest {
        Digest::tagged("aura unit v1", &[bytes])
    }

    /// Whether the author's key signed it.
    ///
    /// # Errors
    /// [`SignatureError`] when it did not.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        Strict::verify(key, &self.body.context(), &encode(&self.body), &self.signature)
    }
}
