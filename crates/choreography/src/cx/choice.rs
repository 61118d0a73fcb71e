//! `choice` and `rec`: branches are decided events, and going back is one of them.

use alloc::{string::ToString, vec::Vec};

use crate::{
    Ask, Body, Cx, Dev, Each, Label, LabelSet, Me, Payload, Pub, Reason, Reply, RoleIx, Stop,
    cx::{Group, Quorum, read, read_all},
};

/// Most times that a session may go back, whatever its type says: a bound on what a chooser can make
/// others do, and on the rounds of the events that they keep.
pub const ROUNDS_MAX: u32 = 1024;

/// A choice as the session type declares it.
#[derive(Debug, Clone, Copy)]
pub struct Choose {
    /// Who chooses.
    pub by: RoleIx,
    /// What is waited for before, of whom, of how many, for how many epochs.
    pub on: Option<(Label, Group, Quorum, u32)>,
    /// The branches.
    pub branches: &'static [Label],
    /// The branches that go back: to which mark, and for how many epochs after it that may be.
    pub back: &'static [(Label, u8, u32)],
    /// What is said when no branch can be taken.
    pub no: Option<Label>,
}

impl Cx {
    /// `choice`: what the chooser says, as a label of this part and its payload's encoding.
    pub async fn choose<I: Payload, X: Send>(
        &mut self,
        step: &Choose,
        at_chooser: impl Fn(&Me, &[(Dev, I)]) -> Result<((Label, Body), X), Reason> + Send,
    ) -> Result<(Label, Body, Each<X>), Stop> {
        let chooser = self.holder(step.by)?;
        if chooser == self.dev() {
            let chosen = self.choose_here(step, at_chooser).await?;
            let (label, body) = match &chosen {
                Ok(((label, body), _)) => (*label, body.clone()),
                Err(reason) => {
                    let Some(no) = step.no else { return Err(Stop::Failed(reason.clone())) };
                    (no, Body::of(reason))
                }
            };
            self.say(label, body)?.await;
            return match chosen {
                Ok(((label, body), kept)) => Ok((label, body, Each::new(Some(kept)))),
                Err(reason) => Err(Stop::Aborted(reason)),
            };
        }
        let shifted = step
            .branches
            .iter()
            .copied()
            .chain(step.no)
            .fold(LabelSet::default(), |set, it| set.with(self.label(it)));
        let event = self.hear(shifted, chooser).await?;
        let label = self.own_label(&event);
        if Some(label) == step.no {
            return Err(Stop::Aborted(read(chooser, event.body.bytes())?));
        }
        Ok((label, event.body, Each::new(None)))
    }

    async fn choose_here<I: Payload, X: Send>(
        &self,
        step: &Choose,
        at_chooser: impl Fn(&Me, &[(Dev, I)]) -> Result<((Label, Body), X), Reason> + Send,
    ) -> Result<Result<((Label, Body), X), Reason>, Stop> {
        let mut gathered = Vec::new();
        if let Some((on, group, quorum, within)) = step.on {
            let want = self.quorum_of(on, group, quorum);
            let ask = Ask::Await { want, unless: None, within: Some(within), signals: false };
            match self.ask(ask).await {
                Reply::Events(events) => gathered = read_all(&events, 0)?,
                _ => return Ok(Err(Reason::Timeout)),
            }
        }
        let chosen = match at_chooser(&self.me(), &gathered) {
            Ok(chosen) => chosen,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some((_, mark, within)) = step.back.iter().find(|it| it.0 == chosen.0.0)
            && !self.may_go_back(*mark, *within).await
        {
            return Ok(Err(Reason::Bounded));
        }
        Ok(Ok(chosen))
    }

    /// What a chooser said, as its payload.
    pub fn chosen<T: Payload>(&self, by: RoleIx, body: &Body) -> Result<Pub<T>, Stop> {
        read(self.holder(by)?, body.bytes()).map(Pub::new)
    }

    /// `rec`: remembers when the state was reached first, at the device that may go back to it.
    /// Called by the first step after the mark, every time round.
    pub async fn mark(&mut self, mark: u8, by: RoleIx) -> Result<(), Stop> {
        let at = usize::from(mark);
        if self.scope.marks.len() <= at {
            self.scope.marks.resize(at + 1, None);
        }
        let is_set = self.scope.marks.get(at).is_some_and(Option::is_some);
        if !is_set && self.holder(by)? == self.dev() {
            let Reply::Epoch(epoch) = self.ask(Ask::Now).await else { return Ok(()) };
            if let Some(slot) = self.scope.marks.get_mut(at) {
                *slot = Some(epoch);
            }
        }
        Ok(())
    }

    /// `continue`: from here on, what was said before is of an earlier round. Loops inside this one
    /// begin anew.
    pub fn go_back(&mut self, mark: u8, by: RoleIx) -> Result<(), Stop> {
        let chooser = self.holder(by)?;
        self.scope.marks.truncate(usize::from(mark) + 1);
        self.scope.rounds += 1;
        self.scope.round = self.scope.rounds;
        if ROUNDS_MAX <= self.scope.rounds && chooser != self.dev() {
            let what = "went back more often than any session may".to_string();
            return Err(Stop::Byzantine { culprit: chooser, what });
        }
        Ok(())
    }

    async fn may_go_back(&self, mark: u8, epochs: u32) -> bool {
        let round = self.scope.rounds;
        let since = self.scope.marks.get(usize::from(mark)).copied().flatten();
        let ask = Ask::HasPassed { since: since.unwrap_or_default(), epochs, round };
        round + 1 < ROUNDS_MAX && self.ask(ask).await == Reply::Passed(false)
    }
}
