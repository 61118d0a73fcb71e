//! `certified`: a decision that holds only if a quorum has seen the same one.
//!
//! It hardens a step against a decider that tells two devices different things: two quorums of `m`
//! share 2m − N devices, so with fewer liars than that no two decisions get one.

use crate::{
    Ask, Body, Cx, Event, Label, LabelSet, Reason, Reply, RoleIx, Stop, Want, cx::stalled,
};

impl Cx {
    /// Votes for what this device heard, and waits for a quorum of equal votes. A device that heard
    /// nothing, or what cannot be, votes for giving up: a dead decider stops nobody for ever.
    ///
    /// `said` is the encoding of a `Result<T, Reason>`, and so is what the event carries.
    pub(super) async fn certify(
        &self,
        vote: Label,
        unless: Option<Label>,
        said: Result<Body, Stop>,
    ) -> Result<Event, Stop> {
        let heard = match said {
            Ok(decided) => decided,
            Err(Stop::Stalled { .. }) => given_up(Reason::Timeout),
            Err(Stop::Byzantine { culprit, .. }) => {
                given_up(Reason::Byzantine { culprits: crate::DeviceSet::one(culprit) })
            }
            Err(other) => return Err(other),
        };
        let heard = self.vetoed(unless).await.map_or(heard, given_up);
        self.say(vote, heard)?.await;
        let all = self.members(RoleIx::ALL);
        let want = Want {
            same: true,
            ..self.want(LabelSet::one(self.label(vote)), all.devices, all.threshold)
        };
        let ask = Ask::Await { want, unless: None, within: self.scope.ttl, signals: false };
        match self.ask(ask).await {
            Reply::Events(events) => events.into_first().ok_or_else(|| stalled(&want)),
            _ => Err(stalled(&want)),
        }
    }

    /// Whether a veto is here already.
    async fn vetoed(&self, unless: Option<Label>) -> Option<Reason> {
        let label = self.label(unless?);
        let want = self.want(LabelSet::one(label), self.members(RoleIx::ALL).devices, 1);
        let Reply::Events(events) = self.ask(Ask::Peek(want)).await else { return None };
        events.first().map(|it| Reason::Vetoed { by: it.author })
    }
}

/// What a vote for giving up says: an `Err` is written alike, whatever `Ok` would be.
fn given_up(reason: Reason) -> Body {
    Body::of(&Err::<(), Reason>(reason))
}
