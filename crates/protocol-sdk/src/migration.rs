//! What the author of a migration writes: a lens between two record layouts.

use alloc::vec::Vec;

use aura_protocol_core::{
    ProtocolError, RecordKey,
    migration::{Migrated, RecordBody},
};

use crate::Described;

/// Moves the records of one layout to another, one at a time. A pure function of its arguments.
///
/// Its [`Described::DESCRIPTOR`] has the role of a migration.
pub trait Migration: Described {
    /// The new form of a record of the old layout. A record that cannot be read is
    /// [`Migrated::Quarantine`], not an error.
    ///
    /// # Errors
    /// [`ProtocolError`] when `context` makes no sense, which stops the whole migration.
    fn forward(record: RecordBody, context: &[u8]) -> Result<Migrated, ProtocolError>;

    /// The old form of what the record `origin` became and what was since done with it.
    ///
    /// `original` is the record's old content, where it was kept.
    ///
    /// # Errors
    /// [`ProtocolError::Irreversible`] without a way back, which is what this does unless it is
    /// written; another [`ProtocolError`] when `current` is not what `forward` makes.
    fn backward(
        _origin: RecordKey,
        _original: Option<Vec<u8>>,
        _current: Vec<RecordBody>,
        _context: &[u8],
    ) -> Result<RecordBody, ProtocolError> {
        Err(ProtocolError::Irreversible)
    }
}
