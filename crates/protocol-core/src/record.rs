//! An app's durable state: records, their order and their origin.

use alloc::{string::String, vec::Vec};
use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    AppId, Digest, Lamport, SchemaId,
    limits::{RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX},
};

/// The key of a record inside its app: bytes, shown as text where they are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct RecordKey(pub Vec<u8>);

impl From<&str> for RecordKey {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Which write a record's bytes come from: the order in which writes are folded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Tag {
    /// Causal height of the unit that wrote it.
    pub lamport: Lamport,
    /// Hash of that unit.
    pub unit: Digest,
}

/// One record {app, schema, key, tag, origin, bytes}.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// The app that it belongs to.
    pub app: AppId,
    /// The layout of `bytes`.
    pub schema: SchemaId,
    /// Its key under that layout.
    pub key: RecordKey,
    /// The write that it comes from.
    pub tag: Tag,
    /// The key of the record that it was migrated from; its own key when it was written as it is.
    pub origin: RecordKey,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Whether key and content keep to the limits.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        self.key.0.len() <= RECORD_KEY_BYTES_MAX
            && self.key.0.len() + self.bytes.len() <= RECORD_BYTES_MAX
    }
}

/// The root over an app's records: BLAKE3 of borsh(sorted (key, schema, content)). Tags and origins
/// are left out, so that migrated and freshly written records of equal content are equal.
#[must_use]
pub fn records_root<'a>(records: impl IntoIterator<Item = &'a Record>) -> Digest {
    let mut rows: Vec<(&RecordKey, &SchemaId, &Vec<u8>)> =
        records.into_iter().map(|it| (&it.key, &it.schema, &it.bytes)).collect();
    rows.sort_unstable();
    Digest::tagged("aura app root v1", &[&crate::encode(&rows)])
}
