//! What ledgers send each other.

use std::sync::Arc;

use aura_choreography::Dev;
use aura_journal::{
    Unit,
    sync::{Hello, SyncMessage},
};
use aura_protocol_core::{Digest, encode};

use crate::{draw::hash_bytes, engine::Message};

/// What ledgers send each other.
#[derive(Debug, Clone)]
pub enum Packet {
    /// A unit, to everybody as soon as it is written.
    Unit(Sent),
    /// How far a restarted device is.
    Hello(Arc<Hello>),
    /// What it lacks.
    Answer(Arc<Vec<SyncMessage>>),
}

/// A unit on its way.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Who wrote it.
    pub author: Dev,
    /// Its place in the chain of its author.
    pub seq: u64,
    /// Its name.
    pub unit: Digest,
    /// Its encoding.
    pub bytes: Arc<[u8]>,
}

impl Packet {
    pub(super) fn unit(author: Dev, seq: u64, unit: &Unit) -> Self {
        Self::encoded(author, seq, &encode(unit))
    }

    pub(super) fn encoded(author: Dev, seq: u64, bytes: &[u8]) -> Self {
        Self::written(author, seq, Unit::hash_of(bytes), bytes)
    }

    /// A unit that is in a ledger already, under this name.
    pub(super) fn written(author: Dev, seq: u64, unit: Digest, bytes: &[u8]) -> Self {
        Self::Unit(Sent { author, seq, unit, bytes: bytes.into() })
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Unit(_) => "unit",
            Self::Hello(_) => "hello",
            Self::Answer(_) => "answer",
        }
    }
}

impl Sent {
    pub(super) fn with_bytes(&self, bytes: Vec<u8>) -> Packet {
        Packet::encoded(self.author, self.seq, &bytes)
    }
}

impl Message for Packet {
    fn key(&self) -> u64 {
        match self {
            Self::Unit(it) => u64::from(it.author.0) << 48 | it.seq,
            Self::Hello(_) => 1 << 56,
            Self::Answer(_) => 2 << 56,
        }
    }

    fn topic(&self) -> u64 {
        match self {
            Self::Unit(it) => it.seq,
            Self::Hello(_) | Self::Answer(_) => 0,
        }
    }

    fn digest(&self) -> u64 {
        match self {
            Self::Unit(it) => hash_bytes(0, it.unit.as_bytes()),
            Self::Hello(it) => hash_bytes(1, it.head.as_bytes()) ^ it.frontier.chains.len() as u64,
            Self::Answer(it) => 2 ^ it.len() as u64,
        }
    }
}
