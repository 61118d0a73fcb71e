//! What a document begins with where a snapshot stands for what was before: the state that its base has.
//!
//! A base is the same on every device, whether it dropped the units or not. So are the changes made of it.

use std::collections::BTreeMap;

use aura_journal::{Base, Unit};
use aura_protocol_core::{DeviceId, Digest};

use crate::{
    compile::{Compiler, past::Past},
    engine::{Actor, Draft},
};

/// A base that is being written into its change.
pub(super) struct Standing<'a> {
    pub(super) base: &'a Base,
    /// Who wrote the units that it keeps.
    pub(super) authors: &'a BTreeMap<Digest, DeviceId>,
    pub(super) past: &'a mut Past,
    pub(super) draft: &'a mut Draft,
    pub(super) control: Actor,
}

impl Compiler {
    /// Writes what a base says of devices, sessions, proposals and records.
    pub(super) fn stand_on(&mut self, draft: &mut Draft, base: &Base) {
        let authors: BTreeMap<Digest, DeviceId> = base
            .kept()
            .filter_map(|bytes| Some((Unit::hash_of(bytes), Unit::from_bytes(bytes).ok()?)))
            .map(|(unit, it)| (unit, it.body.author))
            .collect();
        let control = self.control.actor();
        let (past, authors) = (&mut self.past, &authors);
        let mut standing = Standing { base, authors, past, draft, control };
        self.authors.stand(&mut standing);
        self.sessions.stand(&mut standing);
        self.proposals.stand(&mut standing);
        self.records.stand(standing.draft, control, base.state());
    }
}
