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
    Child { protocol: ProtocolName, params: Vec<u8> },
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
            Self::Child { protocol, params } => {
                Instruction::RunSubProtocol { effect, protocol, params }
            }
        }
    }

    /// The right that it takes.
    const fn capability(&self) -> Capability {
        match self {
            Self::Record(_) | Self::Page { .. } => Capability::ReadRecords,
            Self::Use { capability, .. } => *capability,
            Self::Child { .. } => Capability::RunSubProtocol,
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

/// What becomes of an effect.
pub(super) enum Wanted {
    /// Done at once, without an answer.
    Done(Instruction),
    /// Answered later.
    Asked(Asked),
}

impl From<ProtocolEffect> for Wanted {
    fn from(effect: ProtocolEffect) -> Self {
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
                Self::Asked(Asked::Child { protocol, params })
            }
        }
    }
}
