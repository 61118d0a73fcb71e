//! What a unit does to a session: it begins, is written into, and ends.
//!
//! A session may have a deadline by the quorum clock. Whether a unit of it came in time is read in what the
//! unit rests on, and nowhere else, so that it does not matter what arrived first (INV-J64). Its opener's
//! units count as those of any session while they are in time; from the deadline on, each participant can
//! say that it timed out.

use std::collections::BTreeSet;

use aura_protocol_core::{Digest, Epoch, Outcome, limits::BATCH_RECORDS_MAX};

use crate::{
    encoded::Encoded,
    event::{ChildOpening, CloseSession, OpenChild, OpenSession, RecordPut},
    fold::{
        Fold, Sources, clock_before,
        state::{Position, SessionState, SessionStatus},
        undo::{Closing, Undo},
        units::is_by_guardian,
    },
    session::{child_session_id, session_id},
    unit::UnitBody,
};

/// How a session ended that timed out, in words. They are part of the state.
const TIMED_OUT: &str = "TimedOut: the quorum clock came to its deadline";

impl Fold {
    pub(super) fn open(
        &mut self,
        unit: Digest,
        body: &UnitBody,
        open: &OpenSession,
        until: Option<Epoch>,
        undo: &mut Vec<Undo>,
    ) {
        let id = session_id(body.account, body.author, body.seq);
        if body.session != Some(id) || !open.agreement.runs.contains_key(&body.author) {
            return;
        }
        let session = SessionState::new(id, None, unit, body.author, open);
        self.begin(SessionState { until, ..session }, undo);
    }

    fn begin(&mut self, session: SessionState, undo: &mut Vec<Undo>) {
        undo.push(Undo::Opened(session.id));
        self.state.sessions.insert(session.id, session);
    }

    pub(super) fn open_child(
        &mut self,
        sources: Sources<'_>,
        unit: Digest,
        body: &UnitBody,
        child: &OpenChild,
        until: Option<Epoch>,
        undo: &mut Vec<Undo>,
    ) {
        let id = child_session_id(child.parent, child.part);
        let is_known =
            self.state.sessions.contains_key(&id) || self.state.refused_children.contains_key(&id);
        let Some(parent) = self.state.sessions.get(&child.parent) else { return };
        let may = parent.opener == body.author && parent.awaits_its_opener();
        let is_overdue = self.is_overdue(sources, unit, body.config, parent.until);
        if is_known || body.session != Some(id) || !may || is_overdue {
            return;
        }
        match &child.opening {
            ChildOpening::Opened(open) => {
                if open.agreement.runs.keys().eq(parent.open.agreement.runs.keys()) {
                    let parent = Some((child.parent, child.part));
                    let session = SessionState::new(id, parent, unit, body.author, open);
                    self.begin(SessionState { until, ..session }, undo);
                }
            }
            ChildOpening::Refused(reason) => {
                self.state.refused_children.insert(id, reason.clone());
                undo.push(Undo::RefusedChild(id));
            }
        }
    }

    pub(super) fn message(&mut self, unit: Digest, parts: &Encoded<'_>, undo: &mut Vec<Undo>) {
        let Some(session) = parts.session().and_then(|id| self.state.sessions.get_mut(&id)) else {
            return;
        };
        if !session.open.agreement.runs.contains_key(&parts.author()) {
            return;
        }
        undo.push(Undo::Message(session.id, session.status));
        session.messages.push(unit);
        if session.status == SessionStatus::Pending {
            session.status = SessionStatus::Active;
        }
    }

    pub(super) fn close(
        &mut self,
        sources: Sources<'_>,
        position: Position,
        body: &UnitBody,
        close: &CloseSession,
        undo: &mut Vec<Undo>,
    ) {
        let Some(id) = body.session.filter(|_| is_well_formed(close)) else { return };
        let Some(session) = self.state.sessions.get(&id) else { return };
        let by_opener = session.opener == body.author;
        let takes_part = session.open.agreement.runs.contains_key(&body.author);
        let is_overdue = self.is_overdue(sources, position.unit, body.config, session.until);
        let (status, outcome) = if is_overdue && takes_part && session.closed_by.is_none() {
            (SessionStatus::TimedOut, Outcome::Aborted { reason: TIMED_OUT.to_owned() })
        } else if !is_overdue && by_opener && session.awaits_its_opener() {
            let status = match close.outcome {
                Outcome::Completed { .. } => SessionStatus::Completed,
                // An opener that left decides no more: to everybody else the session is over without a
                // result.
                Outcome::Aborted { .. } | Outcome::Left { .. } => SessionStatus::Aborted,
            };
            (status, close.outcome.clone())
        } else {
            return;
        };
        let Some(session) = self.state.sessions.get_mut(&id) else { return };
        undo.push(Undo::Closed(id, Closing::end(session, status, outcome, position.unit)));
        if status == SessionStatus::Completed && !is_by_guardian(sources, body) {
            for put in &close.batch {
                self.put(id, position, close, put, undo);
            }
        }
    }

    /// Whether the clock had come to `until` in what a unit rests on. Of a unit whose author had not heard
    /// of a snapshot before it that cannot be told everywhere, and so counts as no.
    fn is_overdue(
        &self,
        sources: Sources<'_>,
        unit: Digest,
        config: u64,
        until: Option<Epoch>,
    ) -> bool {
        let Some(until) = until else { return false };
        let settled = sources.chain.snapshots_until(self.config).last();
        let may_tell = settled.is_none_or(|it| it.config <= config);
        may_tell && clock_before(sources.dag, sources.chain, &unit).is_some_and(|it| until <= it)
    }
}

impl SessionState {
    /// Whether what its opener said in time still counts: it has not said yet how it ended.
    fn awaits_its_opener(&self) -> bool {
        self.closed_by.is_none() || self.status == SessionStatus::TimedOut
    }
}

/// Whether the batch keeps to the limits, names each key once, and stands where it belongs.
fn is_well_formed(close: &CloseSession) -> bool {
    let keys: BTreeSet<_> = close.batch.iter().map(|it| &it.key).collect();
    let inner_is_empty = match &close.outcome {
        Outcome::Completed { batch, .. } => batch.is_empty(),
        Outcome::Aborted { .. } | Outcome::Left { .. } => true,
    };
    inner_is_empty
        && close.batch.len() <= BATCH_RECORDS_MAX
        && keys.len() == close.batch.len()
        && close.batch.iter().all(RecordPut::is_within_limits)
}
