//! Two heights: what the second one's slot is named after.
//!
//! Three devices, two of which decide, none of them at fault. They decide one value, each by the votes
//! of the first two that it hears; then two values are proposed for the slot after it.

use std::collections::{BTreeMap, VecDeque};

use aura_journal::control::Phase;

use super::{Board, Cast, CertificateError, Finding, Local, Memory, Value};

/// Devices of this model.
const DEVICES: usize = 3;
/// How many decide.
const QUORUM: usize = 2;
/// The certificates of the first decision that are told of. Two are enough to part.
const PAIRS: [[usize; QUORUM]; 2] = [[0, 1], [1, 2]];

/// What a slot's parent is the hash of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentRule {
    /// The decision before it.
    Decision,
    /// The certificate of that decision.
    Certificate,
}

/// What a device keeps one vote record for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPer {
    /// Each height.
    Height,
    /// Each slot, as if there were one slot a height.
    Slot,
}

/// What is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parents {
    /// What names the second slot.
    pub parent: ParentRule,
    /// What a vote record binds to.
    pub record: RecordPer,
}

/// The votes of a device in one slot, in the first view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Votes {
    prepared: Option<Value>,
    committed: Option<Value>,
}

impl Votes {
    fn memory(self) -> Memory {
        Memory { view: 0, prepared: self.prepared, lock: self.committed.map(|it| (0, it)) }
    }

    fn of(self, phase: Phase) -> Option<Value> {
        if phase == Phase::Prepare { self.prepared } else { self.committed }
    }
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Device {
    first: Votes,
    /// Which slot it stands before, once it knows the first decision.
    next: Option<usize>,
    /// Its votes in each slot of the second height.
    second: [Votes; PAIRS.len()],
}

type State = [Device; DEVICES];

impl Parents {
    /// Visits every state until two values are certified at the second height. Says how many.
    ///
    /// # Errors
    /// [`CertificateError`] when the rules of a chain change.
    pub fn explore(&self) -> Result<(usize, Finding), CertificateError> {
        let (devices, quorum) = (DEVICES as u8, QUORUM as u8);
        let mut local = Local::found(devices, quorum)?;
        let begin = State::default();
        let mut ways: BTreeMap<State, Option<(State, String)>> = [(begin, None)].into();
        let mut open = VecDeque::from([begin]);
        let mut splits = false;
        while let Some(state) = open.pop_front() {
            splits |= stands_apart(&state);
            if conflicts(&state) {
                return Ok((ways.len(), Finding::Conflict(trace(&ways, state))));
            }
            for (what, next) in self.steps(&mut local, &state) {
                ways.entry(next).or_insert_with(|| {
                    open.push_back(next);
                    Some((state, what))
                });
            }
        }
        Ok((ways.len(), if splits { Finding::Parts } else { Finding::Holds }))
    }

    fn steps(&self, local: &mut Local, state: &State) -> Vec<(String, State)> {
        let mut steps = Vec::new();
        for (index, device) in state.iter().enumerate() {
            let mut to = |what: String, device: Device| {
                let mut next = *state;
                if let Some(place) = next.get_mut(index) {
                    *place = device;
                }
                steps.push((what, next));
            };
            let Some(slot) = device.next else {
                for first in voted(local, device.first, &state.map(|it| it.first)) {
                    if [first.prepared, first.committed].contains(&Some(Value::B)) {
                        continue;
                    }
                    to(format!("{index} votes at height 0"), Device { first, ..*device });
                }
                for slot in self.slots(state) {
                    let what =
                        format!("{index} decides at height 0, and stands before slot {slot}");
                    to(what, Device { next: Some(slot), ..*device });
                }
                continue;
            };
            to(
                format!("{index} crashes before it wrote the decision"),
                Device { next: None, ..*device },
            );
            if self.abstains(device, slot) {
                continue;
            }
            let at = |it: Device| it.second.get(slot).copied().unwrap_or_default();
            for votes in voted(local, at(*device), &state.map(at)) {
                let mut second = device.second;
                if let Some(place) = second.get_mut(slot) {
                    *place = votes;
                }
                let what = format!("{index} votes in slot {slot}: {votes:?}");
                to(what, Device { second, ..*device });
            }
        }
        steps
    }

    /// The slots that the certificates which exist lead to.
    fn slots(&self, state: &State) -> Vec<usize> {
        let committed = |it: &usize| state.get(*it).is_some_and(|it| it.first.committed.is_some());
        let pairs = PAIRS.iter().enumerate().filter(|(_, pair)| pair.iter().all(committed));
        let slots = pairs.map(|(index, _)| match self.parent {
            ParentRule::Decision => 0,
            ParentRule::Certificate => index,
        });
        slots.collect()
    }

    /// A vote record of another slot at this height forbids to vote.
    fn abstains(&self, device: &Device, slot: usize) -> bool {
        let others = device.second.iter().enumerate().filter(|(it, _)| *it != slot);
        self.record == RecordPer::Height
            && others.into_iter().any(|(_, it)| *it != Votes::default())
    }
}

/// What a device's votes in a slot may become, where all devices' votes are these.
fn voted(local: &mut Local, own: Votes, all: &[Votes; DEVICES]) -> Vec<Votes> {
    let count = |value| all.iter().filter(|it| it.prepared == Some(value)).count();
    let which = |least: usize| {
        Value::BOTH.into_iter().filter(|it| least <= count(*it)).map(Value::bit).sum()
    };
    let board = Board { prepared: [which(QUORUM), 0, 0], begun: which(1), entered: 0 };
    let casts = local.casts(own.memory(), board, true).into_iter();
    let in_first = casts.filter(|it| it.memory.view == 0);
    let apply = |cast: Cast| match cast.phase {
        Phase::Prepare => Some(Votes { prepared: cast.value, ..own }),
        Phase::Commit => Some(Votes { committed: cast.value, ..own }),
        Phase::NewView => None,
    };
    in_first.filter_map(apply).collect()
}

/// The first decision is one, and so should be the slot after it.
fn stands_apart(state: &State) -> bool {
    let mut slots = state.iter().filter_map(|it| it.next);
    let first = slots.next();
    slots.any(|it| Some(it) != first)
}

fn conflicts(state: &State) -> bool {
    let certified = |value: &Value| {
        (0..PAIRS.len()).any(|slot| {
            let commits = state.iter().filter(|it| {
                it.second.get(slot).and_then(|it| it.of(Phase::Commit)) == Some(*value)
            });
            QUORUM <= commits.count()
        })
    };
    Value::BOTH.iter().all(certified)
}

fn trace(ways: &BTreeMap<State, Option<(State, String)>>, end: State) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = end;
    while let Some(Some((before, what))) = ways.get(&at) {
        steps.push(what.clone());
        at = *before;
    }
    steps.reverse();
    steps
}
