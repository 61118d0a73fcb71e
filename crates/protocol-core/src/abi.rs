//! ABI v1: the two byte strings that cross the boundary between host and module.
//!
//! A module exports `memory`, the marker [`MARKER`], [`IN`]`(len: i32) -> i32` (a buffer of `len`
//! bytes) and [`STEP`]`(ptr: i32, len: i32) -> i64` (`ptr | len << 32` of the output). It imports
//! nothing and has no start function. The input is a canonical [`Envelope`], the output a canonical
//! [`Reply`]. State goes in and comes out, so nothing can hide in a module's memory.

pub mod answer;
pub mod given;

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Descriptor, ProtocolCapabilities, ProtocolError, ProtocolInput, ProtocolStep, RecordKey,
    migration::{Migrated, RecordBody},
};

/// The version of this interface.
pub const VERSION: u16 = 1;
/// The export that says which interface a module speaks: exactly one marker of this prefix.
pub const MARKER: &str = "aura_abi_1";
/// What every version's marker begins with.
pub const MARKER_PREFIX: &str = "aura_abi_";
/// The export that hands out the input buffer.
pub const IN: &str = "aura_in";
/// The export that runs one operation.
pub const STEP: &str = "aura_step";
/// The exported linear memory.
pub const MEMORY: &str = "memory";
/// The custom section that holds the module's canonical [`Descriptor`].
pub const DESCRIPTOR_SECTION: &str = "aura.descriptor";

/// One call into a module.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Envelope {
    /// [`VERSION`].
    pub abi: u16,
    /// What to do.
    pub op: Op,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Op {
    /// Say what the module is. Must equal the descriptor section.
    Describe,
    /// One step of a session.
    Step {
        /// What the last step returned; empty before the first.
        state: Vec<u8>,
        /// The rights in force.
        caps: ProtocolCapabilities,
        /// The input.
        input: ProtocolInput,
    },
    /// Migrate one record.
    Migrate {
        /// Which way, and what.
        lens: Lens,
        /// What the distributor published for this migration; empty without one.
        context: Vec<u8>,
    },
}

/// The direction of a migration.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Lens {
    /// From the old layout to the new.
    Forward {
        /// The old record.
        record: RecordBody,
    },
    /// From the new layout to the old.
    Backward {
        /// The key of the record that was migrated.
        origin: RecordKey,
        /// Its content at that time, if it was kept.
        original: Option<Vec<u8>>,
        /// The records that it became, as they are now.
        current: Vec<RecordBody>,
    },
}

/// What a call returns.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Reply {
    /// To [`Op::Describe`].
    Described(Descriptor),
    /// To [`Op::Step`].
    Stepped {
        /// What the next step is to be given.
        state: Vec<u8>,
        /// What is to be done.
        step: ProtocolStep,
    },
    /// To [`Op::Migrate`] with [`Lens::Forward`].
    Forward(Migrated),
    /// To [`Op::Migrate`] with [`Lens::Backward`].
    Backward(RecordBody),
    /// The module says what is wrong. The state is as before.
    Failed(ProtocolError),
    /// The module does not do this operation.
    Unsupported,
}

impl Envelope {
    /// A call of this version.
    #[must_use]
    pub const fn new(op: Op) -> Self {
        Self { abi: VERSION, op }
    }
}
