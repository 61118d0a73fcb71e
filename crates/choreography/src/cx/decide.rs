//! `decide`: one device fixes what everybody then knows.

use alloc::string::ToString;

use crate::{
    Ask, Body, Cx, Dev, DeviceSet, Each, Event, Events, Label, LabelSet, Me, Payload, Pub, Reason,
    Reply, RoleIx, Stop,
    cx::{Group, Quorum, read, read_all},
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

/// The same for code that is the same for all payloads.
type UnlessBody<'a> = &'a (dyn Fn(&Me, &[u8]) -> Option<Body> + Send + Sync);

impl<T> Decide<T> {
    /// All but what depends on the payload, so that waiting is one piece of code in a module.
    const fn without_names(&self) -> Decide<()> {
        let Self { by, on, from, quorum, within, yes, no, vote, unless, names: _ } = *self;
        Decide { by, on, from, quorum, within, yes, no, vote, unless, names: None }
    }
}

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
        let veto = unless.map(|it| move |me: &Me, said: &[u8]| it(me, said).as_ref().map(Body::of));
        let waited = self.wait(step.without_names(), veto.as_ref().map(|it| it as UnlessBody<'_>));
        let waited = waited.await;
        let (said, kept) = if self.holder(step.by)? == self.dev() {
            let (decided, kept) = self.decided_here(&waited?, at_decider)?;
            let (label, body) = match &decided {
                Ok(value) => (step.yes, Body::of(value)),
                Err(reason) => (step.no, Body::of(reason)),
            };
            self.say(label, body)?.await;
            (Ok(decided), kept)
        } else {
            (self.decided_there(step, waited), None)
        };
        let decided = match step.vote {
            Some(vote) => {
                let said = said.map(|it| Body::of(&it));
                let event = self.certify(vote, step.unless, said).await?;
                read(event.author, event.body.bytes())?
            }
            None => said?,
        };
        let value = decided.map_err(Stop::Aborted)?;
        if let Some(names) = step.names {
            let label = step.yes;
            self.scope.decided.push((label, names(&value)));
        }
        Ok((Pub::new(value), Each::new(kept)))
    }

    /// What this device asks: at the decider for what its decision rests on, elsewhere for the
    /// decision.
    fn awaited(&self, step: &Decide<()>, signals: bool) -> Result<Ask, Stop> {
        let decider = self.holder(step.by)?;
        if decider == self.dev() {
            let want = self.quorum_of(step.on, step.from, step.quorum);
            let all = self.members(RoleIx::ALL).devices;
            let unless = step.unless.map(|it| self.want(LabelSet::one(self.label(it)), all, 1));
            return Ok(Ask::Await { want, unless, within: Some(step.within), signals });
        }
        let labels = LabelSet::one(self.label(step.yes)).with(self.label(step.no));
        let want = self.want(labels, DeviceSet::one(decider), 1);
        Ok(Ask::Await { want, unless: None, within: self.scope.ttl, signals })
    }

    /// Waits for that, and listens to the person at this device.
    async fn wait(&self, step: Decide<()>, unless: Option<UnlessBody<'_>>) -> Result<Waited, Stop> {
        loop {
            match self.ask(self.awaited(&step, unless.is_some())?).await {
                Reply::Events(events) => {
                    let is_veto = |it: &&Event| Some(self.own_label(it)) == step.unless;
                    return Ok(match events.first().filter(is_veto) {
                        Some(event) => Waited::Vetoed(event.author),
                        None => Waited::Enough(events),
                    });
                }
                Reply::Signal(said) => {
                    if let Some((label, body)) = self.veto(step.unless, unless, &said) {
                        self.say(label, body)?.await;
                        if self.holder(step.by)? == self.dev() {
                            return Ok(Waited::Vetoed(self.dev()));
                        }
                    }
                }
                _ => return Ok(Waited::Late),
            }
        }
    }

    /// What stops the decision, if what the person said means that.
    fn veto(
        &self,
        label: Option<Label>,
        unless: Option<UnlessBody<'_>>,
        said: &[u8],
    ) -> Option<(Label, Body)> {
        Some((label?, unless?(&self.me(), said)?))
    }

    fn decided_here<I: Payload, T: Payload, X: Send>(
        &self,
        waited: &Waited,
        at_decider: impl Fn(&Me, &[(Dev, I)]) -> Result<(T, X), Reason> + Send,
    ) -> Result<(Result<T, Reason>, Option<X>), Stop> {
        let result = match waited {
            Waited::Enough(events) => at_decider(&self.me(), &read_all(events, 0)?),
            Waited::Vetoed(by) => Err(Reason::Vetoed { by: *by }),
            Waited::Late => Err(Reason::Timeout),
        };
        Ok(match result {
            Ok((value, kept)) => (Ok(value), Some(kept)),
            Err(reason) => (Err(reason), None),
        })
    }

    /// What the decider said, as far as this device can accept it.
    fn decided_there<T: Payload>(
        &self,
        step: &Decide<T>,
        waited: Result<Waited, Stop>,
    ) -> Result<Result<T, Reason>, Stop> {
        let decider = self.holder(step.by)?;
        let event = match waited? {
            Waited::Enough(events) => events.into_first(),
            Waited::Vetoed(_) | Waited::Late => None,
        };
        let Some(event) = event else {
            let labels = LabelSet::one(self.label(step.yes)).with(self.label(step.no));
            return Err(Stop::Stalled { labels, from: DeviceSet::one(decider) });
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
