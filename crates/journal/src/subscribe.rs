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

use crate::{dag::Held, encoded::decoded, event::EventKind, unit::UnitBody};

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

/// A topic's units by their places in the order of arrival, and who waits for more.
#[derive(Debug, Default)]
struct List {
    units: Vec<usize>,
    subscribers: BTreeSet<SubscriptionId>,
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
    tentative: BTreeMap<Topic, List>,
    closed: BTreeMap<Topic, List>,
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
    fn wants(&self, held: &Held) -> bool {
        self.authors.as_ref().is_none_or(|it| it.contains(&held.unit().author()))
            && self
                .matching
                .as_ref()
                .is_none_or(|it| decoded(held.bytes()).is_some_and(|body| (it.0)(&body)))
    }
}

impl Subscriptions {
    fn lists(&mut self, finality: Finality) -> &mut BTreeMap<Topic, List> {
        match finality {
            Finality::Tentative => &mut self.tentative,
            Finality::Final => &mut self.closed,
        }
    }

    /// Lists a unit that became visible at this finality, by its place in the order of arrival. Once per
    /// unit and finality.
    pub(crate) fn publish(
        &mut self,
        finality: Finality,
        index: usize,
        held: &Held,
        kind: EventKind,
    ) {
        let Self { subscriptions, woken, .. } = self;
        let lists = match finality {
            Finality::Tentative => &mut self.tentative,
            Finality::Final => &mut self.closed,
        };
        for topic in topics(held.unit().session(), kind) {
            let list = lists.entry(topic).or_default();
            list.units.push(index);
            for id in &list.subscribers {
                let filter = subscriptions.get(id).map(|it| &it.filter);
                if filter.is_some_and(|it| it.wants(held)) {
                    woken.insert(*id);
                }
            }
        }
    }

    /// Gives units other places, or forgets them. What a stream has shown stays shown.
    pub(crate) fn retain(&mut self, place: impl Fn(usize) -> Option<usize>) {
        let Self { tentative, closed, subscriptions, .. } = self;
        for list in tentative.values_mut().chain(closed.values_mut()) {
            let kept: Vec<Option<usize>> = list.units.iter().map(|it| place(*it)).collect();
            for id in &list.subscribers {
                if let Some(it) = subscriptions.get_mut(id) {
                    it.seen = kept.iter().take(it.seen).flatten().count();
                }
            }
            list.units = kept.into_iter().flatten().collect();
        }
    }

    /// Begins a stream, given the units by their places.
    pub(crate) fn subscribe<'a>(
        &mut self,
        filter: Filter,
        unit: impl Fn(usize) -> Option<(&'a Digest, &'a Held)>,
    ) -> SubscriptionId {
        let id = SubscriptionId(self.next);
        self.next = self.next.saturating_add(1);
        let list = self.lists(filter.finality).entry(filter.topic()).or_default();
        list.subscribers.insert(id);
        if list.units.iter().filter_map(|it| unit(*it)).any(|(_, held)| filter.wants(held)) {
            self.woken.insert(id);
        }
        self.subscriptions.insert(id, Subscription { filter, seen: 0 });
        id
    }

    /// What a stream has that it has not shown, given the units by their places.
    pub(crate) fn poll<'a>(
        &mut self,
        id: SubscriptionId,
        unit: impl Fn(usize) -> Option<(&'a Digest, &'a Held)>,
    ) -> Vec<Digest> {
        self.woken.remove(&id);
        let Self { tentative, closed, subscriptions, .. } = self;
        let Some(Subscription { filter, seen }) = subscriptions.get_mut(&id) else {
            return Vec::new();
        };
        let lists = match filter.finality {
            Finality::Tentative => tentative,
            Finality::Final => closed,
        };
        let Some(list) = lists.get(&filter.topic()) else { return Vec::new() };
        let fresh = list.units.get(*seen..).unwrap_or_default();
        *seen = list.units.len();
        let fresh = fresh.iter().filter_map(|it| unit(*it));
        fresh.filter(|(_, held)| filter.wants(held)).map(|(name, _)| *name).collect()
    }

    pub(crate) fn unsubscribe(&mut self, id: SubscriptionId) {
        self.woken.remove(&id);
        let Some(Subscription { filter, .. }) = self.subscriptions.remove(&id) else { return };
        if let Some(list) = self.lists(filter.finality).get_mut(&filter.topic()) {
            list.subscribers.remove(&id);
        }
    }

    pub(crate) fn take_woken(&mut self) -> BTreeSet<SubscriptionId> {
        std::mem::take(&mut self.woken)
    }
}

/// The topics that a unit belongs to, each once.
fn topics(session: Option<SessionId>, kind: EventKind) -> impl Iterator<Item = Topic> {
    let kind = Some(kind);
    let of_session = session.map(|it| [(Some(it), kind), (Some(it), None)]);
    [(None, kind), (None, None)].into_iter().chain(of_session.into_iter().flatten())
}
