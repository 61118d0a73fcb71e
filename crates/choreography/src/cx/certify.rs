//! `certified`: a decision that holds only if a quorum has seen the same one.
//!
//! It hardens a step against a decider that tells two devices different things: two quorums of `m`
//! share 2m − N devices, so with fewer liars than that no two decisions get one.

use crate::{
    Ask, Body, Cx, Label, LabelSet, Payload, Reason, Reply, RoleIx, Stop, Want, cx::stalled,
};

impl Cx {
    /// Votes for what this device heard, and waits for a quorum of equal votes. A device that heard
    /// nothing, or what cannot be, votes for giving up: a dead decider stops nobody for ever.
    pub(super) async fn certify<T: Payload>(
        &self,
        vote: Label,
        unless: Option<Label>,
        said: Result<Result<T, Reason>, Stop>,
    ) -> Result<Result<T, Reason>, Stop> {
        let heard = match said {
            Ok(decided) => decided,
            Err(Stop::Stalled { .. }) => Err(Reason::Timeout),
            Err(Stop::Byzantine { culprit, .. }) => {
                let culprits = crate::DeviceSet::one(culprit);
                Err(Reason::Byzantine { culprits })
            }
            Err(other) => return Err(other),
        };
        let heard = match self.vetoed(unless).await {
            Some(reason) => Err(reason),
            None => heard,
        };
        self.say(vote, Body::of(&heard))?.await;
        let all = self.members(RoleIx::ALL);
        let want = Want {
            same: true,
            ..self.want(LabelSet::one(self.label(vote)), all.devices, all.threshold)
        };
        let ask = Ask::Await { want, unless: None, within: self.scope.ttl, signals: false };
        match self.ask(ask).await {
            Reply::Events(events) => {
                let event = events.first().ok_or_else(|| stalled(&want))?;
                super::read(event.author, event.body.bytes())
            }
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
