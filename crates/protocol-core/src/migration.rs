//! Moving records from one layout to another, one by one.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{RecordKey, SchemaId};

/// A record as a migration sees it: no tag, no origin, since it must not depend on them.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordBody {
    /// The layout of `bytes`.
    pub schema: SchemaId,
    /// The key under that layout.
    pub key: RecordKey,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What becomes of one record.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Migrated {
    /// The records that take its place.
    Records(Vec<RecordBody>),
    /// It cannot be read; it is kept aside, and the rest goes on.
    Quarantine {
        /// Why, for people.
        reason: alloc::string::String,
    },
}

/// Why a migration could not be run at all, as opposed to a record that it sets aside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("migration failed: {reason}")]
pub struct MigratorError {
    /// What the module or its host reported.
    pub reason: alloc::string::String,
}

/// A lens between two layouts. A pure function of its arguments, metered per record.
pub trait Migrator {
    /// The new form of a record of the old layout.
    ///
    /// # Errors
    /// [`MigratorError`] when the lens itself fails; a bad record is [`Migrated::Quarantine`].
    fn forward(&self, record: &RecordBody) -> Result<Migrated, MigratorError>;

    /// The old form of the records that one old record became.
    ///
    /// # Errors
    /// [`MigratorError`] when the lens fails or has no way back.
    fn backward(
        &self,
        origin: &RecordKey,
        original: Option<&[u8]>,
        current: &[RecordBody],
    ) -> Result<RecordBody, MigratorError>;
}
