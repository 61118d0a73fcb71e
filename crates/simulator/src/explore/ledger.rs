//! What can be said and heard in a model: events, lists of them, and what of a list a wait is about.

use std::{collections::BTreeMap, hash::Hash};

use aura_choreography::{Dev, Event, Want};
use rustc_hash::FxHashMap;

use super::ExploreError;

/// Most different events of one model.
pub(super) const EVENTS_MAX: usize = 1 << 16;

/// Values by number, each once.
pub(super) struct Interner<T> {
    values: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), numbers: FxHashMap::default() }
    }

    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = self.values.len() as u32;
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    pub(super) fn find(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// What a device waits for, as far as it decides which events matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wait {
    /// Everything: where events are delivered one by one.
    Everything,
    /// These, at this device.
    For { want: Want, unless: Option<Want>, me: Dev },
}

impl Wait {
    fn concerns(&self, event: &Event) -> bool {
        match self {
            Self::Everything => true,
            Self::For { want, unless, me } => {
                matches(want, *me, event) || unless.is_some_and(|it| matches(&it, *me, event))
            }
        }
    }
}

/// Whether an event is one of those wanted, as a session sees it.
pub(super) fn matches(want: &Want, me: Dev, event: &Event) -> bool {
    want.labels.contains(event.label)
        && want.round == event.round
        && want.from.contains(event.author)
        && (!want.to_me || event.body.bytes().first() == Some(&me.0))
}

/// Numbers for events, for lists of them, and for waits.
pub(super) struct Ledger {
    pub(super) events: Interner<Event>,
    /// Number 0 is the empty list.
    pub(super) lists: Interner<Box<[u32]>>,
    pub(super) waits: Interner<Wait>,
    /// For each wait, by list: the number of what matters of it, plus one.
    offers: Vec<Vec<u32>>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let mut lists = Interner::new();
        lists.number(Box::default());
        Self { events: Interner::new(), lists, waits: Interner::new(), offers: Vec::new() }
    }

    pub(super) fn event(&mut self, event: Event) -> Result<u32, ExploreError> {
        if EVENTS_MAX <= self.events.len() && self.events.find(&event).is_none() {
            return Err(ExploreError::TooManyEvents);
        }
        Ok(self.events.number(event))
    }

    pub(super) fn list(&self, number: u32) -> &[u32] {
        self.lists.get(number).map_or(&[], |it| it)
    }

    pub(super) fn wait(&mut self, wait: Wait) -> u32 {
        let number = self.waits.number(wait);
        self.offers.resize_with(self.waits.len(), Vec::new);
        number
    }

    /// What of a list matters to a wait, as a list.
    pub(super) fn offer(&mut self, wait: u32, list: u32) -> u32 {
        let known = self.offers.get(wait as usize).and_then(|it| it.get(list as usize));
        match known {
            Some(number) if *number != 0 => number - 1,
            _ => self.make_offer(wait, list),
        }
    }

    #[cold]
    fn make_offer(&mut self, wait: u32, list: u32) -> u32 {
        let concerned: Box<[u32]> = {
            let wait = self.waits.get(wait);
            let concerns = |it: &&u32| match (wait, self.events.get(**it)) {
                (Some(wait), Some(event)) => wait.concerns(event),
                _ => false,
            };
            self.list(list).iter().filter(concerns).copied().collect()
        };
        let offer = self.lists.number(concerned);
        if let Some(row) = self.offers.get_mut(wait as usize) {
            if row.len() <= list as usize {
                row.resize(list as usize + 1, 0);
            }
            if let Some(cell) = row.get_mut(list as usize) {
                *cell = offer + 1;
            }
        }
        offer
    }

    /// Those of some events that a want is about, by author, each author's in the order given.
    pub(super) fn by_author(
        &self,
        want: &Want,
        me: Dev,
        events: &[u32],
    ) -> BTreeMap<Dev, Vec<u32>> {
        let mut by_author: BTreeMap<Dev, Vec<u32>> = BTreeMap::new();
        for number in events {
            if let Some(event) = self.events.get(*number)
                && matches(want, me, event)
            {
                by_author.entry(event.author).or_default().push(*number);
            }
        }
        by_author
    }

    /// The events with these numbers.
    pub(super) fn read(&self, numbers: &[u32]) -> Vec<Event> {
        numbers.iter().filter_map(|it| self.events.get(*it).cloned()).collect()
    }
}
