//! What one step of the fold changed, so that it can be taken back exactly.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{AppId, DeviceId, Digest, Outcome, SessionId};

use crate::{
    event::{DeviceMetadata, Receipt},
    fold::state::{
        AccountState, AppState, EndedSessions, ProposalState, RawRecord, RecordId, SessionState,
        SessionStatus,
    },
};

/// One change, with what was there before.
#[derive(Debug)]
pub(crate) enum Undo {
    Metadata(DeviceId, Option<Box<(Digest, DeviceMetadata)>>),
    App(AppId, Option<Box<AppState>>),
    Proposed(Digest),
    Marked(Digest, Box<Marks>),
    Opened(SessionId),
    RefusedChild(SessionId),
    Message(SessionId, SessionStatus),
    Closed(SessionId, Box<Closing>),
    Record(Box<RecordId>, Option<Box<RawRecord>>),
    Released,
    Reconfigured(u64),
    Ended(Box<(EndedSessions, Vec<(SessionId, SessionState)>)>),
}

/// The part of a session that changes when it ends.
#[derive(Debug)]
pub(crate) struct Closing {
    status: SessionStatus,
    outcome: Option<Outcome>,
    closed_by: Option<Digest>,
}

impl Closing {
    /// Ends the session. Returns what was before.
    pub(crate) fn end(
        session: &mut SessionState,
        status: SessionStatus,
        outcome: Outcome,
        by: Digest,
    ) -> Box<Self> {
        Box::new(Self {
            status: std::mem::replace(&mut session.status, status),
            outcome: session.outcome.replace(outcome),
            closed_by: session.closed_by.replace(by),
        })
    }
}

/// The part of a proposal that changes.
#[derive(Debug)]
pub(crate) struct Marks {
    acknowledged: BTreeSet<DeviceId>,
    ready: BTreeMap<DeviceId, Receipt>,
    declined: BTreeMap<DeviceId, (String, String)>,
    activated_at: Option<u64>,
}

impl Marks {
    pub(crate) fn of(proposal: &ProposalState) -> Box<Self> {
        Box::new(Self {
            acknowledged: proposal.acknowledged.clone(),
            ready: proposal.ready.clone(),
            declined: proposal.declined.clone(),
            activated_at: proposal.activated_at,
        })
    }

    fn restore(self, proposal: &mut ProposalState) {
        let Self { acknowledged, ready, declined, activated_at } = self;
        proposal.acknowledged = acknowledged;
        proposal.ready = ready;
        proposal.declined = declined;
        proposal.activated_at = activated_at;
    }
}

impl Undo {
    /// Takes the change back. `config` is the index of the configuration that the fold is in.
    pub(crate) fn apply(self, state: &mut AccountState, config: &mut u64) {
        match self {
            Self::Metadata(device, before) => {
                put_back(&mut state.metadata, device, before.map(|it| *it))
            }
            Self::App(app, before) => put_back(&mut state.apps, app, before.map(|it| *it)),
            Self::Proposed(unit) => put_back(&mut state.proposals, unit, None),
            Self::Marked(unit, marks) => {
                if let Some(proposal) = state.proposals.get_mut(&unit) {
                    marks.restore(proposal);
                }
            }
            Self::Opened(id) => put_back(&mut state.sessions, id, None),
            Self::RefusedChild(id) => put_back(&mut state.refused_children, id, None),
            Self::Message(id, status) => with_session(state, id, |session| {
                session.messages.pop();
                session.status = status;
            }),
            Self::Closed(id, before) => with_session(state, id, |session| {
                let Closing { status, outcome, closed_by } = *before;
                session.status = status;
                session.outcome = outcome;
                session.closed_by = closed_by;
            }),
            Self::Record(id, before) => put_back(&mut state.records, *id, before.map(|it| *it)),
            Self::Released => {
                state.releases.pop();
            }
            Self::Reconfigured(before) => *config = before,
            Self::Ended(before) => {
                let (ended, sessions) = *before;
                state.ended = ended;
                state.sessions.extend(sessions);
            }
        }
    }
}

fn put_back<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn with_session(state: &mut AccountState, id: SessionId, change: impl FnOnce(&mut SessionState)) {
    if let Some(session) = state.sessions.get_mut(&id) {
        change(session);
    }
}
