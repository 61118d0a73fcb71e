//! Subscriptions: who waits for which units (`02-ledger`, section 6).
//!
//! Every unit is listed once under each topic that it belongs to, and a subscription is a place in
//! one such list. What arrived before and what arrives after are one stream, so no wake-up can be
//! lost between the two, and an import touches the matching topics alone, however long the log is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use aura_protocol_core::{DeviceId, Digest, SessionId};

use crate::{event::EventKind, unit::UnitBody};

/// How settled a unit has to be to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Finality {
    /// As soon as it is imported. Its place in the order of the fold may still change.
    #[default]
    Tentative,
    /// Once a control entry closes over it and all that this entry names is here, so that no late unit
    /// can come before it, or show that its author had forked, any more.
    Final,
}

/// Which units a subscription is for. The default is all. Ticks of the clock are in no stream: there
/// would be as many places in it as seconds, and [`crate::Ledger::epoch`] says all that they say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only those of this session.
    pub session: Option<SessionId>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// Only those of these authors.
    pub authors: Option<BTreeSet<DeviceId>>,
    /// How settled.
    pub finality: Finality,
    /// Only those for which this holds.
    pub matching: Option<Matching>,
}

/// A predicate on units of which the other parts of a filter are true. It must say the same of one unit at all
/// times. What is waited for often is better named by session and kind: those are indexed, this is asked once
/// for each unit under them.
#[derive(Clone)]
pub struct Matching(Arc<dyn Fn(&UnitBody) -> bool + Send + Sync>);

impl fmt::Debug for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matching")
    }
}

impl PartialEq for Matching {
    /// One predicate is equal to itself alone.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Matching {}

/// A subscription, as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionId(u64);

/// A session or any, and a kind or any.
type Topic = (Option<SessionId>, Option<EventKind>);

#[derive(Debug, Default)]
struct Lists {
    units: BTreeMap<Topic, Vec<(DeviceId, Digest)>>,
    subscribers: BTreeMap<Topic, BTreeSet<SubscriptionId>>,
}

#[derive(Debug)]
struct Subscription {
    filter: Filter,
    /// How many units of its topic it has looked at.
    seen: usize,
}

/// All subscriptions of a ledger.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    lists: BTreeMap<Finality, Lists>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    woken: BTreeSet<SubscriptionId>,
    next: u64,
}

impl Filter {
    fn topic(&self) -> Topic {
        (self.session, self.kind)
    }

    /// This filter, for those units alone for which `holds`.
    #[must_use]
    pub fn matching(self, holds: impl Fn(&UnitBody) -> bool + Send + Sync + 'static) -> Self {
        Self { matching: Some(Matching(Arc::new(holds))), ..self }
    }

    /// Whether a unit under this filter's topic is one that it is for.
    fn wants<'a>(&self, author: &DeviceId, body: impl FnOnce() -> Option<&'a UnitBody>) -> bool {
        self.authors.as_ref().is_none_or(|it| it.contains(author))
            && self.matching.as_ref().is_none_or(|it| body().is_some_and(|body| (it.0)(body)))
    }
}

impl Subscriptions {
    /// Lists a unit that became visible at this finality. Once per unit and finality.
    pub(crate) fn publish(&mut self, finality: Finality, hash: Digest, body: &UnitBody) {
        let lists = self.lists.entry(finality).or_default();
        for topic in topics(body) {
            lists.units.entry(topic).or_default().push((body.author, hash));
            for id in lists.subscribers.get(&topic).into_iter().flatten() {
                let filter = self.subscriptions.get(id).map(|it| &it.filter);
                if filter.is_some_and(|it| it.wants(&body.author, || Some(body))) {
                    self.woken.insert(*id);
                }
            }
        }
    }

    /// Forgets units. What a stream has shown stays shown.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Digest) -> bool) {
        for (finality, lists) in &mut self.lists {
            for (topic, units) in &mut lists.units {
                let kept: Vec<bool> = units.iter().map(|(_, unit)| keep(unit)).collect();
                for id in lists.subscribers.get(topic).into_iter().flatten() {
                    let Some(it) = self.subscriptions.get_mut(id) else { continue };
                    if it.filter.finality == *finality {
                        it.seen = kept.iter().take(it.seen).filter(|it| **it).count();
                    }
                }
                let mut kept = kept.into_iter();
                units.retain(|_| kept.next() == Some(true));
            }
        }
    }

    /// Begins a stream, given the units that are listed.
    pub(crate) fn subscribe<'a>(
        &mut self,
        filter: Filter,
        body: impl Fn(&Digest) -> Option<&'a UnitBody>,
    ) -> SubscriptionId {
        let id = SubscriptionId(self.next);
        self.next = self.next.saturating_add(1);
        let lists = self.lists.entry(filter.finality).or_default();
        lists.subscribers.entry(filter.topic()).or_default().insert(id);
        let past = lists.units.get(&filter.topic());
        let is_wanted = |(author, unit): &(DeviceId, Digest)| filter.wants(author, || body(unit));
        if past.into_iter().flatten().any(is_wanted) {
            self.woken.insert(id);
        }
        self.subscriptions.insert(id, Subscription { filter, seen: 0 });
        id
    }

    /// What is new in a stream, given the units that are listed.
    pub(crate) fn poll<'a>(
        &mut self,
        id: SubscriptionId,
        body: impl Fn(&Digest) -> Option<&'a UnitBody>,
    ) -> Vec<Digest> {
        self.woken.remove(&id);
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Vec::new() };
        let filter = &subscription.filter;
        let lists = self.lists.get(&filter.finality);
        let Some(units) = lists.and_then(|it| it.units.get(&filter.topic())) else {
            return Vec::new();
        };
        let fresh = units.get(subscription.seen..).unwrap_or_default();
        subscription.seen = units.len();
        let is_wanted = |(author, unit): &&(DeviceId, Digest)| filter.wants(author, || body(unit));
        fresh.iter().filter(is_wanted).map(|(_, unit)| *unit).collect()
    }

    pub(crate) fn unsubscribe(&mut self, id: SubscriptionId) {
        self.woken.remove(&id);
        let Some(Subscription { filter, .. }) = self.subscriptions.remove(&id) else { return };
        if let Some(lists) = self.lists.get_mut(&filter.finality)
            && let Some(subscribers) = lists.subscribers.get_mut(&filter.topic())
        {
            subscribers.remove(&id);
            if subscribers.is_empty() {
                lists.subscribers.remove(&filter.topic());
            }
        }
    }

    pub(crate) fn take_woken(&mut self) -> BTreeSet<SubscriptionId> {
        std::mem::take(&mut self.woken)
    }
}

/// The topics that a unit belongs to, each once.
fn topics(body: &UnitBody) -> impl Iterator<Item = Topic> {
    let kind = Some(body.event.kind());
    let of_session = body.session.map(|it| [(Some(it), kind), (Some(it), None)]);
    [(None, kind), (None, None)].into_iter().chain(of_session.into_iter().flatten())
}
