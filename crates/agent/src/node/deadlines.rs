//! Deadlines of sessions by the quorum clock (`02-ledger`, section 3).
//!
//! How long a step may take is said in the session's type, and devices end it by themselves. That ends nothing
//! in the ledger if the opener is gone, which alone can close it. So a session whose type bounds every wait is
//! opened with a deadline that is beyond all of them, and once the clock has come there the participants say
//! that it timed out.

use std::collections::BTreeSet;

use aura_journal::{
    SessionState, SessionStatus,
    event::{CloseSession, Event, OpenChild, OpenSession, OpenUntil, Opening},
};
use aura_protocol_core::{
    Epoch, Outcome, SchemaId, SessionId,
    session_type::{SessionType, Step},
};

use crate::node::Node;

/// The latest deadline, in epochs from the opening. A session that may last longer has none: the clock would
/// have to go for it all that time.
const EPOCHS_MAX: u64 = 8192;
/// How many times the sum of its waits a session gets: a device's own work, and restarts, lie between them.
const LEISURE: u64 = 2;

/// The open sessions that have a deadline, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<SessionId>);

impl Node {
    /// How a session is opened: with a deadline, if the type of what this device runs has one.
    pub(super) fn opened(&self, open: OpenSession) -> Event {
        match self.until(&open) {
            Some(until) => {
                Event::OpenUntil(Box::new(OpenUntil { until, opening: Opening::Session(open) }))
            }
            None => Event::OpenSession(Box::new(open)),
        }
    }

    /// How a part of a session is opened: what the session has no time for, its part has no time for either.
    pub(super) fn opened_child(&self, child: OpenChild) -> Event {
        let parent = self.ledger.state().sessions.get(&child.parent);
        match parent.and_then(|it| it.until) {
            Some(until) => {
                Event::OpenUntil(Box::new(OpenUntil { until, opening: Opening::Child(child) }))
            }
            None => Event::OpenChild(Box::new(child)),
        }
    }

    fn until(&self, open: &OpenSession) -> Option<Epoch> {
        let (_, module) = open.agreement.runs.get(&self.me)?;
        let descriptor = self.descriptor(module).filter(|it| it.uses.is_empty())?;
        // The type was read when the module was let in.
        let types = descriptor.types().ok().filter(|it| !it.is_empty())?;
        let waits = types.iter().map(longest).try_fold(0, |most, it| Some(most.max(it?)))?;
        let epochs = Some(waits.saturating_mul(LEISURE)).filter(|it| *it <= EPOCHS_MAX)?;
        Some(self.ledger.epoch().saturating_add(epochs.max(1)))
    }

    /// A session was opened, or is there after a restart.
    pub(super) fn note_deadline(&mut self, session: SessionId) {
        let known = self.ledger.state().sessions.get(&session);
        if known.is_some_and(|it| it.until.is_some()) {
            self.deadlines.0.insert(session);
        }
    }

    /// All that the ledger has.
    pub(super) fn restore_deadlines(&mut self) {
        let sessions: Vec<SessionId> = self.ledger.state().sessions.keys().copied().collect();
        sessions.into_iter().for_each(|it| self.note_deadline(it));
    }

    /// Whether the clock has to go on for a session's deadline, and for its participants to say so after that.
    pub(super) fn deadline_is_due(&self) -> bool {
        let epoch = self.ledger.epoch();
        let sessions = &self.ledger.state().sessions;
        let open =
            self.deadlines.0.iter().filter_map(|it| sessions.get(it)).filter(|it| is_open(it));
        open.filter_map(|it| Some((it, it.until?))).any(|(it, until)| {
            let turns = it.open.agreement.runs.len() as u64;
            // Nobody makes an account tick for longer than any honest opener asks for.
            until.0 <= epoch.0.saturating_add(EPOCHS_MAX) && epoch < until.saturating_add(turns)
        })
    }

    /// Says of the sessions whose deadline has come that they timed out. The participants have turns, an epoch
    /// each, so that one of them says it.
    pub(super) fn time_sessions_out(&mut self) {
        let (epoch, me, state) = (self.ledger.epoch(), self.me, self.ledger.state());
        let is_known_open = |it: &SessionId| state.sessions.get(it).is_some_and(is_open);
        self.deadlines.0.retain(is_known_open);
        let is_my_turn = |it: &SessionId| {
            let known = state.sessions.get(it)?;
            let turn = known.open.agreement.runs.keys().position(|it| *it == me)?;
            Some(known.until?.saturating_add(turn as u64) <= epoch)
        };
        let due = self.deadlines.0.iter().filter(|it| is_my_turn(it) == Some(true));
        for session in due.copied().collect::<Vec<_>>() {
            let outcome = Outcome::Aborted { reason: "its deadline has come".to_owned() };
            let schema = SchemaId::from_bytes([0; 32]);
            let close = CloseSession { outcome, schema, batch: Vec::new() };
            self.author(Some(session), Event::CloseSession(close));
            // Whatever became of it, it was said.
            self.deadlines.0.remove(&session);
        }
    }
}

fn is_open(session: &SessionState) -> bool {
    matches!(session.status, SessionStatus::Pending | SessionStatus::Active)
}

/// How many epochs a device waits for others at most in one run of a session; none without a bound.
fn longest(session: &SessionType) -> Option<u64> {
    steps(&session.body, session.ttl)
}

fn steps(body: &[Step], ttl: Option<u32>) -> Option<u64> {
    body.iter().try_fold(0u64, |sum, it| Some(sum.saturating_add(step(it, ttl)?)))
}

fn step(step: &Step, ttl: Option<u32>) -> Option<u64> {
    // Whoever decides waits for a quorum, and the others for the decision.
    let decision = |within: u32| Some(u64::from(within.max(ttl?)));
    match step {
        Step::Each { .. } | Step::Scatter { .. } => Some(0),
        Step::Write { .. } => decision(0),
        Step::Gather { within, .. } => within.map(u64::from),
        Step::Decide { on, certified, .. } => {
            let votes = if *certified { decision(0)? } else { 0 };
            Some(decision(on.within?)?.saturating_add(votes))
        }
        Step::Choice { on, branches, .. } => {
            let first = decision(on.as_ref().map_or(Some(0), |it| it.within)?)?;
            let ways = branches.iter().map(|it| steps(&it.body, ttl));
            Some(first.saturating_add(ways.try_fold(0, |most, it| Some(most.max(it?)))?))
        }
        // Going back is over by then, and what comes after it is counted once.
        Step::Rec { within, .. } => Some(u64::from(*within)),
        Step::Sub { session, .. } => longest(session),
        Step::Pause { epochs, .. } => Some(u64::from(*epochs)),
    }
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::session_type::parse;

    use super::*;

    fn epochs(body: &str, ttl: &str) -> Option<u64> {
        let text = format!(
            "session Two {{\n{ttl}    msg {{\n        Ask(u8),\n        Yes(u8),\n        No(u8),\n    }}\n{body}}}\n"
        );
        longest(&parse(&text).unwrap())
    }

    /// What a session waits for adds up; one wait without a bound leaves none.
    #[test]
    fn waits_add_up() {
        let ask = "    write ask: Ask by Opener;\n";
        let gather = "    gather all: Ask[all] within 5;\n";
        let ttl = "    ttl 10;\n";
        assert_eq!(epochs(ask, ttl), Some(10));
        assert_eq!(epochs(&format!("{ask}{gather}"), ttl), Some(15));
        assert_eq!(epochs(&format!("{ask}    pause rest: 7;\n"), ttl), Some(17));
        assert_eq!(epochs(ask, ""), None);
        assert_eq!(epochs(&format!("{ask}    gather all: Ask[all];\n"), ttl), None);
        let decide = |within: &str| {
            format!("{ask}    decide go by Opener: on Ask[all]{within} => Yes | No;\n")
        };
        assert_eq!(epochs(&decide(" within 30"), ttl), Some(40));
        assert_eq!(epochs(&decide(""), ttl), None);
    }
}
