//! Moves the counter's records from 1.x to 2.0.0, and back.
//!
//! Forward, nobody is known to have added anything, because 1.x did not keep it; the sum stands.
//! Backward, the sum alone is kept. Keys do not change.
//!
//! **Invariants**
//! - INV-G3: there and back changes nothing.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{collections::BTreeMap, string::ToString, vec, vec::Vec};

use aura_protocol_sdk::{
    Described, DescriptorConst, Migrated, Migration, ProtocolError, RecordBody, RecordKey,
    RoleConst, SchemaId, decode, encode, export_migration, limits::RECORD_BYTES_MAX,
};
use counter_common::{SCHEMA_1, SCHEMA_2, Sum};

/// The lens between the two layouts.
#[derive(Debug)]
pub enum CounterMigration {}

impl Described for CounterMigration {
    const DESCRIPTOR: DescriptorConst = DescriptorConst {
        protocol: "counter",
        version: [2, 0, 0],
        role: RoleConst::Migration { from: "^1", from_schema: SCHEMA_1, reversible: true },
        capabilities: &[],
        session_types: &[],
        schema: SCHEMA_2,
        uses: &[],
        authors: "the authors of Aura",
        source: [0; 32],
    };
}

impl Migration for CounterMigration {
    fn forward(record: RecordBody, _context: &[u8]) -> Result<Migrated, ProtocolError> {
        let quarantine = |reason: &str| Ok(Migrated::Quarantine { reason: reason.to_string() });
        if record.schema != SchemaId::from_bytes(SCHEMA_1) {
            return quarantine("the record is not of layout counter/1");
        }
        let Ok(sum) = decode::<u64>(&record.bytes, size_of::<u64>()) else {
            return quarantine("the record is not a number");
        };
        let bytes = encode(&Sum { sum, by_device: BTreeMap::new() });
        let schema = SchemaId::from_bytes(SCHEMA_2);
        Ok(Migrated::Records(vec![RecordBody { schema, key: record.key, bytes }]))
    }

    fn backward(
        origin: RecordKey,
        _original: Option<Vec<u8>>,
        current: Vec<RecordBody>,
        _context: &[u8],
    ) -> Result<RecordBody, ProtocolError> {
        let [record] = current.as_slice() else {
            return Err(bad_input("a record of counter/1 became exactly one of counter/2"));
        };
        if record.schema != SchemaId::from_bytes(SCHEMA_2) {
            return Err(bad_input("the record is not of layout counter/2"));
        }
        let Sum { sum, .. } = decode(&record.bytes, RECORD_BYTES_MAX)
            .map_err(|_| bad_input("the record is not a sum by device"))?;
        let schema = SchemaId::from_bytes(SCHEMA_1);
        Ok(RecordBody { schema, key: origin, bytes: encode(&sum) })
    }
}

fn bad_input(reason: &str) -> ProtocolError {
    ProtocolError::BadInput { reason: reason.to_string() }
}

export_migration!(CounterMigration);
