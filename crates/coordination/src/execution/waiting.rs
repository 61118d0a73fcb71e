//! Who waits for what, and the rule by which a wait ends. Data and pure functions: what a production
//! clock and a simulated one have in common.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{DeviceId, Digest, Epoch, SessionId};

use crate::execution::time::Wait;

/// Which events of sessions are meant. The default is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only those of this session.
    pub session: Option<SessionId>,
    /// Only those under these labels.
    pub labels: Option<BTreeSet<String>>,
    /// Only those of these authors.
    pub authors: Option<BTreeSet<DeviceId>>,
}

/// What ends a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WakeCondition {
    /// The quorum clock stands at this epoch or a later one.
    EpochReached(Epoch),
    /// So does it, and what else was waited for has not come: an event that is there wins.
    TimeoutAt(Epoch),
    /// Any event of any session came after the wait began.
    NewEvents,
    /// An event that this filter lets through is there.
    EventMatching(Filter),
    /// So many devices have written an event that this filter lets through; each counts once.
    ThresholdEvents {
        /// Which events.
        filter: Filter,
        /// How many devices.
        count: usize,
    },
}

/// An event of a session, as those see it who wait for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// The unit that carries it.
    pub unit: Digest,
    /// Its session.
    pub session: SessionId,
    /// Who wrote it.
    pub author: DeviceId,
    /// Under which label.
    pub label: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// Something that may end a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The quorum clock stands at this epoch.
    Epoch(Epoch),
    /// An event came.
    Event(SessionEvent),
}

/// How far things have got for one condition. It only grows, and the same twice is the same once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Where the quorum clock stands.
    pub epoch: Epoch,
    /// Whether any event came since the wait began.
    pub fresh: bool,
    /// Who has written an event that the condition is about.
    pub authors: BTreeSet<DeviceId>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// This condition was met, counted from 0.
    Met(usize),
    /// The time was over.
    TimedOut,
}

/// A wait, as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitId(u64);

impl Filter {
    /// Whether it lets an event through.
    #[must_use]
    pub fn lets_through(&self, event: &SessionEvent) -> bool {
        self.session.is_none_or(|it| it == event.session)
            && self.labels.as_ref().is_none_or(|it| it.contains(&event.label))
            && self.authors.as_ref().is_none_or(|it| it.contains(&event.author))
    }
}

impl WakeCondition {
    /// Whether it is met when things have got so far.
    #[must_use]
    pub fn is_met(&self, progress: &Progress) -> bool {
        match self {
            Self::EpochReached(epoch) | Self::TimeoutAt(epoch) => *epoch <= progress.epoch,
            Self::NewEvents => progress.fresh,
            Self::EventMatching(_) => !progress.authors.is_empty(),
            Self::ThresholdEvents { count, .. } => *count <= progress.authors.len(),
        }
    }

    /// Which events it is about: none, those of one session, or those of all.
    fn topic(&self) -> Option<Option<SessionId>> {
        match self {
            Self::EpochReached(_) | Self::TimeoutAt(_) => None,
            Self::NewEvents => Some(None),
            Self::EventMatching(filter) | Self::ThresholdEvents { filter, .. } => {
                Some(filter.session)
            }
        }
    }

    /// The epoch that it is about.
    const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::EpochReached(epoch) | Self::TimeoutAt(epoch) => Some(*epoch),
            _ => None,
        }
    }

    fn filter(&self) -> Option<&Filter> {
        match self {
            Self::EventMatching(filter) | Self::ThresholdEvents { filter, .. } => Some(filter),
            _ => None,
        }
    }
}

/// One wait with what it has got so far.
#[derive(Debug)]
struct Entry {
    wait: Wait,
    progress: Vec<Progress>,
}

impl Entry {
    fn event(&mut self, event: &SessionEvent, fresh: bool) {
        let counts = self.wait.predicate.as_ref().is_none_or(|it| it(event));
        for (condition, progress) in self.wait.conditions.iter().zip(&mut self.progress) {
            progress.fresh |= fresh && counts;
            if counts && condition.filter().is_some_and(|it| it.lets_through(event)) {
                progress.authors.insert(event.author);
            }
        }
    }

    fn epoch(&mut self, epoch: Epoch) {
        for progress in &mut self.progress {
            progress.epoch = progress.epoch.max(epoch);
        }
    }

    /// What comes first by the rule: whatever is no timeout, in order.
    fn woken(&self) -> Option<Woken> {
        let conditions = self.wait.conditions.iter().zip(&self.progress).enumerate();
        let mut timed_out = None;
        for (index, (condition, progress)) in conditions {
            match (condition.is_met(progress), condition) {
                (false, _) => {}
                (true, WakeCondition::TimeoutAt(_)) => timed_out = Some(Woken::TimedOut),
                (true, _) => return Some(Woken::Met(index)),
            }
        }
        timed_out
    }
}

/// All waits of a host. An event touches those that wait for its session or for any, an epoch those
/// that wait for it: nobody else, however many there are.
#[derive(Debug, Default)]
pub struct WaitList {
    epoch: Epoch,
    entries: BTreeMap<WaitId, Entry>,
    topics: BTreeMap<Option<SessionId>, BTreeSet<WaitId>>,
    epochs: BTreeSet<(Epoch, WaitId)>,
    next: u64,
    /// How many waits were looked at so far.
    touched: u64,
}

impl WaitList {
    /// Begins a wait, given what has happened before. Says so if it ends at once; it is not listed
    /// then.
    pub fn add(&mut self, wait: Wait, known: &[News]) -> Result<WaitId, Woken> {
        let progress = vec![Progress::default(); wait.conditions.len()];
        let mut entry = Entry { wait, progress };
        for news in known {
            match news {
                News::Event(event) => entry.event(event, false),
                News::Epoch(epoch) => self.epoch = self.epoch.max(*epoch),
            }
        }
        entry.epoch(self.epoch);
        if let Some(woken) = entry.woken() {
            return Err(woken);
        }
        let id = WaitId(self.next);
        self.next = self.next.saturating_add(1);
        for condition in &entry.wait.conditions {
            if let Some(topic) = condition.topic() {
                self.topics.entry(topic).or_default().insert(id);
            }
            if let Some(epoch) = condition.epoch() {
                self.epochs.insert((epoch, id));
            }
        }
        self.entries.insert(id, entry);
        Ok(id)
    }

    /// Takes news, and says whose wait is over. Those are not listed any more.
    pub fn news(&mut self, news: &News) -> Vec<(WaitId, Woken)> {
        let concerned: BTreeSet<WaitId> = match news {
            News::Event(event) => {
                let topics = [Some(event.session), None].into_iter();
                topics.filter_map(|it| self.topics.get(&it)).flatten().copied().collect()
            }
            News::Epoch(epoch) => {
                self.epoch = self.epoch.max(*epoch);
                let due = self.epochs.iter().take_while(|(at, _)| *at <= self.epoch);
                due.map(|(_, id)| *id).collect()
            }
        };
        let mut over = Vec::new();
        for id in concerned {
            self.touched = self.touched.saturating_add(1);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match news {
                News::Event(event) => entry.event(event, true),
                News::Epoch(_) => entry.epoch(self.epoch),
            }
            if let Some(woken) = entry.woken() {
                self.remove(id);
                over.push((id, woken));
            }
        }
        over
    }

    /// Ends a wait that nobody waits for any more.
    pub fn remove(&mut self, id: WaitId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        for condition in &entry.wait.conditions {
            if let Some(topic) = condition.topic()
                && let Some(waiting) = self.topics.get_mut(&topic)
            {
                waiting.remove(&id);
                if waiting.is_empty() {
                    self.topics.remove(&topic);
                }
            }
            if let Some(epoch) = condition.epoch() {
                self.epochs.remove(&(epoch, id));
            }
        }
    }

    /// How many waits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many waits were looked at because of news, all in all: what waking costs.
    #[must_use]
    pub const fn touched(&self) -> u64 {
        self.touched
    }
}
