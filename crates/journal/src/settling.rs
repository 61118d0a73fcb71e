//! When units become visible to those who wait for them: on arrival, and again once nothing that arrives later
//! can come before them.

use aura_protocol_core::Digest;

use crate::{Finality, Ledger, UnitScheme, event::EventKind};

impl<S: UnitScheme> Ledger<S> {
    /// Shows what entries close over whose closures are here. Nothing that arrives later comes before it,
    /// or shows a fork in its segment.
    pub(crate) fn publish_settled(&mut self) {
        while let Some((place, unit)) = self.settling.first_key_value()
            && self.segments.missing_until(place.segment()).is_none()
        {
            let (place, unit) = (*place, *unit);
            self.settling.remove(&place);
            if self.counts(&unit) {
                self.publish(Finality::Final, &unit);
            }
        }
    }

    /// Shows a unit to those who wait for such.
    pub(crate) fn publish(&mut self, finality: Finality, unit: &Digest) {
        let Some((index, held)) = self.dag.index(unit).zip(self.dag.held(unit)) else { return };
        let is_read = !self.unread.contains_key(unit);
        let kind = held.unit().kind().filter(|_| is_read).unwrap_or(EventKind::Unread);
        self.subscriptions.publish(finality, index, held, kind);
    }
}
