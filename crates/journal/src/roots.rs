//! Roots: one digest for an app's records, and one for the whole account.

use std::collections::BTreeMap;

use aura_protocol_core::{AppId, Digest, Record, encode, record::records_root};

/// The root over an app's records.
#[must_use]
pub fn app_root<'a>(records: impl IntoIterator<Item = &'a Record>) -> Digest {
    records_root(records)
}

/// The root over an account: the head of its control chain and the root of each of its apps. No
/// manifests, ticks or open sessions are in it, so that devices that agree on what counts agree on
/// this.
#[must_use]
pub fn state_root(head: Digest, apps: &BTreeMap<AppId, Digest>) -> Digest {
    Digest::tagged("aura state root v1", &[head.as_bytes(), &encode(apps)])
}
