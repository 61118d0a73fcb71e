//! What a device has heard in one session, and what of it satisfies a wait.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{Dev, DeviceSet, Event, Events, Want};

/// Most different things that one device may say under one label in one round. The second is
/// evidence, and counts where all must say the same; a third adds nothing.
const VARIANTS_MAX: usize = 2;

/// The events of a session, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct View {
    events: Vec<Event>,
    /// A bit of every place in which somebody said something: most events are the first of theirs, and
    /// the others need not be looked through for that.
    said: u64,
}

/// Events that a session has room for at its beginning: most never have more.
const EVENTS_EXPECTED: usize = 16;

impl View {
    /// Nothing heard yet.
    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(EVENTS_EXPECTED), said: 0 }
    }

    /// Takes an event. Says whether it was new.
    pub(crate) fn insert(&mut self, event: Event) -> bool {
        let bit = place_bit(&event);
        if self.said & bit == 0 {
            self.said |= bit;
            self.events.push(event);
            return true;
        }
        let alike = |it: &&Event| {
            it.author == event.author && it.label == event.label && it.round == event.round
        };
        let mut variants = 0;
        for earlier in self.events.iter().filter(alike) {
            if earlier.body == event.body {
                return false;
            }
            variants += 1;
        }
        if VARIANTS_MAX <= variants {
            return false;
        }
        self.events.push(event);
        true
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(crate) fn of(events: Vec<Event>) -> Self {
        let said = events.iter().fold(0, |bits, it| bits | place_bit(it));
        Self { events, said }
    }

    /// The events that satisfy `want`, by author; none below its count.
    pub(crate) fn satisfy(&self, want: &Want, me: Dev) -> Option<Events> {
        if want.same { self.satisfy_same(want, me) } else { self.satisfy_each(want, me) }
    }

    /// The first matching event of each author.
    pub(crate) fn first_of_each(&self, want: &Want, me: Dev) -> Events {
        self.firsts(want, me, self.authors(want, me))
    }

    fn satisfy_each(&self, want: &Want, me: Dev) -> Option<Events> {
        if want.count == 1 && want.from.len() == 1 {
            let mut events = self.events.iter();
            return events.find(|it| matches(want, me, it)).map(|it| it.clone().into());
        }
        // Counted before anything is copied: most looks come too early.
        let present = self.authors(want, me);
        (usize::from(want.count) <= present.len()).then(|| self.firsts(want, me, present))
    }

    fn authors(&self, want: &Want, me: Dev) -> DeviceSet {
        self.events.iter().filter(|it| matches(want, me, it)).map(|it| it.author).collect()
    }

    /// The first matching event of each of these, who all have one.
    fn firsts(&self, want: &Want, me: Dev, authors: DeviceSet) -> Events {
        let mut found = authors.iter().filter_map(|author| {
            self.events.iter().find(|it| it.author == author && matches(want, me, it))
        });
        match (found.next(), authors.len()) {
            (Some(event), 1) => event.clone().into(),
            (first, _) => first.into_iter().chain(found).cloned().collect::<Vec<_>>().into(),
        }
    }

    /// The least body that enough authors stand behind, as its first author's event. An author who
    /// says two things counts for each: that this is safe is the quorum's business (2m − N).
    fn satisfy_same(&self, want: &Want, me: Dev) -> Option<Events> {
        let matching = || self.events.iter().filter(|it| matches(want, me, it));
        let mut bodies = BTreeSet::new();
        bodies.extend(matching().map(|it| (it.label, &it.body))); // `collect` would link sorting.
        bodies.into_iter().find_map(|body| {
            let said = || matching().filter(|it| (it.label, &it.body) == body);
            let authors: DeviceSet = said().map(|it| it.author).collect();
            let enough = usize::from(want.count) <= authors.len();
            let first = said().min_by_key(|it| it.author).filter(|_| enough)?;
            Some(first.clone().into())
        })
    }
}

/// One of 64 bits for who said something, as what, and in which round.
const fn place_bit(event: &Event) -> u64 {
    let place = (event.author.0 as u32) + 7 * (event.label.0 as u32) + 29 * (event.round % 64);
    1 << (place % 64)
}

/// Whether an event is one of those waited for. The body of an addressed event begins with whom it
/// is for.
pub(crate) fn matches(want: &Want, me: Dev, event: &Event) -> bool {
    want.labels.contains(event.label)
        && want.round == event.round
        && want.from.contains(event.author)
        && (!want.to_me || event.body.bytes().first() == Some(&me.0))
}
