//! The ways in which one wait can end, given everything said so far: lazy delivery.

use std::collections::BTreeMap;

use aura_choreography::{Ask, Dev, Event, Want};

use super::{
    ExploreError,
    code::{Code, How, Stage},
    ledger::matches,
};

/// Most ways in which one wait can be satisfied.
pub(super) const CHOICES_MAX: usize = 1 << 16;
/// Most events of the adversary.
pub(super) const INJECTED_MAX: usize = 128;

/// One way to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) how: How,
    /// Which of the adversary's events it rests on, as a set of their numbers.
    pub(super) reads: u128,
}

impl Choice {
    pub(super) const fn plain(how: How) -> Self {
        Self { how, reads: 0 }
    }
}

/// How to list choices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The events below this number are the adversary's.
    pub(super) injected: u32,
    /// Whether it is kept account of which of them are read.
    pub(super) reads: bool,
    /// How often a session may go back.
    pub(super) rounds: u32,
}

impl Rules {
    /// The adversary's events among these.
    pub(super) fn reads_of(&self, events: &[u32]) -> u128 {
        if !self.reads {
            return 0;
        }
        events.iter().filter(|it| **it < self.injected).fold(0, |set, it| set | 1 << *it)
    }
}

/// The ways in which what a node waits for can end, if the others have said `offered`.
pub(super) fn choices(
    code: &mut Code<'_>,
    rules: Rules,
    node: u32,
    offered: &[u32],
) -> Result<Vec<Choice>, ExploreError> {
    let Some((dev, stage, sent, taken)) =
        code.node(node).map(|it| (it.dev, it.stage.clone(), it.sent, it.signals))
    else {
        return Ok(Vec::new());
    };
    let Stage::Waits(ask) = stage else { return Ok(Vec::new()) };
    let own = code.ledger.list(sent).to_vec();
    let mut present = Present { code, rules, dev, own, offered };
    let mut ways = Vec::new();
    match ask {
        Ask::Await { want, unless, within, signals } => {
            if let Some(unless) = &unless {
                ways.extend(present.any(unless));
            }
            if !unless.is_some_and(|it| present.own_suffices(&it)) {
                ways.extend(present.all(&want)?);
                if !present.own_suffices(&want) {
                    let said = signals && code.signal(dev, taken).is_some();
                    ways.extend(said.then_some(Choice::plain(How::Signal)));
                    ways.extend(within.map(|_| Choice::plain(How::Timeout)));
                }
            }
        }
        Ask::Peek(want) => ways = present.each(&Want { count: 0, ..want })?,
        other => ways = alone(code, rules, dev, &other, taken),
    }
    Ok(ways)
}

/// The ways of what nobody else has part in.
pub(super) fn alone(
    code: &Code<'_>,
    rules: Rules,
    dev: Dev,
    ask: &Ask,
    taken: usize,
) -> Vec<Choice> {
    let mut ways = Vec::new();
    match ask {
        Ask::Signal { within } => {
            ways.extend(code.signal(dev, taken).map(|_| How::Signal));
            ways.extend(within.map(|_| How::Timeout));
        }
        Ask::HasPassed { round, .. } => {
            ways.extend((*round < rules.rounds).then_some(How::Passed(false)));
            ways.push(How::Passed(true));
        }
        Ask::Pause { .. } => ways.push(How::Rested),
        _ => {}
    }
    ways.into_iter().map(Choice::plain).collect()
}

/// What is there for one device.
struct Present<'c, 's> {
    code: &'c mut Code<'s>,
    rules: Rules,
    dev: Dev,
    own: Vec<u32>,
    offered: &'c [u32],
}

impl Present<'_, '_> {
    fn everything(&self) -> Vec<u32> {
        self.own.iter().chain(self.offered).copied().collect()
    }

    fn choice(&self, events: Vec<u32>) -> Choice {
        let reads = self.rules.reads_of(&events);
        Choice { how: How::Took(events.into()), reads }
    }

    /// Any one event that a wait is about.
    fn any(&self, want: &Want) -> Vec<Choice> {
        let by_author = self.code.ledger.by_author(want, self.dev, &self.everything());
        by_author.into_values().flatten().map(|it| self.choice(vec![it])).collect()
    }

    fn all(&mut self, want: &Want) -> Result<Vec<Choice>, ExploreError> {
        if want.same { self.same(want) } else { self.each(want) }
    }

    /// Every set of events of enough authors, one event of each. What this device itself has said it
    /// has always heard, and its first word counts.
    fn each(&self, want: &Want) -> Result<Vec<Choice>, ExploreError> {
        let by_author = self.code.ledger.by_author(want, self.dev, &self.everything());
        let mut sets: Vec<Vec<u32>> = vec![Vec::new()];
        for (author, said) in by_author {
            let is_own = author == self.dev;
            let said = if is_own { said.into_iter().take(1).collect() } else { said };
            let without = if is_own { Vec::new() } else { sets.clone() };
            let with = |event: u32| {
                sets.iter().map(move |set| set.iter().copied().chain([event]).collect())
            };
            let larger: Vec<Vec<u32>> = said.into_iter().flat_map(with).collect();
            sets = without.into_iter().chain(larger).collect();
            if CHOICES_MAX < sets.len() {
                return Err(ExploreError::TooManyChoices);
            }
        }
        let enough = |it: &Vec<u32>| usize::from(want.count) <= it.len();
        Ok(sets.into_iter().filter(enough).map(|it| self.choice(it)).collect())
    }

    /// Every body that enough authors stand behind. The event handed over is by the first of those
    /// asked: who stands behind a body beside how many is nothing that a step may use.
    fn same(&mut self, want: &Want) -> Result<Vec<Choice>, ExploreError> {
        let mut ways = Vec::new();
        for (event, supporters) in self.supporters(want) {
            let author = want.from.first().unwrap_or(self.dev);
            let number = self.code.ledger.event(Event { author, ..event })?;
            let how = How::Took(Box::from([number]));
            let (theirs, honest): (Vec<u32>, Vec<u32>) =
                supporters.iter().partition(|it| **it < self.rules.injected);
            let missing = usize::from(want.count).saturating_sub(honest.len());
            if theirs.len() < missing {
                continue;
            }
            let reads = subsets(&theirs, missing, CHOICES_MAX)?;
            let mut reads: Vec<u128> = reads.iter().map(|it| self.rules.reads_of(it)).collect();
            reads.sort_unstable();
            reads.dedup();
            ways.extend(reads.into_iter().map(|reads| Choice { how: how.clone(), reads }));
        }
        Ok(ways)
    }

    /// What was said, and one event of each who says so.
    fn supporters(&self, want: &Want) -> BTreeMap<Event, Vec<u32>> {
        let mut bodies: BTreeMap<Event, Vec<u32>> = BTreeMap::new();
        for number in self.everything() {
            let Some(event) = self.code.ledger.events.get(number) else { continue };
            if matches(want, self.dev, event) {
                let anybody = Event { author: Dev(0), ..event.clone() };
                bodies.entry(anybody).or_default().push(number);
            }
        }
        bodies
    }

    /// Whether what this device said itself ends the wait at once.
    fn own_suffices(&self, want: &Want) -> bool {
        let enough = usize::from(want.count);
        enough <= 1 && {
            let own = self.code.ledger.by_author(want, self.dev, &self.own);
            enough <= own.len()
        }
    }
}

/// All subsets of this size.
fn subsets(of: &[u32], size: usize, max: usize) -> Result<Vec<Vec<u32>>, ExploreError> {
    let mut sets: Vec<Vec<u32>> = vec![Vec::new()];
    for it in of {
        let smaller = sets.iter().filter(|set| set.len() < size);
        let larger: Vec<Vec<u32>> =
            smaller.map(|set| set.iter().copied().chain([*it]).collect()).collect();
        sets.extend(larger);
        if max < sets.len() {
            return Err(ExploreError::TooManyChoices);
        }
    }
    sets.retain(|set| set.len() == size);
    Ok(sets)
}
