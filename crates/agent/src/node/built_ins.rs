//! Protocols that are part of the program: what this device has of them, and their records.

use std::collections::BTreeMap;

use aura_coordination::execution::BuiltIn;
use aura_journal::RawRecord;
use aura_protocol_core::{
    AppId, Descriptor, Digest, Manifest, ProtocolName, ProtocolVersion, RecordKey, SchemaId,
};

use crate::{
    error::{AgentError, Whose},
    node::Node,
};

/// The built-in protocols of this device, by app.
#[derive(Debug, Default)]
pub(super) struct BuiltIns(BTreeMap<AppId, Versions>);

#[derive(Debug)]
struct Versions {
    protocol: ProtocolName,
    versions: BTreeMap<ProtocolVersion, Digest>,
}

impl BuiltIns {
    pub(super) fn has(&self, app: AppId) -> bool {
        self.0.contains_key(&app)
    }

    pub(super) fn protocol(&self, app: AppId) -> Option<&ProtocolName> {
        self.0.get(&app).map(|it| &it.protocol)
    }

    pub(super) fn runs(&self, app: AppId, digest: &Digest) -> bool {
        self.0.get(&app).is_some_and(|it| it.versions.values().any(|it| it == digest))
    }

    /// Announces all of them, and no version that is not here any more.
    pub(super) fn announce(&self, manifest: &mut Manifest) {
        for (app, built_in) in &self.0 {
            manifest.apps.remove(app);
            for (version, digest) in &built_in.versions {
                manifest.announce(*app, *version, *digest);
            }
        }
    }
}

impl Node {
    /// Makes a built-in protocol known, before the node is started. Sessions of it need no release;
    /// its steps are asked for under [`BuiltIn::of`]'s digest.
    pub fn add_built_in(&mut self, descriptor: Descriptor) -> BuiltIn {
        let built_in = BuiltIn::of(&descriptor);
        let (protocol, version) = (descriptor.protocol.clone(), descriptor.version);
        let fresh = || Versions { protocol, versions: BTreeMap::new() };
        let known = self.built_ins.0.entry(built_in.app).or_insert_with(fresh);
        known.versions.insert(version, built_in.digest);
        self.module_ready(built_in.digest, descriptor);
        built_in
    }

    pub(super) fn built_in_app(&self, protocol: &str) -> Result<AppId, AgentError> {
        let protocol = protocol.parse::<ProtocolName>().ok();
        let app = protocol.map(|it| BuiltIn::app(&it)).filter(|it| self.built_ins.has(*it));
        app.ok_or_else(|| {
            AgentError::new(
                "NotBuiltIn",
                "this device has no such built-in protocol".to_string(),
                Whose::Caller,
                "register it before the device is opened",
            )
        })
    }

    /// A record of a built-in protocol. There are no versions of layouts: what the ledger holds under
    /// this one is read as it is.
    pub(super) fn built_in_record(
        &self,
        app: AppId,
        schema: SchemaId,
        key: &RecordKey,
    ) -> Option<&RawRecord> {
        let held = self.ledger.state().records.get(&(app, schema, key.clone()));
        held.filter(|it| !it.deleted)
    }

    pub(super) fn built_in_records<'a>(
        &'a self,
        app: AppId,
        schema: SchemaId,
        prefix: &'a [u8],
        after: Option<&RecordKey>,
    ) -> impl Iterator<Item = (&'a RecordKey, &'a [u8])> + use<'a> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let first = RecordKey(prefix.to_vec());
        let from = match after {
            Some(after) if first <= *after => Excluded((app, schema, after.clone())),
            _ => Included((app, schema, first)),
        };
        let records = self.ledger.state().records.range((from, Unbounded));
        let of_app = records.take_while(move |((of, layout, key), _)| {
            *of == app && *layout == schema && key.0.starts_with(prefix)
        });
        let held = of_app.filter(|(_, it)| !it.deleted);
        held.map(|((_, _, key), it)| (key, it.record.bytes.as_slice()))
    }
}
