//! `write`, `each`, `gather`, `scatter`, `pause`: steps in which nobody decides.

use alloc::vec::Vec;

use crate::{
    Ask, Body, Cx, Dev, Each, Label, LabelSet, Me, Payload, Pub, Reason, Reply, RoleIx, Stop,
    cx::{Group, Quorum, read, read_all, stalled},
};

impl Cx {
    /// `write`: the device of `by` says `label`, everybody reads it.
    pub async fn write<T: Payload>(
        &mut self,
        label: Label,
        by: RoleIx,
        at_writer: impl Fn(&Me) -> Result<T, Reason> + Send,
    ) -> Result<Pub<T>, Stop> {
        let writer = self.holder(by)?;
        if writer == self.dev() {
            let value = at_writer(&self.me()).map_err(Stop::Failed)?;
            self.say_value(label, &value)?.await;
            return Ok(Pub::new(value));
        }
        let event = self.hear(LabelSet::one(self.label(label)), writer).await?;
        read(writer, event.body.bytes()).map(Pub::new)
    }

    /// `each`: every device of `group` says `label`, or why it does not under `no`.
    pub async fn each<T: Payload, X: Send>(
        &mut self,
        label: Label,
        group: Group,
        no: Option<Label>,
        at_each: impl Fn(&Me) -> Result<(T, X), Reason> + Send,
    ) -> Result<Each<X>, Stop> {
        if !self.group(group).devices.contains(self.dev()) {
            return Ok(Each::new(None));
        }
        let (label, body, kept) = match (at_each(&self.me()), no) {
            (Ok((value, kept)), _) => (label, Body::of(&value), Some(kept)),
            (Err(reason), Some(no)) => (no, Body::of(&reason), None),
            (Err(reason), None) => return Err(Stop::Failed(reason)),
        };
        self.say(label, body)?.await;
        Ok(Each::new(kept))
    }

    /// `scatter`: every device of `from` says `label` once to each device of `to`. The body begins
    /// with whom it is for.
    pub async fn scatter<T: Payload, X: Send + Sync>(
        &mut self,
        label: Label,
        (from, to): (RoleIx, RoleIx),
        at_each: impl Fn(&Me) -> Result<X, Reason> + Send,
        per_pair: impl Fn(&Me, &X, Dev) -> Result<T, Reason> + Send,
    ) -> Result<Each<X>, Stop> {
        if !self.members(from).devices.contains(self.dev()) {
            return Ok(Each::new(None));
        }
        let me = self.me();
        let kept = at_each(&me).map_err(Stop::Failed)?;
        let mut bodies = Vec::new();
        for receiver in self.members(to).devices.iter() {
            let value = per_pair(&me, &kept, receiver).map_err(Stop::Failed)?;
            bodies.push(Body::of(&(receiver, value)));
        }
        for body in bodies {
            self.say(label, body)?.await;
        }
        Ok(Each::new(Some(kept)))
    }

    /// `gather`: waits until a quorum of `group` has said `label`. What this device sees of it is its
    /// own knowledge.
    pub async fn gather<T: Payload>(
        &mut self,
        label: Label,
        (group, quorum): (Group, Quorum),
        within: Option<u32>,
    ) -> Result<Each<Vec<(Dev, T)>>, Stop> {
        let want = self.quorum_of(label, group, quorum);
        let ask = Ask::Await { want, unless: None, within, signals: false };
        match self.ask(ask).await {
            Reply::Events(events) => read_all(&events, 0).map(|it| Each::new(Some(it))),
            _ => Err(stalled(&want)),
        }
    }

    /// `gather` of what was scattered: only what is for this device, at devices of `to`.
    pub async fn gather_own<T: Payload>(
        &mut self,
        label: Label,
        (from, to): (RoleIx, RoleIx),
        quorum: Quorum,
        within: Option<u32>,
    ) -> Result<Each<Vec<(Dev, T)>>, Stop> {
        if !self.members(to).devices.contains(self.dev()) {
            return Ok(Each::new(None));
        }
        let mut want = self.quorum_of(label, Group::Role(from), quorum);
        want.to_me = true;
        let ask = Ask::Await { want, unless: None, within, signals: false };
        match self.ask(ask).await {
            Reply::Events(events) => read_all(&events, 1).map(|it| Each::new(Some(it))),
            _ => Err(stalled(&want)),
        }
    }

    /// `pause`: lets epochs pass.
    pub async fn pause(&mut self, epochs: u32) -> Result<(), Stop> {
        self.ask(Ask::Pause { epochs }).await;
        Ok(())
    }
}
