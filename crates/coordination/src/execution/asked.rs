//! What a session has asked its host and is not answered yet.

use aura_protocol_core::{
    Capability, ProtocolCapabilities, ProtocolEffect, ProtocolName, RecordKey,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::execution::types::Instruction;

/// One question, kept until it is answered: a restart asks it again.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub(super) enum Asked {
    Record(RecordKey),
    Page { prefix: Vec<u8>, after: Option<RecordKey>, limit: u32 },
    Use { capability: Capability, bytes: Vec<u8> },
    Child(ChildAsked),
}

impl Asked {
    pub(super) fn instruction(self, effect: u64) -> Instruction {
        match self {
            Self::Record(key) => Instruction::GetRecord { effect, key },
            Self::Page { prefix, after, limit } => {
                Instruction::ListRecords { effect, prefix, after, limit }
            }
            Self::Use { capability, bytes } => {
                Instruction::UseCapability { effect, capability, bytes }
            }
            Self::Child(ChildAsked { part, protocol, params }) => {
                Instruction::RunSubProtocol { effect, part, protocol, params }
            }
        }
    }

    /// The right that it takes.
    const fn capability(&self) -> Capability {
        match self {
            Self::Record(_) | Self::Page { .. } => Capability::ReadRecords,
            Self::Use { capability, .. } => *capability,
            Self::Child(_) => Capability::RunSubProtocol,
        }
    }

    /// Whether it may be asked under these rights, or why not (INV-X3).
    pub(super) fn allowed(&self, caps: &ProtocolCapabilities) -> Result<(), String> {
        let capability = self.capability();
        if let Self::Use { .. } = self
            && !matches!(capability, Capability::Sign | Capability::DeriveKey | Capability::Seal)
        {
            return Err(format!("`{capability}` is not a right to use on bytes"));
        }
        if caps.allows(capability) {
            return Ok(());
        }
        Err(format!("`{capability}` was not granted"))
    }
}

/// A session that is to run as a part of this one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChildAsked {
    /// Which of the parts that the session asked for, from 0. Unlike the number of the effect it is the
    /// same at every participant: these ask for the same parts, and each for other things between.
    pub part: u64,
    /// Of which protocol.
    pub protocol: ProtocolName,
    /// With what parameters.
    pub params: Vec<u8>,
}

/// What becomes of an effect.
pub(super) enum Wanted {
    /// Done at once, without an answer.
    Done(Instruction),
    /// Answered later.
    Asked(Asked),
}

impl Wanted {
    /// What becomes of `effect` of a session that has asked for so many parts.
    pub(super) fn of(effect: ProtocolEffect, parts: u64) -> Self {
        match effect {
            ProtocolEffect::Append { label, payload } => {
                Self::Done(Instruction::WriteToLedger { label, payload })
            }
            ProtocolEffect::Log(line) => Self::Done(Instruction::Log(line)),
            ProtocolEffect::GetRecord(key) => Self::Asked(Asked::Record(key)),
            ProtocolEffect::ListRecords { prefix, after, limit } => {
                Self::Asked(Asked::Page { prefix, after, limit })
            }
            ProtocolEffect::Use { capability, bytes } => {
                Self::Asked(Asked::Use { capability, bytes })
            }
            ProtocolEffect::RunSubProtocol { protocol, params } => {
                Self::Asked(Asked::Child(ChildAsked { part: parts, protocol, params }))
            }
        }
    }
}
