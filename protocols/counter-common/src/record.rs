//! The layouts of the counter's records.

use alloc::{collections::BTreeMap, format};

use aura_protocol_sdk::{DeviceId, RecordKey, SessionId, borsh, canonical, hex};
use borsh::{BorshDeserialize, BorshSerialize};

/// The layout of 1.x, as text.
pub const SCHEMA_1_TEXT: &str = "counter/1: sum/<session> = u64";
/// The layout of 2.x, as text.
pub const SCHEMA_2_TEXT: &str =
    "counter/2: sum/<session> = {sum: u64, by_device: map<device, u64>}";
/// The identity of [`SCHEMA_1_TEXT`].
pub const SCHEMA_1: [u8; 32] =
    hex::bytes32("6665d961753f3c2c82d6b942be4d58b93d2ceecf028eda0276ef90f9af3dd3fc");
/// The identity of [`SCHEMA_2_TEXT`].
pub const SCHEMA_2: [u8; 32] =
    hex::bytes32("047a707fbe92a0abcb6aa6bf0a2bf8033ad4fdba403752460978335a103fa6fd");

/// A record of 2.x. A record of 1.x is the sum alone.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(crate = "aura_protocol_sdk::borsh")]
pub struct Sum {
    /// The sum of all numbers.
    pub sum: u64,
    /// Who added which; empty in a record that comes from 1.x, which did not keep it.
    #[borsh(deserialize_with = "canonical::read_map")]
    pub by_device: BTreeMap<DeviceId, u64>,
}

/// The key of a session's record, in both layouts.
#[must_use]
pub fn session_key(session: &SessionId) -> RecordKey {
    RecordKey(format!("sum/{session}").into_bytes())
}

#[cfg(test)]
mod tests {
    use aura_protocol_sdk::SchemaId;

    use super::*;

    #[test]
    fn the_schema_ids_are_those_of_the_texts() {
        assert_eq!(
            SchemaId::from_bytes(SCHEMA_1).to_string(),
            SchemaId::of(SCHEMA_1_TEXT).to_string()
        );
        assert_eq!(
            SchemaId::from_bytes(SCHEMA_2).to_string(),
            SchemaId::of(SCHEMA_2_TEXT).to_string()
        );
    }

    #[test]
    fn the_key_names_the_session() {
        let key = session_key(&SessionId::from_bytes([0xab; 32]));
        assert_eq!(key.to_string(), format!("sum/{}", "ab".repeat(32)));
    }
}
