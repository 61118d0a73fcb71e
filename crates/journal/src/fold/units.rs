//! What a unit does to the state.
//!
//! An event that breaks a rule of its kind is ignored: the unit stays in the set, and every replica
//! ignores it alike.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{Digest, Record, SessionId, Tag};

use crate::{
    control::Configuration,
    encoded::decoded,
    event::{CloseSession, DeviceMetadata, Event, EventKind, Opening, ProposeUpgrade, RecordPut},
    fold::{
        Fold, Sources,
        state::{Position, ProposalState, RawRecord},
        undo::{Marks, Undo},
    },
    unit::UnitBody,
};

impl Fold {
    pub(super) fn unit(&mut self, sources: Sources<'_>, position: Position, undo: &mut Vec<Undo>) {
        let Some(held) = sources.dag.held(&position.unit) else { return };
        if sources.unread.contains_key(&position.unit) {
            return;
        }
        let parts = held.unit();
        match parts.kind() {
            // Most units: what they say is for those who wait for it.
            Some(EventKind::SessionMessage) => return self.message(position.unit, &parts, undo),
            Some(EventKind::Control | EventKind::EpochTick) => return,
            _ => {}
        }
        let Some(body) = &decoded(held.bytes()) else { return };
        match &body.event {
            Event::PublishManifest(metadata) => self.publish(position.unit, body, metadata, undo),
            Event::Control(_)
            | Event::EpochTick { .. }
            | Event::SessionMessage(_)
            | Event::Unread(_) => {}
            Event::ProposeUpgrade(proposal) => {
                self.propose(sources, position.unit, body, proposal, undo);
            }
            Event::AcknowledgeUpgrade { proposal } => {
                self.mark(sources, body, *proposal, undo, |it| {
                    it.acknowledged.insert(body.author);
                });
            }
            Event::SignalReady { proposal, receipt } => {
                self.mark(sources, body, *proposal, undo, |it| {
                    it.declined.remove(&body.author);
                    it.ready.insert(body.author, receipt.clone());
                });
            }
            Event::DeclineUpgrade { proposal, code, reason } => {
                self.mark(sources, body, *proposal, undo, |it| {
                    it.ready.remove(&body.author);
                    it.declined.insert(body.author, (code.clone(), reason.clone()));
                });
            }
            Event::OpenSession(open) => self.open(position.unit, body, open, None, undo),
            Event::OpenChild(child) => {
                self.open_child(sources, position.unit, body, child, None, undo);
            }
            Event::OpenUntil(it) => {
                let (unit, until) = (position.unit, Some(it.until));
                match &it.opening {
                    Opening::Session(open) => self.open(unit, body, open, until, undo),
                    Opening::Child(child) => {
                        self.open_child(sources, unit, body, child, until, undo);
                    }
                }
            }
            Event::CloseSession(close) => self.close(sources, position, body, close, undo),
        }
    }

    fn publish(
        &mut self,
        unit: Digest,
        body: &UnitBody,
        metadata: &DeviceMetadata,
        undo: &mut Vec<Undo>,
    ) {
        let own = metadata.manifest.device == body.author;
        if own && metadata.manifest.is_within_limits() {
            let before = self.state.metadata.insert(body.author, (unit, metadata.clone()));
            undo.push(Undo::Metadata(body.author, before.map(Box::new)));
        }
    }

    fn propose(
        &mut self,
        sources: Sources<'_>,
        unit: Digest,
        body: &UnitBody,
        proposal: &ProposeUpgrade,
        undo: &mut Vec<Undo>,
    ) {
        let member = self.is_member(sources, body);
        let Some(proved) = sources.proved.proposal(&unit).filter(|_| member) else { return };
        let activations = self.state.apps.get(&proposal.app).map(|it| &it.activations);
        let activated = activations.into_iter().flatten().find(|(_, it)| it.proposal == unit);
        let state = ProposalState {
            unit,
            author: body.author,
            proposal: proposal.clone(),
            release: proved.release.clone(),
            repository_head: proved.head,
            acknowledged: BTreeSet::new(),
            ready: BTreeMap::new(),
            declined: BTreeMap::new(),
            activated_at: activated.map(|(k, _)| *k),
        };
        self.state.proposals.insert(unit, state);
        undo.push(Undo::Proposed(unit));
    }

    /// Whether its author is in the roster in force, and has a say: guardians have none but in recoveries.
    fn is_member(&self, sources: Sources<'_>, body: &UnitBody) -> bool {
        let is_there = |it: &Configuration| it.roster.contains_key(&body.author);
        self.config(sources).is_some_and(is_there) && !is_by_guardian(sources, body)
    }

    /// Changes what is known of a proposal; only members of the roster in force count.
    fn mark(
        &mut self,
        sources: Sources<'_>,
        body: &UnitBody,
        proposal: Digest,
        undo: &mut Vec<Undo>,
        change: impl FnOnce(&mut ProposalState),
    ) {
        let member = self.is_member(sources, body);
        if let Some(state) = self.state.proposals.get_mut(&proposal).filter(|_| member) {
            undo.push(Undo::Marked(proposal, Marks::of(state)));
            change(state);
        }
    }

    pub(super) fn put(
        &mut self,
        session: SessionId,
        position: Position,
        close: &CloseSession,
        put: &RecordPut,
        undo: &mut Vec<Undo>,
    ) {
        let Some(session) = self.state.sessions.get(&session) else { return };
        let app = session.open.app;
        let id = (app, close.schema, put.key.clone());
        self.touch(&id);
        let record = Record {
            app,
            schema: close.schema,
            key: put.key.clone(),
            tag: Tag { lamport: position.lamport, unit: position.unit },
            origin: put.key.clone(),
            bytes: put.bytes.clone().unwrap_or_default(),
        };
        let written = RawRecord { record, position, deleted: put.bytes.is_none() };
        // Places are folded in ascending order, so this write is later than the one before.
        let before = self.state.records.insert(id.clone(), written);
        undo.push(Undo::Record(Box::new(id), before.map(Box::new)));
    }
}

/// Whether its author was a guardian when it wrote this.
pub(super) fn is_by_guardian(sources: Sources<'_>, body: &UnitBody) -> bool {
    sources.chain.config_at(body.config).is_some_and(|it| it.is_guardian(&body.author))
}
