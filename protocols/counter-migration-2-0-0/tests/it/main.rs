//! The lens, natively.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use aura_protocol_sdk::{
    Described, DeviceId, Migrated, Migration, ProtocolError, ProtocolVersion, RecordBody, SchemaId,
    abi, decode, dispatch, encode, limits::CALL_BYTES_MAX,
};
use counter_common::{
    Sum,
    record::{SCHEMA_1_TEXT, SCHEMA_2_TEXT},
};
use counter_migration_2_0_0::CounterMigration;
use proptest::prelude::*;

fn old(bytes: Vec<u8>) -> RecordBody {
    RecordBody { schema: SchemaId::of(SCHEMA_1_TEXT), key: "sum/ab".into(), bytes }
}

fn new(bytes: Vec<u8>) -> RecordBody {
    RecordBody { schema: SchemaId::of(SCHEMA_2_TEXT), key: "sum/ab".into(), bytes }
}

fn back(current: Vec<RecordBody>) -> Result<RecordBody, ProtocolError> {
    CounterMigration::backward("sum/ab".into(), None, current, &[])
}

#[test]
fn the_descriptor_offers_a_way_from_1_x_and_back() {
    let descriptor = CounterMigration::DESCRIPTOR.descriptor();
    let offer = descriptor.migration().unwrap();
    assert!(offer.reversible);
    assert!(offer.from.matches(ProtocolVersion::new(1, 9, 0)));
    assert!(!offer.from.matches(ProtocolVersion::new(2, 0, 0)));
    assert_eq!(offer.from_schema, SchemaId::of(SCHEMA_1_TEXT));
    assert_eq!(descriptor.schema, SchemaId::of(SCHEMA_2_TEXT));
}

#[test]
fn a_record_that_cannot_be_read_is_set_aside() {
    for bad in [old(vec![]), old(vec![0; 7]), old(vec![0; 9]), new(encode(&1u64))] {
        let migrated = CounterMigration::forward(bad, &[]).unwrap();
        assert!(matches!(migrated, Migrated::Quarantine { .. }), "{migrated:?}");
    }
}

#[test]
fn only_what_it_made_goes_back() {
    let good = new(encode(&Sum { sum: 1, by_device: BTreeMap::new() }));
    assert_eq!(back(vec![good.clone()]), Ok(old(encode(&1u64))));
    for bad in [vec![], vec![good.clone(), good], vec![old(encode(&1u64))], vec![new(vec![1])]] {
        assert!(matches!(back(bad), Err(ProtocolError::BadInput { .. })));
    }
}

#[test]
fn it_runs_no_session() {
    let step = abi::Op::Step {
        state: vec![],
        caps: Default::default(),
        input: aura_protocol_sdk::ProtocolInput::Signal(vec![]),
    };
    let reply = dispatch::migration::<CounterMigration>(&encode(&abi::Envelope::new(step)));
    assert_eq!(decode(&reply, CALL_BYTES_MAX), Ok(abi::Reply::Unsupported));
}

proptest! {
    /// INV-G3: there and back is nothing; and what 2.0.0 has added since survives the way back as
    /// far as the old layout can hold it.
    #[test]
    fn there_and_back(sum in any::<u64>(), later in any::<u64>(), device in any::<[u8; 32]>()) {
        let record = old(encode(&sum));
        let Migrated::Records(migrated) = CounterMigration::forward(record.clone(), &[]).unwrap()
        else { panic!("quarantined") };
        prop_assert_eq!(&migrated[0].key, &record.key);
        prop_assert_eq!(back(migrated), Ok(record));
        let by_device = [(DeviceId::from_bytes(device), later)].into();
        let written = new(encode(&Sum { sum: later, by_device }));
        prop_assert_eq!(back(vec![written]), Ok(old(encode(&later))));
    }
}
