//! What the node tells those who wait for the clock and for events of sessions.

use std::collections::BTreeSet;

use aura_coordination::execution::{News, SessionEvent, WakeCondition};
use aura_journal::{Event, event::SessionMessage};
use aura_protocol_core::{Digest, SessionId};

use crate::node::{Effect, Node, RequestId};

impl Node {
    /// Tells that an event of a session came.
    pub(super) fn tell_event(&mut self, unit: &Digest) {
        if let Some(event) = self.session_event(unit) {
            self.out.push(Effect::News(News::Event(event)));
        }
    }

    /// Tells a new wait what there was before: the epoch, and the events of the sessions that its
    /// conditions name.
    pub(super) fn recall(&mut self, id: RequestId, conditions: &[WakeCondition]) {
        let sessions: BTreeSet<SessionId> = conditions
            .iter()
            .filter_map(|it| match it {
                WakeCondition::EventMatching(filter)
                | WakeCondition::ThresholdEvents { filter, .. } => filter.session,
                _ => None,
            })
            .collect();
        let state = self.ledger.state();
        let sessions = sessions.iter().filter_map(|it| state.sessions.get(it));
        let events = sessions.flat_map(|it| &it.messages).filter_map(|it| self.session_event(it));
        let epoch = News::Epoch(self.ledger.epoch());
        let known = events.map(News::Event).chain([epoch]).collect();
        self.out.push(Effect::Recalled { id, known });
    }

    fn session_event(&self, unit: &Digest) -> Option<SessionEvent> {
        let body = self.ledger.unit(unit)?.body;
        let Event::SessionMessage(SessionMessage { label, payload }) = &body.event else {
            return None;
        };
        // Who takes no part has no say, and wakes nobody.
        let session = self.ledger.state().sessions.get(&body.session?)?;
        session.open.agreement.runs.contains_key(&body.author).then(|| SessionEvent {
            unit: *unit,
            session: session.id,
            author: body.author,
            label: label.clone(),
            payload: payload.clone(),
        })
    }
}
