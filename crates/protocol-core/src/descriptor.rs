//! What a module says of itself, readable before anything of it is compiled.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Capability, DecodeError, Digest, ProtocolName, ProtocolVersion, Requirement, SchemaId, decode,
    limits::DESCRIPTOR_BYTES_MAX,
    session_type::{self, SessionType, SessionTypeError},
};

/// The content of the custom section `aura.descriptor`, in canonical encoding.
///
/// It must agree with the release that names the module, and with what the module answers to
/// `Describe`.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Descriptor {
    /// The protocol's name.
    pub protocol: ProtocolName,
    /// The version that the module implements, or migrates to.
    pub version: ProtocolVersion,
    /// The interface that it speaks.
    pub abi: u16,
    /// What the module is for.
    pub role: ModuleRole,
    /// The rights that it asks for.
    pub capabilities: BTreeSet<Capability>,
    /// Its session types, one canonical text ([`session_type`]) for each session that it can run.
    pub session_types: Vec<Vec<u8>>,
    /// The layout of the records that it reads and writes.
    pub schema: SchemaId,
    /// Other protocols that it runs sessions of.
    pub uses: BTreeSet<ProtocolName>,
    /// Who wrote it, for people.
    pub authors: String,
    /// The digest of the source that it was built from; zero where the build did not say.
    pub source: Digest,
}

/// What a module is for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum ModuleRole {
    /// It runs sessions.
    Protocol,
    /// It migrates records.
    Migration(MigrationOffer),
}

/// Which records a migration reads, and whether it can take them back.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MigrationOffer {
    /// The versions whose records it reads.
    pub from: Requirement,
    /// The layout of those records.
    pub from_schema: SchemaId,
    /// Whether it has a `backward`.
    pub reversible: bool,
}

impl Descriptor {
    /// The descriptor that a module's section holds.
    ///
    /// # Errors
    /// [`DecodeError`] when the section is too long or not the canonical encoding of a descriptor.
    pub fn from_section(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, DESCRIPTOR_BYTES_MAX)
    }

    /// The session types as trees.
    ///
    /// # Errors
    /// [`SessionTypeError`] for the first that is no canonical text.
    pub fn types(&self) -> Result<Vec<SessionType>, SessionTypeError> {
        let read = |bytes: &Vec<u8>| match core::str::from_utf8(bytes) {
            Ok(text) => session_type::parse(text),
            // No character that may be in such a text takes more than one byte.
            Err(error) => session_type::parse(&String::from_utf8_lossy(
                bytes.get(..=error.valid_up_to()).unwrap_or_default(),
            )),
        };
        self.session_types.iter().map(read).collect()
    }

    /// What the module offers to migrate, if that is what it is for.
    #[must_use]
    pub const fn migration(&self) -> Option<&MigrationOffer> {
        match &self.role {
            ModuleRole::Protocol => None,
            ModuleRole::Migration(offer) => Some(offer),
        }
    }
}
