//! `decide`: one device fixes what everybody then knows.

use alloc::string::ToString;

use crate::{
    Ask, Cx, Dev, DeviceSet, Each, Events, Label, LabelSet, Me, Payload, Pub, Reason, Reply,
    RoleIx, Stop,
    cx::{Group, Quorum, read, read_all, stalled},
};

/// A decision as the session type declares it.
#[derive(Debug, Clone, Copy)]
pub struct Decide<T> {
    /// Who decides.
    pub by: RoleIx,
    /// What is waited for.
    pub on: Label,
    /// Of whom.
    pub from: Group,
    /// Of how many.
    pub quorum: Quorum,
    /// For how many epochs.
    pub within: u32,
    /// What is said when it works.
    pub yes: Label,
    /// What is said when it does not.
    pub no: Label,
    /// What everybody then says, where a quorum has to have seen the same.
    pub vote: Option<Label>,
    /// What stops it.
    pub unless: Option<Label>,
    /// The devices that the decision names, where a later step is `among` them.
    pub names: Option<fn(&T) -> DeviceSet>,
}

/// What may stop a decision: the closure that turns what the person says into the event.
pub type Unless<'a, V> = &'a (dyn Fn(&Me, &[u8]) -> Option<V> + Send + Sync);

/// How a wait ended.
enum Waited {
    Enough(Events),
    Vetoed(Dev),
    Late,
}

impl Cx {
    /// `decide`.
    pub async fn decide<I: Payload, T: Payload, V: Payload, X: Send>(
        &mut self,
        step: &Decide<T>,
        at_decider: impl Fn(&Me, &[(Dev, I)]) -> Result<(T, X), Reason> + Send,
        unless: Option<Unless<'_, V>>,
    ) -> Result<(Pub<T>, Each<X>), Stop> {
        let (said, kept) = if self.holder(step.by)? == self.dev() {
            self.decide_here(step, at_decider, unless).await?
        } else {
            (self.decided_there(step, unless).await, None)
        };
        let decided = match step.vote {
            Some(vote) => self.certify(vote, step.unless, said).await?,
            None => said?,
        };
        let value = decided.map_err(Stop::Aborted)?;
        if let Some(names) = step.names {
            let label = step.yes;
            self.scope.decided.push((label, names(&value)));
        }
        Ok((Pub::new(value), Each::new(kept)))
    }

    async fn decide_here<I: Payload, T: Payload, V: Payload, X: Send>(
        &self,
        step: &Decide<T>,
        at_decider: impl Fn(&Me, &[(Dev, I)]) -> Result<(T, X), Reason> + Send,
        unless: Option<Unless<'_, V>>,
    ) -> Result<(Result<Result<T, Reason>, Stop>, Option<X>), Stop> {
        let result = match self.wait_or_veto(step, unless).await? {
            Waited::Enough(events) => {
                let gathered = read_all(&events, 0)?;
                at_decider(&self.me(), &gathered)
            }
            Waited::Vetoed(by) => Err(Reason::Vetoed { by }),
            Waited::Late => Err(Reason::Timeout),
        };
        match result {
            Ok((value, kept)) => {
                self.say_value(step.yes, &value).await?;
                Ok((Ok(Ok(value)), Some(kept)))
            }
            Err(reason) => {
                self.say_value(step.no, &reason).await?;
                Ok((Ok(Err(reason)), None))
            }
        }
    }

    async fn wait_or_veto<T, V: Payload>(
        &self,
        step: &Decide<T>,
        unless: Option<Unless<'_, V>>,
    ) -> Result<Waited, Stop> {
        let want = self.quorum_of(step.on, step.from, step.quorum);
        let stop = step.unless.map(|it| {
            self.want(LabelSet::one(self.label(it)), self.members(RoleIx::ALL).devices, 1)
        });
        let ask =
            Ask::Await { want, unless: stop, within: Some(step.within), signals: unless.is_some() };
        loop {
            match self.ask(ask.clone()).await {
                Reply::Events(events) => {
                    let veto = events
                        .first()
                        .filter(|it| stop.is_some_and(|stop| stop.labels.contains(it.label)));
                    return Ok(match veto {
                        Some(event) => Waited::Vetoed(event.author),
                        None => Waited::Enough(events),
                    });
                }
                Reply::Signal(said) => {
                    if self.veto(step.unless, unless, &said).await? {
                        return Ok(Waited::Vetoed(self.dev()));
                    }
                }
                _ => return Ok(Waited::Late),
            }
        }
    }

    /// Writes what stops the decision, if what the person said means that.
    async fn veto<V: Payload>(
        &self,
        label: Option<Label>,
        unless: Option<Unless<'_, V>>,
        said: &[u8],
    ) -> Result<bool, Stop> {
        let (Some(label), Some(unless)) = (label, unless) else { return Ok(false) };
        let Some(value) = unless(&self.me(), said) else { return Ok(false) };
        self.say_value(label, &value).await?;
        Ok(true)
    }

    /// What the decider said, as far as this device can accept it.
    async fn decided_there<T: Payload, V: Payload>(
        &self,
        step: &Decide<T>,
        unless: Option<Unless<'_, V>>,
    ) -> Result<Result<T, Reason>, Stop> {
        let decider = self.holder(step.by)?;
        let labels = LabelSet::one(self.label(step.yes)).with(self.label(step.no));
        let want = self.want(labels, DeviceSet::one(decider), 1);
        let ask =
            Ask::Await { want, unless: None, within: self.scope.ttl, signals: unless.is_some() };
        let event = loop {
            match self.ask(ask.clone()).await {
                Reply::Events(events) => {
                    break events.first().cloned().ok_or_else(|| stalled(&want))?;
                }
                Reply::Signal(said) => {
                    self.veto(step.unless, unless, &said).await?;
                }
                _ => return Err(stalled(&want)),
            }
        };
        if self.own_label(&event) == step.no {
            return read(decider, event.body.bytes()).map(Err);
        }
        let value: T = read(decider, event.body.bytes())?;
        let wanted = self.quorum_of(step.on, step.from, step.quorum);
        if step.names.is_some_and(|names| !may_be_named(names(&value), &wanted.from, wanted.count))
        {
            let what = "named devices that its decision cannot rest on".to_string();
            return Err(Stop::Byzantine { culprit: decider, what });
        }
        Ok(Ok(value))
    }
}

/// A decision names some of those that it waited for, and as many as it waited for.
fn may_be_named(named: DeviceSet, from: &DeviceSet, count: u8) -> bool {
    named.is_subset(*from) && usize::from(count) <= named.len()
}
