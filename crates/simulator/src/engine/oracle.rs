//! What must hold after every run, whatever went wrong in it.

use aura_choreography::{Dev, DeviceSet, Ended, Stop};
use aura_protocol_core::Outcome;

use crate::{
    draw::mix,
    engine::{Engine, Level, NEVER, Node, Outcomes, Violation},
    plan::{Plan, Strategy},
};

/// Who voted for what.
#[derive(Debug, Default)]
pub(super) struct Votes(Vec<(u64, u64, DeviceSet)>);

impl Votes {
    /// A slot for which two values have `quorum` votes each.
    fn twice_decided(&self, quorum: usize) -> Option<u64> {
        let mut decided = self.0.iter().filter(|(_, _, by)| quorum <= by.len());
        decided.find_map(|(slot, value, _)| {
            let other = |it: &&(u64, u64, DeviceSet)| {
                it.0 == *slot && it.1 != *value && quorum <= it.2.len()
            };
            self.0.iter().find(other).map(|_| *slot)
        })
    }

    fn vote(&mut self, slot: u64, value: u64, by: Dev) {
        match self.0.iter_mut().find(|it| (it.0, it.1) == (slot, value)) {
            Some((_, _, voters)) => *voters = voters.with(by),
            None => self.0.push((slot, value, DeviceSet::one(by))),
        }
    }
}

impl<L: Level> Engine<L> {
    /// All honest devices.
    fn honest(&self) -> impl Iterator<Item = (Dev, Option<&Ended>, bool)> {
        let places = self.places.iter().enumerate().filter(|(_, it)| it.strategy.is_none());
        places.map(|(index, it)| {
            let ended = it.node.as_ref().and_then(Node::ended);
            (Dev(index as u8), ended, it.back == Some(NEVER))
        })
    }

    pub(super) fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for (dev, ended, _) in self.honest() {
            let set = match ended {
                Some(Ok(Outcome::Completed { .. })) => &mut outcomes.finished,
                Some(Ok(Outcome::Aborted { .. }) | Err(Stop::Aborted(_))) => &mut outcomes.aborted,
                Some(Ok(Outcome::Left { .. }) | Err(_)) => &mut outcomes.left,
                None => continue,
            };
            *set = set.with(dev);
        }
        outcomes
    }

    pub(super) fn check(&mut self, plan: &Plan) {
        let outcomes = self.outcomes();
        let word = |set: DeviceSet| set.iter().fold(0_u64, |sum, it| sum ^ mix(u64::from(it.0)));
        let ends = mix(word(outcomes.finished) ^ mix(word(outcomes.aborted) ^ word(outcomes.left)));
        self.hash = mix(self.hash ^ ends);
        if self.violation.is_some() {
            return;
        }
        self.violation = self
            .agreement()
            .or_else(|| self.finish_beside_abort(outcomes))
            .or_else(|| self.deadlock())
            .or_else(|| self.lost())
            .or_else(|| self.diverged());
        if self.violation.is_none() {
            self.violation = self.double_certificate(plan);
        }
    }

    fn agreement(&self) -> Option<Violation> {
        let mut first: Option<(Dev, &Outcome)> = None;
        for (dev, ended, _) in self.honest() {
            let Some(Ok(outcome @ Outcome::Completed { .. })) = ended else { continue };
            match first {
                Some((one, other)) if other != outcome => {
                    return Some(Violation::Agreement { one, other: dev });
                }
                Some(_) => {}
                None => first = Some((dev, outcome)),
            }
        }
        None
    }

    fn finish_beside_abort(&self, outcomes: Outcomes) -> Option<Violation> {
        let (finished, aborted) = (outcomes.finished.first()?, outcomes.aborted.first()?);
        Some(Violation::FinishBesideAbort { finished, aborted })
    }

    /// Nothing is on its way, so whoever still waits waits for ever.
    fn deadlock(&self) -> Option<Violation> {
        let mut waiting = Vec::new();
        for (dev, ended, gone) in self.honest() {
            if ended.is_none() && !gone {
                let node = self.places.get(usize::from(dev.0))?.node.as_ref()?;
                waiting.extend(node.waits().map(|it| (dev, it)));
            }
        }
        (!waiting.is_empty()).then_some(Violation::Deadlock { waiting })
    }

    /// What honest devices said is at every device that is up. Where a liar shows each device a chain of
    /// its own, it may have been the only one that had what its last words rest on, and be gone with it.
    fn lost(&self) -> Option<Violation> {
        let branches = self.places.iter().any(|it| it.strategy == Some(Strategy::Branches));
        let is_gone = |dev: Dev| {
            let place = self.places.get(usize::from(dev.0));
            branches && place.is_some_and(|it| it.back == Some(NEVER))
        };
        let mut due = self.sent.iter().filter(|it| it.must && !is_gone(it.from));
        due.find_map(|it| {
            let has = |dev: &Dev| {
                let Some(place) = self.places.get(usize::from(dev.0)) else { return true };
                let gone = place.back == Some(NEVER);
                let holds = place.node.as_ref().is_none_or(|node| node.holds(&it.message));
                gone || place.strategy.is_some() || (it.got.contains(*dev) && holds)
            };
            let missing: DeviceSet = it.audience.iter().filter(|dev| !has(dev)).collect();
            (!missing.is_empty()).then_some(Violation::Lost { author: it.from, missing })
        })
    }

    /// Honest devices that are up have the same in the end.
    fn diverged(&self) -> Option<Violation> {
        let up = self.honest().filter(|(_, _, gone)| !gone);
        let mut nodes = up.filter_map(|(dev, ..)| Some((dev, self.node(dev)?)));
        let (one, first) = nodes.next()?;
        nodes.find_map(|(other, node)| {
            first.differs(node).map(|what| Violation::Diverged { one, other, what })
        })
    }

    fn double_certificate(&mut self, plan: &Plan) -> Option<Violation> {
        self.votes.0.clear();
        for sent in self.sent.iter().filter(|it| !it.bogus) {
            if let Some((slot, value)) = self.level.vote(&sent.message) {
                self.votes.vote(slot, value, sent.from);
            }
        }
        let slot = self.votes.twice_decided(usize::from(plan.threshold))?;
        Some(Violation::DoubleCertificate { slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_decided_twice_by_two_quorums_and_not_by_one() {
        let mut votes = Votes::default();
        for dev in 0..3 {
            votes.vote(7, 1, Dev(dev));
            votes.vote(8, 2, Dev(dev));
        }
        votes.vote(7, 2, Dev(1));
        votes.vote(7, 2, Dev(2));
        votes.vote(7, 2, Dev(2));
        assert_eq!(votes.twice_decided(3), None, "the same vote twice is one vote");
        votes.vote(7, 2, Dev(3));
        assert_eq!(votes.twice_decided(3), Some(7));
    }
}
