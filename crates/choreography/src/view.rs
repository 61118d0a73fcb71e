//! What a device has heard in one session, and what of it satisfies a wait.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{Dev, DeviceSet, Event, Want};

/// Most different things that one device may say under one label in one round. The second is
/// evidence, and counts where all must say the same; a third adds nothing.
const VARIANTS_MAX: usize = 2;

/// The events of a session, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct View {
    events: Vec<Event>,
}

/// Events that a session has room for at its beginning: most never have more.
const EVENTS_EXPECTED: usize = 16;

impl View {
    /// Nothing heard yet.
    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(EVENTS_EXPECTED) }
    }

    /// Takes an event. Says whether it was new.
    pub(crate) fn insert(&mut self, event: Event) -> bool {
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

    pub(crate) const fn of(events: Vec<Event>) -> Self {
        Self { events }
    }

    /// The events that satisfy `want`, by author; none below its count.
    pub(crate) fn satisfy(&self, want: &Want, me: Dev) -> Option<Vec<Event>> {
        if want.same { self.satisfy_same(want, me) } else { self.satisfy_each(want, me) }
    }

    /// The first matching event of each author.
    pub(crate) fn first_of_each(&self, want: &Want, me: Dev) -> Vec<Event> {
        let mut seen = DeviceSet::EMPTY;
        let mut first = Vec::new();
        for event in self.events.iter().filter(|it| matches(want, me, it)) {
            if !seen.contains(event.author) {
                seen = seen.with(event.author);
                first.push(event.clone());
            }
        }
        first.sort_unstable_by_key(|it: &Event| it.author);
        first
    }

    fn satisfy_each(&self, want: &Want, me: Dev) -> Option<Vec<Event>> {
        let count = usize::from(want.count);
        // Counted before anything is copied: most looks come too early.
        let present: DeviceSet =
            self.events.iter().filter(|it| matches(want, me, it)).map(|it| it.author).collect();
        (count <= present.len()).then(|| self.first_of_each(want, me))
    }

    /// The least body that enough authors stand behind, as its first author's event. An author who
    /// says two things counts for each: that this is safe is the quorum's business (2m − N).
    fn satisfy_same(&self, want: &Want, me: Dev) -> Option<Vec<Event>> {
        let matching = || self.events.iter().filter(|it| matches(want, me, it));
        let mut bodies = BTreeSet::new();
        bodies.extend(matching().map(|it| (it.label, &it.body))); // `collect` would link sorting.
        bodies.into_iter().find_map(|body| {
            let said = || matching().filter(|it| (it.label, &it.body) == body);
            let authors: DeviceSet = said().map(|it| it.author).collect();
            let enough = usize::from(want.count) <= authors.len();
            enough.then(|| said().min_by_key(|it| it.author).cloned().into_iter().collect())
        })
    }
}

/// Whether an event is one of those waited for. The body of an addressed event begins with whom it
/// is for.
pub(crate) fn matches(want: &Want, me: Dev, event: &Event) -> bool {
    want.labels.contains(event.label)
        && want.round == event.round
        && want.from.contains(event.author)
        && (!want.to_me || event.body.bytes().first() == Some(&me.0))
}
